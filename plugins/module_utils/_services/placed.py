# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files and folders of a service: what is wanted against what lies there. Looks, and changes nothing."""

from __future__ import annotations

import grp
import hashlib
import pwd
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error

FILE_OPTIONS: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "content": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent", "directory"], "default": "present"},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "str"},
}
"""What a module asks of each file."""
MOST_SHOWN = 1 << 16
"""Characters up to which a diff shows what a file holds."""
_MODES = {"present": "0644", "directory": "0755", "absent": "0"}


@dataclass(frozen=True)
class Wanted:
    """A file or folder as it should be; of a file its content, or the digest of it where another task writes it."""

    path: Path
    state: str
    content: str | None
    sha256: str
    owner: str
    group: str
    mode: int
    secret: bool = False

    @property
    def attributes(self) -> dict[str, str]:
        """Owner, group and mode, as they are told."""
        return {"owner": self.owner, "group": self.group, "mode": f"{self.mode:04o}"}


def wanted(files: Iterable[Mapping[str, Any]], secrets: Mapping[str, str]) -> list[Wanted]:
    """The files that a module's options name; the content of each comes from one place."""
    return [_wanted(file, secrets) for file in files]


def _wanted(file: Mapping[str, Any], secrets: Mapping[str, str]) -> Wanted:
    path, state, digest = file["path"], file["state"], file.get("sha256") or ""
    given = [file["content"] is not None, path in secrets, bool(digest)]
    if state == "present" and sum(given) != 1:
        raise Error(f"{path}: give its content either in files or in secret_contents")
    mode = file["mode"] or _MODES[state]
    try:
        bits = int(mode, 8)
    except ValueError as error:
        raise Error(f"{path}: {mode} is no mode: give it in octal digits, as 0640") from error
    content = secrets.get(path, file["content"]) if state == "present" else None
    return Wanted(Path(path), state, content, digest, file["owner"], file["group"], bits, path in secrets)


def difference(file: Wanted) -> dict[str, Any] | None:
    """What is not as it should be, for a diff; None when all is. What stands in the way is an OSError."""
    try:
        there = file.path.stat()
    except FileNotFoundError:
        there = None
    if file.state == "directory":
        if there is None or not stat.S_ISDIR(there.st_mode):
            return _diff(file, {"state": "absent" if there is None else "file"}, {"state": "directory"})
    elif file.sha256:
        if there is None or hashlib.sha256(file.path.read_bytes()).hexdigest() != file.sha256:
            return _diff(file, {}, {"sha256": file.sha256})
    else:
        before = file.path.read_text(encoding="utf-8", errors="replace") if there else None
        if before != file.content:
            return _content_diff(file, before)
    if there is None or file.state == "absent":
        return None
    wrong = {name: one for name, one in _attributes(there, file).items() if file.attributes[name] != one}
    return _diff(file, wrong, {name: file.attributes[name] for name in wrong}) if wrong else None


def _content_diff(file: Wanted, before: str | None) -> dict[str, Any]:
    texts = ("", "(secret)\n") if file.secret else (_shown(before or ""), _shown(file.content or ""))
    header = str(file.path)
    return {"before_header": header, "after_header": header, "before": texts[0], "after": texts[1]}


def _shown(text: str) -> str:
    """A text for a diff; of a long one, as a recording, what tells it from others."""
    if len(text) <= MOST_SHOWN:
        return text
    return f"({len(text)} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()})\n"


def _diff(file: Wanted, before: dict[str, str], after: dict[str, str]) -> dict[str, Any]:
    return {"path": str(file.path), "before": before, "after": after}


def _attributes(there: Any, file: Wanted) -> dict[str, str]:
    """As they are there, by name; by number, where that is how they are wanted."""
    try:
        owner = str(there.st_uid) if file.owner.isdecimal() else pwd.getpwuid(there.st_uid).pw_name
    except KeyError:
        owner = str(there.st_uid)
    try:
        group = str(there.st_gid) if file.group.isdecimal() else grp.getgrgid(there.st_gid).gr_name
    except KeyError:
        group = str(there.st_gid)
    return {"owner": owner, "group": group, "mode": f"{stat.S_IMODE(there.st_mode):04o}"}


def differing(files: Iterable[Wanted]) -> list[str]:
    """The paths of those that are not as they should be, also where something stands in the way."""
    return [str(file.path) for file in files if _differs(file)]


def _differs(file: Wanted) -> bool:
    try:
        return difference(file) is not None
    except OSError:
        return True
