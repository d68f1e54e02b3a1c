# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No segment and no word starts or ends outside the sound."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from .conftest import Server, clip, wav


@dataclass
class Part:
    """A segment or a word, as faster-whisper has them."""

    start: float
    end: float
    words: Any = None


@pytest.mark.parametrize(
    ("start", "end", "want"),
    [
        (0.0, 1.0, (0.0, 1.0)),
        (0.5, 3.4, (0.5, 2.0)),
        (2.5, 3.4, (2.0, 2.0)),
        (-0.1, 1.0, (0.0, 1.0)),
        (1.5, 1.2, (1.5, 1.5)),
        (0.0, 2.0006, (0.0, 2.0)),
    ],
)
def test_times_are_moved_into_the_sound(start: float, end: float, want: tuple[float, float]) -> None:
    from anklume_stt_server.times import within

    got = within(Part(start, end, [Part(start, end)]), 2.0007)
    assert (got.start, got.end) == (got.words[0].start, got.words[0].end) == want
    assert within(Part(start, end), 2.0007).words is None


@pytest.mark.parametrize("seconds", [1.0, 1.7, 2.5, 3.0])
@pytest.mark.parametrize("name", ["en-fox.wav", "fr-bonjour.wav"])
def test_a_clip_that_is_cut_off_has_no_times_beyond_its_end(server: Server, name: str, seconds: float) -> None:
    sound = wav(clip(name)[: int(seconds * 16000)])
    fields = {"response_format": "verbose_json"}
    for granularity in ("segment", "word"):
        answer = server.post(sound, name, **fields, **{"timestamp_granularities[]": granularity}).json()
        assert answer["duration"] == seconds and answer[granularity + "s"]
        for part in answer[granularity + "s"]:
            assert 0 <= part["start"] <= part["end"] <= seconds, part
    for form in ("srt", "vtt"):
        times = re.findall(r"00:00:(\d\d[.,]\d\d\d)", server.post(sound, name, response_format=form).text)
        assert times and max(float(time.replace(",", ".")) for time in times) <= seconds
