# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: the endpoint that speaks."""

from __future__ import annotations

from typing import Annotated, Literal

import huggingface_hub
from fastapi import APIRouter, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator, BaseModel

from speaches.audio import stream_audio_as_formatted_bytes
from speaches.dependencies import get_executor_registry
from speaches.executors.shared.handler_protocol import SpeechRequest
from speaches.model_aliases import resolve_model_id_alias

router = APIRouter()
KINDS = {"mp3": "audio/mpeg"}


class CreateSpeechRequestBody(BaseModel):
    """What a client sends; model and voice are not left out."""

    model: Annotated[str, AfterValidator(resolve_model_id_alias)]
    input: str
    voice: str
    response_format: Literal["pcm", "mp3", "wav", "flac", "opus", "aac"] = "mp3"
    speed: float = 1.0
    stream_format: Literal["audio", "sse"] = "audio"
    sample_rate: int | None = None


@router.post("/v1/audio/speech")
def synthesize(body: CreateSpeechRequestBody) -> StreamingResponse:
    """A text, spoken; the answer has begun before anything is."""
    if body.model not in [repo.repo_id for repo in huggingface_hub.scan_cache_dir().repos]:
        raise HTTPException(404, f"Model '{body.model}' is not installed locally.")
    manager = get_executor_registry().text_to_speech[0].model_manager
    request = SpeechRequest(model=body.model, voice=body.voice, text=body.input, speed=body.speed)
    spoken = manager.handle_speech_request(request)
    if body.stream_format == "sse":
        events = (f'data: {{"type": "speech.audio.delta", "audio": "{audio.to_base64()}"}}\n\n' for audio in spoken)
        return StreamingResponse(events, media_type="text/event-stream")
    sound = stream_audio_as_formatted_bytes(spoken, body.response_format, body.sample_rate)
    return StreamingResponse(sound, media_type=KINDS.get(body.response_format, f"audio/{body.response_format}"))
