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
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from anklume_stt_server import forms, stepwise, turns, voice, whisper
from anklume_stt_server.settings import Settings
from anklume_stt_server.stepwise import Stepwise
from anklume_stt_server.turns import Turns
from anklume_stt_server.whisper import Whisper
from faster_whisper import BatchedInferencePipeline
from faster_whisper.vad import VadOptions, collect_chunks, get_speech_timestamps
from starlette.datastructures import FormData, UploadFile

from .conftest import CLIPS, MODEL, SENTENCES, Server, wav

RATE = 16000
NAMES = ("en-fox.wav", "fr-bonjour.wav", "en-ansible.wav", "fr-serveur.wav")
PAUSES = VadOptions(max_speech_duration_s=30, min_silence_duration_ms=160)
find = partial(get_speech_timestamps, vad_options=PAUSES)


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
    pieces = list(voice.places(samples, find, piece=31 * RATE))
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
    (place,) = [
        place
        for part, _ in voice.places(samples, partial(get_speech_timestamps, vad_options=endless), piece=5 * RATE)
        for place in part
    ]
    assert place["end"] - place["start"] > len(samples) - RATE


def test_windows_hold_what_the_librarys_hold() -> None:
    samples = spoken(24, 0.5)
    chunks, _ = collect_chunks(samples, get_speech_timestamps(samples, PAUSES), max_duration=30)
    windows = list(taken(samples))
    assert len(chunks) > 2
    assert [voice.length(window) for window in windows] == [len(c) for c in chunks]


def taken(samples: np.ndarray, most: int = voice.WINDOW, piece: int = voice.PIECE) -> Iterator[voice.Window]:
    """The windows of a sound that is searched piece by piece."""
    speech = voice.Speech(samples)
    for found, last in voice.places(samples, find, piece):
        speech.add(found, last)
        yield from iter(lambda: speech.take(most), [])
    assert not speech.places


@pytest.mark.parametrize("pause", [0.0, 0.05, 0.5])
def test_short_windows_hold_all_that_the_long_ones_hold(pause: float) -> None:
    samples = spoken(24, pause)
    windows = list(taken(samples, 10 * RATE, 31 * RATE))
    assert max(map(voice.length, windows)) <= 10 * RATE
    heard = np.zeros(len(samples), np.int8)
    for place in itertools.chain(*windows):
        heard[place["start"] : place["end"]] += 1
    assert heard.max() == 1
    whole = np.zeros(len(samples), np.int8)
    for place in itertools.chain(*taken(samples, piece=31 * RATE)):
        whole[place["start"] : place["end"]] = 1
    assert (heard == whole).all()


def test_speech_without_a_pause_is_cut_between_two_words() -> None:
    word, gap = np.random.default_rng(0).normal(0, 0.2, 4 * RATE // 10), np.zeros(RATE // 10)
    samples = np.tile(np.concatenate([word, gap]).astype(np.float32), 60)
    speech = voice.Speech(samples)
    speech.add([{"start": 0, "end": len(samples)}], True)
    windows = list(iter(lambda: speech.take(10 * RATE), []))
    assert len(windows) > 3
    ends = [window[-1]["end"] for window in windows]
    assert all(end % (RATE // 2) >= 4 * RATE // 10 for end in ends[:-1]), "cut in a word"
    assert ends == [*(window[0]["start"] for window in windows[1:]), len(samples)]
    assert all(5 * RATE <= voice.length(window) <= 10 * RATE for window in windows[:-1])


@pytest.mark.parametrize("granularities", [("segment",), ("word",)])
def test_a_long_sound_is_heard_as_the_librarys_pipeline_hears_it(
    hub_home: Path, granularities: tuple[str, ...]
) -> None:
    samples = spoken(72, 1.5)
    assert len(samples) > voice.PIECE
    model = Whisper(next((hub_home / "hub").rglob("snapshots/0")), Settings(model=MODEL, batch_size=3, cpu_threads=1))
    form = FormData({"file": UploadFile(io.BytesIO()), "response_format": "verbose_json"})
    query = replace(forms.check(form, "transcribe"), granularities=granularities)
    steps = list(model.transcribe(samples, query))
    assert [step.last for step in steps] == [False] * (len(steps) - 1) + [True]
    left = [step.left for step in steps]
    assert left == sorted(left, reverse=True)
    pipeline = BatchedInferencePipeline(model.model)
    options = {"batch_size": 3, "without_timestamps": False, "word_timestamps": "word" in granularities}
    segments, info = pipeline.transcribe(samples, **options)
    got = [segment for step in steps for segment in step.segments]
    want = [segment for segment in segments if segment.text.strip()]
    assert steps[-1].language == info.language
    assert [s.text for s in got] == [s.text for s in want]
    # the library guesses the length of a first word by what was before it, which is another window here
    near = 1.5 if "word" in granularities else 0.1
    assert [s.start for s in got] == pytest.approx([s.start for s in want], abs=near)
    # and where a window ends with a segment of no length, its end is where that word was put
    ends = [min(max(theirs.end, ours.start), len(samples) / RATE) for ours, theirs in zip(got, want, strict=True)]
    assert [s.end for s in got] == pytest.approx(ends, abs=0.1)
    assert [len(s.words or ()) for s in got] == [len(s.words or ()) for s in want]


def test_in_speaches_a_recording_gives_way_after_each_step_and_loses_nothing(
    hub_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stepwise, "STEP_SECONDS", 0.001)
    model = Whisper(next((hub_home / "hub").rglob("snapshots/0")), Settings(model=MODEL, cpu_threads=1)).model
    sounds = {"recording": spoken(24, 1.3), "command": spoken(1, 0)}
    order: list[str] = []

    def texts(pipeline: Any, name: str) -> list[str]:
        return [segment.text for segment in pipeline.transcribe(sounds[name], language="en", batch_size=8)[0]]

    async def main() -> list[list[str]]:
        one, begun = Turns(1), asyncio.Event()

        def heard(name: str) -> list[str]:
            @asynccontextmanager
            async def turn(left: float) -> AsyncIterator[None]:
                async with one.turn(left):
                    order.append(name)
                    begun.set()
                    while len(order) == 1 and not one.waiting:
                        await asyncio.sleep(0.01)
                    yield

            return texts(Stepwise(model, len(sounds[name]) / RATE, turn), name)

        recording = asyncio.create_task(anyio.to_thread.run_sync(heard, "recording"))
        await begun.wait()
        command = await anyio.to_thread.run_sync(heard, "command")
        return [await recording, command]

    assert asyncio.run(main()) == [texts(BatchedInferencePipeline(model), name) for name in sounds]
    assert order[:2] == ["recording", "command"]
    assert len(order) > 3


@pytest.mark.parametrize(("mode", "most"), [("short", 10), ("full", 24)])
def test_who_is_in_a_hurry_makes_short_steps_and_hears_all_of_it(
    hub_home: Path, monkeypatch: pytest.MonkeyPatch, mode: str, most: int
) -> None:
    samples = spoken(40, 0.5)
    settings = Settings(model=MODEL, audio_context=mode, cpu_threads=1)
    model = Whisper(next((hub_home / "hub").rglob("snapshots/0")), settings)
    monkeypatch.setattr(whisper, "STEP_SECONDS", 0)  # as on a machine that does not manage more
    groups: list[list[voice.Window]] = []
    hear = model._group
    monkeypatch.setattr(
        model, "_group", lambda sound, group, options: groups.append(group) or hear(sound, group, options)
    )
    query = forms.check(FormData({"file": UploadFile(io.BytesIO())}), "transcribe", "en")
    amounts = []
    for hurried in (False, True):
        groups.clear()
        steps = list(model.transcribe(samples, query, lambda hurried=hurried: hurried))
        assert [step.last for step in steps] == [False] * (len(steps) - 1) + [True]
        assert (max(sum(map(voice.length, group)) for group in groups) <= most * RATE) == hurried
        amounts.append(sum(voice.length(window) for group in groups for window in group))
    assert amounts[0] == amounts[1]


@pytest.mark.parametrize(
    ("pace", "hurried", "sizes"), [(40, True, [30]), (200, True, [30] * 6), (200, False, [30] * 6)]
)
def test_fast_machines_need_no_short_windows(hub_home: Path, pace: int, hurried: bool, sizes: list[int]) -> None:
    model = Whisper(next((hub_home / "hub").rglob("snapshots/0")), Settings(model=MODEL, cpu_threads=1))
    speech = voice.Speech(np.zeros(0))
    speech.add([{"start": 30 * RATE * n, "end": 30 * RATE * (n + 1)} for n in range(20)], True)
    group = model._windows(speech, "en", 1 / (pace * RATE), hurried)
    assert [voice.length(window) // RATE for window in group] == sizes


def test_long_sounds_are_in_a_hurry_for_a_while_after_a_short_one_came(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Turns(1)
    long = one.came(3600)
    assert not long()
    command = one.came(3)
    assert long() and not command()
    monkeypatch.setattr(turns, "HURRY", -1)
    one.came(3)
    assert not long()


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
