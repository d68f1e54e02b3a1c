# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Voice both ways: another server reads aloud, verify hears it, and somebody at a browser calls and is answered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import browser
import pytest
from conftest import ADDRESS, BROWSER_ADDRESS, CLIPS, PASSWORD, Api, Run
from suite import ROOT

ANSWER = "Ansible installed the speech server."
KEY = "key-to-speak"
OTHERS = {
    "open_webui_tts_url": f"http://{BROWSER_ADDRESS}:8880/",
    "open_webui_tts_api_key": KEY,
    "open_webui_ollama_url": f"http://{BROWSER_ADDRESS}:11434",
}
SETTINGS = ("-t", "open_webui_verify")


def ask(url: str, body: dict[str, Any] | None = None) -> None:
    """A request until it is answered."""
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url, json.dumps(body).encode() if body else None, timeout=5) as answer:
                answer.read()
                return
        except urllib.error.URLError:
            assert time.monotonic() < deadline, url
            time.sleep(0.1)


@pytest.fixture(scope="module")
def others(network: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A computer beside Open WebUI with the stand-ins of a server that speaks and of Ollama."""
    folder = tmp_path_factory.mktemp("others")
    models = {"OLLAMA_MODELS": str(folder), "OLLAMA_HOST": "0.0.0.0:11434", "OLLAMA_STAND_IN_ANSWER": ANSWER}
    commands = [("speaking_server.py", "8880", KEY), ("ollama", "serve")]
    with (folder / "log").open("wb") as log:
        running = [
            subprocess.Popen(
                ["ip", "netns", "exec", network, sys.executable, ROOT / "tests/stand_ins" / program, *words],
                env=os.environ | models,
                stdout=log,
                stderr=log,
            )
            for program, *words in commands
        ]
    # before it has sent something itself, nothing of Open WebUI reaches it
    connect = "import socket, sys; socket.create_connection((sys.argv[1], 443), 10)"
    subprocess.run(["ip", "netns", "exec", network, sys.executable, "-c", connect, ADDRESS], check=True)
    ask(f"http://{BROWSER_ADDRESS}:8880/v1/audio/voices")
    ask(f"http://{BROWSER_ADDRESS}:11434/api/pull", {"model": "stand-in:1b", "stream": False})
    yield
    for process in running:
        process.terminate()
        process.wait()


@dataclass
class Wired:
    """The audio settings before, and the run that changed them."""

    before: dict[str, Any]
    run: Run


@pytest.fixture(scope="module")
def wired(role: Callable[..., Run], api: Api, others: None) -> Wired:
    """Open WebUI reads aloud with them."""
    return Wired(api.call("GET", "/api/v1/audio/config")["tts"], role(*SETTINGS, "--diff", **OTHERS))


def test_it_is_off_where_nothing_speaks(wired: Wired) -> None:
    assert (wired.before["ENGINE"], wired.before["MODEL"], wired.before["OPENAI_API_KEY"]) == ("", "tts-1", "")


def test_another_server_reads_aloud_at_once(wired: Wired, api: Api, tmp_path: Path) -> None:
    assert wired.run.status == 0, wired.run.said
    assert "audio.tts.voice: en-us" in wired.run.said
    assert KEY not in wired.run.said
    sound = tmp_path / "sound.wav"
    sound.write_bytes(api.answer("POST", "/api/v1/audio/speech", {"input": ANSWER}))
    with wave.open(str(sound)) as file:
        assert 1.5 < file.getnframes() / file.getframerate() < 4
    assert api.transcribe(sound.read_bytes()) == ANSWER


@pytest.fixture(scope="module")
def verified(wired: Wired, role: Callable[..., Run]) -> Iterator[Future[Run]]:
    """What verify says; it runs while somebody calls."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(role, "--limit", "mdef-webui,localhost", playbook="anklume.stt.verify", **OTHERS)


@pytest.mark.usefixtures("verified")
def test_a_call_is_answered_with_sound(network: str, profile: Path, project: Path, api: Api, tmp_path: Path) -> None:
    own = {"password": project / PASSWORD, "folder": tmp_path, "shots": "call", "program": "call.mjs"}
    seen = browser.speak(network, profile, f"https://{ADDRESS}", CLIPS / "en-fox.wav", **own)
    (browser.SCREENSHOTS / "call/seen.json").write_text(json.dumps(seen))
    assert seen["heard"] == "The quick brown fox jumps over the lazy dog."
    assert seen["answer"] == ANSWER
    assert 1.5 < seen["played"]["seconds"] < 4
    assert api.transcribe((browser.SCREENSHOTS / "call/answer.wav").read_bytes()) == ANSWER
    # 2 s of it the page waits, to know that somebody has ended
    assert 2 <= seen["waited"] < 6
    assert list(seen["parts"]) == ["silence", "heard", "answered", "spoken", "played"]
    assert abs(sum(seen["parts"].values()) - seen["waited"]) < 0.01
    assert seen["elsewhere"] == []


def test_verify_has_it_speak_and_hears_it(verified: Future[Run]) -> None:
    seen = verified.result()
    assert seen.status == 0, seen.said
    assert "Open WebUI speaks" in seen.said
    assert '"The quick brown fox jumps over the lazy dog.", wav' in seen.said.replace('\\"', '"')


def test_off_again_leaves_nothing_behind(wired: Wired, role: Callable[..., Run], api: Api) -> None:
    """Last in this file."""
    off = role(*SETTINGS, open_webui_tts_url="")
    assert off.status == 0, off.said
    now = api.call("GET", "/api/v1/audio/config")["tts"]
    assert now == wired.before | {"VOICE": "alloy"}
