# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fault in infra.yml, told the way the best compilers do: where, what, the line with a caret, the way out."""

from __future__ import annotations

import difflib
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
            shown = self.source if len(self.source) <= _LONGEST else self.source[:_LONGEST] + "…"
            before = "".join("\t" if char == "\t" else " " for char in shown[: self.column - 1])
            width = max(1, min(self.width, len(shown) - self.column + 1))
            lines += [f"  {number} | {shown}", f"  {gutter} | {before}{'^' * width}"]
        lines += [f"    {hint}" for hint in self.hints]
        return "\n".join(lines)


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
    line = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return line if len(line) <= limit else line[: limit - 1] + "…"
