# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The web page of Speaches, mended; nothing of it is read where there is none."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


RATE = 24000


class _Texts:
    """The events of a stream as what they add to the text."""

    def __init__(self, source: Any) -> None:
        self.source = source

    async def aiter_sse(self) -> AsyncIterator[Any]:
        """Each addition; or, where the server refused, why."""
        if self.source.response.is_error:
            body = json.loads(await self.source.response.aread())
            raise RuntimeError(body["error"]["message"])
        async for event in self.source.aiter_sse():
            yield SimpleNamespace(data=json.loads(event.data).get("delta", ""))


class _Gradio:
    """Gradio, with a number that is one from the beginning."""

    def __init__(self, theirs: Any) -> None:
        self.theirs = theirs

    def __getattr__(self, name: str) -> Any:
        return getattr(self.theirs, name)

    def Number(self, **options: Any) -> Any:  # noqa: N802 as Gradio has it
        """The one that there is, of samples a second: an empty one is 0 to Gradio, and less than it may be."""
        return self.theirs.Number(**options | {"value": RATE, "info": None})


def mend() -> None:
    """Let the page speak, and show the text of a stream in the place of the events that carry it."""
    from speaches.ui.tabs import stt, tts  # noqa: PLC0415 they bring gradio

    tts.gr = _Gradio(tts.gr)
    connect = stt.aconnect_sse

    @asynccontextmanager
    async def texts(*asked: Any, **options: Any) -> AsyncIterator[_Texts]:
        async with connect(*asked, **options) as source:
            yield _Texts(source)

    stt.aconnect_sse = texts
