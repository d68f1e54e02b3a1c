# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing files together: all of them or none, and a kill at any moment leaves old or new content, never a part."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import WriteError

_PREFIX, _SUFFIX = ".", ".anklume-tmp"
_LEFTOVER = re.compile(r"\..+\.anklume-tmp\Z")


@contextlib.contextmanager
def changing() -> Iterator[Changes]:
    """Changes that are made when the block ends; WriteError, and nothing is changed, when one of them fails."""
    changes = Changes()
    try:
        yield changes
        changes.make()
    except BaseException as error:
        left = changes.take_back()
        if not isinstance(error, OSError):
            raise
        rest = f"; could not be taken back: {', '.join(left)}" if left else ""
        raise WriteError(f"cannot change {changes.at}: {(error.strerror or str(error)).lower()}{rest}") from error
    changes.forget()


class Changes:
    """What is to be done to files. What can fail for want of space is prepared at once, beside the targets."""

    def __init__(self) -> None:
        self.at: Path | str = "a file"
        """What was being changed when something failed."""
        self._steps: list[tuple[Path, Callable[[], object]]] = []
        self._undo: list[tuple[Path, Callable[[], object]]] = []
        self._temporary: set[Path] = set()
        self._folders: set[Path] = set()

    def folder(self, path: Path) -> None:
        """Make a folder, and those above it, unless it is there."""
        if path.is_dir():
            return
        self.folder(path.parent)
        self.at = path
        if path.exists():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        path.mkdir()
        self._undo.append((path, path.rmdir))
        take_owner(path)

    def write(self, path: Path, content: bytes, *, mode: int = 0o644) -> None:
        """Replace or create a file; an existing one keeps its mode and owner, a new one gets `mode` less the umask."""
        target = Path(os.path.realpath(path))
        self.folder(target.parent)
        self.at = target
        descriptor, name = tempfile.mkstemp(prefix=f"{_PREFIX}{target.name}.", suffix=_SUFFIX, dir=target.parent)
        temporary = Path(name)
        self._temporary.add(temporary)
        with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor, not a path)
            file.write(content)
            file.flush()
            _take_permissions(file.fileno(), target, mode)
            os.fsync(file.fileno())
        self._steps.append((target, lambda: self._replace(temporary, target)))

    def mode(self, path: Path, mode: int) -> None:
        """Give a file another mode."""

        def step() -> None:
            before = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode)
            self._undo.append((path, partial(path.chmod, before)))

        self._steps.append((path, step))

    def remove(self, path: Path) -> None:
        """Remove a file."""
        self._steps.append((path, lambda: self._rename(path, self._free_name(path))))

    def move(self, path: Path, target: Path) -> None:
        """Give a file another place, where nothing is yet."""

        def step() -> None:
            self.folder(target.parent)
            self.at = path
            self._rename(path, target)

        self._steps.append((path, step))

    def link(self, path: Path, to: Path) -> None:
        """Make a symbolic link."""

        def step() -> None:
            path.symlink_to(to)
            self._undo.append((path, path.unlink))
            take_owner(path)
            self._folders.add(path.parent)

        self._steps.append((path, step))

    def make(self) -> None:
        """Put everything in its place, and make it durable."""
        for path, step in self._steps:
            self.at = path
            step()
        for folder in self._folders:
            self.at = folder
            sync_path(folder)

    def take_back(self) -> list[str]:
        """Bring back what was before; returns what could not be."""
        left = []
        for path, undo in reversed(self._undo):
            try:
                undo()
            except OSError:
                left.append(str(path))
        self.forget()
        return left

    def forget(self) -> None:
        """Remove what was prepared and what was kept."""
        for path in self._temporary:
            with contextlib.suppress(OSError):
                path.unlink()

    def _replace(self, temporary: Path, target: Path) -> None:
        if not target.exists():
            temporary.replace(target)
            self._undo.append((target, target.unlink))
        else:
            kept = self._free_name(target)
            try:
                kept.hardlink_to(target)
            except OSError:  # a file system without hard links
                shutil.copy2(target, kept)
            temporary.replace(target)
            self._undo.append((target, partial(kept.replace, target)))
        self._folders.add(target.parent)

    def _rename(self, path: Path, target: Path) -> None:
        path.rename(target)
        self._undo.append((path, partial(target.rename, path)))
        self._folders |= {path.parent, target.parent}

    def _free_name(self, path: Path) -> Path:
        """Where an old content is kept until all is done."""
        kept = path.with_name(f"{_PREFIX}{path.name}.{secrets.token_hex(4)}{_SUFFIX}")
        self._temporary.add(kept)
        return kept


def take_owner(path: Path) -> None:
    """Root in a folder of somebody else's leaves nothing there that they cannot change."""
    if os.geteuid() == 0:
        folder = path.parent.stat()
        if folder.st_uid != 0:
            os.chown(path, folder.st_uid, folder.st_gid, follow_symlinks=False)


def _take_permissions(descriptor: int, target: Path, mode: int) -> None:
    try:
        old = target.stat()
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        os.fchmod(descriptor, mode & ~umask)
        folder = target.parent.stat()
        if os.geteuid() == 0 and folder.st_uid != 0:
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
        return
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def sync_path(path: Path) -> None:
    """Make a file, or the renames and removals in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folders: Iterable[Path]) -> list[Path]:
    """Remove the temporary files that a killed writer left; call it only while no other writer can run."""
    removed = []
    for folder in folders:
        if not folder.is_dir():
            continue
        for entry in folder.iterdir():
            if _LEFTOVER.match(entry.name) and entry.is_file() and not entry.is_symlink():
                entry.unlink(missing_ok=True)
                removed.append(entry)
    return removed
