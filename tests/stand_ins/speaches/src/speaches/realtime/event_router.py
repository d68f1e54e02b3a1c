# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: who handles which event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class EventRouter:
    """Handlers by the name of their event."""

    def __init__(self) -> None:
        self.event_handlers: dict[str, Callable[..., Any]] = {}

    async def dispatch(self, ctx: Any, event: Any) -> None:
        """Hand an event to the one that there is for it."""
        answer = self.event_handlers[event.type](ctx, event)
        if answer is not None:
            await answer
