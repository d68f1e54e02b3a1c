# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""make init as people run it, at a terminal and without one; what plan says before make host."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
GIVEN = ("ARGS", "MAKEFLAGS", "MAKEOVERRIDES", "PROJECT")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what the make that runs the tests was given, and with a name that make init must not take for a wish."""
    for name in GIVEN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANSIBLE_NOCOLOR", "1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("PORT", "1")


def at_a_terminal(command: list[str], answers: dict[str, str]) -> str:
    """What a command prints to a terminal of its own; each question is answered once it is silent and listens."""
    child, terminal = pty.fork()
    if not child:
        os.chdir(ROOT)
        os.execvp(command[0], command)
    said, left, end = "", dict(answers), time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.5)[0]:
            try:
                said += os.read(terminal, 4096).decode(errors="replace")
            except OSError:  # the end of the other side
                break
        else:
            for question in [each for each in left if each in said]:
                os.write(terminal, left.pop(question).encode() + b"\r")
    os.close(terminal)
    assert os.waitpid(child, 0)[1] == 0, said
    assert not left, said
    return said


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def test_a_person_is_asked_what_cannot_be_seen(tmp_path: Path) -> None:
    answers = {"Which language do you speak": "fr", "Ollama all the same": "yes"}
    at_a_terminal(["make", "-s", "init", f"PROJECT={tmp_path}"], answers)
    assert 'stt_server_language: "fr"' in (tmp_path / "host_vars/homelab-ai.yml").read_text()
    assert "ollama_server" in (tmp_path / "infra.yml").read_text()


def test_a_person_who_said_all_is_asked_nothing(tmp_path: Path) -> None:
    said = ["SPOKEN=no", "OLLAMA=no", "PORT=8443", "SUBNET=10.42", "NAME=den", "MODEL=small"]
    at_a_terminal(["make", "-s", "init", f"PROJECT={tmp_path}", *said], {})
    infra = (tmp_path / "infra.yml").read_text()
    assert "project_name: den" in infra and 'publish: ["8443:443"]' in infra and 'base_subnet: "10.42"' in infra
    mine = (tmp_path / "host_vars/den-ai.yml").read_text()
    assert 'stt_server_language: "no"' in mine and 'stt_server_model: "small"' in mine


def test_without_a_terminal_nothing_is_asked_and_a_file_that_is_there_stays(tmp_path: Path) -> None:
    first = make("init", f"PROJECT={tmp_path}")
    assert first.returncode == 0 and "page: https://" in first.stdout, first.stdout + first.stderr
    assert "publish: [1" not in (tmp_path / "infra.yml").read_text(), "a variable of the environment is no wish"
    before = (tmp_path / "infra.yml").read_bytes()
    again = make("init", f"PROJECT={tmp_path}", "NAME=other")
    assert again.returncode == 0 and "nothing was changed" in " ".join(again.stdout.split())
    assert (tmp_path / "infra.yml").read_bytes() == before
    assert not (tmp_path / "host_vars/other-ai.yml").exists()


def test_before_make_host_plan_and_apply_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCUS_SOCKET", str(tmp_path / "none"))
    for step in ("init", "sync"):
        assert make(step, f"PROJECT={tmp_path}").returncode == 0
    for target in ("plan", "apply"):
        refused = make(target, f"PROJECT={tmp_path}")
        assert refused.returncode != 0
        assert "make host installs it" in " ".join(refused.stdout.split()), refused.stdout + refused.stderr


def test_apply_limit_without_a_group_says_how(tmp_path: Path) -> None:
    refused = make("apply-limit", f"PROJECT={tmp_path}")
    assert refused.returncode != 0 and "make apply-limit G=homelab" in refused.stderr
