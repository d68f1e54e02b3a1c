# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: its WebSocket, which looks at the key itself; sessions transcribe what is committed."""

from __future__ import annotations

import asyncio
import base64
import io
import wave
from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, WebSocket, WebSocketDisconnect, WebSocketException
from openai import AsyncOpenAI  # noqa: F401 patched

from speaches.config import Config
from speaches.dependencies import get_config, get_transcription_client_async
from speaches.realtime import message_manager
from speaches.realtime.event_router import EventRouter
from speaches.realtime.input_audio_buffer import SAMPLE_RATE, InputAudioBuffer
from speaches.realtime.pubsub import PubSub

router, event_router = APIRouter(), EventRouter()
HEARD = "conversation.item.input_audio_transcription.completed"


async def verify_websocket_api_key(socket: WebSocket, config: Config) -> None:
    """Refuse who does not hold the one key."""
    if config.api_key and socket.headers.get("x-api-key") != config.api_key.get_secret_value():
        raise WebSocketException(1008, "the key is missing or wrong")


def create_session_object_configuration(*asked: Any) -> SimpleNamespace:
    """What a session is set to: nothing looks for speech, so that the client ends its turns."""
    model, _intent, _language, transcription_model = asked
    return SimpleNamespace(model=transcription_model or model, turn_detection=None, speech_model="", voice="")


def append(ctx: Any, event: Any) -> None:
    """Add sound to the turn, at Whisper's rate."""
    buffer = ctx.input_audio_buffers[next(reversed(ctx.input_audio_buffers))]
    sound = np.frombuffer(base64.b64decode(event.audio), np.int16).astype(np.float32)
    places = np.linspace(0, len(sound), len(sound) * 2 // 3, endpoint=False)
    buffer.data = np.append(buffer.data, np.interp(places, np.arange(len(sound)), sound))


def commit(ctx: Any, _event: Any) -> None:
    """End the turn."""
    name = next(reversed(ctx.input_audio_buffers))
    ctx.input_audio_buffers[f"{name}-"] = InputAudioBuffer(f"{name}-")
    ctx.pubsub.publish_nowait(SimpleNamespace(type="input_audio_buffer.committed", item_id=name))


async def committed(ctx: Any, event: Any) -> None:
    """Ask the server itself what was said."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        out.writeframes(ctx.input_audio_buffers[event.item_id].data_w_vad_applied.astype(np.int16).tobytes())
    said = await ctx.transcription_client.create(
        file=("a.wav", file.getvalue()), model=ctx.session.model, response_format="text"
    )
    ctx.pubsub.publish_nowait({"type": HEARD, "transcript": said})


event_router.event_handlers |= {
    "input_audio_buffer.append": append,
    "input_audio_buffer.commit": commit,
    "input_audio_buffer.clear": lambda ctx, event: None,
    "input_audio_buffer.committed": committed,
}


async def tell(socket: WebSocket, ctx: Any) -> None:
    """What is for the client goes there; what is for us is handled."""
    while True:
        event = await ctx.pubsub.queue.get()
        if isinstance(event, dict):
            await socket.send_json(event)
        else:
            await event_router.dispatch(ctx, event)


@router.websocket("/v1/realtime")
async def realtime(
    socket: WebSocket,
    client: Annotated[Any, Depends(get_transcription_client_async)],
    model: str,
    transcription_model: str | None = None,
) -> None:
    """One session."""
    try:
        await verify_websocket_api_key(socket, get_config())
    except WebSocketException as error:
        await socket.close(error.code, error.reason)
        return
    await socket.accept()
    ctx = SimpleNamespace(
        transcription_client=client,
        vad_model_manager=None,
        session=create_session_object_configuration(model, "transcription", None, transcription_model),
        pubsub=PubSub(),
        input_audio_buffers={"0": InputAudioBuffer("0")},
    )
    telling = asyncio.create_task(tell(socket, ctx))
    try:
        while True:
            event = message_manager.client_event_type_adapter.validate_json(await socket.receive_text())
            ctx.pubsub.publish_nowait(event)
    except WebSocketDisconnect:
        telling.cancel()
