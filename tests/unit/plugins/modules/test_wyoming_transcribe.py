# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that says a sentence to a Wyoming server: run as Ansible runs it, against a server on loopback."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.anklume.stt.plugins.module_utils._services.wyoming import Event, read_event
from ansible_collections.anklume.stt.plugins.modules import wyoming_transcribe
from module_runner import run_module

FOX = Path(__file__).resolve().parents[3] / "data" / "clips" / "en-fox.wav"
SENTENCE = "The quick brown fox jumps over the lazy dog."
MODELS = [{"name": "whisper-1", "languages": ["en", "fr"]}]


class Handler(socketserver.StreamRequestHandler):
    """Offers `server.models`, and hears the same sentence in every recording."""

    def handle(self) -> None:
        while event := read_event(self.rfile):
            if event.type == "describe":
                self.wfile.write(Event("info", {"asr": [{"models": self.server.models}]}).encoded())
            elif event.type == "audio-stop":
                self.wfile.write(Event("transcript", {"text": SENTENCE}).encoded())


@pytest.fixture
def server() -> Iterator[Any]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as listening:
        listening.models = MODELS
        threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield listening
        listening.shutdown()


def run(server: Any, **params: Any) -> dict[str, Any]:
    result = run_module(
        wyoming_transcribe, check=True, port=server.server_address[1], **{"path": str(FOX), "timeout": 5, **params}
    )
    assert result.get("changed", False) is False
    return result


def test_a_sentence_is_said_and_compared(server: Any) -> None:
    result = run(server, expect=SENTENCE.upper(), language="en", wait=5)
    assert not result.get("failed"), result
    assert (result["text"], result["wer"]) == (SENTENCE, 0)
    assert (result["models"], result["languages"]) == (["whisper-1"], ["en", "fr"])
    assert result["real_time_factor"] == pytest.approx(result["seconds"] / result["audio_seconds"], abs=0.001)


def test_another_sentence_fails_and_says_both(server: Any) -> None:
    result = run(server, expect="Bonjour")
    assert result["failed"] and result["wer"] > 1
    assert f"heard {SENTENCE!r} instead of 'Bonjour'" in result["msg"]


def test_a_server_without_speech_to_text_is_told(server: Any) -> None:
    server.models = []
    result = run(server)
    assert result["failed"] and "offers no speech to text" in result["msg"]


def test_no_server_and_no_recording_are_told(server: Any) -> None:
    assert "No such file" in run(server, path="/nowhere.wav")["msg"]
    server.shutdown()
    server.server_close()
    assert "connection refused" in run(server)["msg"]


def test_the_documentation_names_every_option_and_default() -> None:
    options = yaml.safe_load(wyoming_transcribe.DOCUMENTATION)["options"]
    assert {name for name, option in options.items() if option.get("required")} == {"path"}
