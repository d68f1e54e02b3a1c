# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Odd sounds in odd files: what nobody says, no recorder should write, and somebody sends all the same.

The same number always gives the same file, and the recipe that says how it came.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import numpy as np

RATE = 16000
Sound = Callable[[np.random.Generator, np.ndarray], np.ndarray]


def _bursts(rng: np.random.Generator, speech: np.ndarray) -> np.ndarray:
    sound = speech.copy()
    for begin in rng.integers(0, len(sound), 20):
        sound[begin : begin + 400] = rng.choice([-1, 1, 0])
    return sound


def _with(odd: float, share: float) -> Sound:
    """Speech of which some samples are something else."""

    def sound(rng: np.random.Generator, speech: np.ndarray) -> np.ndarray:
        return np.where(rng.random(len(speech)) < share, odd, speech)

    return sound


# by name, from chance and a clip of speech
SOUNDS: dict[str, Sound] = {
    "silence": lambda rng, _: np.zeros(int(rng.uniform(0.1, 5) * RATE)),
    "a steady level": lambda rng, _: np.full(2 * RATE, rng.uniform(-1, 1)),
    "speech on a steady level": lambda rng, speech: speech + rng.uniform(-0.9, 0.9),
    "nothing but nan": lambda _, speech: np.full_like(speech, np.nan),
    "nan within": _with(np.nan, 0.001),
    "infinite within": _with(np.inf, 0.001),
    "minus infinite": _with(-np.inf, 1),
    "numbers beyond all bounds": _with(3e38, 0.01),
    "clipped": lambda rng, speech: np.clip(speech * 10 ** rng.uniform(1, 4), -1, 1),
    "louder than full": lambda rng, speech: speech * 10 ** rng.uniform(1, 6),
    "all but silent": lambda rng, speech: speech * 10 ** rng.uniform(-9, -3),
    "denormal": lambda _, speech: speech * 1e-40,
    "a tenth of a second": lambda rng, speech: speech[: int(rng.uniform(0.05, 0.2) * RATE)],
    "a few samples": lambda rng, speech: speech[: rng.integers(0, 30)],
    "an impulse": lambda rng, _: np.eye(1, RATE, int(rng.integers(RATE)))[0],
    "the highest tone": lambda _, speech: np.resize([1.0, -1.0], len(speech)),
    "a square wave": lambda rng, _: np.sign(np.sin(np.arange(2 * RATE) * rng.uniform(0.001, 3))),
    "a siren": lambda rng, _: np.sin(np.cumsum(np.linspace(0.001, rng.uniform(0.1, 3), 3 * RATE))),
    "loud noise": lambda rng, _: rng.normal(0, rng.uniform(0.1, 3), 2 * RATE),
    "speech in noise": lambda rng, speech: speech + rng.normal(0, rng.uniform(0.001, 0.3), len(speech)),
    "backwards": lambda _, speech: speech[::-1],
    "upside down": lambda _, speech: -speech,
    "too fast": lambda rng, speech: speech[:: rng.integers(2, 8)],
    "too slow": lambda rng, speech: np.repeat(speech, rng.integers(2, 6)),
    "broken off and on": lambda rng, speech: speech * (np.arange(len(speech)) // rng.integers(50, 5000) % 2),
    "bursts": _bursts,
    "a word again and again": lambda rng, speech: np.tile(speech[8000 : 8000 + rng.integers(800, 6000)], 8),
    "shuffled": lambda rng, speech: rng.permutation(speech),
    "speech": lambda _, speech: speech,
}
# by name: the kind of numbers in the header, their bits, and how they are written
FORMATS: dict[str, tuple[int, int, Callable[[np.ndarray], bytes]]] = {
    "s16": (1, 16, lambda sound: _whole(sound, 16).astype("<i2").tobytes()),
    "u8": (1, 8, lambda sound: (_whole(sound, 8) + 128).astype(np.uint8).tobytes()),
    "s24": (1, 24, lambda sound: _whole(sound, 24).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()),
    "s32": (1, 32, lambda sound: _whole(sound, 32).astype("<i4").tobytes()),
    "f32": (3, 32, lambda sound: sound.astype("<f4").tobytes()),
    "f64": (3, 64, lambda sound: sound.astype("<f8").tobytes()),
}
RATES = (*(RATE,) * 8, 8000, 11025, 22050, 44100, 48000, 96000, 192000, 1, 7, 4000, 768000, 0, 2**31)
CHANNELS = (*(1,) * 8, 2, 3, 6, 8, 0, 255)
HEADERS = (
    *("whole",) * 8,
    *("its size is 0", "its size is the largest", "more than there is", "less than there is", "a chunk before"),
    *("an odd chunk before", "no block size", "cut off", "something behind", "no header", "a header alone"),
)


def _whole(sound: np.ndarray, bits: int) -> np.ndarray:
    top = 2.0 ** (bits - 1)
    return np.clip(np.nan_to_num(np.asarray(sound, np.float64)) * top, -top, top - 1).round()


def odd_file(number: int, speech: np.ndarray) -> tuple[str, bytes]:
    """The recipe and the file of a number; each sound comes as often as the others."""
    chance, rng = random.Random(number), np.random.default_rng(number)
    name = list(SOUNDS)[number % len(SOUNDS)]
    with np.errstate(all="ignore"):
        sound = SOUNDS[name](rng, speech.astype(np.float64))
        own = "nan" in name or "infinite" in name or "numbers" in name or name == "denormal"
        form = chance.choice(("f32", "f64")) if own else chance.choice(list(FORMATS))
        kind, bits, write = FORMATS[form]
        data = write(sound)
    rate, channels, header = chance.choice(RATES), chance.choice(CHANNELS), chance.choice(HEADERS)
    block = 0 if header == "no block size" else channels * bits // 8
    head = struct.pack("<HHIIHH", kind, channels, rate, rate * block % 2**32, block, bits)
    recipe = f"{number}: {name}, {form}, {rate} Hz, {channels} channels, {header}"
    return recipe, _file(head, data, header)


def _file(head: bytes, data: bytes, header: str) -> bytes:
    size = {"its size is 0": 0, "its size is the largest": 2**32 - 1, "more than there is": 2 * len(data)}
    size |= {"less than there is": len(data) // 3}
    before = {"a chunk before": b"LIST\x04\0\0\0INFO", "an odd chunk before": b"junk\x03\0\0\0abc\0"}
    body = b"WAVEfmt " + struct.pack("<I", len(head)) + head + before.get(header, b"")
    body += b"data" + struct.pack("<I", size.get(header, len(data)))
    body += b"" if header == "a header alone" else data
    whole = b"RIFF" + struct.pack("<I", len(body) % 2**32) + body
    if header == "cut off":
        return whole[: len(whole) * 2 // 3 + 1]
    if header == "no header":
        return data
    return whole + (b"TAG" + bytes(125) if header == "something behind" else b"")
