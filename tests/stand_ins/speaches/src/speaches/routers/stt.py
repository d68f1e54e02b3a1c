# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: the two endpoints that take sound."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Response
from fastapi.responses import JSONResponse, StreamingResponse
from faster_whisper.vad import get_speech_timestamps

from speaches.audio import Audio
from speaches.dependencies import AudioFileDependency, get_executor_registry
from speaches.model_aliases import resolve_model_id_alias

router = APIRouter()
Format = Literal["text", "json", "verbose_json", "srt", "vtt"]


def _heard(audio: Audio, request: dict[str, Any]) -> SimpleNamespace:
    """A request, with where somebody speaks in the sound."""
    return SimpleNamespace(audio=audio, speech_segments=get_speech_timestamps(audio.data), **request)


def respond(answer: Any) -> Response:
    """An answer of the decoder as one of HTTP."""
    if isinstance(answer, tuple):
        return Response(answer[0], media_type=answer[1])
    if isinstance(answer, dict):
        return JSONResponse(answer)
    if hasattr(answer, "model_dump"):
        return JSONResponse(answer.model_dump())
    events = (f"data: {event.model_dump_json()}\n\n" for event in answer)
    return StreamingResponse(events, media_type="text/event-stream")


@router.post("/v1/audio/transcriptions")
def transcribe_file(
    audio: AudioFileDependency,
    model: Annotated[str, Form()],
    language: Annotated[str | None, Form()] = None,
    response_format: Annotated[Format, Form()] = "json",
    stream: Annotated[bool, Form()] = False,
    *,
    without_timestamps: Annotated[bool, Form()] = True,
) -> Response:
    """What was said."""
    name = resolve_model_id_alias(model)
    request = {"model": name, "language": language, "response_format": response_format, "stream": stream}
    request["without_timestamps"] = without_timestamps
    manager = get_executor_registry().transcription[0].model_manager
    return respond(manager.handle_transcription_request(_heard(audio, request)))


@router.post("/v1/audio/translations")
def translate_file(
    audio: AudioFileDependency, model: Annotated[str, Form()], response_format: Annotated[Format, Form()] = "json"
) -> Response:
    """What was said, in English."""
    request = {"model": resolve_model_id_alias(model), "response_format": response_format}
    manager = get_executor_registry().transcription[0].model_manager
    return respond(manager.handle_translation_request(_heard(audio, request)))
