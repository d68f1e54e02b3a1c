# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a Wyoming server as Home Assistant does: what it has, or the text of a WAV file. Prints JSON.

usage: ask_wyoming.py ADDRESS [FILE [LANGUAGE]]      an address is HOST:PORT, or the port alone on this machine
"""

from __future__ import annotations

import asyncio
import json
import sys
import wave

from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.info import Describe, Info


async def describe(client: AsyncTcpClient) -> dict[str, object]:
    await client.write_event(Describe().event())
    while event := await client.read_event():
        if Info.is_type(event.type):
            info = Info.from_event(event)
            models = [model for program in info.asr for model in program.models]
            return {"models": [model.name for model in models], "languages": models[0].languages}
    raise ConnectionError("the server has closed")


async def transcribe(client: AsyncTcpClient, path: str, language: str | None) -> dict[str, object]:
    await client.write_event(Transcribe(language=language).event())
    with wave.open(path) as source:
        form = {"rate": source.getframerate(), "width": source.getsampwidth(), "channels": source.getnchannels()}
        await client.write_event(AudioStart(**form).event())
        while audio := source.readframes(1024):
            await client.write_event(AudioChunk(**form, audio=audio).event())
    await client.write_event(AudioStop().event())
    while event := await client.read_event():
        if Transcript.is_type(event.type):
            return {"text": Transcript.from_event(event).text}
    raise ConnectionError("the server has closed")


async def main(address: str, path: str = "", language: str = "") -> None:
    host, _, port = address.rpartition(":")
    async with AsyncTcpClient(host or "127.0.0.1", int(port)) as client:
        answer = await (transcribe(client, path, language or None) if path else describe(client))
    print(json.dumps(answer))


asyncio.run(main(*sys.argv[1:]))
