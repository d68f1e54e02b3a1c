# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Wyoming protocol as Home Assistant speaks it: what a server has, and the text of a recording.

An event is a line of JSON, then its data as JSON, then its payload; the line says how long these two are. The upper
half computes, the lower half talks. Whatever goes wrong is a :class:`ServiceError` that says which thing is wrong.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
import wave
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError

_CONNECT_SECONDS = 10.0
_LONGEST_LINE = 64 * 1024
_LONGEST_PART = 4 * 1024 * 1024
_SAMPLES = 1024
"""Samples of a chunk, as Home Assistant's satellites send them."""


@dataclass(frozen=True)
class Event:
    """One message of the protocol."""

    type: str
    data: Mapping[str, Any] = field(default_factory=dict)
    payload: bytes = b""

    def encoded(self) -> bytes:
        """The event as it goes over the wire."""
        data = json.dumps(self.data).encode() if self.data else b""
        head = {"type": self.type, "data_length": len(data), "payload_length": len(self.payload)}
        return json.dumps(head).encode() + b"\n" + data + self.payload


def read_event(stream: BinaryIO) -> Event | None:
    """The next event of a stream; none at its end."""
    line = stream.readline(_LONGEST_LINE)
    if not line:
        return None
    try:
        head = json.loads(line)
        data = dict(head.get("data") or {})
        rest = _part(stream, head.get("data_length"))
        data |= json.loads(rest) if rest else {}
        return Event(str(head["type"]), data, _part(stream, head.get("payload_length")))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ServiceError("what answers does not speak Wyoming: is the port right") from error


def _part(stream: BinaryIO, length: int | None) -> bytes:
    if not length:
        return b""
    if length > _LONGEST_PART:
        raise ValueError(length)
    part = stream.read(length)
    if len(part) < length:
        raise ConnectionResetError("in the middle of an event")
    return part


def spoken(path: Path, language: str = "", model: str = "") -> Iterator[Event]:
    """The events that ask for the text of a WAV file."""
    try:
        with wave.open(str(path), "rb") as file:
            form = {"rate": file.getframerate(), "width": file.getsampwidth(), "channels": file.getnchannels()}
            asked = {"language": language, "name": model}
            yield Event("transcribe", {name: value for name, value in asked.items() if value})
            yield Event("audio-start", form)
            while samples := file.readframes(_SAMPLES):
                yield Event("audio-chunk", form, samples)
            yield Event("audio-stop")
    except OSError as error:
        raise ServiceError(f"{path}: {error.strerror or error}: no audio file to send") from error
    except (wave.Error, EOFError) as error:
        raise ServiceError(
            f"{path} is no WAV file with plain samples ({error}): Wyoming carries nothing else"
        ) from error


@dataclass(frozen=True)
class Offer:
    """What a server can transcribe with: models, and the languages of at least one of them."""

    models: tuple[str, ...]
    languages: tuple[str, ...]


def offer(info: Mapping[str, Any]) -> Offer:
    """The data of an event `info` → what speech to text it tells of."""
    programs = [program for program in info.get("asr") or [] if isinstance(program, dict)]
    models = [model for program in programs for model in program.get("models") or [] if isinstance(model, dict)]
    languages = {str(language) for model in models for language in model.get("languages") or []}
    return Offer(tuple(str(model.get("name", "")) for model in models), tuple(sorted(languages)))


class WyomingClient:
    """A Wyoming server by host and port; each question has a connection of its own."""

    def __init__(self, host: str, port: int, *, timeout: float = 120.0) -> None:
        self._host, self._port, self._timeout = host, port, timeout
        self._where = f"{host} port {port}"

    def describe(self, wait: float = 0.0) -> Offer:
        """What the server offers; one that does not answer is asked again for some seconds."""
        deadline = time.monotonic() + wait
        while True:
            try:
                return offer(self._ask([Event("describe")], "info").data)
            except ServiceError as error:
                if (left := deadline - time.monotonic()) <= 0:
                    raise ServiceError(f"{error} (waited {wait:g} s)" if wait else str(error)) from error
            time.sleep(min(1.0, left))

    def transcribe(self, path: Path, *, language: str = "", model: str = "") -> str:
        """The text of a WAV file."""
        events = list(spoken(path, language, model))  # a file that is none is told before anybody is asked
        return str(self._ask(events, "transcript").data.get("text") or "").strip()

    def _ask(self, events: Iterable[Event], wanted: str) -> Event:
        """Send events and wait for the answer; others before it (the beginning of a transcript) are passed over."""
        try:
            with self._connected() as connection, connection.makefile("rb") as answers:
                # a server that refuses may close before it has read all, and its reason is still to be read
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    for event in events:
                        connection.sendall(event.encoded())
                while answer := read_event(answers):
                    if answer.type == wanted:
                        return answer
                    if answer.type == "error":
                        raise ServiceError(str(answer.data.get("text") or "it names no reason"))
        except ServiceError as error:
            raise ServiceError(f"{self._where}: {error}") from error
        except TimeoutError as error:
            raise ServiceError(f"{self._where}: no answer within {self._timeout:g} s") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise ServiceError(f"{self._where}: the connection was cut off ({reason})") from error
        raise ServiceError(f"{self._where}: the connection was closed without an answer")

    def _connected(self) -> socket.socket:
        try:
            connection = socket.create_connection((self._host, self._port), timeout=_CONNECT_SECONDS)
        except ConnectionRefusedError as error:
            raise ServiceError("connection refused: is the service running, is the port right") from error
        except OSError as error:
            raise ServiceError(f"no connection: {error.strerror or error}") from error
        connection.settimeout(self._timeout)
        return connection
