# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where somebody speaks in a sound, found piece by piece, and what is spoken as windows for the model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from faster_whisper.vad import VadOptions, get_speech_timestamps

from .audio import RATE

PIECE = 240 * RATE  # samples that are searched in one step
WINDOW = 30 * RATE  # samples that the model hears at once

Place = dict[str, int]  # start and end, in samples
Window = list[Place]


def length(window: Window) -> int:
    """Samples of speech."""
    return sum(place["end"] - place["start"] for place in window)


def places(samples: Any, options: VadOptions, piece: int = PIECE) -> Iterator[tuple[list[Place], bool]]:
    """The places of speech, a list for each piece and whether it is the last.

    What reaches the end of a piece is searched again with the next one.
    """
    begin, size = 0, piece
    while begin < len(samples):
        end = min(begin + size, len(samples))
        found = [
            {name: place + begin for name, place in each.items()}
            for each in get_speech_timestamps(samples[begin:end], options)
        ]
        following, size = end, piece
        if end < len(samples) and found and found[-1]["end"] == end:
            following = found.pop()["start"]
            if following == begin:  # all of it is speech
                size = 2 * (end - begin)
        yield found, following == len(samples)
        begin = following


def windows(samples: Any, options: VadOptions, piece: int = PIECE) -> Iterator[tuple[list[Window], bool]]:
    """The places joined to windows, as many in each as the model hears at once: those that each piece completes."""
    window: Window = []
    for found, last in places(samples, options, piece):
        complete = []
        for place in found:
            if window and length([*window, place]) > WINDOW:
                complete.append(window)
                window = []
            window.append(place)
        if last and window:
            complete.append(window)
        yield complete, last
