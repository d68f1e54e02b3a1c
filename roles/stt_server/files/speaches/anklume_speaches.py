# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What starts Speaches in place of speaches.main:create_app, and mends what its pinned version gets wrong.

Each patch is a function of its own, applied by create_app(), and belongs to the pinned commit: a test of the same name
shows that Speaches needs it. Settings come from the environment, as Speaches' own do.
"""

from __future__ import annotations

import gc
import inspect
import logging
import os
import threading
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import anklume_stt_server  # noqa: F401 it silences onnxruntime, and so comes first
import speaches.main
from anklume_stt_server.audio import RATE, check_decoding, decode, from_raw
from anklume_stt_server.errors import ApiError
from anklume_stt_server.times import within
from fastapi import Form, UploadFile
from faster_whisper import BatchedInferencePipeline
from openai.types.audio import TranscriptionTextDoneEvent
from speaches.audio import Audio
from speaches.dependencies import audio_file_dependency, get_executor_registry
from speaches.executors import whisper
from speaches.executors.whisper import WhisperModelManager
from speaches.model_aliases import resolve_model_id_alias
from speaches.routers import stt
from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)


def setting(name: str, default: str = "") -> str:
    """One of our own settings."""
    return os.environ.get(f"ANKLUME_{name}", default)


def decoder(app: FastAPI) -> None:
    """Have uploads decoded by our decoder: in Speaches' own a file can end the service, or take its memory."""
    longest = float(setting("MAX_AUDIO_SECONDS", "inf"))

    def audio(file: Annotated[UploadFile, Form()]) -> Audio:
        raw = file.content_type in ("audio/pcm", "audio/raw")
        samples = (from_raw if raw else decode)(file.file, longest)
        return Audio(samples, sample_rate=RATE, name=Path(file.filename).stem if file.filename else None)

    check_decoding()
    app.dependency_overrides[audio_file_dependency] = audio
    app.add_exception_handler(ApiError, lambda _request, error: error.response())


def default_model_and_language() -> None:
    """Let requests leave out the model and the language: Speaches has no defaults for them."""
    defaults = {"model": resolve_model_id_alias("whisper-1"), "language": setting("LANGUAGE") or None}
    for endpoint in (stt.transcribe_file, stt.translate_file):
        signature = inspect.signature(endpoint)
        parameters = [
            parameter.replace(default=defaults[name], kind=inspect.Parameter.KEYWORD_ONLY)
            if name in defaults
            else parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name, parameter in signature.parameters.items()
        ]
        endpoint.__signature__ = signature.replace(parameters=parameters)


def batch_beam_and_times() -> None:
    """Give the model our batch and beam size, which Speaches leaves to faster-whisper, and keep times in the sound."""
    sizes = {"batch_size": int(setting("BATCH_SIZE", "8")), "beam_size": int(setting("BEAM_SIZE", "5"))}

    class Pipeline(BatchedInferencePipeline):
        def transcribe(self, *arguments: Any, **options: Any) -> Any:
            segments, info = super().transcribe(*arguments, **(sizes | options))
            return (within(segment, info.duration) for segment in segments), info

    whisper.BatchedInferencePipeline = Pipeline


def _of_silence(request: Any) -> Any:
    """The answer to sound in which nobody speaks."""
    language = getattr(request, "language", None) or setting("LANGUAGE") or "en"
    options = SimpleNamespace(word_timestamps="word" in getattr(request, "timestamp_granularities", []))
    info = SimpleNamespace(language=language, duration=request.audio.duration, transcription_options=options)
    if getattr(request, "stream", False):
        return iter([TranscriptionTextDoneEvent(text="", type="transcript.text.done")])
    if request.response_format == "vtt":
        return "WEBVTT\n\n", "text/vtt"
    transcribed = hasattr(request, "language")
    respond = whisper.segments_to_transcription_response if transcribed else whisper.segments_to_translation_response
    return respond([], info, response_format=request.response_format)


def silence() -> None:
    """Answer silence with an empty text, where Speaches invents one or fails."""

    def quiet(handle: Callable[..., Any]) -> Callable[..., Any]:
        def answer(self: WhisperModelManager, request: Any, **options: Any) -> Any:
            return handle(self, request, **options) if request.speech_segments else _of_silence(request)

        return answer

    for name in ("handle_transcription_request", "handle_translation_request"):
        setattr(WhisperModelManager, name, quiet(getattr(WhisperModelManager, name)))


def stop_timers() -> None:
    """Forget when models expire: a timer that still runs keeps a stopping service alive for the model's TTL."""
    for executor in get_executor_registry().all_executors():
        for model in list(executor.model_manager.loaded_models.values()):
            model.ttl = -1
            if model.expire_timer:
                model.expire_timer.cancel()


def load_resident(names: list[str]) -> None:
    """Load models and keep them: PRELOAD_MODELS of Speaches only downloads, and needs the hub at every start."""
    manager = get_executor_registry().transcription[0].model_manager
    for name in names:
        try:
            model = manager.load_model(resolve_model_id_alias(name))
            with model:
                model.ttl = -1
            logger.info("model %s is loaded and stays", name)
        except Exception:  # what is wrong with the model is shown to the first who asks for it, too
            logger.exception("model %s cannot be loaded", name)


def start_and_stop(app: FastAPI) -> None:
    """Load the resident models while the service already answers, and let nothing delay its end."""
    inner = app.router.lifespan_context
    resident = [name for name in setting("RESIDENT_MODELS").split(",") if name]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with inner(app) as state:
            threading.Thread(target=load_resident, args=(resident,), name="resident models", daemon=True).start()
            yield state
        stop_timers()

    app.router.lifespan_context = lifespan


class UploadLimit:
    """Refuses uploads that are too large as soon as that is known: Speaches has no limit."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count."""
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise HTTPException(413, f"the upload is larger than {self.max_bytes // 2**20} MiB, the server's limit")
            return message

        await self.app(scope, counted if scope["type"] == "http" else receive, send)


def create_app() -> FastAPI:
    """Speaches, mended."""
    default_model_and_language()
    batch_beam_and_times()
    silence()
    app = speaches.main.create_app()
    decoder(app)
    app.add_middleware(UploadLimit, max_bytes=int(setting("MAX_UPLOAD_BYTES", str(2**63))))
    start_and_stop(app)
    # faster-whisper collects garbage at every request, and would walk the heap of all imported libraries each time
    gc.collect()
    gc.freeze()
    return app
