# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Managed blocks: the lines between two markers are ours, every other byte of the file is the user's.

Works on bytes, so that line breaks, tabs, a missing final line break and any encoding stay as they are.
"""

from __future__ import annotations

import re

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import WriteError

BEGIN = b"# === MANAGED BY infra.yml ==="
END = b"# === END MANAGED ==="
NOTICE = b"# Written by `make sync`: change infra.yml, not these lines."
INVITATION = b"# Your custom variables below:"

_MARKER = re.compile(rb"^([ \t]*)(%s|%s)[ \t]*(?=\r?$)" % (re.escape(BEGIN), re.escape(END)), re.MULTILINE)
_BOM = b"\xef\xbb\xbf"
_START = re.compile(rb"---(?=[ \t]*(?:#[^\r\n]*)?(?:\r?\n|\Z))[^\r\n]*(?:\r?\n)?")
_BEFORE_START = re.compile(rb"(?:[ \t]*(?:#[^\r\n]*)?\r?\n|%[^\r\n]*\r?\n)*")


def merge(existing: bytes | None, content: str, name: str) -> bytes:
    """The file with its managed block set to `content`; `name` is for messages."""
    fresh = b"---\n" + _block(content, b"\n") + b"\n\n" + INVITATION + b"\n"
    if existing is None or existing == fresh or not existing.strip():
        return fresh
    found = find(existing, name)
    if found is not None:
        start, end = found
        newline = b"\r\n" if b"\r\n" in existing[start:end] else b"\n"
        return existing[:start] + _block(content, newline) + existing[end:]
    return _take_over(existing, content, name)


def find(existing: bytes, name: str) -> tuple[int, int] | None:
    """Where the block begins and ends, None when there is none; raises WriteError for markers that do not pair."""
    if BEGIN not in existing and END not in existing:
        return None
    markers = list(_MARKER.finditer(existing))
    if not markers:
        return None
    kinds = [marker[2] for marker in markers]
    lines = [existing.count(b"\n", 0, marker.start()) + 1 for marker in markers]
    for marker, line in zip(markers, lines, strict=True):
        if marker[1]:
            raise WriteError(
                f"{name}:{line}: a marker of the managed block is indented; move it to the start of the line"
            )
    if kinds == [BEGIN, END]:
        return markers[0].start(), markers[1].end()
    if kinds == [BEGIN]:
        raise WriteError(
            f"{name}:{lines[0]}: the managed block begins here and never ends; add the line "
            f"'{END.decode()}' below its last line, or remove the block"
        )
    if kinds == [END]:
        raise WriteError(
            f"{name}:{lines[0]}: the managed block ends here and never begins; add the line "
            f"'{BEGIN.decode()}' above its first line, or remove this one"
        )
    places = ", ".join(map(str, lines))
    raise WriteError(f"{name}: the markers at lines {places} are not one block; keep one begin and one end after it")


def has_user_content(existing: bytes, name: str) -> bool:
    """Whether a file holds more than the block and what `merge` puts around it."""
    try:
        found = find(existing, name)
    except WriteError:
        return True
    if found is None:
        return True
    rest = existing[: found[0]] + existing[found[1] :]
    return any(line.strip() not in (b"", b"---", INVITATION) for line in rest.removeprefix(_BOM).splitlines())


def _block(content: str, newline: bytes) -> bytes:
    lines = [BEGIN, NOTICE, *content.encode("utf-8").rstrip(b"\n").split(b"\n"), END]
    return newline.join(lines)


def _take_over(existing: bytes, content: str, name: str) -> bytes:
    """The first block in a file that the user made: below `---` and above everything else."""
    if existing.lstrip().startswith(b"$ANSIBLE_VAULT"):
        raise WriteError(
            f"{name}: is encrypted as a whole, so nothing can be added to it; encrypt single values instead "
            "(ansible-vault encrypt_string)"
        )
    newline = b"\r\n" if b"\r\n" in existing else b"\n"
    offset = len(_BOM) if existing.startswith(_BOM) else 0
    before = _BEFORE_START.match(existing, offset)
    start = _START.match(existing, before.end() if before else offset)
    if start is None:
        return existing[:offset] + b"---" + newline + _block(content, newline) + newline * 2 + existing[offset:]
    head = existing[: start.end()]
    if not head.endswith(b"\n"):
        head += newline
    return head + _block(content, newline) + newline * 2 + existing[start.end() :]
