# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whisper behind the seam: faster-whisper, fed window by window, so that others can have their turn between them."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.transcribe import restore_speech_timestamps
from faster_whisper.vad import VadOptions

from . import context, languages, voice
from .audio import RATE
from .forms import Query
from .recognizer import Step
from .settings import Settings
from .times import within

STEP_SECONDS = 1.0  # what a step may take, where one window takes less
# as the pipeline of faster-whisper has it
PAUSES = VadOptions(max_speech_duration_s=voice.WINDOW / RATE, min_silence_duration_ms=160)


class Whisper:
    """A Whisper model of CTranslate2."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.settings = settings
        place = {"device": settings.device, "compute_type": settings.compute_type}
        self.model = WhisperModel(str(path), cpu_threads=settings.cpu_threads, num_workers=settings.workers, **place)

    def prove(self) -> None:
        """Recognise a noise."""
        noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
        list(self.model.transcribe(noise, language="en", beam_size=1, temperature=0, max_new_tokens=1)[0])

    def transcribe(self, samples: Any, query: Query) -> Generator[Step, None, None]:
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
        for step in (self._batches if in_batches else self._one_by_one)(samples, query, options):
            segments = [within(segment, seconds) for segment in step.segments if segment.text.strip()]
            yield replace(step, segments=segments)

    def _batches(self, samples: Any, query: Query, options: dict[str, Any]) -> Iterator[Step]:
        options["without_timestamps"] = query.format in ("json", "text") and not query.stream
        language, left, at_once = query.language, len(samples) / RATE, 1
        for found, last in voice.windows(samples, PAUSES):
            if len(samples) > voice.PIECE:
                yield Step(left, language)
            done = 0
            while group := found[done : done + at_once]:
                done += len(group)
                began = time.monotonic()
                segments, language = self._group(samples, group, options | {"language": language})
                pace = (time.monotonic() - began) / len(group)
                at_once = max(1, min(self.settings.batch_size, int(STEP_SECONDS / pace)))
                left = (len(samples) - group[-1][-1]["end"]) / RATE
                yield Step(left, language, segments, last and done == len(found))
        if not found:  # nobody speaks, or no more: the library guesses a language where none is known
            language = language or self._group(samples, [], options | {"language": None})[1]
            yield Step(0, language, last=True)

    def _group(self, samples: Any, group: list[voice.Window], options: dict[str, Any]) -> tuple[list[Any], str]:
        """The segments of some windows, and their language."""
        longest = max((voice.length(window) for window in group), default=0) / RATE

        def hear(model: Any, language: str | None) -> tuple[Any, Any]:
            return _heard(model, samples, group, options | {"language": language})

        segments, info = context.heard(self.model, options["language"], longest, self.settings.audio_context, hear)
        return segments, info.language

    def _one_by_one(self, samples: Any, query: Query, options: dict[str, Any]) -> Iterator[Step]:
        if query.temperature > 0:
            options["temperature"] = query.temperature

        def hear(model: Any, language: str | None) -> tuple[Any, Any]:
            segments, info = model.transcribe(samples, language=language, vad_filter=True, **options)
            return segments, info

        seconds = len(samples) / RATE
        segments, info = context.heard(self.model, query.language, seconds, self.settings.audio_context, hear)
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
