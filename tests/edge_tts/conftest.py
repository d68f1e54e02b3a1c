# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service as a process on loopback, with the library edge-tts led to a stand-in. Run by `make edge-test`."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "roles/edge_tts/files"
STAND_INS = ROOT / "tests/stand_ins"
SENTENCE = "Ansible installed the speech server."
CLIP = ROOT / "tests/data/clips/en-ansible.mp3"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A program that serves HTTP, and its log."""

    def __init__(self, log: Path, command: list[object], port: int, path: str, **settings: object) -> None:
        self.log, self.url = log, f"http://127.0.0.1:{port}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("EDGE_")}
        environment = clean | {name: str(value) for name, value in settings.items()}
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, *map(str, command)], env=environment, stdout=out, stderr=out
            )
        end = time.monotonic() + 20
        while True:
            assert self.process.poll() is None and time.monotonic() < end, self.text()
            with contextlib.suppress(httpx.TransportError):
                httpx.get(self.url + path)
                return
            time.sleep(0.05)

    def text(self) -> str:
        return self.log.read_text()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(15)


class Microsoft(Process):
    """The stand-in."""

    def __init__(self, log: Path) -> None:
        self.port = free_port()
        super().__init__(log, [STAND_INS / "edge_tts.py", self.port, CLIP, SENTENCE], self.port, "/seen")

    def behaves(self, how: str = "") -> None:
        httpx.post(self.url + "/behave", json={"how": how}).raise_for_status()

    def seen(self) -> dict[str, Any]:
        return httpx.get(self.url + "/seen").json()


class Service(Process):
    """Ours."""

    def __init__(self, log: Path, microsoft: str, **settings: object) -> None:
        port = int(str(settings.setdefault("EDGE_TTS_PORT", free_port())))
        settings = {"EDGE_TTS_VOICE": "pl-PL-ZofiaNeural", "EDGE_TTS_TIMEOUT": 1} | settings
        path = f"{FILES}:{STAND_INS / 'edge_tts_here'}"
        settings |= {
            "EDGE_STAND_IN": microsoft.removeprefix("http://"),
            "PYTHONPATH": path,
            "PYTHONDONTWRITEBYTECODE": 1,
        }
        super().__init__(log, ["-P", "-m", "anklume_edge_tts"], port, "/health", **settings)

    def speak(self, text: str = "Dzień dobry.", **fields: object) -> httpx.Response:
        body = json.dumps({"input": text} | fields)
        return httpx.post(f"{self.url}/v1/audio/speech", content=body, timeout=30)


@pytest.fixture(scope="session")
def at_microsoft(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Microsoft]:
    started = Microsoft(tmp_path_factory.mktemp("microsoft") / "log")
    yield started
    started.stop()


@pytest.fixture
def microsoft(at_microsoft: Microsoft) -> Iterator[Microsoft]:
    """It speaks, and has heard nothing."""
    at_microsoft.behaves()
    at_microsoft.seen()
    yield at_microsoft
    at_microsoft.behaves()


Start = Callable[..., Service]


@pytest.fixture(scope="session")
def service(at_microsoft: Microsoft, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One with plain settings."""
    started = Service(tmp_path_factory.mktemp("service") / "log", at_microsoft.url)
    yield started
    assert started.stop() == 0
    assert "Traceback" not in started.text()


@pytest.fixture
def start(microsoft: Microsoft, tmp_path: Path) -> Iterator[Start]:
    """Start services with settings of their own."""
    services: list[Service] = []

    def starter(**settings: object) -> Service:
        services.append(Service(tmp_path / f"log{len(services)}", microsoft.url, **settings))
        return services[-1]

    yield starter
    for each in services:
        each.stop()
        assert "Traceback" not in each.text()
