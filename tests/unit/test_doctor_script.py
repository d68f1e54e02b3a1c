# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scripts/doctor: what it hands to Ansible, and its exit codes: 0 nothing, 1 findings, 2 it could not look."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = """#!/bin/sh
# a stand-in for ansible-playbook: keeps its arguments, tells or does not, and ends
printf '%s\\n' "$@" >{folder}/arguments
for word; do case $word in doctor_json=*) {tell} ;; esac; done
exit {status}
"""
TELL = "echo '{}' >\"${word#doctor_json=}\""


def doctor(tmp_path: Path, status: int, tell: str, *options: str, **environment: str) -> tuple[int, str]:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/doctor", tmp_path / "scripts")
    programs = tmp_path / ".venv/bin"
    programs.mkdir(parents=True)
    (programs / "ansible-playbook").write_text(
        PLAYBOOK.replace("{folder}", str(tmp_path)).replace("{tell}", tell).replace("{status}", str(status))
    )
    (programs / "ansible-playbook").chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name not in ("FAIL_ON", "CHECK", "JSON")}
    done = subprocess.run(
        [tmp_path / "scripts/doctor", *options], env=kept | {"PROJECT": str(tmp_path)} | environment, check=False
    )
    return done.returncode, (tmp_path / "arguments").read_text()


@pytest.mark.parametrize(
    ("status", "tell", "code"), [(0, TELL, 0), (2, TELL, 1), (4, TELL, 1), (0, ":", 2), (4, ":", 2), (1, ":", 2)]
)
def test_exit_codes(tmp_path: Path, status: int, tell: str, code: int) -> None:
    assert doctor(tmp_path, status, tell)[0] == code


def test_what_is_asked_for(tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    code, arguments = doctor(tmp_path, 0, TELL, "-v", FAIL_ON="warning", CHECK="NET-*", JSON=str(told))
    assert code == 0
    assert '{"doctor_fail_on": "warning", "doctor_check": "NET-*"}' in arguments
    assert arguments.endswith("-v\nanklume.stt.doctor\n")
    assert told.read_text() == "{}\n"
    kept = re.findall(r"(?m)^doctor_json=(.*)$", arguments)
    assert not Path(kept[0]).exists()


def test_hosts_with_docker_are_looked_at_too(tmp_path: Path) -> None:
    (tmp_path / "docker.yml").write_text("all: {}\n")
    alone = doctor(tmp_path, 0, TELL)[1]
    assert f"-i\n{tmp_path}/docker.yml\n" in alone and "/inventory" not in alone
    (tmp_path / "inventory").mkdir()
    both = subprocess.run([tmp_path / "scripts/doctor"], env=os.environ | {"PROJECT": str(tmp_path)}, check=False)
    assert both.returncode == 0
    arguments = (tmp_path / "arguments").read_text()
    assert f"-i\n{tmp_path}/inventory\n-i\n{tmp_path}/docker.yml\n" in arguments


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    assert doctor(tmp_path, 0, TELL, JSON=str(tmp_path / "none/told.json"))[0] == 2
