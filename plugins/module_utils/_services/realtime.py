# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recording spoken into a session of OpenAI's Realtime API (its beta protocol), over a WebSocket of our own.

The upper half computes, the lower half talks. Whatever goes wrong is a :class:`ServiceError` that says which thing is
wrong.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import ssl
import struct
import time
import urllib.parse
import wave
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._base.http import address_parts

RATE = 24_000
"""Samples of a second, as the Realtime API wants them."""
PIECE_SECONDS = 0.1
SILENCE_SECONDS = 3
_CONNECT_SECONDS = 10.0
_LONGEST = 16 * 1024 * 1024
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_HEARD = "conversation.item.input_audio_transcription.completed"


# --- sound and frames --------------------------------------------------------------------------


def samples_of(path: Path) -> bytes:
    """A WAV file's sound at 24 kHz between silences, in the second of which the server finds the sentence's end."""
    try:
        with wave.open(str(path), "rb") as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            said = file.readframes(file.getnframes())
    except OSError as error:
        raise ServiceError(f"{path}: {error.strerror or error}: no audio file to send") from error
    except (wave.Error, EOFError) as error:
        raise ServiceError(f"{path} is no WAV file with plain samples ({error})") from error
    if (channels, width) != (1, 2):
        raise ServiceError(f"{path} has {channels} channels of {8 * width} bits: a recording of one with 16 is needed")
    samples = array("h", said)
    count = len(samples) * RATE // rate
    resampled = array("h", (_between(samples, at * rate / RATE) for at in range(count)))
    return bytes(RATE) + resampled.tobytes() + bytes(2 * RATE * SILENCE_SECONDS)


def _between(samples: array[int], at: float) -> int:
    whole, part = int(at), at % 1
    following = samples[min(whole + 1, len(samples) - 1)]
    return round(samples[whole] * (1 - part) + following * part)


def frame(kind: int, payload: bytes, mask: bytes) -> bytes:
    """A frame as a client sends it: whole, and masked."""
    size = len(payload)
    if size < 126:
        length = struct.pack("!B", 0x80 | size)
    elif size < 65536:
        length = struct.pack("!BH", 0x80 | 126, size)
    else:
        length = struct.pack("!BQ", 0x80 | 127, size)
    repeated = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return bytes([0x80 | kind]) + length + mask + masked.to_bytes(size, "big")


def read_frame(stream: BinaryIO) -> tuple[int, bytes]:
    """The next frame of a server, as kind and payload; what comes in several frames is put together."""
    kind, whole, last = 0, b"", False
    while not last:
        first, size = _exactly(stream, 2)
        if size == 126:
            (size,) = struct.unpack("!H", _exactly(stream, 2))
        elif size == 127:
            (size,) = struct.unpack("!Q", _exactly(stream, 8))
        if len(whole) + size > _LONGEST:
            raise ServiceError("what answers sends more than a session may hold: is the address right")
        kind, whole, last = kind or first & 15, whole + _exactly(stream, size), bool(first & 0x80)
    return kind, whole


def _exactly(stream: BinaryIO, count: int) -> bytes:
    read = stream.read(count)
    if len(read) < count:
        raise ConnectionResetError("in the middle of a message")
    return read


def _said(event: Mapping[str, Any]) -> str:
    error = event.get("error")
    return str(error.get("message") if isinstance(error, dict) else error or "it names no reason")


# --- the session -------------------------------------------------------------------------------


class RealtimeClient:
    """A server by its base URL (``http://host:8000/v1``); each recording has a session of its own."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str = "",
        timeout: float = 60.0,
        ca_path: str = "",
        validate_certs: bool = True,
    ) -> None:
        self._parts, self._key, self._timeout = address_parts(base_url), api_key, timeout
        self._ca_path, self._validate = ca_path, validate_certs
        self._where = f"{base_url}/realtime"

    def transcribe(self, path: Path, *, model: str, language: str = "") -> tuple[str, float]:
        """The text of a WAV file, which is sent as somebody would speak it, and how long it took once all was sent."""
        sound = samples_of(path)
        query = {"model": model, "intent": "transcription"} | ({"language": language} if language else {})
        try:
            with self._connected(query) as (connection, answers):
                for start in range(0, len(sound), step := 2 * int(RATE * PIECE_SECONDS)):
                    audio = base64.b64encode(sound[start : start + step]).decode()
                    self._send(connection, {"type": "input_audio_buffer.append", "audio": audio})
                    time.sleep(PIECE_SECONDS)
                sent = time.monotonic()
                return self._heard(connection, answers), time.monotonic() - sent
        except ServiceError as error:
            raise ServiceError(f"{self._where}: {error}") from error
        except TimeoutError as error:
            raise ServiceError(f"{self._where}: no answer within {self._timeout:g} s") from error
        except OSError as error:
            raise ServiceError(f"{self._where}: the session was cut off ({error.strerror or error})") from error

    def _heard(self, connection: socket.socket, answers: BinaryIO) -> str:
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline:
            kind, payload = read_frame(answers)
            if kind == _PING:
                connection.sendall(frame(_PONG, payload, os.urandom(4)))
            elif kind == _CLOSE:
                raise ServiceError(
                    f"the server ended the session: {payload[2:].decode(errors='replace') or 'no reason'}"
                )
            elif kind == _TEXT:
                event = self._event(payload)
                if event.get("type") == _HEARD:
                    return str(event.get("transcript") or "").strip()
                if event.get("type") == "error":
                    raise ServiceError(_said(event))
        raise TimeoutError

    def _event(self, payload: bytes) -> Mapping[str, Any]:
        try:
            event = json.loads(payload)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            raise ServiceError("what answers does not speak the Realtime API")
        return event

    def _send(self, connection: socket.socket, event: Mapping[str, Any]) -> None:
        connection.sendall(frame(_TEXT, json.dumps(event).encode(), os.urandom(4)))

    @contextlib.contextmanager
    def _connected(self, query: Mapping[str, str]) -> Iterator[tuple[socket.socket, BinaryIO]]:
        host, secure = self._parts.hostname or "", self._parts.scheme == "https"
        port = self._parts.port or (443 if secure else 80)
        try:
            connection = socket.create_connection((host, port), timeout=_CONNECT_SECONDS)
        except ConnectionRefusedError as error:
            raise ServiceError("connection refused: is the service running, is the port right") from error
        except OSError as error:
            raise ServiceError(f"no connection: {error.strerror or error}") from error
        with connection:
            connection.settimeout(self._timeout)
            speaking = self._secured(connection, host) if secure else connection
            with speaking, speaking.makefile("rb") as answers:
                speaking.sendall(self._asked(query))
                self._accepted(answers)
                yield speaking, answers

    def _secured(self, connection: socket.socket, host: str) -> ssl.SSLSocket:
        try:
            context = ssl.create_default_context(cafile=self._ca_path or None)
            if not self._validate:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            return context.wrap_socket(connection, server_hostname=host)
        except ssl.SSLError as error:
            raise ServiceError(f"no TLS connection: {error.reason or error}") from error

    def _asked(self, query: Mapping[str, str]) -> bytes:
        path = f"{self._parts.path}/realtime?{urllib.parse.urlencode(query)}"
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {self._parts.netloc}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "OpenAI-Beta: realtime=v1",
            *([f"Authorization: Bearer {self._key}"] if self._key else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode()

    def _accepted(self, answers: BinaryIO) -> None:
        """Read the answer to the upgrade, and say what one that is none means."""
        status = answers.readline(4096).split(b" ", 2)
        while answers.readline(4096).strip():
            pass
        number = status[1].decode(errors="replace") if len(status) > 1 else "nothing"
        if number == "101":
            return
        reasons = {
            "401": "the server refuses this API key" if self._key else "the server wants an API key",
            "403": "the server refuses this API key" if self._key else "the server wants an API key",
            "404": "this server has no Realtime API: the engine speaches has it",
            "503": "as many sessions are open as the server allows",
        }
        raise ServiceError(f"HTTP {number}: {reasons.get(number, 'no session was opened')}")
