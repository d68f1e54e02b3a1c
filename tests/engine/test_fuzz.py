# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutated files and broken requests against the engine; tests/fuzz says how to try one again, and how to go on."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zlib
from pathlib import Path

import httpx
import pytest
from anklume_stt_server.audio import RATE, decode

from .conftest import CLIPS, PACKAGE, ROOT, SENTENCES, Start

FUZZ = ROOT / "tests" / "fuzz"
LONG = bool(os.environ.get("ANKLUME_TEST_LONG"))
FOX = CLIPS / "en-fox.wav"
TEXT = SENTENCES["en-fox.wav"]["text"]
sys.path.insert(0, str(FUZZ))

import decoding  # noqa: E402
import seeds  # noqa: E402
from mutations import mutate  # noqa: E402


def run(*arguments: object) -> str:
    """A run of the suite; what it prints is what a person needs to try the input again."""
    command = [sys.executable, str(FUZZ), *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(PACKAGE), "STT_KEY": "k"}, capture_output=True)
    said = done.stdout.decode() + done.stderr.decode()
    print(said)
    assert done.returncode == 0, said
    return said


BAD_DECODER = """
import os, time, zlib
RATE = 16000
def decode(file, longest):
    begin = time.process_time()
    turn = zlib.crc32(file.read()) % 12
    if turn == 0: os.abort()
    while turn == 1 and time.process_time() < begin + 1.0: pass
    if turn == 2: bytearray(310 * 2**20)
    if turn == 3: raise IndexError("list index out of range")
    if turn == 4: time.sleep(60)
    if turn == 5: return b""
    raise ApiError(415 if turn else 500)
from anklume_stt_server.errors import ApiError
"""
BAD_ERRORS = "class ApiError(Exception):\n    def __init__(self, status):\n        self.status = status\n"


def test_the_hunt_finds_what_it_is_for(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash, a slow one, growth, an exception, a hang, a wrong answer: each with the input that made it."""
    package, folder = tmp_path / "anklume_stt_server", tmp_path / "seeds"
    package.mkdir(), folder.mkdir()
    for name, text in (("__init__", ""), ("audio", BAD_DECODER), ("errors", BAD_ERRORS)):
        (package / f"{name}.py").write_text(text)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(decoding, "SECONDS", 0.8)
    monkeypatch.setattr(decoding, "HANG", 6.0)
    turns = {zlib.crc32(mutate(files, 1, index)[1]) % 12: index for index in range(100)}
    wanted = ("ended with -6", "s of processor", "MB", "IndexError", "no end after 6 s", "wrong kind")
    seen = list(decoding.hunt(folder, files, 1, [turns[turn] for turn in range(7)]))
    for turn, (what, (_, fault)) in enumerate(zip(wanted, seen, strict=False)):
        assert fault and what in fault.what
        assert (fault.index, fault.recipe, fault.content) == (turns[turn], *mutate(files, 1, turns[turn]))
    assert seen[6] == ("415", None)


@pytest.mark.timeout(1500)
def test_mutated_files_neither_crash_nor_stop_nor_fill_the_decoder() -> None:
    said = run("decoder", "--count", 10_000 if LONG else 600)
    assert " sound" in said and " 415" in said, "the mutations are all alike"


@pytest.mark.timeout(1500)
def test_broken_requests_are_answered_or_closed(start: Start) -> None:
    server = start(STT_API_KEY="k", STT_LOG_LEVEL="debug")
    said = run("wire", "--openai-errors", "--address", server.url, "--count", 6_000 if LONG else 300)
    assert " 200" in said and " 400" in said, "the broken requests are all alike"
    assert server.client("k").audio.transcriptions.create(model="whisper-1", file=FOX).text == TEXT
    assert "Traceback" not in server.text()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("seeds")
    seeds.make_all(ROOT / "tests" / "data", folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", seeds.SEEDS)
def test_every_seed_is_sound_before_it_is_mutated(files: dict[str, bytes], name: str) -> None:
    assert 0.9 < len(decode(io.BytesIO(files[name]), 60)) / RATE < 1.1


@pytest.mark.timeout(1500)
def test_mutated_files_are_answered(start: Start, files: dict[str, bytes]) -> None:
    """The whole way of a few, so that what the decoder lets through is seen by the model, too."""
    server = start()
    with httpx.Client(timeout=60) as client:
        for index in range(2_000 if LONG else 30):
            recipe, content = mutate(files, 2, index)
            data = {"model": "whisper-1", "response_format": ("json", "verbose_json", "srt")[index % 3]}
            answer = client.post(server.url + "/v1/audio/transcriptions", files={"file": content}, data=data)
            assert answer.status_code in (200, 400, 413, 415), f"seed 2, index {index}: {recipe}: {answer.text}"
    assert server.post(FOX.read_bytes()).json()["text"] == TEXT
    assert "Traceback" not in server.text()
