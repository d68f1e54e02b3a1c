# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing files so that a reader, or a kill at any moment, finds the old content or the new, never a part."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import WriteError

_PREFIX, _SUFFIX = ".", ".anklume-tmp"
_LEFTOVER = re.compile(r"\..+\.anklume-tmp\Z")


def write_file(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace or create one file; an existing one keeps its mode and owner, a new one gets `mode` less the umask."""
    write_files({path: content}, mode=mode)


def write_files(files: Mapping[Path, bytes], *, mode: int = 0o644) -> None:
    """Replace or create files one by one; every folder is made durable once, at the end."""
    folders: set[Path] = set()
    try:
        for path, content in files.items():
            folders.add(_replace(Path(os.path.realpath(path)), content, mode))
        for folder in folders:
            sync_path(folder)
    except OSError as error:
        raise _write_error(error) from error


def _replace(target: Path, content: bytes, mode: int) -> Path:
    """Write beside the target, then rename over it; returns the folder."""
    folder = target.parent
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f"{_PREFIX}{target.name}.", suffix=_SUFFIX, dir=folder)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor, not a path)
            file.write(content)
            file.flush()
            _take_permissions(file.fileno(), target, mode)
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return folder


def _take_permissions(descriptor: int, target: Path, mode: int) -> None:
    try:
        old = target.stat()
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        os.fchmod(descriptor, mode & ~umask)
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


def _write_error(error: OSError) -> WriteError:
    where = error.filename2 or error.filename or "a file"
    return WriteError(f"cannot write {where}: {(error.strerror or str(error)).lower()}")
