# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server asks of an engine that recognises speech."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

from .errors import ApiError
from .forms import Query
from .settings import Settings

Hurried = Callable[[], bool]  # whether others wait whose sound is short


@dataclass(frozen=True)
class Word:
    """One word; it begins with a space where the language wants one."""

    start: float
    end: float
    word: str
    probability: float


@dataclass(frozen=True)
class Segment:
    """A piece of what is said, with the fields of OpenAI's verbose_json; times are seconds of the sound."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    words: list[Word] | None
    temperature: float | None


def of_words(number: int, words: list[Word]) -> Segment:
    """The segment of an engine that tells words with their probabilities, and no more."""
    text = "".join(word.word for word in words)
    return Segment(
        id=number,
        seek=int(words[0].start * 100),
        start=words[0].start,
        end=words[-1].end,
        text=text,
        tokens=[],
        avg_logprob=fmean(math.log(min(1.0, max(word.probability, 1e-9))) for word in words),
        compression_ratio=len(text.encode()) / len(zlib.compress(text.encode())),
        no_speech_prob=0.0,
        words=words,
        temperature=0.0,
    )


@dataclass(frozen=True)
class Abilities:
    """What a request may ask of a model, beside the text in its own language and the times of segments and words."""

    languages: frozenset[str]
    translation: bool = False
    temperature: bool = False
    hotwords: bool = False
    detection: bool = True  # of where somebody speaks

    def check(self, query: Query) -> None:
        """Refuse what the model cannot do. A prompt is never refused: clients send one unasked."""
        if query.language and query.language not in self.languages:
            raise ApiError(400, f"the model does not know the language '{query.language}'", "language")
        if query.task == "translate" and not self.translation:
            raise ApiError(400, "the model cannot translate: ask for a transcription", "model")
        if query.temperature > 0 and not self.temperature:
            raise ApiError(400, "the model has no temperature: leave it at 0", "temperature")
        if query.hotwords and not self.hotwords:
            raise ApiError(400, "the model takes no hotwords: leave them out", "hotwords")

    def check_search(self) -> None:
        """Refuse to tell where somebody speaks, where nothing here knows it."""
        if not self.detection:
            raise ApiError(400, "this engine does not tell where somebody speaks: ask for a transcription", "model")


@dataclass(frozen=True)
class Step:
    """What one step of the work on a sound brought; others may have their turn after it."""

    left: float  # seconds of sound that are still to be done
    language: str | None = None  # none where it is not known yet
    segments: list[Segment] = field(default_factory=list)
    last: bool = False


@dataclass
class Heard:
    """All that has been recognised so far of a sound."""

    seconds: float  # of the whole
    language: str = ""
    segments: list[Segment] = field(default_factory=list)

    def add(self, step: Step) -> None:
        """What a step brought."""
        self.language = step.language or self.language
        self.segments += step.segments


class Recognizer(Protocol):
    """A loaded model."""

    def prove(self) -> None:
        """Recognise something, whatever it is, so that what does not work is known at the start."""

    def transcribe(self, samples: Any, query: Query, hurried: Hurried) -> Generator[Step, None, None]:
        """Recognise mono samples at 16 kHz, in steps of a second or so, shorter ones while hurried; one is the last."""


class Kind(Protocol):
    """An engine: what its module has."""

    def needed(self, settings: Settings) -> tuple[str, ...]:
        """The files that a model consists of."""

    def check(self, settings: Settings) -> None:
        """Refuse settings that cannot work on this machine."""

    def abilities(self, folder: Path) -> Abilities:
        """What the model in a folder can do; it is not loaded for that."""

    def load(self, folder: Path, settings: Settings) -> Recognizer:
        """The model, ready to be proved."""

    def find_speech(self, samples: Any, **options: float | None) -> list[dict[str, int]]:
        """Where somebody speaks: start and end in samples. The options are those of forms.DETECTION."""
