# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each block of the page "Clients" does what the page says, with the address, the key and the file of the test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from engine.conftest import CLIPS, ROOT, Server

from .conftest import FOX, KEY

PAGE = (ROOT / "docs/how-to/clients.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.M | re.S)
LIBRARIES = str(ROOT / ".cache/venv-clients-long/bin/python")
TRIED = {  # what stands in each block, and the Python that runs it
    "curl": "",
    "from openai import OpenAI": sys.executable,
    "import asyncio": sys.executable,
    'import OpenAI from "openai"': "",
    'from "@ai-sdk/openai"': "",
    "from litellm": LIBRARIES,
    "from langchain_community": LIBRARIES,
}
IN_LONG = pytest.mark.skipif(not os.environ.get("ANKLUME_TEST_LONG"), reason="part of make test-long")


def block(part: str) -> tuple[str, str]:
    """The language and the text of the one block that has this in it."""
    (found,) = [(kind, text) for kind, text in BLOCKS if part in text]
    return found


def filled(text: str, server: Server) -> str:
    """The block with what the reader puts in."""
    assert "http://homelab-ai:8000" in text and "your-key" in text
    return text.replace("http://homelab-ai:8000", server.url).replace("your-key", KEY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a reader would stand: with speech.wav, and the packages of Node."""
    shutil.copy(CLIPS / "en-fox.wav", tmp_path / "speech.wav")
    (tmp_path / "node_modules").symlink_to(ROOT / "tests/clients/node_modules")
    return tmp_path


@pytest.mark.parametrize(
    "part", [pytest.param(part, marks=[IN_LONG] * (run == LIBRARIES)) for part, run in TRIED.items()]
)
def test_block(server: Server, folder: Path, part: str) -> None:
    kind, text = block(part)
    languages = {"sh": ("block.sh", "sh"), "python": ("block.py", TRIED[part]), "javascript": ("block.mjs", "node")}
    name, program = languages[kind]
    (folder / name).write_text(filled(text, server), encoding="utf-8")
    done = subprocess.run([program, name], cwd=folder, capture_output=True, text=True, timeout=120)
    assert FOX in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_every_block_is_tried() -> None:
    """Two are not here: the bridge has a test of its own, Open WebUI the scenario default."""
    others = [text for _, text in BLOCKS if not any(part in text for part in TRIED)]
    assert ["AUDIO_STT_ENGINE=openai" in others[0], "wyoming_openai" in others[1], len(others)] == [True, True, 2]
