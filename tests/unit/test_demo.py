# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""make demo, its files alone: what it runs is replaced by programs that do nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the demo is made from, in which no hub can be reached and nothing is ever installed."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/demo", tmp_path / "scripts/demo")
    shutil.copytree(ROOT / "docs/examples/demo", tmp_path / "docs/examples/demo")
    for name, text in {"bin/make": "exit 0", "bin/id": "echo 0", ".venv/bin/python": '[ "$1" != - ]'}.items():
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    return tmp_path


def demo(checkout: Path) -> dict[str, bytes]:
    """Run it, and return the files of its project."""
    path = f"{checkout}/bin:{os.environ['PATH']}"
    done = subprocess.run([checkout / "scripts/demo"], env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    project = checkout / ".work/demo"
    files = (path for path in project.rglob("*") if path.is_file() and path.suffix == ".yml")
    return {str(path.relative_to(project)): path.read_bytes() for path in files}


def test_the_demo_again_and_again_leaves_its_files_alone(checkout: Path) -> None:
    first = demo(checkout)
    assert set(first) == {"infra.yml", "host_vars/demo-ai.yml", "host_vars/demo-webui.yml"}
    assert demo(checkout) == demo(checkout) == first


def test_without_a_hub_the_demo_takes_the_test_model(checkout: Path) -> None:
    mine = yaml.safe_load(demo(checkout)["host_vars/demo-ai.yml"])
    assert mine["stt_server_model"] == "anklume/whisper-test"
    assert mine["stt_server_model_source"] == f"{checkout}/tests/data/whisper-test.tar.xz"


def test_a_file_of_the_demo_that_somebody_changed_is_kept(checkout: Path) -> None:
    demo(checkout)
    mine = checkout / ".work/demo/host_vars/demo-ai.yml"
    mine.write_text("---\nstt_server_model: small\n")
    assert demo(checkout)["host_vars/demo-ai.yml"] == b"---\nstt_server_model: small\n"
