# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The git tree id of a folder: the same for a clone, a tag's archive and a mirror's, however they were packed."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from pathlib import Path

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import WriteError


def _object_id(kind: bytes, content: bytes) -> bytes:
    return hashlib.sha1(kind + b" %d\0" % len(content) + content, usedforsecurity=False).digest()


def _entry(path: Path) -> tuple[bytes, bytes] | None:
    """Mode and id of one entry; none for an empty folder, which git does not know."""
    if path.is_symlink():
        return b"120000", _object_id(b"blob", os.fsencode(path.readlink()))
    if path.is_dir():
        digest = _tree(path)
        return (b"40000", digest) if digest else None
    return b"100755" if path.stat().st_mode & 0o100 else b"100644", _object_id(b"blob", path.read_bytes())


def _place(path: Path) -> bytes:
    """What git sorts by: folders as if their names ended in a slash."""
    return os.fsencode(path.name) + (b"/" if path.is_dir() and not path.is_symlink() else b"")


def _tree(folder: Path) -> bytes:
    lines = []
    for path in sorted(folder.iterdir(), key=_place):
        entry = None if path.name == ".git" else _entry(path)
        if entry:
            lines.append(entry[0] + b" " + os.fsencode(path.name) + b"\0" + entry[1])
    return _object_id(b"tree", b"".join(lines)) if lines else b""


def tree_id(folder: Path) -> str:
    """The id that `git write-tree` would give the folder; a folder .git is left out."""
    return _tree(folder).hex()


def _extract(archive: tarfile.TarFile, target: Path) -> None:
    """Files first, then links, so that nothing is written through a link; what else there is, is left out."""
    members = [member for member in archive if member.isfile() or member.issym()]
    for member in sorted(members, key=tarfile.TarInfo.issym):
        path = target / member.name
        if not path.is_relative_to(target) or ".." in path.parts:
            raise WriteError(f"{member.name} lies outside of the archive's own folder; the archive is refused")
        path.parent.mkdir(parents=True, exist_ok=True)
        if member.issym():
            path.symlink_to(member.linkname)
            continue
        content = archive.extractfile(member)
        if content is None:
            raise WriteError(f"{member.name} holds no file; refused")
        with content, path.open("wb") as file:
            shutil.copyfileobj(content, file)
        path.chmod(0o755 if member.mode & 0o100 else 0o644)


def unpacked(source: Path, target: Path) -> Path:
    """The top folder of an archive, unpacked into `target`; a copy of a folder."""
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        target.mkdir()
        with tarfile.open(source) as archive:
            _extract(archive, target)
    inside = list(target.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else target
