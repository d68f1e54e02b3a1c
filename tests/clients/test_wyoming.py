# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Home Assistant's way: a Wyoming client asks the bridge wyoming-openai, started as the page "Clients" says."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator

import pytest
from engine.conftest import CLIPS, ROOT, SENTENCES, Server, free_port, until

from .test_page import block, filled

PYTHON = ROOT / ".cache" / "venv-clients" / "bin" / "python"
ASK = ROOT / "tests/clients/ask_wyoming.py"


@pytest.fixture(scope="module")
def bridge(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    command = filled(block("wyoming_openai")[1], server).replace("0.0.0.0:10300", f"127.0.0.1:{port}")
    words = shlex.split(command.replace("\\\n", ""))
    log = tmp_path_factory.mktemp("bridge") / "log"
    with log.open("wb") as out:
        process = subprocess.Popen([PYTHON, *words[1:]], stdout=out, stderr=out)
    try:
        until(lambda: process.poll() is not None or "Ready" in log.read_text() or "ready" in log.read_text())
        assert process.poll() is None, log.read_text()
        yield port
    finally:
        process.terminate()
        process.wait(20)


def ask(port: int, *arguments: object) -> dict[str, object]:
    done = subprocess.run([PYTHON, ASK, str(port), *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_bridge_tells_of_the_model(bridge: int) -> None:
    assert ask(bridge)["models"] == ["whisper-1"]


@pytest.mark.parametrize("name", ["en-fox.wav", "fr-serveur.wav"])
def test_a_sentence_comes_back(bridge: int, name: str) -> None:
    assert ask(bridge, CLIPS / name)["text"] == SENTENCES[name]["text"]
