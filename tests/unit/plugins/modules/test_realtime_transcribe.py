# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that speaks in a Realtime session: run as Ansible runs it, against a WebSocket server on loopback."""

from __future__ import annotations

import base64
import hashlib
import json
import socketserver
import threading
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.anklume.stt.plugins.module_utils._services import realtime
from ansible_collections.anklume.stt.plugins.modules import realtime_transcribe
from module_runner import run_module

FOX = Path(__file__).resolve().parents[3] / "data" / "clips" / "en-fox.wav"
SENTENCE = "The quick brown fox jumps over the lazy dog."
HEARD = {"type": "conversation.item.input_audio_transcription.completed", "transcript": f" {SENTENCE}\n"}
UPGRADE = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Handler(socketserver.StreamRequestHandler):
    """A stand-in for the Realtime API: hears the same sentence once three seconds of silence came."""

    def handle(self) -> None:
        asked = [line.decode().strip() for line in iter(self.rfile.readline, b"\r\n")]
        headers = dict(line.split(": ", 1) for line in asked[1:])
        self.server.asked.append((asked[0], headers))
        if self.server.status != 101:
            self.wfile.write(f"HTTP/1.1 {self.server.status} No\r\n\r\n".encode())
            return
        accepted = base64.b64encode(hashlib.sha1((headers["Sec-WebSocket-Key"] + UPGRADE).encode()).digest()).decode()
        self.wfile.write(f"HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: {accepted}\r\n\r\n".encode())
        self.frame(9, b"are you there")
        self.frame(1, json.dumps({"type": "session.created", "padding": "x" * 70_000}).encode())
        while not self.server.sound.endswith(bytes(2 * realtime.RATE * 3)):
            kind, payload = self.received()
            if kind == 1:
                event = json.loads(payload)
                assert event["type"] == "input_audio_buffer.append"
                self.server.sound += base64.b64decode(event["audio"])
        kind, payload = self.server.answer
        if kind == 1:  # in two frames
            self.wfile.write(bytes([1, 10]) + payload[:10])
            self.frame(0, payload[10:])
            assert self.received() == (10, b"are you there")
        else:
            self.frame(kind, payload)

    def frame(self, kind: int, payload: bytes) -> None:
        size = len(payload)
        length = (
            bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2) if size < 65536 else b"\x7f" + size.to_bytes(8)
        )
        self.wfile.write(bytes([0x80 | kind]) + length + payload)

    def received(self) -> tuple[int, bytes]:
        first, second = self.rfile.read(2)
        assert second & 0x80, "a client masks"
        size = second & 0x7F
        size = size if size < 126 else int.from_bytes(self.rfile.read(2 if size == 126 else 8))
        mask = self.rfile.read(4)
        return first & 15, bytes(each ^ mask[at % 4] for at, each in enumerate(self.rfile.read(size)))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(realtime, "PIECE_SECONDS", 1.0)
    monkeypatch.setattr(realtime.time, "sleep", lambda _seconds: None)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as listening:
        listening.asked, listening.sound, listening.status = [], b"", 101
        listening.answer = (1, json.dumps(HEARD).encode())
        threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield listening
        listening.shutdown()


def run(server: Any, **params: Any) -> dict[str, Any]:
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    result = run_module(realtime_transcribe, check=True, **{"url": url, "path": str(FOX), "timeout": 5, **params})
    assert result.get("changed", False) is False
    return result


def test_a_sentence_is_said_and_compared(server: Any) -> None:
    result = run(server, expect=SENTENCE.upper(), language="en", api_key="k-4711")
    assert not result.get("failed"), result
    assert (result["text"], result["wer"]) == (SENTENCE, 0)
    line, headers = server.asked[0]
    assert line == "GET /v1/realtime?model=whisper-1&intent=transcription&language=en HTTP/1.1"
    assert headers["Authorization"] == "Bearer k-4711"
    with wave.open(str(FOX)) as file:
        seconds = file.getnframes() / file.getframerate()
    assert len(server.sound) / 2 / realtime.RATE == pytest.approx(seconds + 3.5, abs=0.01)


def test_another_sentence_fails_and_says_both(server: Any) -> None:
    result = run(server, expect="Bonjour")
    assert result["failed"] and f"heard {SENTENCE!r} instead of 'Bonjour'" in result["msg"]


@pytest.mark.parametrize(
    ("status", "key", "told"),
    [
        (403, "key-4711", "refuses this API key"),
        (403, None, "wants an API key"),
        (404, None, "the engine speaches has it"),
        (503, None, "as many sessions are open"),
        (418, None, "HTTP 418: no session was opened"),
    ],
)
def test_a_session_that_is_refused(server: Any, status: int, key: str | None, told: str) -> None:
    server.status = status
    assert told in run(server, api_key=key)["msg"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((1, b'{"type": "error", "error": {"message": "no such model"}}'), "no such model"),
        ((1, b"12345678901234"), "does not speak the Realtime API"),
        ((8, b"\x03\xf3internal error"), "ended the session: internal error"),
    ],
)
def test_a_session_that_fails(server: Any, answer: tuple[int, bytes], told: str) -> None:
    server.answer = answer
    assert told in run(server)["msg"]


def test_no_server_and_no_recording_are_told(server: Any, tmp_path: Path) -> None:
    assert "No such file" in run(server, path="/nowhere.wav")["msg"]
    other = tmp_path / "text.wav"
    other.write_text("no sound")
    assert "is no WAV file" in run(server, path=str(other))["msg"]
    server.shutdown()
    server.server_close()
    assert "connection refused" in run(server)["msg"]


def test_the_documentation_names_every_option_and_default() -> None:
    options = yaml.safe_load(realtime_transcribe.DOCUMENTATION)["options"]
    assert {name: option.get("default") for name, option in options.items()} == {
        name: option.get("default") for name, option in realtime_transcribe.SPEC.items()
    }
