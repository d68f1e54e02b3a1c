# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fault in infra.yml, told the way the best compilers do: where, what, the line with a caret, the way out."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]

_LONGEST = 160
"""A source line or value longer than this is cut: the message has to stay readable."""


@dataclass(frozen=True)
class Diagnostic:
    """One fault. Lines and columns count from 1; `path` is like `domains.homelab.subnet_id`."""

    level: Level
    file: str
    line: int
    column: int
    path: str
    message: str
    source: str = ""
    width: int = 1
    hints: tuple[str, ...] = ()
    doubt: tuple[str, str] | None = None
    """A key that only the server can judge: the type of its device, or "config", and the key."""

    @property
    def where(self) -> str:
        """`file:line:column`, as editors and terminals make it clickable."""
        return f"{self.file}:{self.line}:{self.column}"

    def render(self) -> str:
        """The whole text, several lines, without a final line break."""
        place = f"{self.where}: {self.path}: " if self.path else f"{self.where}: "
        lines = [place + self.message]
        if self.source.strip() and self.column <= _LONGEST:
            number = str(self.line)
            gutter = " " * len(number)
            source = "".join(char if char.isprintable() or char == "\t" else "\ufffd" for char in self.source)
            shown = source if len(source) <= _LONGEST else source[:_LONGEST] + "…"
            before = "".join("\t" if char == "\t" else " " * _cells(char) for char in shown[: self.column - 1])
            marked = shown[self.column - 1 : self.column - 1 + self.width]
            carets = "^" * max(1, sum(map(_cells, marked)))
            lines += [f"  {number} | {shown}", f"  {gutter} | {before}{carets}"]
        lines += [f"    {hint}" for hint in self.hints]
        return "\n".join(map(_printable, lines))


def _cells(char: str) -> int:
    """How many columns of a terminal a character takes."""
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


def _printable(line: str) -> str:
    """Nothing of the file may steer the terminal: a control character is shown as its escape."""
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() or char == "\t" else ascii(char)[1:-1] for char in line)


def render_all(diagnostics: Iterable[Diagnostic]) -> str:
    """Every diagnostic, one after the other."""
    return "\n".join(diagnostic.render() for diagnostic in diagnostics)


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `word` was most likely meant to be, or None when none is near."""
    if not 0 < len(word) <= 64:
        return None
    known = [candidate for candidate in candidates if len(candidate) <= 64]
    lowered = {candidate.lower().replace("-", "_"): candidate for candidate in known}
    exact = lowered.get(word.lower().replace("-", "_"))
    if exact is not None:
        return exact
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return near[0] if near else None


def shorten(text: str, limit: int = 60) -> str:
    """`text` on one line and not longer than `limit`, for use inside a message."""
    line = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return line if len(line) <= limit else line[: limit - 1] + "…"
