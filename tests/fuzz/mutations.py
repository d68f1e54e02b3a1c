# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutations of files: the same seed and index always give the same bytes, and the recipe that says how they came."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

TAG = re.compile(rb"(?=[ -~\xa9][ -~]{3})")
HEADER = 512


@dataclass(frozen=True)
class Fault:
    """One input that did what none may do."""

    index: int
    recipe: str
    content: bytes
    what: str


def mutate(files: Mapping[str, bytes], seed: int, index: int) -> tuple[str, bytes]:
    """The recipe and the content of one mutated file; each file is the base of as many."""
    rng = random.Random(f"{seed} {index}")
    name = sorted(files)[index % len(files)]
    content, recipe = bytearray(files[name]), [name]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        change = rng.choice(CHANGES)
        recipe.append(f"{change.__name__}({change(rng, content, files)})")
        content = content or bytearray(1)
    return " ".join(recipe), bytes(content)


def flip(rng: random.Random, content: bytearray, _: Mapping[str, bytes]) -> str:
    """Other values in bytes anywhere."""
    places = [rng.randrange(len(content)) for _ in range(rng.choice((1, 4, 16, 64, 256)))]
    for place in places:
        content[place] = rng.randrange(256)
    return str(len(places))


def header(rng: random.Random, content: bytearray, _: Mapping[str, bytes]) -> str:
    """Other values in bytes of the header."""
    places = [rng.randrange(min(HEADER, len(content))) for _ in range(rng.choice((1, 2, 4, 8)))]
    for place in places:
        content[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return ", ".join(map(str, places))


def size(rng: random.Random, content: bytearray, _: Mapping[str, bytes]) -> str:
    """An extreme number in the place of one or some, mostly right behind a tag, as most sizes are."""
    width, order = rng.choice((2, 4, 4, 4, 8)), rng.choice(("little", "big"))
    bits = 8 * width
    extremes = (0, 1, 2**24, 2 ** (bits - 1) - 1, 2 ** (bits - 1), 2**bits - 1, 2**bits - 8, len(content))
    number = rng.choice((*extremes, 127 * 2 ** (bits - 8), rng.getrandbits(rng.randrange(1, bits + 1))))
    tags = [place + 4 for place in _tags(content)]
    places = [rng.choice(tags) if tags and rng.random() < 0.7 else rng.randrange(min(HEADER, len(content)))]
    places += rng.sample(tags, min(len(tags), rng.choice((0, 0, 1, 2))))  # a box in a box, both too large
    for place in places:
        content[place : place + width] = (number % 2**bits).to_bytes(width, order)
    return f"{number} {order} {bits} at {places}"


def tag(rng: random.Random, content: bytearray, files: Mapping[str, bytes]) -> str:
    """One tag in the place of another: another codec, another kind of box."""
    other = files[rng.choice(sorted(files))]
    place, source = rng.choice(_tags(content) or [0]), rng.choice(_tags(other) or [0])
    new = other[source : source + 4]
    content[place : place + 4] = new
    return f"{new!r} at {place}"


def _tags(content: bytes | bytearray) -> list[int]:
    """Where four letters stand at the beginning or at the end: a codec, a kind of box or of chunk."""
    last = max(HEADER, len(content) - 2 * HEADER)
    parts = (0, content[:HEADER]), (last, content[last:])
    return [begin + found.start() for begin, part in parts for found in TAG.finditer(bytes(part))]


def truncate(rng: random.Random, content: bytearray, _: Mapping[str, bytes]) -> str:
    """The beginning alone."""
    length = rng.randrange(min(HEADER, len(content)) if rng.random() < 0.5 else len(content))
    del content[length:]
    return str(length)


def behead(rng: random.Random, content: bytearray, _: Mapping[str, bytes]) -> str:
    """Without a piece of the beginning."""
    length = rng.randrange(min(HEADER, len(content)))
    del content[:length]
    return str(length)


def repeat(rng: random.Random, content: bytearray, _: Mapping[str, bytes]) -> str:
    """A piece that comes again and again."""
    begin, length, times = rng.randrange(len(content)), rng.choice((1, 16, 256, 4096)), rng.choice((1, 2, 16, 64))
    content[begin:begin] = content[begin : begin + length] * times
    return f"{length} at {begin}, {times} times"


def splice(rng: random.Random, content: bytearray, files: Mapping[str, bytes]) -> str:
    """The beginning of one file, the end of another."""
    name = rng.choice(sorted(files))
    begin, end = rng.randrange(len(content)), rng.randrange(len(files[name]))
    content[begin:] = files[name][end:]
    return f"{begin} bytes, then {name} from {end}"


def zeros(rng: random.Random, content: bytearray, _: Mapping[str, bytes]) -> str:
    """Zeros in the place of a piece."""
    begin, length = rng.randrange(len(content)), rng.choice((1, 8, 64, 4096))
    content[begin : begin + length] = bytes(len(content[begin : begin + length]))
    return f"{length} at {begin}"


def noise(rng: random.Random, content: bytearray, _: Mapping[str, bytes]) -> str:
    """Random bytes between the others."""
    begin, length = rng.randrange(len(content)), rng.choice((1, 3, 64, 1024))
    content[begin:begin] = rng.randbytes(length)
    return f"{length} at {begin}"


Change = Callable[[random.Random, bytearray, Mapping[str, bytes]], str]
CHANGES: tuple[Change, ...] = (
    flip,
    header,
    header,
    size,
    size,
    size,
    tag,
    truncate,
    behead,
    repeat,
    splice,
    zeros,
    noise,
)
