# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The models of an Ollama, with the stand-in as a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._services.ollama import Ollama, Wish, wish, work
from ansible_collections.anklume.stt.plugins.modules import ollama_model
from module_runner import run_module

STAND_IN = Path(__file__).resolve().parents[3] / "stand_ins/ollama"


class Server:
    """A stand-in on a free port; `edition` is what its registry has published."""

    def __init__(self, models: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.models, self.url = models, f"http://{self.address}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, edition: int = 1) -> None:
        self.stop()
        environment = {
            **os.environ,
            "OLLAMA_HOST": self.address,
            "OLLAMA_MODELS": str(self.models),
            "OLLAMA_STAND_IN_EDITION": str(edition),
        }
        self.process = subprocess.Popen([sys.executable, STAND_IN, "serve"], env=environment, stdout=subprocess.DEVNULL)
        Ollama(self.url).wait(20)

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def run(self, **params: Any) -> dict[str, Any]:
        return run_module(ollama_model, url=self.url, wait=5, **params)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "models")
    server.start()
    yield server
    server.stop()


def test_pulled_once_with_progress(server: Server, tmp_path: Path) -> None:
    foreseen = server.run(models=["stand-in"], check=True)
    assert foreseen["changed"] and foreseen["pulled"] == ["stand-in:latest"] and foreseen["models"] == {}
    result = server.run(models=["stand-in", "stand-in:1b"], progress=str(tmp_path / "progress"))
    assert result["changed"] and result["pulled"] == ["stand-in:latest", "stand-in:1b"]
    assert result["version"] == "0.0.0"
    lines = (tmp_path / "progress").read_text().splitlines()
    assert lines[0].startswith("stand-in:latest pulling ") and " 10 % (48.8 KiB of 488.3 KiB)" in lines[0]
    assert " 100 % " in lines[-1]
    again = server.run(models=["stand-in", "stand-in:1b"])
    assert not again["changed"] and again["models"] == result["models"]


def test_newer_builds_only_when_asked_for(server: Server) -> None:
    first = server.run(models=["stand-in"])["models"]["stand-in:latest"]
    server.start(edition=2)
    assert not server.run(models=["stand-in"])["changed"]
    updated = server.run(models=["stand-in"], update=True)
    assert updated["changed"] and updated["models"]["stand-in:latest"] != first
    assert not server.run(models=["stand-in"], update=True)["changed"]


def test_a_digest_is_insisted_on(server: Server) -> None:
    digest = server.run(models=["stand-in"])["models"]["stand-in:latest"]
    assert not server.run(models=[f"stand-in@{digest[:12]}"], update=True)["changed"]
    server.start(edition=2)
    server.run(models=["stand-in"], update=True)
    refused = server.run(models=[f"stand-in@{digest[:12]}"])
    assert "in the registry today and not " + digest[:12] in refused["msg"]


def test_pruned_only_when_asked_for(server: Server) -> None:
    server.run(models=["stand-in", "stand-in:1b"])
    assert not server.run(models=["stand-in"])["changed"]
    foreseen = server.run(models=["stand-in"], prune=True, check=True)
    assert foreseen["deleted"] == ["stand-in:1b"] and len(foreseen["models"]) == 2
    assert list(server.run(models=["stand-in"], prune=True)["models"]) == ["stand-in:latest"]


def test_a_model_that_there_is_not(server: Server) -> None:
    result = server.run(models=["stand-in", "nothing"])
    assert result["msg"] == "nothing:latest cannot be pulled: pull model manifest: file does not exist"


def test_no_ollama_and_a_wrong_one(server: Server) -> None:
    assert "Ollama 0.0.0 answers" in server.run(version="0.32.7")["msg"]
    server.stop()
    assert "Ollama does not answer at" in run_module(ollama_model, url=server.url, wait=0.5)["msg"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("llama3.2", Wish("llama3.2:latest")),
        ("hf.co/org/model-GGUF:Q4_K_M", Wish("hf.co/org/model-GGUF:Q4_K_M")),
        ("registry.example:5000/org/model", Wish("registry.example:5000/org/model:latest")),
        ("llama3.2:1b@sha256:A80C4F17ACD5", Wish("llama3.2:1b", "a80c4f17acd5")),
    ],
)
def test_names(text: str, expected: Wish) -> None:
    assert wish(text) == expected


@pytest.mark.parametrize("text", ["", "two words", "model@", "model@abc", "../model;"])
def test_names_that_are_none(text: str) -> None:
    with pytest.raises(ServiceError):
        wish(text)


def test_work_is_what_differs() -> None:
    here = {"a:latest": "1" * 64, "b:latest": "2" * 64}
    assert work([wish("a"), wish("c")], here, update=False, prune=False).pull == (Wish("c:latest"),)
    assert work([wish("a")], here, update=True, prune=True).delete == ("b:latest",)
