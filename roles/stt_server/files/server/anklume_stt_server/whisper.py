# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whisper behind the seam: faster-whisper, fed window by window, so that others can have their turn between them."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.transcribe import restore_speech_timestamps
from faster_whisper.vad import VadOptions, get_speech_timestamps

from . import context, languages, models, voice
from .audio import RATE
from .errors import SettingsError
from .forms import Query
from .recognizer import Abilities, Hurried, Segment, Step, Word
from .settings import Settings
from .times import within
from .turns import STEP_SECONDS

# Seconds that a window has at least while others wait. With short context ten cost a third of thirty; with full context
# each costs the whole encoder: with twenty a recording costs a fifth more.
SHORT_WINDOW, FULL_WINDOW = 10, 24
# as the pipeline of faster-whisper has it
PAUSES = VadOptions(max_speech_duration_s=voice.WINDOW / RATE, min_silence_duration_ms=160)


def needed(_: Settings) -> tuple[str, ...]:
    """The files that a model consists of."""
    return models.NEEDED


def check(settings: Settings) -> None:
    """Refuse a device that is not there and a compute type that it does not have."""
    if settings.device == "cuda" and not ctranslate2.get_cuda_device_count():
        raise SettingsError("STT_DEVICE=cuda: no CUDA device found")
    supported = {"default", "auto", *ctranslate2.get_supported_compute_types(settings.device)}
    if settings.compute_type not in supported:
        names = ", ".join(sorted(supported))
        raise SettingsError(f"STT_COMPUTE_TYPE={settings.compute_type}: on {settings.device} it must be one of {names}")


def abilities(_: Path) -> Abilities:
    """All that the API has; which languages are newer than a model shows when it is loaded."""
    return Abilities(languages.LANGUAGES, translation=True, temperature=True, hotwords=True)


def load(folder: Path, settings: Settings) -> Whisper:
    """The model, ready to be proved."""
    return Whisper(folder, settings)


def find_speech(samples: Any, **options: float | None) -> list[voice.Place]:
    """Where somebody speaks."""
    found: list[voice.Place] = get_speech_timestamps(samples, VadOptions(**options))
    return found


def _spoken(samples: Any) -> list[voice.Place]:
    found: list[voice.Place] = get_speech_timestamps(samples, PAUSES)
    return found


class Whisper:
    """A Whisper model of CTranslate2."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.settings = settings
        place = {"device": settings.device, "compute_type": settings.compute_type}
        self.model = WhisperModel(str(path), cpu_threads=settings.cpu_threads, num_workers=settings.workers, **place)
        self.shorts = context.languages_for(path, settings.audio_context)

    def prove(self) -> None:
        """Recognise a noise the way a request does, so that the first one finds all libraries ready."""
        noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
        list(voice.places(noise, _spoken))
        options = {"language": "en", "beam_size": self.settings.beam_size, "max_new_tokens": 1}
        _heard(self.model, noise, [[{"start": 0, "end": RATE}]], options)

    def transcribe(self, samples: Any, query: Query, hurried: Hurried = lambda: False) -> Generator[Step, None, None]:
        """Window by window, several at once where that takes no longer than a step may."""
        languages.check_known(self.model, query.language)
        options: dict[str, Any] = {
            "task": query.task,
            "initial_prompt": query.prompt,
            "hotwords": query.hotwords,
            "beam_size": self.settings.beam_size,
            "word_timestamps": "word" in query.granularities,
        }
        seconds = len(samples) / RATE
        in_batches = self.settings.batch_size > 1 and query.temperature == 0
        if in_batches:
            work = self._batches(samples, query, options, hurried)
        else:
            work = self._one_by_one(samples, query, options)
        for step in work:
            segments = [within(_ours(segment), seconds) for segment in step.segments if segment.text.strip()]
            yield replace(step, segments=segments)

    def _batches(self, samples: Any, query: Query, options: dict[str, Any], hurried: Hurried) -> Iterator[Step]:
        options["without_timestamps"] = query.format in ("json", "text") and not query.stream
        language, left, pace, done = query.language, len(samples) / RATE, 0.0, False
        speech = voice.Speech(samples)
        for found, last in voice.places(samples, _spoken):
            if len(samples) > voice.PIECE:
                yield Step(left, language)
            speech.add(found, last)
            while group := self._windows(speech, language, pace, hurried()):
                began = time.monotonic()
                segments, language = self._group(samples, group, options | {"language": language})
                pace = (time.monotonic() - began) / sum(map(voice.length, group))
                left = (len(samples) - group[-1][-1]["end"]) / RATE
                done = last and not speech.places
                yield Step(left, language, segments, done)
        if not done:  # nobody speaks, or no more: the library guesses a language where none is known
            language = language or self._group(samples, [], options | {"language": None})[1]
            yield Step(0, language, last=True)

    def _windows(self, speech: voice.Speech, language: str | None, pace: float, hurried: bool) -> list[voice.Window]:
        """The windows of the next step: as many, and for who is in a hurry as short, as take a second at that pace."""
        room = int(STEP_SECONDS / pace) if pace else 0
        most = voice.WINDOW
        if hurried:
            short = context.is_short(language, self.shorts)
            most = min(most, max(RATE * (SHORT_WINDOW if short else FULL_WINDOW), room))
        group: list[voice.Window] = []
        while len(group) < self.settings.batch_size and (not group or room >= most):
            window = speech.take(most)
            if not window:
                break
            group.append(window)
            room -= voice.length(window)
        return group

    def _group(self, samples: Any, group: list[voice.Window], options: dict[str, Any]) -> tuple[list[Any], str]:
        """The segments of some windows, and their language."""
        longest = max((voice.length(window) for window in group), default=0) / RATE

        def hear(model: Any, language: str | None) -> tuple[Any, Any]:
            return _heard(model, samples, group, options | {"language": language})

        segments, info = context.heard(self.model, options["language"], longest, self.shorts, hear)
        return segments, info.language

    def _one_by_one(self, samples: Any, query: Query, options: dict[str, Any]) -> Iterator[Step]:
        if query.temperature > 0:
            options["temperature"] = query.temperature

        def hear(model: Any, language: str | None) -> tuple[Any, Any]:
            segments, info = model.transcribe(samples, language=language, vad_filter=True, **options)
            return segments, info

        seconds = len(samples) / RATE
        segments, info = context.heard(self.model, query.language, seconds, self.shorts, hear)
        for segment in segments:
            yield Step(seconds - segment.end, info.language, [segment])
        yield Step(0, info.language, last=True)


def _heard(model: Any, samples: Any, group: list[voice.Window], options: dict[str, Any]) -> tuple[list[Any], Any]:
    """The segments of some windows, with their places in the whole, and what is known of them."""
    pipeline = BatchedInferencePipeline(model)  # one for each use: it keeps state while it works
    places = [place for window in group for place in window]
    spoken = np.concatenate([samples[place["start"] : place["end"]] for place in places] or [samples[:0]])
    ends = np.cumsum([voice.length(window) for window in group])
    clips = [{"start": start / RATE, "end": end / RATE} for start, end in pairwise((0, *ends))]
    segments, info = pipeline.transcribe(
        spoken, clip_timestamps=clips, vad_filter=False, batch_size=max(1, len(group)), **options
    )
    begin = places[0]["start"] * model.frames_per_second // RATE if places else 0
    return [replace(s, seek=begin + s.seek) for s in restore_speech_timestamps(segments, places, RATE)], info


def _ours(segment: Any) -> Segment:
    """A segment of faster-whisper as the other engines have it, too."""
    words = segment.words and [Word(**asdict(word)) for word in segment.words]
    return Segment(**(vars(segment) | {"words": words}))
