# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where somebody speaks in a sound, found piece by piece, and what is spoken as windows for the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .audio import RATE

PIECE = 240 * RATE  # samples that are searched in one step
WINDOW = 30 * RATE  # samples that the model hears at once
QUIET = RATE // 10  # samples of the quietest moment, where speech without a pause is cut

Place = dict[str, int]  # start and end, in samples
Window = list[Place]
Find = Callable[[Any], list[Place]]  # where somebody speaks


def length(window: Window) -> int:
    """Samples of speech."""
    return sum(place["end"] - place["start"] for place in window)


def places(samples: Any, find: Find, piece: int = PIECE) -> Iterator[tuple[list[Place], bool]]:
    """The places of speech, a list for each piece and whether it is the last.

    What reaches the end of a piece is searched again with the next one.
    """
    begin, size = 0, piece
    while begin < len(samples):
        end = min(begin + size, len(samples))
        found = [{name: place + begin for name, place in each.items()} for each in find(samples[begin:end])]
        following, size = end, piece
        if end < len(samples) and found and found[-1]["end"] == end:
            following = found.pop()["start"]
            if following == begin:  # all of it is speech
                size = 2 * (end - begin)
        yield found, following == len(samples)
        begin = following


class Speech:
    """What is spoken and not yet recognised, in the order of time; windows are taken from it."""

    def __init__(self, samples: Any, size: Callable[[Window], int] = length) -> None:
        self.samples, self.places, self.complete = samples, list[Place](), False
        self.size = size  # of a window, in samples

    def add(self, found: list[Place], last: bool) -> None:
        """The places of the next piece, and whether it is the last."""
        self.places += found
        self.complete = last

    def take(self, most: int = WINDOW) -> Window:
        """As many places as the window holds; none while a place that is still to be found may belong to it."""
        window: Window = []
        for place in self.places:
            if self.size([*window, place]) > most:
                break
            window.append(place)
        else:
            if not self.complete:
                return []
        if self.places and not window:
            window = [self._cut(most)]
        else:
            del self.places[: len(window)]
        return window

    def _cut(self, most: int) -> Place:
        """The first part of a place that is too long: to where it is quietest, which is between two words."""
        place = self.places[0]
        begin = place["start"] + most // 2
        power = np.square(self.samples[begin : place["start"] + most], dtype=np.float32)
        sums = np.cumsum(power, dtype=np.float64)
        cut = begin + int(np.argmin(sums[QUIET:] - sums[:-QUIET])) + QUIET // 2
        self.places[0] = {"start": cut, "end": place["end"]}
        return {"start": place["start"], "end": cut}
