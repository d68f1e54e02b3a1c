# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: the two endpoints that take sound."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Annotated, Any, Literal

import av.error
from fastapi import APIRouter, Depends, Form, HTTPException, Response, UploadFile
from fastapi.responses import JSONResponse, StreamingResponse
from faster_whisper.audio import decode_audio
from faster_whisper.vad import get_speech_timestamps

from speaches.dependencies import get_executor_registry
from speaches.model_aliases import resolve_model_id_alias

router = APIRouter()
RATE = 16000
Format = Literal["text", "json", "verbose_json", "srt", "vtt"]


def sound(file: Annotated[UploadFile, Form()]) -> Any:
    """What was uploaded, decoded, and where somebody speaks in it."""
    try:
        data = decode_audio(file.file, sampling_rate=RATE)
    except av.error.InvalidDataError as error:
        raise HTTPException(415, "no sound that can be decoded") from error
    audio = SimpleNamespace(data=data, duration=len(data) / RATE)
    return SimpleNamespace(audio=audio, speech_segments=get_speech_timestamps(data))


Sound = Annotated[Any, Depends(sound)]


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
    sound: Sound,
    model: Annotated[str, Form()],
    language: Annotated[str | None, Form()] = None,
    response_format: Annotated[Format, Form()] = "json",
    stream: Annotated[bool, Form()] = False,
) -> Response:
    """What was said."""
    name = resolve_model_id_alias(model)
    request = {"model": name, "language": language, "response_format": response_format, "stream": stream}
    manager = get_executor_registry().transcription[0].model_manager
    return respond(manager.handle_transcription_request(SimpleNamespace(**vars(sound), **request)))


@router.post("/v1/audio/translations")
def translate_file(
    sound: Sound, model: Annotated[str, Form()], response_format: Annotated[Format, Form()] = "json"
) -> Response:
    """What was said, in English."""
    request = {"model": resolve_model_id_alias(model), "response_format": response_format}
    manager = get_executor_registry().transcription[0].model_manager
    return respond(manager.handle_translation_request(SimpleNamespace(**vars(sound), **request)))
