# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a service that were proved: kept beside it as they were, and put back where what came after them fails."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

KEPT = "proved"
"""The folder that they are kept in, beside them; closed to others, as there may be keys among them."""


def files_below(folder: Path, names: Iterable[str]) -> list[str]:
    """Those of the names that are files, and what lies in those that are folders."""
    found: set[str] = set()
    for name in names:
        path = folder / name
        inside = [each for each in path.rglob("*") if "__pycache__" not in each.parts] if path.is_dir() else [path]
        found |= {str(each.relative_to(folder)) for each in inside if each.is_file()}
    return sorted(found)


def kept_in(folder: Path) -> Path:
    """Where they are kept: for a moment while others take their place, under another name."""
    kept, old = folder / KEPT, folder / f".{KEPT}-old"
    return old if old.is_dir() and not kept.is_dir() else kept


def differing(folder: Path, names: Iterable[str]) -> list[str]:
    """The files that are not as they were kept: changed, new or gone."""
    wanted, kept = list(names), kept_in(folder)
    every = {*files_below(folder, wanted), *files_below(kept, wanted)}
    return sorted(name for name in every if _content(folder / name) != _content(kept / name))


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def keep(folder: Path, names: Iterable[str]) -> None:
    """Keep the files as they are now; a kill leaves what was kept before, or these."""
    wanted, made, old = list(names), folder / f".{KEPT}-new", folder / f".{KEPT}-old"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(mode=0o700)
    for name in files_below(folder, wanted):
        _copy(folder / name, made / name)
    if (folder / KEPT).is_dir():
        shutil.rmtree(old, ignore_errors=True)
        (folder / KEPT).rename(old)
    made.rename(folder / KEPT)
    shutil.rmtree(old, ignore_errors=True)


def put_back(folder: Path, names: Iterable[str]) -> None:
    """Bring the files back to what was kept, each as a whole."""
    wanted, there = list(names), kept_in(folder)
    for name in differing(folder, wanted):
        kept, target = there / name, folder / name
        if not kept.exists():
            target.unlink()
            continue
        staged = target.with_name(f".{target.name}.back")
        _copy(kept, staged)
        staged.replace(target)


def _copy(source: Path, target: Path) -> None:
    """A file with its owner and mode; it is nobody else's meanwhile."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    there = source.stat()
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(source.read_bytes())
    os.chown(target, there.st_uid, there.st_gid)
    target.chmod(there.st_mode & 0o7777)
