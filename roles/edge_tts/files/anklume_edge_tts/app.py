# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP API: OpenAI's speech, voices and models, and /api/edge-tts, which some pages and guides ask for."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from . import speakers
from .addresses import Addresses
from .errors import PLAIN, ApiError
from .guards import Queue, Uploads
from .keys import ApiKey
from .settings import Settings
from .speakers import LOOP, Piece, SpeakerError
from .speech_text import spoken
from .voices import Voices, locale

log = logging.getLogger(__name__)
MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "edge-tts")
LISTS = ("/v1/audio/voices", "/v1/audio/models", "/api/edge-tts/voices")  # Open WebUI asks for them without a key
WAITING = 16  # who waits for a turn; more are refused
REST_SECONDS = 60  # after a failure of Microsoft's, the fallback is asked at once
GREETINGS = {"de": "Guten Tag.", "es": "Buenos días.", "fr": "Bonjour.", "it": "Buongiorno.", "pl": "Dzień dobry."}
# a frame of MP3 as Edge sends them, 24 ms, in which nothing sounds; nine for what is left of a text of emoji alone
SILENCE = (bytes.fromhex("fff364c4") + bytes(140)) * 9


@dataclass(frozen=True)
class Asked:
    """A text to speak, and how."""

    text: str
    voice: str
    speed: float = 1.0
    alone: bool = False
    """Whether nobody else may speak it where Microsoft does not."""


class Service:
    """What all requests share: the turn at Microsoft, the queue in front of it, and the voices."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.turn, self.queue = settings, asyncio.Lock(), Queue(1, WAITING)
        self.voices = Voices(settings, self.turn)
        self.rests_until, self.failure = 0.0, ""

    async def check(self, request: Request, name: str) -> Asked:
        """What a client asks for, its text under this name; an error says what is wrong, before anything is spoken."""
        self.queue.check()
        try:
            fields = json.loads(await request.body())
        except (ValueError, RecursionError):
            raise ApiError(400, "the body of the request is no JSON") from None
        if not isinstance(fields, dict):
            raise ApiError(400, "the body of the request is no JSON object")
        text, longest = fields.get(name), self.settings.max_chars
        if not isinstance(text, str) or not text.strip():
            raise ApiError(400, f"{name} is empty: there is nothing to speak", name)
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise ApiError(400, f"{name} holds half a character", name)
        if len(text) > longest:
            raise ApiError(400, f"{name} has {len(text)} characters, and at most {longest} are spoken at once", name)
        if (form := fields.get("response_format") or "mp3") != "mp3":
            raise ApiError(400, f"Edge TTS gives mp3 alone, and response_format is {form!r}", "response_format")
        if (stream := fields.get("stream_format") or "audio") != "audio":
            raise ApiError(400, f"stream_format is audio alone, and not {stream!r}", "stream_format")
        if (model := fields.get("model") or MODELS[0]) not in MODELS:
            raise ApiError(404, f"The model {model!r} does not exist", "model", "model_not_found")
        voice = await self.voices.chosen(fields.get("voice"))
        return Asked(spoken(text), voice, _speed(fields.get("speed")), LOOP in request.headers)

    async def sound(self, asked: Asked, *, patient: bool = False) -> AsyncGenerator[tuple[str, Piece]]:
        """Who speaks, and each piece of it: Microsoft, a request at a time, or else the fallback.

        Who is patient asks Microsoft even where it has just failed.
        """
        fallback = bool(self.settings.fallback_url) and not asked.alone
        if not asked.text:
            yield "nobody", Piece("audio/mpeg", SILENCE)
            return
        why = self.failure
        if patient or not fallback or time.monotonic() >= self.rests_until:
            begun = False
            try:
                async with (
                    self.turn,
                    aclosing(speakers.microsoft(self.settings, asked.text, asked.voice, asked.speed)) as pieces,
                ):
                    async for piece in pieces:
                        begun = True
                        yield "edge", piece
                self.rests_until, self.failure = 0.0, ""
                return
            except SpeakerError as error:
                why = str(error)
                self.failure = why
                if error.outage:
                    self.rests_until = time.monotonic() + REST_SECONDS
                log.warning("%s%s", why, ", in the middle of a text" if begun else "")
                if begun:
                    raise
        if not fallback:
            raise ApiError(502, f"{why}; it breaks at times, and no fallback is set", code="edge_tts_failed")
        try:
            async with aclosing(speakers.fallback(self.settings, asked.text, asked.speed)) as others:
                async for piece in others:
                    yield "fallback", piece
        except SpeakerError as error:
            log.warning("%s", error)
            raise ApiError(502, f"{why}; {error}", code="edge_tts_failed") from error

    async def test(self) -> tuple[int, dict[str, Any]]:
        """Whether a greeting is spoken, and by whom: status and answer."""
        voice, started, size, speaker = self.settings.voice, time.monotonic(), 0, "nobody"
        greeting = GREETINGS.get(locale(voice).partition("-")[0], "Hello.")
        status, why = 200, ""
        try:
            with self.queue.place():
                async with aclosing(self.sound(Asked(greeting, voice), patient=True)) as pieces:
                    async for speaker, piece in pieces:  # noqa: B007 - the last one is told
                        size += len(piece.data)
            why = self.failure
        except (ApiError, SpeakerError) as error:
            status, why = 502, str(error)
        seconds = round(time.monotonic() - started, 2)
        answer = {"status": "ok" if status == 200 else "error", "spoken_by": speaker, "voice": voice}
        return status, answer | {"bytes": size, "seconds": seconds, "error": why}


def _speed(speed: Any) -> float:
    if speed is None:
        return 1.0
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0.25 <= speed <= 4:
        raise ApiError(400, "speed is a number from 0.25 to 4", "speed")
    return float(speed)


@dataclass
class Spoken:
    """The answer: it begins when there is sound, and ends when the client leaves."""

    service: Service
    asked: Asked
    begun: bool = field(default=False, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak until it is done or nobody listens."""
        work, gone = asyncio.create_task(self._speak(send)), asyncio.create_task(_left(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
            else:
                log.info("the client left, and is spoken to no more")
        finally:
            for task in (work, gone):
                task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await work

    async def _speak(self, send: Send) -> None:
        with self.service.queue.place():
            try:
                async with aclosing(self.service.sound(self.asked)) as pieces:
                    async for by, piece in pieces:
                        await self._send(send, by, piece)
            except (ApiError, SpeakerError):
                if not self.begun:
                    raise
                return  # an answer without its end: the server breaks the connection, so that it is not taken for whole
        if not self.begun:
            raise ApiError(502, "the fallback answered without any sound", code="edge_tts_failed")
        await send({"type": "http.response.body", "body": b""})

    async def _send(self, send: Send, by: str, piece: Piece) -> None:
        if not self.begun:
            self.begun = True
            headers = {"content-type": piece.mime, "x-spoken-by": by, "cache-control": "no-store"}
            raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": 200, "headers": raw})
        await send({"type": "http.response.body", "body": piece.data, "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Door(ApiKey):
    """The key, for all but the lists."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let who asks for a list through."""
        if scope["type"] == "http" and scope["path"] in LISTS:
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings) -> Starlette:
    """The whole application."""
    service = Service(settings)

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", "message": "OK"})

    async def speech(request: Request) -> Spoken:
        return Spoken(service, await service.check(request, "input"))

    async def synthesize(request: Request) -> Spoken:
        return Spoken(service, await service.check(request, "text"))

    async def test(_: Request) -> Response:
        status, answer = await service.test()
        return JSONResponse(answer, status)

    async def voices(_: Request) -> Response:
        return JSONResponse({"voices": await service.voices.listed()})

    async def speaking_models(_: Request) -> Response:
        return JSONResponse({"models": [{"id": name} for name in MODELS]})

    async def models(_: Request) -> Response:
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "microsoft"} for name in MODELS]
        return JSONResponse({"object": "list", "data": listed})

    async def refuse(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and not isinstance(error, ApiError):
            error = ApiError(error.status_code, PLAIN.get(error.status_code, error.detail))
        elif not isinstance(error, ApiError):
            error = ApiError(500, "the server failed")
        return error.response()

    middleware = [Middleware(Addresses), Middleware(Uploads, max_bytes=65536 + 12 * settings.max_chars)]
    if settings.api_key:
        middleware.append(Middleware(Door, keys=(settings.api_key,)))
    routes = [
        Route("/health", health),
        Route("/v1/models", models),
        Route("/v1/audio/models", speaking_models),
        Route("/v1/audio/voices", voices),
        Route("/v1/audio/speech", speech, methods=["POST"]),
        Route("/api/edge-tts/voices", voices),
        Route("/api/edge-tts/test", test),
        Route("/api/edge-tts/synthesize", synthesize, methods=["POST"]),
    ]
    handlers: Any = {ApiError: refuse, HTTPException: refuse, Exception: refuse}
    return Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)
