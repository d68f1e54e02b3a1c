# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine under test: a real process on loopback with a committed test model. Run by `make engine-test`.

STT_TEST_ENGINE names the engine, whose packages are those of the environment that the tests run in.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "roles" / "stt_server" / "files" / "server"
DATA = ROOT / "tests" / "data"
CLIPS = DATA / "clips"
sys.path.insert(0, str(PACKAGE))
ENGINE = os.environ.get("STT_TEST_ENGINE", "faster_whisper")
TESTS = {"faster_whisper": "whisper", "parakeet": "parakeet", "vosk": "vosk"}
MODEL = f"anklume/{TESTS[ENGINE]}-test"
# what only one engine has the packages for; what else only Whisper can do is marked so
collect_ignore = [f"test_{name}.py" for name in TESTS if name != ENGINE]
collect_ignore += [] if ENGINE == "faster_whisper" else ["test_context.py", "test_lanes.py"]


def written(text: str) -> str:
    """A text as the engine writes it: Vosk knows neither capitals nor punctuation."""
    return re.sub(r"[.,]", "", text).lower() if ENGINE == "vosk" else text


SENTENCES = {
    entry["clip"]: entry | {"text": written(entry["text"])}
    for entry in json.loads((DATA / "sentences.json").read_text(encoding="utf-8"))
}


STEADY = {"api", "bench_service", "context", "forms", "fuzz", "metrics", "monitoring", "odd", "silence", "times"}
"""Files whose tests measure no time, and may run beside others; `make test` leaves those of all other files alone."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what measures time; where another engine is tested, take out what only Whisper can do."""
    if ENGINE != "faster_whisper":
        out = [item for item in items if item.get_closest_marker("whisper")]
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]
    for item in items:
        if item.path.stem.removeprefix("test_") not in STEADY:
            item.add_marker(pytest.mark.timed)


def sentence_of(text: str) -> str:
    """The sentence that a text can only stand for; the test model's letters may differ a little with the processor."""
    known = {entry["text"] for entry in SENTENCES.values()}
    return next(iter(difflib.get_close_matches(text, known, n=1, cutoff=0.85)), "")


class Server:
    """The engine as a process."""

    def __init__(self, hub_home: Path, log: Path, **settings: object) -> None:
        self.log = log
        self.port = settings.setdefault("STT_PORT", free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("STT_")}
        environment |= {"HF_HOME": str(hub_home), "PYTHONPATH": str(PACKAGE), "STT_MODEL": MODEL}
        environment |= {"STT_CPU_THREADS": "1", "STT_ENGINE": ENGINE}
        environment |= {name: str(value) for name, value in settings.items()}
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "anklume_stt_server"], env=environment, stdout=out, stderr=out
            )

    def wait(self, seconds: float = 180) -> Server:
        """Return when the server can transcribe."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, self.text()
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(self.url + "/health").status_code == 200:
                    return self
            time.sleep(0.1)
        raise AssertionError("not healthy in time: " + self.text())

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def wait_for(self, text: str) -> None:
        until(lambda: text in self.text())

    def client(self, key: str = "none", retries: int = 0) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.url + "/v1", api_key=key, max_retries=retries)

    def post(
        self, content: bytes, name: str = "clip.wav", path: str = "transcriptions", **fields: str
    ) -> httpx.Response:
        data = {"model": MODEL, **fields}
        return httpx.post(f"{self.url}/v1/audio/{path}", files={"file": (name, content)}, data=data, timeout=120)

    def stop(self, number: int = signal.SIGTERM, seconds: float = 20) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()


Start = Callable[..., Server]


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wav(samples: np.ndarray, rate: int = 16000) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return target.getvalue()


def clip(name: str) -> np.ndarray:
    with wave.open(str(CLIPS / name)) as source:
        return np.frombuffer(source.readframes(source.getnframes()), "<i2").astype(np.float32) / 32768


@pytest.fixture(scope="session")
def hub_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub cache that holds the test model only."""
    home = tmp_path_factory.mktemp("hub")
    repository = home / "hub" / ("models--" + MODEL.replace("/", "--"))
    snapshot = repository / "snapshots" / "0"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0")
    with tarfile.open(DATA / f"{MODEL.rpartition('/')[2]}.tar.xz") as archive:
        archive.extractall(snapshot, filter="data")
    return home


@pytest.fixture(scope="session")
def server(hub_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with plain settings for all tests that do not change it."""
    started = Server(hub_home, tmp_path_factory.mktemp("server") / "log", STT_LOG_LEVEL="debug").wait()
    yield started
    assert started.stop() == 0


@pytest.fixture
def start(hub_home: Path, tmp_path: Path) -> Iterator[Start]:
    """Start servers with settings of their own."""
    servers: list[Server] = []

    def starter(wait: bool = True, **settings: object) -> Server:
        servers.append(Server(hub_home, tmp_path / f"log{len(servers)}", **settings))
        return servers[-1].wait() if wait else servers[-1]

    yield starter
    for each in servers:
        each.stop(signal.SIGKILL)


def heard_in_every_format(server: Server, name: str) -> None:
    """A clip by an engine that tells words: its text in each format, and times that lie in the sound."""
    sound, text = (CLIPS / name).read_bytes(), SENTENCES[name]["text"]
    assert server.post(sound, name).json()["text"] == text
    assert server.post(sound, name, response_format="text").text == text + "\n"
    for form in ("srt", "vtt"):
        assert text in server.post(sound, name, response_format=form).text
    assert f'"text": "{text}"' in server.post(sound, name, stream="true").text
    language = SENTENCES[name]["language"]
    fields = {"response_format": "verbose_json", "timestamp_granularities": "word,segment", "language": language}
    answer = server.post(sound, name, **fields).json()
    assert (answer["text"], answer["language"]) == (text, language)
    assert " ".join(word["word"] for word in answer["words"]) == text
    ends = [moment for word in answer["words"] for moment in (word["start"], word["end"])]
    assert ends == sorted(ends) and ends[0] >= 0 and ends[-1] <= answer["duration"]
    (segment,) = answer["segments"]
    assert 0 <= segment["start"] < segment["end"] <= answer["duration"] and segment["avg_logprob"] <= 0
