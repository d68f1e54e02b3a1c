# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Realtime API of Speaches, mended: a session outlives its errors, and takes no more than its share.

A session asks its own server over HTTP for transcriptions, answers and speech; those requests carry a token. Each patch
is a function of its own, applied by mend(), and belongs to the pinned commit, as those of anklume_speaches do.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import logging
import secrets
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import httpx
import openai
from anklume_stt_server.errors import ApiError
from speaches import dependencies
from speaches.realtime import input_audio_buffer as buffers
from speaches.realtime import message_manager, pubsub
from speaches.realtime.event_router import EventRouter
from speaches.routers import chat, realtime_rtc, realtime_ws
from speaches.types.realtime import (
    NOT_GIVEN,
    InputAudioBufferSpeechStoppedEvent,
    create_invalid_request_error,
    create_server_error,
)
from starlette.requests import HTTPConnection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)
PATH = "/v1/realtime"
MOST_SESSIONS = 8
TOKEN_HEADER = b"x-anklume-session"
TOKEN = secrets.token_hex(16)
OF_SESSION = "anklume.session"
"""What marks a request of a session in its scope."""

APPEND = "input_audio_buffer.append"
BYTES = 2 * 24000  # of a second of sound, as clients send it
PIECE = BYTES // 10  # of sound between two looks for speech: one takes a quarter of that time on a core
KEPT_SECONDS = 6  # of sound in which nobody speaks; Speaches looks at the last three
TURN_SECONDS = 600  # longest that somebody may speak without a pause
RATE = buffers.SAMPLE_RATE

# what these tell of a session are its texts, or a page for each error of a client
QUIET = {
    "speaches.realtime.message_manager": logging.CRITICAL,
    "speaches.realtime.response_event_router": logging.CRITICAL,
    "speaches.realtime.session_event_router": logging.INFO,
    "speaches.realtime.utils": logging.CRITICAL,
    "speaches.routers.chat": logging.ERROR,
}


class _FullError(Exception):
    """No session more."""


class Sessions:
    """Bounds the sessions, and tells their own requests from those of others, by the token."""

    def __init__(self, app: ASGIApp, most: int = MOST_SESSIONS) -> None:
        self.app, self.most, self.open = app, most, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Mark, count or pass on."""
        if scope["type"] == "http":
            _mark(scope)
        elif scope["type"] == "websocket" and scope["path"].rstrip("/") == PATH:
            _key_into_header(scope)
            await self._session(scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _session(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One session counts from when its key was found right to its end."""
        counted = False

        async def counting(message: Message) -> None:
            nonlocal counted
            if message["type"] == "websocket.accept":
                if self.open >= self.most:
                    raise _FullError
                self.open, counted = self.open + 1, True
            await send(message)

        try:
            await self.app(scope, receive, counting)
        except _FullError:
            await self._refuse(scope, send)
        finally:
            self.open -= counted

    async def _refuse(self, scope: Scope, send: Send) -> None:
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1013})  # try again later
            return
        error = ApiError(503, f"{self.most} realtime sessions are open, and that is all", code="too_many_sessions")
        error.headers["Retry-After"] = "30"
        response = error.response()
        start = {"type": "websocket.http.response.start", "status": 503, "headers": response.raw_headers}
        await send(start)
        await send({"type": "websocket.http.response.body", "body": bytes(response.body)})


def _mark(scope: Scope) -> None:
    """A session's own request comes from nobody at 127.0.0.1: whoever tries keys from there does not hold it up."""
    given = [value for name, value in scope["headers"] if name == TOKEN_HEADER]
    if given and hmac.compare_digest(given[0], TOKEN.encode()):
        scope[OF_SESSION], scope["client"] = True, (OF_SESSION, 0)


def _key_into_header(scope: Scope) -> None:
    """Take the key out of the address, which the log shows; web pages have no other place for it."""
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    keys = [value for name, value in query if name == "api_key"]
    if keys:
        scope["query_string"] = urlencode([item for item in query if item[0] != "api_key"]).encode()
        scope["headers"] = [*scope["headers"], (b"x-api-key", keys[0].encode())]


def is_of_session(scope: Scope) -> bool:
    """Whether a request was made by a session, or is one."""
    return bool(scope.get(OF_SESSION)) or scope["type"] == "websocket"


def _client(of_session: bool) -> openai.AsyncOpenAI:
    """A client of this server; connections that are kept would be closed by it at the moment of their use."""
    config = dependencies.get_config()
    base = f"{config.loopback_host_url or f'http://127.0.0.1:{config.port}'}/v1"
    limits = httpx.Limits(max_keepalive_connections=0)
    headers = {TOKEN_HEADER.decode(): TOKEN} if of_session else None
    key = config.api_key.get_secret_value() if config.api_key else "none"
    http_client = httpx.AsyncClient(limits=limits, trust_env=False, timeout=600)
    return openai.AsyncOpenAI(
        base_url=base, api_key=key, max_retries=0, default_headers=headers, http_client=http_client
    )


def loopback(app: FastAPI) -> None:
    """Have a session find its own server, at whatever address, and be known there."""
    clients = {of_session: _client(of_session) for of_session in (True, False)}

    async def transcriptions(connection: HTTPConnection) -> Any:
        return clients[is_of_session(connection.scope)].audio.transcriptions

    async def speech(connection: HTTPConnection) -> Any:
        return clients[is_of_session(connection.scope)].audio.speech

    def completions(**_: Any) -> openai.AsyncOpenAI:
        return clients[True]

    app.dependency_overrides[dependencies.get_transcription_client_async] = transcriptions
    app.dependency_overrides[dependencies.get_speech_client_async] = speech
    realtime_ws.AsyncOpenAI = completions


def defaults() -> None:
    """Take the model and the voice that are served where a client names none: Speaches takes two that are not there."""
    create = realtime_ws.create_session_object_configuration

    def session(model: str, intent: str, language: str | None, transcription_model: str | None) -> Any:
        made = create(
            model, intent, language, transcription_model or (None if intent == "transcription" else "whisper-1")
        )
        made.speech_model, made.voice = "tts-1", "alloy"
        return made

    realtime_ws.create_session_object_configuration = session


def errors_are_told() -> None:
    """Tell a client of an error and go on, where Speaches ends the session at the first one."""
    dispatch = EventRouter.dispatch

    async def dispatched(self: EventRouter, ctx: Any, event: Any) -> None:
        try:
            await dispatch(self, ctx, event)
        except Exception as error:
            status = f" {error.status_code}" if isinstance(error, openai.APIStatusError) else ""
            logger.warning("realtime session: %s failed: %s%s", event.type, type(error).__name__, status)
            told = openai.APIStatusError if event.type == "input_audio_buffer.committed" else openai.APIError
            if not isinstance(error, told):
                message = (
                    "no answer from the server itself" if isinstance(error, openai.APIError) else "the server failed"
                )
                ctx.pubsub.publish_nowait(create_server_error(f"{event.type}: {message}"))

    EventRouter.dispatch = dispatched


class _Failure:
    """An error as a chunk of a streamed answer; OpenAI's clients raise it."""

    def __init__(self, error: openai.APIStatusError) -> None:
        body = error.body if isinstance(error.body, dict) else {}
        self.said = body.get("message") or error.message

    def model_dump_json(self) -> str:
        """As it goes into the stream."""
        return json.dumps({"error": {"message": f"no speech: {self.said}", "type": "server_error"}})


def speech_errors_are_told() -> None:
    """Say that an answer cannot be spoken, which Speaches keeps to itself."""
    speak = chat.AudioChatStream.audio_chat_completion_chunk_stream

    async def spoken(self: Any) -> AsyncIterator[Any]:
        try:
            async for chunk in speak(self):
                yield chunk
        except openai.APIStatusError as error:
            yield _Failure(error)

    chat.AudioChatStream.audio_chat_completion_chunk_stream = spoken


class _Updates:
    """Reads events as Speaches does, and changes of the turn detection as OpenAI does: in part, or off (null)."""

    def __init__(self, theirs: Any) -> None:
        self.theirs = theirs
        self.whole = {"create_response": True, "prefix_padding_ms": 0, "silence_duration_ms": 550, "threshold": 0.9}

    def validate_json(self, data: str) -> Any:
        """An event; theirs says what is wrong with one that is none."""
        try:
            told = json.loads(data)
            session = told["session"] if told["type"] == "session.update" else {}
            detection = session.get("turn_detection", NOT_GIVEN)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return self.theirs.validate_json(data)
        if detection is None:
            del session["turn_detection"]
        elif isinstance(detection, dict):
            session["turn_detection"] = self.whole | detection
        event = self.theirs.validate_python(told)
        if detection is None:
            event.session.turn_detection = None
        elif isinstance(detection, dict) and "prefix_padding_ms" not in detection:
            event.session.turn_detection.prefix_padding_ms = NOT_GIVEN  # else it is said to be unsupported
        return event


def turn_detection() -> None:
    """Let clients change one thing of it, or turn it off: Speaches ignores both in silence, or calls it an error."""
    message_manager.client_event_type_adapter = _Updates(message_manager.client_event_type_adapter)


def commits() -> None:
    """Let a client end a turn in which somebody still speaks."""

    def spoken(self: Any) -> Any:
        start, end = self.vad_state.audio_start_ms or 0, self.vad_state.audio_end_ms
        return self.data[start * buffers.MS_SAMPLE_RATE : None if end is None else end * buffers.MS_SAMPLE_RATE]

    buffers.InputAudioBuffer.data_w_vad_applied = property(spoken)


class _Ear:
    """What a session has sent and nobody has heard yet: sound, and the ends of turns in between."""

    def __init__(self) -> None:
        self.events: deque[tuple[Any, bytes]] = deque()
        self.size, self.listens = 0, False

    def take(self, event: Any) -> None:
        """Take an event in; where that would be too much sound, its client is told."""
        sound = base64.b64decode(event.audio, validate=True) if event.type == APPEND else b""
        if self.size + len(sound) > TURN_SECONDS * BYTES:
            raise ValueError(f"more than {TURN_SECONDS} s of sound wait to be heard: send it as it is spoken")
        self.size += len(sound)
        pieces = [sound[start : start + 4 * PIECE] for start in range(0, len(sound), 4 * PIECE)] or [b""]
        self.events.extend((event.model_copy(), piece) for piece in pieces)

    def next(self) -> Any:
        """The next event; of sound as much as is worth a look, and more where a session is behind."""
        event, sound = self.events.popleft()
        piece = PIECE if self.size < BYTES else 4 * PIECE
        self.size -= len(sound)
        while event.type == APPEND and len(sound) < piece and self.events and self.events[0][0].type == APPEND:
            more = self.events.popleft()[1]
            sound, self.size = sound + more, self.size - len(more)
        if event.type == APPEND:
            event.audio = base64.b64encode(sound)
        return event


def hearing() -> None:
    """Look for speech beside the event loop, piece by piece, and keep no more sound than is needed.

    Speaches looks in the loop, at every event with sound, however short, and so holds up everybody else; and while
    nobody speaks it keeps all that it hears.
    """
    handlers = realtime_ws.event_router.event_handlers
    theirs = {kind: handlers[kind] for kind in (APPEND, "input_audio_buffer.commit", "input_audio_buffer.clear")}
    looker = ThreadPoolExecutor(1, "realtime")

    async def look(ctx: Any, event: Any) -> None:
        buffer = ctx.input_audio_buffers[next(reversed(ctx.input_audio_buffers))]
        told: list[Any] = []
        beside = SimpleNamespace(
            session=ctx.session,
            vad_model_manager=ctx.vad_model_manager,
            input_audio_buffers={buffer.id: buffer},
            pubsub=SimpleNamespace(publish_nowait=told.append),
        )
        await asyncio.get_running_loop().run_in_executor(looker, theirs[APPEND], beside, event)
        told += _bounded(buffer, ctx.session.turn_detection)
        for each in told:
            ctx.pubsub.publish_nowait(each)
        while buffer.vad_state.audio_end_ms is not None and next(reversed(ctx.input_audio_buffers)) == buffer.id:
            await asyncio.sleep(0.005)  # the next turn's buffer comes in another task

    async def hear(ctx: Any, event: Any) -> None:
        """One of a session's tasks hears for all; it waits a little where what came is too short."""
        ear = vars(ctx).setdefault("ear", _Ear())
        try:
            ear.take(event)
        except ValueError as error:
            ctx.pubsub.publish_nowait(create_invalid_request_error(f"{event.type}: {error}"))
        if ear.listens:
            return
        ear.listens = True
        try:
            while ear.events:
                if ear.size < PIECE and ear.events[-1][0].type == APPEND:
                    await asyncio.sleep(PIECE / BYTES)
                following = ear.next()
                if following.type == APPEND:
                    await look(ctx, following)
                else:
                    theirs[following.type](ctx, following)
        finally:
            ear.listens = False

    handlers.update(dict.fromkeys(theirs, hear))


def _bounded(buffer: Any, detection: Any) -> list[Any]:
    """Cut what nobody spoke in, and end a turn that is too long."""
    state = buffer.vad_state
    if detection is None or state.audio_start_ms is None:
        buffer.data = buffer.data[-(TURN_SECONDS if detection is None else KEPT_SECONDS) * RATE :]
    elif state.audio_end_ms is None and buffer.duration > TURN_SECONDS:
        state.audio_end_ms = buffer.duration_ms
        return [InputAudioBufferSpeechStoppedEvent(item_id=buffer.id, audio_end_ms=state.audio_end_ms)]
    return []


def forgetting() -> None:
    """Forget what is over: Speaches keeps all events of a session, and the sound of all its turns, until it ends."""
    begin, committed = pubsub.PubSub.__init__, "input_audio_buffer.committed"
    transcribe = realtime_ws.event_router.event_handlers[committed]

    def begun(self: Any) -> None:
        begin(self)
        self.events = deque(maxlen=0)

    async def transcribed(ctx: Any, event: Any) -> None:
        try:
            await transcribe(ctx, event)
        finally:
            ctx.input_audio_buffers.pop(event.item_id, None)

    pubsub.PubSub.__init__ = begun
    realtime_ws.event_router.event_handlers[committed] = transcribed


def no_webrtc(app: FastAPI) -> None:
    """Close the way over WebRTC: its sessions never end in Speaches, it logs what they say, and it needs open UDP."""
    routes = app.router.routes
    routes[:] = [each for each in routes if getattr(each, "endpoint", None) is not realtime_rtc.realtime_webrtc]


def mend(app: FastAPI) -> None:
    """All of it."""
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
    defaults()
    errors_are_told()
    speech_errors_are_told()
    turn_detection()
    commits()
    hearing()
    forgetting()
    loopback(app)
    no_webrtc(app)
    app.add_middleware(Sessions)
