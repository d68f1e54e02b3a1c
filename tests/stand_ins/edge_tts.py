# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft's Edge TTS in small, and a stand-in: the protocol is Edge's, over a plain WebSocket; nobody speaks.

What it sends are frames of MP3 as Edge sends them, in which nothing sounds, one for each character; for the sentence of
a recording, where one is given, that. As Microsoft does, it refuses a request that comes while another is answered.
POST /behave {"how": …} makes it fail as Microsoft has failed, GET /seen tells what it was asked.

usage: edge_tts.py PORT [CLIP.mp3 SENTENCE]     (with aiohttp; edge_tts_here/ leads the library edge-tts here)
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import unescape

from aiohttp import WSMsgType, web

PLACE = "/consumer/speech/synthesize/readaloud"
FRAME = bytes.fromhex("fff364c4") + bytes(140)
VOICES = {
    **{"pl-PL-ZofiaNeural": "Female", "pl-PL-MarekNeural": "Male", "en-GB-SoniaNeural": "Female"},
    "xx-XX-NewcomerNeural": "Male",  # which no list of ours has
}


class Edge:
    """The service."""

    def __init__(self, clip: bytes, sentence: str) -> None:
        self.clip, self.sentence, self.how = clip, sentence, ""
        self.seen: list[dict[str, str]] = []
        self.answering = self.refused = self.lists = 0

    def token(self, request: web.Request) -> None:
        """Refuse who is not Edge; and, where it has to, who comes from another hour."""
        query = request.query
        form = re.fullmatch(r"([0-9A-F]{16}-)?[0-9A-F]{64}", query.get("Sec-MS-GEC", ""))
        if not form or "muid=" not in request.headers.get("Cookie", ""):
            raise web.HTTPForbidden(headers={"Date": now()})
        if self.how == "forbidden":
            raise web.HTTPForbidden(headers={"Date": now()})
        if self.how == "another hour":
            self.how = ""
            raise web.HTTPForbidden(headers={"Date": now(60)})
        if self.how == "busy":
            raise web.HTTPServiceUnavailable

    async def voices(self, request: web.Request) -> web.Response:
        """The list."""
        self.lists += 1
        self.token(request)
        return web.json_response(
            [
                {"ShortName": name, "Gender": gender, "Locale": name.rpartition("-")[0]}
                for name, gender in VOICES.items()
            ]
        )

    async def speak(self, request: web.Request) -> web.WebSocketResponse:
        """One text, in the messages of Edge."""
        self.token(request)
        if self.answering:
            self.refused += 1
            raise web.HTTPServiceUnavailable
        self.answering += 1
        try:
            return await self._speak(request)
        finally:
            self.answering -= 1

    async def _speak(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        settings, asked = [(await socket.receive_str(timeout=5)) for _ in range(2)]
        assert "Path:speech.config" in settings and "audio-24khz-48kbitrate-mono-mp3" in settings
        assert "Path:ssml" in asked
        found = re.search(r"<voice name='(.*?)'><prosody .*?rate='(.*?)'.*?>(.*)</prosody>", asked, re.S)
        assert found, asked
        voice, rate, text = found[1], found[2], unescape(found[3])
        self.seen.append({"voice": voice, "rate": rate, "text": text})
        if self.how == "silent":
            await socket.receive()  # until the client has had enough
            return socket
        await socket.send_str(message("turn.start", {"context": {}}))
        await socket.send_str(message("response", {"context": {}}))
        if self.how == "odd":
            await socket.send_str(message("weather", {}))
        if self.how != "empty":
            await self._sound(socket, text)
        if self.how == "breaks":
            request.transport.abort()
            return socket
        await socket.send_str(message("turn.end", {}))
        async for received in socket:
            assert received.type is not WSMsgType.TEXT
        return socket

    async def _sound(self, socket: web.WebSocketResponse, text: str) -> None:
        boundary = {"Offset": 1000000, "Duration": 5000000, "text": {"Text": text, "Length": len(text)}}
        metadata = {"Metadata": [{"Type": "SentenceBoundary", "Data": boundary}]}
        await socket.send_str(message("audio.metadata", metadata))
        sound = self.clip if text.strip() == self.sentence else FRAME * len(text)
        for place in range(0, len(sound), 1440):
            await socket.send_bytes(binary("Content-Type:audio/mpeg", sound[place : place + 1440]))
            await asyncio.sleep(0.002)
            if self.how == "slow":
                await asyncio.sleep(0.3)
        await socket.send_bytes(binary("", b""))

    async def behave(self, request: web.Request) -> web.Response:
        """From now on."""
        self.how = (await request.json())["how"]
        return web.Response()

    async def told(self, _request: web.Request) -> web.Response:
        """What came; then it is forgotten."""
        answer: dict[str, Any] = {"texts": self.seen, "refused": self.refused, "lists": self.lists}
        answer["answering"] = self.answering
        self.seen, self.refused, self.lists = [], 0, 0
        return web.json_response(answer)


def now(minutes: int = 0) -> str:
    """A time of HTTP's."""
    return format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)


def message(path: str, body: object) -> str:
    """A message of text."""
    headers = f"X-RequestId:1\r\nContent-Type:application/json; charset=utf-8\r\nPath:{path}"
    return f"{headers}\r\n\r\n{json.dumps(body)}"


def binary(kind: str, data: bytes) -> bytes:
    """A message of sound; the last one has neither a kind nor any."""
    headers = "".join(f"{line}\r\n" for line in ("X-RequestId:1", kind, "Path:audio") if line).encode()
    return len(headers).to_bytes(2, "big") + headers + data


def main(port: str, clip: str = "", sentence: str = "") -> None:
    """Serve."""
    edge = Edge(Path(clip).read_bytes() if clip else b"", sentence)
    app = web.Application()
    app.router.add_get(f"{PLACE}/edge/v1", edge.speak)
    app.router.add_get(f"{PLACE}/voices/list", edge.voices)
    app.router.add_post("/behave", edge.behave)
    app.router.add_get("/seen", edge.told)
    web.run_app(app, host="127.0.0.1", port=int(port), print=None, shutdown_timeout=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
