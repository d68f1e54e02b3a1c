# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with Speaches: what served before serves on, and the next apply repairs."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

NAME, PROJECT = "mspc-ai", "mspc"
FOX = "The quick brown fox jumps over the lazy dog."


def apply(project: Path, **variables: Any) -> tuple[int, str]:
    """Apply the STT role again, with other variables; status and output."""
    command = ["ansible-playbook", "-i", f"{project}/inventory", "anklume.stt.stt", "-e", json.dumps(variables)]
    run = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    return run.returncode, " ".join((run.stdout + run.stderr).split())


@pytest.fixture
def ai(machine: Any) -> Any:
    return machine(NAME)


def says(ai: Any, project: Path, seconds: int = 90) -> str:
    """What the service recognises, once it answers."""
    key = (project / "secrets" / f"{NAME}-speaches-api-key").read_text()
    line = (
        f"curl -s -H 'Authorization: Bearer {key}' http://127.0.0.1:8000/v1/audio/transcriptions"
        " -F file=@/var/lib/speaches/clips/en.wav -F model=whisper-1 -F response_format=text"
    )
    for _ in range(seconds):
        answer = ai.run(line)
        if answer.rc == 0 and answer.stdout:
            return str(answer.stdout).strip()
        time.sleep(1)
    return ""


def test_killed_under_load_it_comes_back(ai: Any, project: Path) -> None:
    before = ai.check_output("systemctl show -P MainPID speaches")
    key = (project / "secrets" / f"{NAME}-speaches-api-key").read_text()
    load = (
        f"curl -s -H 'Authorization: Bearer {key}' http://127.0.0.1:8000/v1/audio/transcriptions"
        " -F file=@/var/lib/speaches/clips/en.wav -F model=whisper-1 >/dev/null"
    )
    ai.check_output(f"for i in 1 2 3 4; do ({load} &); done; sleep 0.3; systemctl kill -s KILL speaches")
    assert says(ai, project) == FOX
    assert ai.check_output("systemctl show -P MainPID speaches") != before


def test_it_comes_back_after_a_reboot(ai: Any, project: Path) -> None:
    subprocess.run(["incus", "restart", NAME, "--project", PROJECT], check=True)
    assert says(ai, project, 180) == FOX


def test_another_source_is_refused_and_the_old_release_serves(ai: Any, project: Path) -> None:
    before = ai.check_output("readlink /opt/speaches/current")
    status, output = apply(project, stt_server_speaches_tree="0" * 40)
    assert status
    assert "its git tree id is" in output
    assert ai.check_output("readlink /opt/speaches/current") == before
    assert says(ai, project) == FOX


def test_a_broken_version_gives_way_to_the_old_one(ai: Any, project: Path, tmp_path: Path) -> None:
    """The same source without its start: installed, started, found broken, taken back."""
    before = ai.check_output("readlink /opt/speaches/current")
    settings = ai.check_output("cat /etc/speaches/speaches.env")
    broken = tmp_path / "broken"
    (broken / "src/speaches").mkdir(parents=True)
    (broken / "src/speaches/__init__.py").write_text("raise SystemExit('broken')\n")
    (broken / "README.md").write_text("Broken on purpose.\n")
    git = ["git", "-C", str(broken), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "broken"]):
        subprocess.run([*git, *command], check=True)
    tree = subprocess.run([*git, "rev-parse", "HEAD^{tree}"], check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run([*git, "archive", "-o", str(tmp_path / "broken.tar"), "HEAD"], check=True)
    status, output = apply(
        project,
        stt_server_speaches_source=str(tmp_path / "broken.tar"),
        stt_server_speaches_tree=tree,
        stt_server_log_level="warning",
    )
    assert status
    assert "serves again" in output
    assert ai.check_output("readlink /opt/speaches/current") == before
    assert ai.check_output("cat /etc/speaches/speaches.env") == settings
    assert says(ai, project) == FOX
    status, output = apply(project)
    assert status == 0, output
    assert says(ai, project) == FOX


def test_a_full_disk_stops_nothing(ai: Any, project: Path) -> None:
    ai.check_output("mount -t tmpfs -o size=100m full /opt/speaches")
    try:
        status, output = apply(project, stt_server_speaches_tree="1" * 40)
        assert says(ai, project) == FOX
    finally:
        ai.check_output("umount /opt/speaches")
    assert status
    assert "100 MiB are free under /opt" in output
    assert apply(project)[0] == 0
    assert says(ai, project) == FOX
