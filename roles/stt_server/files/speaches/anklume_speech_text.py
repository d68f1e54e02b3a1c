# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a text is spoken: language models write markdown and emoji, which nobody wants to hear. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from markdown_it.token import Token

LONGEST = 250  # characters spoken in one step: between two steps a client that left is noticed

# indented code is text that somebody indented; a table is read row by row
_MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"]).disable(["code"])
_EMOJI = re.compile(
    "[\u200d\u20e3\u2600-\u27bf\u2b00-\u2bff\ufe0e\ufe0f\U0001f000-\U0001faff\U000e0020-\U000e007f]+", re.UNICODE
)
_END = re.compile(r"[.!?:;,…。！？]['\"\u201d\u2019»)]*$")
_SAID = re.compile(r"\w", re.UNICODE)
_BREAKS = (r"(?<=[.!?…。！？])['\"\u201d\u2019»)]*\s+", r"(?<=[,;:–—])\s+", r"\s+")  # best first


def spoken(text: str) -> str:
    """The words of a text, a line for each paragraph, heading, list item and row; code blocks and HTML are left out."""
    lines, line = [], ""
    for token in _MARKDOWN.parse(text.replace("[[", "[ [")):  # in double brackets Piper wants phonemes
        if token.type == "list_item_open" and token.markup in (".", ")"):
            line += f"{token.info}. "
        elif token.type == "inline":
            line += "".join(_words(token.children or [])) + " "
        elif token.type in ("paragraph_close", "heading_close", "tr_close"):
            lines.append(line)
            line = ""
        elif token.type in ("td_close", "th_close"):
            line = line.rstrip() + ", "
    plain = (re.sub(r"\s+", " ", _EMOJI.sub(" ", each)).strip(" ,") for each in [*lines, line])
    return "\n".join(each if _END.search(each) else f"{each}." for each in plain if _SAID.search(each))


def _words(tokens: list[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type in ("softbreak", "hardbreak"):
            yield " "
        elif token.type in ("text", "code_inline", "image"):
            yield token.content


def pieces(text: str) -> list[str]:
    """A text in pieces that are spoken one after the other: whole sentences, as long as they are not too long."""
    return [piece for line in text.split("\n") for piece in _cut(line, list(_BREAKS))]


def _cut(text: str, breaks: list[str]) -> list[str]:
    if len(text) <= LONGEST:
        return [text] if _SAID.search(text) else []
    if not breaks:  # a word without an end
        return [text[place : place + LONGEST] for place in range(0, len(text), LONGEST)]
    found, piece = [], ""
    for part in re.split(breaks[0], text):
        if piece and len(piece) + len(part) >= LONGEST:
            found.append(piece)
            piece = ""
        piece = f"{piece} {part}".strip()
    return [cut for each in [*found, piece] for cut in _cut(each, breaks[1:])]
