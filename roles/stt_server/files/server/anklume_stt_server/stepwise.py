# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For Speaches: a recording gives way to who has less left, as in our own server; else it holds the model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any

from anyio import from_thread
from faster_whisper import BatchedInferencePipeline

from .turns import STEP_SECONDS


class Stepwise(BatchedInferencePipeline):  # type: ignore[misc]  # the library has no types
    """Works on the windows of a batch one at a time, or as many as take a second, and each time in its turn.

    It is used in the threads in which Starlette runs what is not asynchronous, one use for each sound.
    """

    def __init__(self, model: Any, seconds: float, turn: Callable[[float], AbstractAsyncContextManager[None]]) -> None:
        super().__init__(model)
        self.seconds, self.left, self.turn = seconds, seconds, turn
        self.pace = STEP_SECONDS  # seconds for a window

    def forward(self, features: Any, tokenizer: Any, chunks: list[dict[str, Any]], options: Any) -> list[Any]:
        """What faster-whisper says of each window."""
        heard: list[Any] = []
        while len(heard) < len(chunks):
            step = slice(len(heard), len(heard) + max(1, int(STEP_SECONDS / self.pace)))
            with _held(self.turn(self.left)):
                began = time.monotonic()
                heard += super().forward(features[step], tokenizer, chunks[step], options)
                self.pace = (time.monotonic() - began) / len(chunks[step])
            self.left = self.seconds - max((segment["end"] for window in heard for segment in window), default=0)
        return heard


@contextmanager
def _held(turn: AbstractAsyncContextManager[None]) -> Iterator[None]:
    from_thread.run(turn.__aenter__)
    try:
        yield
    finally:
        from_thread.run(turn.__aexit__, None, None, None)
