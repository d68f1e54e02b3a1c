# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a text is given to be spoken: Microsoft, over the library edge-tts, or the server that takes its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, NamedTuple

import aiohttp
import edge_tts

from .errors import read
from .settings import Settings

CONNECT_SECONDS = 10
FALLBACK_SECONDS = 60  # a large model on a small machine thinks before it speaks
LOOP = "x-edge-tts-fallback"  # who finds this in a request is asked by a service like itself, and asks nobody else


class SpeakerError(Exception):
    """Why nothing was spoken, or why it ended too early; and whether the next text would fare no better."""

    def __init__(self, why: str, *, outage: bool = True) -> None:
        super().__init__(why)
        self.outage = outage


class Piece(NamedTuple):
    """Some sound, and what kind it is."""

    mime: str
    data: bytes


async def microsoft(settings: Settings, text: str, voice: str, speed: float) -> AsyncGenerator[Piece]:
    """A text as MP3, as Edge has it read aloud."""
    try:
        rate = f"{round(speed * 100) - 100:+d}%"
        talk = edge_tts.Communicate(text, voice, rate=rate, connect_timeout=CONNECT_SECONDS)
        size = 0
        async with aclosing(talk.stream()) as chunks:
            while True:
                async with asyncio.timeout(settings.timeout):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    break
                if chunk["type"] == "audio":
                    size += len(chunk["data"])
                    yield Piece("audio/mpeg", chunk["data"])
        if size != talk.state["cumulative_audio_bytes"]:  # the library counts what Microsoft said was whole
            raise EOFError("the connection broke")
    except Exception as error:  # the library raises whatever its parsers meet
        silent = isinstance(error, edge_tts.exceptions.NoAudioReceived)  # of a text that the voice cannot read, too
        raise SpeakerError(f"Microsoft: {_why(error, settings.timeout)}", outage=not silent) from error


async def microsofts_voices(seconds: int) -> list[dict[str, Any]]:
    """All voices, as Microsoft describes them."""
    try:
        async with asyncio.timeout(seconds):
            return [dict(voice) for voice in await edge_tts.list_voices()]
    except Exception as error:
        raise SpeakerError(f"Microsoft: {_why(error, seconds)}") from error


async def fallback(settings: Settings, text: str, speed: float) -> AsyncGenerator[Piece]:
    """A text as the other server speaks it."""
    body = {"model": settings.fallback_model, "voice": settings.fallback_voice, "input": text, "speed": speed}
    headers = {LOOP: "1"}
    if settings.fallback_api_key:
        headers["Authorization"] = f"Bearer {settings.fallback_api_key}"
    url = f"{settings.fallback_url.rstrip('/').removesuffix('/v1')}/v1/audio/speech"
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=FALLBACK_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(url, json=body | {"response_format": "mp3"}, headers=headers) as answer,
        ):
            if answer.status != 200:
                told = read(answer.status, await answer.read())["error"].get("message")
                raise SpeakerError(f"the fallback: HTTP {answer.status}: {told}")
            async for data in answer.content.iter_any():
                yield Piece(answer.headers.get("content-type", "audio/mpeg"), data)
    except (aiohttp.ClientError, OSError) as error:
        raise SpeakerError(f"the fallback: {_why(error, FALLBACK_SECONDS)}") from error


def _why(error: Exception, seconds: int) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing came for {seconds} s"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"HTTP {error.status}"
    if isinstance(error, aiohttp.ClientConnectionError):
        return f"no connection: {error}"
    return str(error).strip() or type(error).__name__
