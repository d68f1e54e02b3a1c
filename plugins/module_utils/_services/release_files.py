# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at the releases of a service and does one step of a change: links, copies of files, the service manager."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import WriteError
from ansible_collections.anklume.stt.plugins.module_utils._base.files import sync_path
from ansible_collections.anklume.stt.plugins.module_utils._services.release import KEPT, LOCK, RECORD, Kept, State, Step

Run = Callable[[str], None]
_LINK = "former"
"""The link that is left where the releases lay, as long as it waits in their folder for its place."""


def moves(former: Path, home: Path) -> bool:
    """Whether the releases lie in a folder of another name still, or its link was not put in its place."""
    return (home / _LINK).is_symlink() or (
        not home.exists() and former.is_dir() and not former.is_symlink() and not former.is_mount()
    )


def lie_in(former: Path, home: Path) -> Path:
    """Where the releases are."""
    return former if moves(former, home) and not home.exists() else home


def move(former: Path, home: Path) -> None:
    """Give the releases' folder its name and leave a link under the former one: releases hold paths of their own.

    The link is made before and lies in the folder until its place is free, so that one that is missing is seen.
    """
    if not home.exists():
        link = former / _LINK
        link.unlink(missing_ok=True)
        link.symlink_to(home.name if home.parent == former.parent else home)
        former.rename(home)
    (home / _LINK).rename(former)
    sync_path(former.parent)
    sync_path(home.parent)


class Releases:
    """The releases of one service, in its home."""

    def __init__(self, home: Path, files: list[str], run: Run) -> None:
        """Takes the folder of the releases, the files that a release runs with, and what runs a command."""
        self.home = home
        self.files = files
        self.run = run
        self.kept = home / KEPT
        self.stayed: list[str] = []
        """Why folders that should go are there still."""

    def observe(self) -> State:
        """What is there."""
        current = self.home / "current"
        folders = sorted(self.home.iterdir()) if self.home.is_dir() else []
        record = self._record()
        return State(
            current=current.readlink().name if current.is_symlink() else "",
            folders=tuple(
                path.name
                for path in folders
                if path.is_dir() and not path.is_symlink() and path.name not in (KEPT, f"{KEPT}.new")
            ),
            kept=Kept(record["before"], record["after"]) if record else None,
        )

    def whole(self, release: str) -> bool:
        """Whether a release was filled to its end."""
        return (self.home / release / LOCK).is_file()

    def apply(self, step: Step) -> None:
        """Do one step."""
        try:
            getattr(self, f"_{step.do}")(step.what)
        except OSError as error:
            where = error.filename2 or error.filename or self.home
            raise WriteError(f"cannot {step}: {where}: {(error.strerror or str(error)).lower()}") from error

    def _record(self) -> dict[str, Any]:
        """What is under way, and which copy is of which file; nothing when nothing is."""
        path = self.kept / RECORD
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            return {name: record[name] for name in ("before", "after", "files")}
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError) as error:
            raise WriteError(f"{path} is damaged: remove {self.kept}, and nothing can be taken back") from error

    def _write_record(self, folder: Path, record: dict[str, Any]) -> None:
        staged = folder / f".{RECORD}.new"
        with staged.open("w", encoding="utf-8") as file:
            json.dump(record, file)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(folder / RECORD)
        sync_path(folder)

    def _move(self, former: str) -> None:
        move(Path(former), self.home)

    def _run(self, command: str) -> None:
        self.run(command)

    def _keep(self, release: str) -> None:
        new = self.home / f"{KEPT}.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        copies = {path: str(number) if os.path.lexists(path) else None for number, path in enumerate(self.files)}
        for path, copy in copies.items():
            if copy is not None:
                copy_file(Path(path), new / copy)
        self._write_record(new, {"before": (self.home / "current").readlink().name, "after": release, "files": copies})
        shutil.rmtree(self.kept, ignore_errors=True)
        new.replace(self.kept)
        sync_path(self.home)

    def _take_up(self, release: str) -> None:
        self._write_record(self.kept, self._record() | {"after": release})

    def _link(self, release: str) -> None:
        staged = self.home / ".current.new"
        staged.unlink(missing_ok=True)
        staged.symlink_to(release)
        staged.replace(self.home / "current")
        sync_path(self.home)

    def _put_back(self, _release: str) -> None:
        for path, copy in self._record()["files"].items():
            if copy is None:
                Path(path).unlink(missing_ok=True)
            else:
                copy_file(self.kept / copy, Path(path))

    def _forget(self, release: str) -> None:
        (self.home / release / LOCK).unlink(missing_ok=True)

    def _start(self, service: str) -> None:
        self.run("systemctl daemon-reload")
        self.run(f"systemctl restart {service}")

    def _remove(self, release: str) -> None:
        folder = self.home / release
        try:
            # what is left of it is not whole, wherever this ends
            (folder / LOCK).unlink(missing_ok=True)
            shutil.rmtree(folder)
        except OSError as error:
            self.stayed.append(f"{folder} could not be removed: {error.filename}: {error.strerror}")

    def _drop(self, _release: str) -> None:
        (self.kept / RECORD).unlink(missing_ok=True)
        shutil.rmtree(self.kept, ignore_errors=True)


def copy_file(source: Path, target: Path) -> None:
    """Replace a file with a copy of another, owner and mode included, in one step."""
    seen = source.stat()
    staged = target.with_name(f".{target.name}.new")
    staged.unlink(missing_ok=True)
    with open(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 (a descriptor)
        file.write(source.read_bytes())
        os.fchown(file.fileno(), seen.st_uid, seen.st_gid)
        os.fchmod(file.fileno(), stat.S_IMODE(seen.st_mode))
        file.flush()
        os.fsync(file.fileno())
    staged.replace(target)
    sync_path(target.parent)
