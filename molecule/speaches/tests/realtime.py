# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions of the Realtime API with OpenAI's client, run where Speaches runs: `realtime.py CASE URL KEY CLIP`.

Each case prints what it saw as JSON. `chat` is a stand-in for a language model's server, not one.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import websockets
from openai import AsyncOpenAI

RATE = 24000
URL, KEY, CLIP = (*sys.argv[2:5], "", "", "")[:3]
SOCKETS = URL.replace("http", "ws", 1)  # OpenAI's client would take wss
ANSWER = "Ansible installed the speech server. **It is** a good day \N{SLIGHTLY SMILING FACE}."


def sound(silence: float = 2) -> bytes:
    """The clip as sessions want it, between two silences."""
    with wave.open(CLIP) as file:
        said = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(float)
        length = int(len(said) * RATE / file.getframerate())
    said = np.interp(np.linspace(0, len(said), length, endpoint=False), np.arange(len(said)), said)
    return bytes(RATE) + said.astype(np.int16).tobytes() + bytes(2 * int(RATE * silence))


@asynccontextmanager
async def session(model: str = "llama", **query: str) -> AsyncIterator[Any]:
    client = AsyncOpenAI(base_url=URL, websocket_base_url=SOCKETS, api_key=KEY, max_retries=0)
    async with client.beta.realtime.connect(model=model, extra_query=query) as opened:
        yield opened


async def speak(opened: Any, piece: float = 0.1, pause: float = 0.02, silence: float = 2) -> None:
    """Say the clip, in pieces of so many seconds, some faster than it is spoken."""
    said, size = sound(silence), 2 * int(RATE * piece)
    for start in range(0, len(said), size):
        audio = base64.b64encode(said[start : start + size]).decode()
        await opened.send({"type": "input_audio_buffer.append", "audio": audio})
        await asyncio.sleep(pause)


async def until(opened: Any, *last: str, seconds: float = 60) -> list[Any]:
    """The events up to one of these."""
    events = []
    async with asyncio.timeout(seconds):
        async for event in opened:
            events.append(event)
            if event.type in last:
                break
    return events


HEARD = "conversation.item.input_audio_transcription.completed"


def texts(events: list[Any]) -> list[str]:
    return [event.transcript.strip() for event in events if event.type == HEARD]


def errors(events: list[Any]) -> list[str]:
    return [event.error.message for event in events if event.type == "error"]


async def transcription() -> Any:
    async with session("whisper-1", intent="transcription") as opened:
        await speak(opened)
        return texts(await until(opened, HEARD))


async def answer() -> Any:
    """What is heard, what is answered, and how many seconds of it are spoken."""
    async with session() as opened:
        await speak(opened)
        events = await until(opened, "response.done")
    spoken = b"".join(base64.b64decode(event.delta) for event in events if event.type == "response.audio.delta")
    said = "".join(event.delta for event in events if event.type == "response.audio_transcript.delta")
    return texts(events), said, len(spoken) / 2 / RATE, errors(events)


async def two_turns() -> Any:
    """Short pieces, and a second sentence in the same session."""
    async with session("whisper-1", intent="transcription") as opened:
        heard = []
        for _ in range(2):
            await speak(opened, piece=0.02, pause=0.005)
            heard += texts(await until(opened, HEARD))
        return heard


async def all_at_once() -> Any:
    """Two sentences in two events."""
    async with session("whisper-1", intent="transcription") as opened:
        for _ in range(2):
            await speak(opened, piece=60)
        return texts(await until(opened, HEARD)) + texts(await until(opened, HEARD))


async def after_an_error() -> Any:
    """A language model that is not there, then one that is."""
    async with session("missing") as opened:
        await speak(opened)
        first = await until(opened, "error")
        await opened.send({"type": "session.update", "session": {"model": "llama", "modalities": ["text"]}})
        await speak(opened)
        return errors(first), texts(await until(opened, "response.done"))


async def unknown_speech_model() -> Any:
    """A transcription that fails, then one that does not."""
    async with session("whisper-1", intent="transcription", transcription_model="nobody/nothing") as opened:
        await speak(opened)
        first = await until(opened, "error")
        changed = {"input_audio_transcription": {"model": "whisper-1"}}
        await opened.send({"type": "session.update", "session": changed})
        await speak(opened)
        return errors(first), texts(await until(opened, HEARD))


async def nonsense() -> Any:
    """What is no event, or no sound; then a sentence."""
    async with session("whisper-1", intent="transcription") as opened:
        connection = opened._connection
        for sent in ("{", "[]", '{"type": "session.update"}', '{"type": "input_audio_buffer.append", "audio": "%"}'):
            await connection.send(sent)
        events = [await opened.recv() for _ in range(5)]
        await speak(opened)
        return len(errors(events)), texts(await until(opened, HEARD))


async def no_answer_wanted() -> Any:
    """One thing of the turn detection changed: what is said is transcribed and not answered."""
    async with session() as opened:
        changed = {"type": "server_vad", "create_response": False}
        await opened.send({"type": "session.update", "session": {"turn_detection": changed}})
        updated = await until(opened, "session.updated")
        await speak(opened)
        events = await until(opened, HEARD)
        with suppress(TimeoutError):
            events += await until(opened, "response.created", seconds=1)
    detection = updated[-1].session.turn_detection
    return texts(events), [event.type for event in events][-1] == HEARD, errors(updated), detection.silence_duration_ms


async def push_to_talk() -> Any:
    """No turn detection: the client says when the turn is over, and when it wants an answer."""
    async with session() as opened:
        wanted: dict[str, Any] = {"turn_detection": None, "modalities": ["text"]}
        await opened.send({"type": "session.update", "session": wanted})
        await speak(opened, pause=0)
        await opened.input_audio_buffer.commit()
        heard = texts(await until(opened, HEARD))
        await opened.send({"type": "response.create"})
        events = await until(opened, "response.done")
    return heard, "".join(event.text for event in events if event.type == "response.text.done")


async def a_turn_cut_short() -> Any:
    """The client ends a turn before the silence does."""
    async with session("whisper-1", intent="transcription") as opened:
        await speak(opened, silence=0)
        await opened.input_audio_buffer.commit()
        return texts(await until(opened, HEARD))


async def too_many() -> Any:
    """Sessions until one is refused; then one ends, and another finds room."""
    opened: list[Any] = []
    address = f"{SOCKETS}/realtime?model=llama&api_key={KEY}"
    try:
        while len(opened) < 50:
            opened.append(await websockets.connect(address))
    except websockets.InvalidStatus as error:
        refused = error.response.status_code, error.response.headers.get("Retry-After")
    count = len(opened)
    await opened.pop().close()
    await asyncio.sleep(0.5)
    again = await websockets.connect(address)
    for each in (*opened, again):
        await each.close()
    return count, refused


async def while_others(ask: Any) -> Any:
    """A sentence in a session while others ask without end; what they are told."""
    statuses, heard = set(), []

    async def others(http: httpx.AsyncClient) -> None:
        while not heard:
            with suppress(httpx.TransportError):  # closed while the file was still being sent
                statuses.add((await ask(http)).status_code)

    async with session("whisper-1", intent="transcription") as opened, httpx.AsyncClient(timeout=120) as http:
        asking = [asyncio.create_task(others(http)) for _ in range(16)]
        await asyncio.sleep(1)
        await speak(opened, pause=0, silence=0)
        await opened.input_audio_buffer.commit()
        heard += texts(await until(opened, HEARD, "error"))
        await asyncio.gather(*asking)
    return heard, sorted(statuses)


async def in_a_full_queue() -> Any:
    form = {"model": (None, "whisper-1"), "file": ("a.wav", Path(CLIP).read_bytes())}
    key = {"Authorization": f"Bearer {KEY}"}
    return await while_others(lambda http: http.post(f"{URL}/audio/transcriptions", files=form, headers=key))


async def while_wrong_keys_are_tried() -> Any:
    key = {"Authorization": "Bearer wrong"}
    return await while_others(lambda http: http.get(f"{URL}/models", headers=key))


def chat() -> None:
    """A stand-in for a language model's server: one answer, to all models but the missing one."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    async def complete(request: Any) -> Response:
        body = await request.json()
        if request.headers["authorization"] != f"Bearer {KEY}":
            return JSONResponse({"error": {"message": "wrong key"}}, 401)
        if body["model"] == "missing":
            return JSONResponse({"error": {"message": 'model "missing" not found'}}, 404)
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}

        def chunks() -> Any:
            for word in ANSWER.split(" "):
                choice = {"index": 0, "delta": {"content": f"{word} "}, "finish_reason": None}
                yield f"data: {json.dumps(head | {'choices': [choice]})}\n\n"
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            yield f"data: {json.dumps(head | {'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n"

        return StreamingResponse(chunks(), media_type="text/event-stream")

    app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
    uvicorn.run(app, port=int(URL), log_level="warning")


if __name__ == "__main__":
    if sys.argv[1] == "chat":
        chat()
    else:
        print(json.dumps(asyncio.run(globals()[sys.argv[1]]())))
