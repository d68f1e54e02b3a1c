# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech out of Speaches: its voices, behind an endpoint of ours.

The endpoint of the pinned Speaches starts to answer before it looks at what is asked for, and no patch of a part mends
that: opus has no bytes, a bad speed breaks the connection, a WAV says that it has four gigabytes, and who leaves is
spoken to until the end. Ours checks first, speaks in one thread, piece by piece, and encodes with PyAV.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import threading
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

import av
import numpy as np
from anklume_speech_text import pieces, spoken
from anklume_stt_server.errors import ApiError
from anklume_stt_server.guards import Queue
from speaches.dependencies import get_executor_registry
from speaches.executors.shared.handler_protocol import SpeechRequest
from speaches.model_aliases import resolve_model_id_alias
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

logger = logging.getLogger(__name__)
PATH = "/v1/audio/speech"
LISTS = ("/v1/audio/voices", "/v1/audio/models")
OPENAI_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
OPENAI_VOICES = (
    *("alloy", "ash", "ballad", "cedar", "coral", "echo", "fable"),
    *("marin", "nova", "onyx", "sage", "shimmer", "verse"),
)
NICENESS = 10  # a core that both want goes to what is heard, nine parts of ten
SEND_SECONDS = 60  # a client that takes nothing for so long has left
SILENCE = np.zeros(4800, np.float32)  # what is left of a text of emoji alone


class Form(NamedTuple):
    """A form of sound: its MIME type, FFmpeg's container and codec, its rate where the voice's does not do."""

    mime: str
    container: str = ""
    codec: str = ""
    rate: int | None = None


FORMS = {
    "mp3": Form("audio/mpeg", "mp3", "libmp3lame"),
    "opus": Form("audio/opus", "opus", "libopus", 24000),
    "aac": Form("audio/aac", "adts", "aac"),
    "flac": Form("audio/flac", "flac", "flac"),
    "wav": Form("audio/wav"),
    "pcm": Form("audio/pcm", rate=24000),  # as OpenAI's: nothing in it says a rate
}


def setting(name: str, default: str = "") -> str:
    """One of our own settings."""
    return os.environ.get(f"ANKLUME_{name}", default)


def is_on() -> bool:
    """Whether the server is to speak."""
    return bool(setting("SPEECH_MODEL"))


# --- what is asked for -------------------------------------------------------------------------


class Model(NamedTuple):
    """A model that speaks, with its voices, the usual one first, and the speeds that it has."""

    executor: Any
    voices: tuple[str, ...]
    slowest: float
    fastest: float


@dataclass(frozen=True)
class Asked:
    """A text to speak, and how."""

    manager: Any
    model: str
    voice: str
    pieces: list[str]
    form: str = "mp3"
    speed: float = 1.0
    events: bool = False
    rate: int | None = None


def speaking() -> dict[str, Model]:
    """The models here that speak, by their ids."""
    found = {}
    for executor in get_executor_registry().text_to_speech:
        slowest, fastest = (0.5, 2.0) if executor.name == "kokoro" else (0.25, 4.0)
        for model in executor.model_registry.list_local_models():
            found[model.id] = Model(executor, tuple(voice.name for voice in model.voices), slowest, fastest)
    return found


def check(body: bytes) -> Asked:
    """What a client asks for; an error that says what is wrong with it, before anything is spoken."""
    try:
        fields = json.loads(body)
    except ValueError:
        raise ApiError(400, "the body of the request is no JSON") from None
    if not isinstance(fields, dict):
        raise ApiError(400, "the body of the request is no JSON object")
    text = _text(fields.get("input"))
    form = _one_of(fields, "response_format", tuple(FORMS), "mp3")
    stream = _one_of(fields, "stream_format", ("audio", "sse"), "audio")
    name, model, voice = _chosen(speaking(), fields.get("model"), fields.get("voice"))
    speed = _number(fields, "speed", model.slowest, model.fastest) or 1.0
    rate = _number(fields, "sample_rate", 8000, 48000)
    if rate and FORMS[form].codec and rate not in (av.codec.Codec(FORMS[form].codec, "w").audio_rates or [rate]):
        raise ApiError(400, f"{form} has no sample_rate of {rate:g}", "sample_rate")
    said = pieces(spoken(text))
    return Asked(model.executor.model_manager, name, voice, said, form, speed, stream == "sse", rate and int(rate))


def _text(text: object) -> str:
    longest = int(setting("SPEECH_MAX_CHARS", "4096"))
    if not isinstance(text, str) or not text.strip():
        raise ApiError(400, "input is empty: there is nothing to speak", "input")
    if len(text) > longest:
        raise ApiError(400, f"input has {len(text)} characters, and at most {longest} are spoken at once", "input")
    return text


def _one_of(fields: dict[str, Any], name: str, known: tuple[str, ...], default: str) -> str:
    value = fields.get(name) or default
    if value not in known:
        raise ApiError(400, f"{name} is one of {', '.join(known)}", name)
    return str(value)


def _number(fields: dict[str, Any], name: str, least: float, most: float) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ApiError(400, f"{name} is a number from {least:g} to {most:g}", name)
    return float(value)


def _chosen(there: dict[str, Model], asked: object, voice: object) -> tuple[str, Model, str]:
    """A model and one of its voices: those of the settings, where the client leaves them open or names OpenAI's."""
    if isinstance(voice, dict):  # the newer form of OpenAI's
        voice = voice.get("id")
    if not isinstance(asked or "", str) or not isinstance(voice or "", str):
        raise ApiError(400, "model and voice are names", "model")
    name = resolve_model_id_alias(str(asked)) if asked else setting("SPEECH_MODEL")
    if name not in there:
        known = ", ".join(there) or "none is installed: see stt_server_tts_models"
        raise ApiError(
            404, f"the model {name!r} does not speak here; those that do: {known}", "model", "model_not_found"
        )
    if voice in there[name].voices:
        return name, there[name], str(voice)
    if not voice or voice in OPENAI_VOICES:
        usual = setting("SPEECH_VOICE")
        return name, there[name], usual if usual in there[name].voices else there[name].voices[0]
    if not asked or asked in OPENAI_MODELS:  # who chooses a voice alone means its model
        for other, model in there.items():
            if voice in model.voices:
                return other, model, str(voice)
    raise ApiError(400, f"no voice {voice!r}; this model has {', '.join(there[name].voices)}", "voice")


# --- sound -------------------------------------------------------------------------------------


class Pipe:
    """What FFmpeg writes, for whoever takes it."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: bytes) -> int:
        """Keep it."""
        self.written += data
        return len(data)

    def take(self) -> bytes:
        """What has come since."""
        taken, self.written = bytes(self.written), bytearray()
        return taken


class Encoder:
    """Samples in, bytes of a form of sound out, at once; a WAV comes whole, for its header says how long it is."""

    def __init__(self, form: str, source: int, rate: int | None) -> None:
        self.form, self.source, self.rate = FORMS[form], source, rate or FORMS[form].rate or source
        self.wav = form == "wav"
        self.pipe, self.place = Pipe(), 0
        self.container = self.stream = None
        if self.form.codec:
            options = {"flush_packets": "1"} | ({"page_duration": "200000"} if form == "opus" else {})
            self.container = av.open(self.pipe, "w", format=self.form.container, options=options)
            self.stream = self.container.add_stream(self.form.codec, rate=self.rate)
            self.stream.layout = "mono"
        else:
            self.resampler = av.AudioResampler("s16", "mono", self.rate)

    def _frame(self, samples: Any) -> av.AudioFrame:
        whole = (np.clip(samples, -1, 1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(whole.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = self.source, self.place
        self.place += len(whole)
        return frame

    def _put(self, frame: av.AudioFrame | None) -> None:
        if self.container:
            self.container.mux(self.stream.encode(frame))
        else:
            for each in self.resampler.resample(frame):
                self.pipe.write(each.to_ndarray().tobytes())

    def encode(self, samples: Any) -> bytes:
        """Some sound."""
        self._put(self._frame(samples))
        return b"" if self.wav else self.pipe.take()

    def end(self) -> bytes:
        """What was still in it."""
        self._put(None)
        if self.container:
            self.container.close()
        return _wav(self.pipe.take(), self.rate) if self.wav else self.pipe.take()


def _wav(samples: bytes, rate: int) -> bytes:
    whole = BytesIO()
    with wave.open(whole, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples)
    return whole.getvalue()


def sound(asked: Asked) -> Iterator[bytes]:
    """The bytes of a spoken text; an empty one is a step that brought none."""
    encoder = None
    for piece in asked.pieces:
        request = SpeechRequest(model=asked.model, voice=asked.voice, text=piece, speed=asked.speed)
        for audio in asked.manager.handle_speech_request(request):
            encoder = encoder or Encoder(asked.form, audio.sample_rate, asked.rate)
            yield encoder.encode(audio.data)
    if encoder is None:
        encoder = Encoder(asked.form, 24000, asked.rate)
        yield encoder.encode(SILENCE)
    yield encoder.end()


# --- speaking ----------------------------------------------------------------------------------


def _behind() -> None:
    """Take the place behind what is heard: this thread, and those that a model starts when it is loaded in it."""
    with suppress(OSError):  # a unit of one's own may not allow it
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


speaker = ThreadPoolExecutor(1, "speech", _behind)
"""The one thread that speaks: clients take turns in it, a piece each, so that the first words of all come soon."""


def load(name: str, manager: Any) -> None:
    """Have a model loaded, and keep it."""

    def keep() -> None:
        model = manager.load_model(name)
        with model:
            model.ttl = -1

    speaker.submit(keep).result()


@dataclass
class Spoken:
    """The answer: it begins when there is sound, and ends when the client leaves."""

    asked: Asked
    queue: Queue
    begun: bool = field(default=False, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak, step by step."""
        steps, loop = sound(self.asked), asyncio.get_running_loop()
        gone = asyncio.create_task(_left(receive))
        try:
            with self.queue.place():
                while True:
                    step = loop.run_in_executor(speaker, next, steps, None)
                    await asyncio.wait({step, gone}, return_when=asyncio.FIRST_COMPLETED)
                    if gone.done():
                        logger.info("the client left, and is spoken to no more")
                        return
                    data = step.result()
                    if data is None:
                        break
                    if data:
                        await self._send(send, data)
            if self.asked.events:
                usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
                await self._piece(send, _event({"type": "speech.audio.done", "usage": usage}))
            await self._piece(send, b"", more=False)
        finally:
            gone.cancel()
            loop.run_in_executor(speaker, steps.close)

    async def _send(self, send: Send, data: bytes) -> None:
        if not self.begun:
            mime = "text/event-stream" if self.asked.events else FORMS[self.asked.form].mime
            headers = [(b"content-type", mime.encode()), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            self.begun = True
        if self.asked.events:
            data = _event({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})
        await self._piece(send, data)

    async def _piece(self, send: Send, data: bytes, *, more: bool = True) -> None:
        async with asyncio.timeout(SEND_SECONDS):
            await send({"type": "http.response.body", "body": data, "more_body": more})


def _event(fields: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(fields)}\n\n".encode()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def endpoint(app: FastAPI, check_key: Callable[[Request], Awaitable[None]]) -> None:
    """Put our endpoint before that of Speaches, which its page still describes."""
    queue = Queue(1, int(setting("QUEUE", "16")))
    most = 65536 + 12 * int(setting("SPEECH_MAX_CHARS", "4096"))  # a character may be written as twelve

    async def speech(request: Request) -> Spoken:
        await check_key(request)
        queue.check()
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > most:
                raise ApiError(413, f"the request is larger than {most} bytes", "input", "request_too_large")
        return Spoken(await run_in_threadpool(check, bytes(body)), queue)

    app.router.routes.insert(0, Route(PATH, speech, methods=["POST"]))
