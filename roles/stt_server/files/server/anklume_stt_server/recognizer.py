# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server asks of an engine that recognises speech."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Protocol

from .forms import Query

Hurried = Callable[[], bool]  # whether others wait whose sound is short


@dataclass(frozen=True)
class Step:
    """What one step of the work on a sound brought; others may have their turn after it."""

    left: float  # seconds of sound that are still to be done
    language: str | None = None  # none where it is not known yet
    segments: list[Any] = field(default_factory=list)
    last: bool = False


@dataclass
class Heard:
    """All that has been recognised so far of a sound."""

    seconds: float  # of the whole
    language: str = ""
    segments: list[Any] = field(default_factory=list)

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
