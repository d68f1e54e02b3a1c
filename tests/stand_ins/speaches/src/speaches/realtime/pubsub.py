# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: what a session tells its client, all of it kept."""

from __future__ import annotations

import asyncio
from typing import Any


class PubSub:
    """One reader's queue."""

    def __init__(self) -> None:
        self.events: Any = []
        self.queue: asyncio.Queue[Any] = asyncio.Queue()

    def publish_nowait(self, event: Any) -> None:
        """Tell it."""
        self.events.append(event)
        self.queue.put_nowait(event)
