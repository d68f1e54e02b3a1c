# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Short requests and long ones together: long sounds give way between steps, and lose nothing by it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import io
import itertools
import time
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from anklume_stt_server import forms, turns, voice
from anklume_stt_server.settings import Settings
from anklume_stt_server.turns import Turns
from anklume_stt_server.whisper import Whisper
from faster_whisper import BatchedInferencePipeline
from faster_whisper.vad import VadOptions, collect_chunks, get_speech_timestamps
from starlette.datastructures import FormData, UploadFile

from .conftest import CLIPS, MODEL, SENTENCES, Server, wav

RATE = 16000
NAMES = ("en-fox.wav", "fr-bonjour.wav", "en-ansible.wav", "fr-serveur.wav")
PAUSES = VadOptions(max_speech_duration_s=30, min_silence_duration_ms=160)


def clip(name: str) -> np.ndarray:
    """The samples of a committed clip."""
    with wave.open(str(CLIPS / name)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def spoken(count: int, pause: float) -> np.ndarray:
    """So many sentences, one after the other."""
    silence = np.zeros(int(pause * RATE), np.float32)
    parts = [part for name in itertools.islice(itertools.cycle(NAMES), count) for part in (clip(name), silence)]
    return np.concatenate(parts)


class Work:
    """Works that keep the order in which they had their turns; the first turn lasts until all others wait."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.turns, self.all_wait = Turns(1), asyncio.Event()

    async def do(self, name: str, left: float, steps: int = 1) -> None:
        for _ in range(steps):
            async with self.turns.turn(left):
                self.order.append(name)
                await self.all_wait.wait()
                await asyncio.sleep(0)

    async def together(self, *works: Any) -> None:
        tasks = [asyncio.create_task(work) for work in works]
        await asyncio.sleep(0)
        self.all_wait.set()
        await asyncio.gather(*tasks)


def test_the_least_left_goes_first_and_a_long_work_gives_way_between_its_steps() -> None:
    async def main() -> list[str]:
        work = Work()
        await work.together(work.do("long", 3600, 3), work.do("minute", 60), work.do("command", 3))
        return work.order

    assert asyncio.run(main()) == ["long", "command", "minute", "long", "long"]


def test_who_has_waited_long_enough_is_next_the_longest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0)

    async def main() -> list[str]:
        work = Work()
        await work.together(work.do("first", 3), work.do("long", 3600), work.do("command", 3))
        return work.order

    assert asyncio.run(main()) == ["first", "long", "command"]


def test_who_leaves_while_waiting_takes_no_turn() -> None:
    async def main() -> list[str]:
        work = Work()
        leaving = asyncio.create_task(work.do("leaving", 1))
        first = asyncio.create_task(work.do("first", 1))
        await asyncio.sleep(0)
        first.cancel()
        leaving.cancel()
        await asyncio.gather(first, leaving, return_exceptions=True)
        assert (work.turns.free, work.turns.waiting) == (1, [])
        await work.together(work.do("second", 1))
        return work.order

    assert asyncio.run(main()) == ["leaving", "second"]


def test_who_leaves_at_the_moment_of_a_change_takes_no_turn() -> None:
    async def main() -> None:
        one = Turns(1)

        async def wait() -> None:
            async with one.turn(1):
                pass

        async with one.turn(1):
            leaving = asyncio.create_task(wait())
            await asyncio.sleep(0)
            leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert (one.free, one.waiting) == (1, [])

    asyncio.run(main())


def test_a_sound_searched_piece_by_piece_has_the_same_places() -> None:
    samples = spoken(24, 1.3)
    whole = get_speech_timestamps(samples, PAUSES)
    pieces = list(voice.places(samples, PAUSES, piece=31 * RATE))
    assert len(pieces) > 3
    found = [place for part, _ in pieces for place in part]
    assert [last for _, last in pieces] == [False] * (len(pieces) - 1) + [True]
    assert len(found) == len(whole)
    for got, want in zip(found, whole, strict=True):
        assert abs(got["start"] - want["start"]) <= RATE // 10
        assert abs(got["end"] - want["end"]) <= RATE // 10


def test_speech_without_a_pause_is_found_whatever_the_pieces() -> None:
    samples = np.tile(clip("en-ansible.wav"), 12)
    endless = VadOptions(min_silence_duration_ms=5000)
    (place,) = [place for part, _ in voice.places(samples, endless, piece=5 * RATE) for place in part]
    assert place["end"] - place["start"] > len(samples) - RATE


def test_windows_hold_what_the_librarys_hold() -> None:
    samples = spoken(24, 0.5)
    chunks, _ = collect_chunks(samples, get_speech_timestamps(samples, PAUSES), max_duration=30)
    windows = [window for part, _ in voice.windows(samples, PAUSES) for window in part]
    assert len(chunks) > 2
    assert [sum(place["end"] - place["start"] for place in window) for window in windows] == [len(c) for c in chunks]


@pytest.mark.parametrize("granularities", [("segment",), ("word",)])
def test_a_long_sound_is_heard_as_the_librarys_pipeline_hears_it(
    hub_home: Path, granularities: tuple[str, ...]
) -> None:
    samples = spoken(72, 1.5)
    assert len(samples) > voice.PIECE
    whisper = Whisper(next((hub_home / "hub").rglob("snapshots/0")), Settings(model=MODEL, batch_size=3, cpu_threads=1))
    form = FormData({"file": UploadFile(io.BytesIO()), "response_format": "verbose_json"})
    query = replace(forms.check(form, "transcribe"), granularities=granularities)
    steps = list(whisper.transcribe(samples, query))
    assert [step.last for step in steps] == [False] * (len(steps) - 1) + [True]
    left = [step.left for step in steps]
    assert left == sorted(left, reverse=True)
    pipeline = BatchedInferencePipeline(whisper.model)
    options = {"batch_size": 3, "without_timestamps": False, "word_timestamps": "word" in granularities}
    segments, info = pipeline.transcribe(samples, **options)
    got = [segment for step in steps for segment in step.segments]
    want = [segment for segment in segments if segment.text.strip()]
    assert steps[-1].language == info.language
    assert [s.text for s in got] == [s.text for s in want]
    # the library guesses the length of a first word by what was before it, which is another window here
    near = 1.5 if "word" in granularities else 0.1
    assert [s.start for s in got] == pytest.approx([s.start for s in want], abs=near)
    assert [s.end for s in got] == pytest.approx([min(s.end, len(samples) / RATE) for s in want], abs=0.1)
    assert [len(s.words or ()) for s in got] == [len(s.words or ()) for s in want]


def test_a_command_is_answered_while_a_long_file_is_worked_on(server: Server) -> None:
    long = wav(spoken(200, 0.5))
    command = (CLIPS / "en-fox.wav").read_bytes()
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        recording = pool.submit(server.post, long)
        time.sleep(0.5)
        served = 0
        while not recording.done():
            assert server.post(command).json()["text"] == SENTENCES["en-fox.wav"]["text"]
            served += 1
        assert recording.result().status_code == 200
    assert served > 3, f"{time.monotonic() - began:.1f} s"
