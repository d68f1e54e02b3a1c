# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is next: work is done in steps, and whoever has the least sound left goes first, but nobody waits for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

STEP_SECONDS = 1.0  # what a step may take, where the least piece of work takes less
PATIENCE = 10  # seconds: whoever has waited so long for a turn is next, the longest first

SHORT = 60  # seconds of sound: whoever has no more is served between the steps of the others
HURRY = 60  # seconds for which they make their steps short after one came: the next one often follows


@dataclass(eq=False)
class Waiter:
    """One who waits for a turn."""

    left: float  # seconds of sound
    since: float = field(default_factory=time.monotonic)
    called: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Turns:
    """So many may work at once."""

    def __init__(self, workers: int) -> None:
        self.free = workers
        self.waiting: list[Waiter] = []
        self._hurried_until = 0.0

    def came(self, seconds: float) -> Callable[[], bool]:
        """Somebody has so much sound; the answer says at any time whether that one should make its steps short."""
        if seconds <= SHORT:
            self._hurried_until = time.monotonic() + HURRY
            return lambda: False
        return lambda: time.monotonic() < self._hurried_until

    @asynccontextmanager
    async def turn(self, left: float) -> AsyncIterator[None]:
        """One step of a work that has so many seconds of sound left."""
        waiter = Waiter(left)
        self.waiting.append(waiter)
        self._call()
        try:
            await waiter.called
            yield
        finally:
            if waiter.called.done() and not waiter.called.cancelled():
                self.free += 1
            else:
                self.waiting.remove(waiter)
            self._call()

    def _call(self) -> None:
        # who leaves at this moment takes itself away
        while self.free and (waiting := [waiter for waiter in self.waiting if not waiter.called.done()]):
            now = time.monotonic()
            chosen = min(waiting, key=lambda w: (0, w.since) if now - w.since >= PATIENCE else (1, w.left))
            self.waiting.remove(chosen)
            self.free -= 1
            chosen.called.set_result(None)
