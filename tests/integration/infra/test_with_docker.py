# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""make compose on this machine: what it would write, what it writes, and that a second run changes nothing."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import ansible_runs
import pytest

ROOT = Path(__file__).resolve().parents[3]
INVENTORY = "all: {children: {stt_compose: {hosts: {attic: {ansible_connection: local}}}}}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "docker.yml").write_text(INVENTORY)
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars/attic.yml").write_text(f"""\
stt_server_port: 8001
stt_server_model: tiny
stt_server_model_source: {ROOT}/tests/data/whisper-test.tar.xz
stt_server_quantization: auto
stt_server_device: cpu
stt_server_api_key: auto
stt_compose_folder: {tmp_path}/made
stt_compose_uid: {os.getuid()}
stt_compose_gid: {os.getgid()}
""")
    return tmp_path


def compose(project: Path, arguments: str = "") -> ansible_runs.Run:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "compose", f"PROJECT={project}", "HOST=attic", f"ARGS={arguments}"]
    return ansible_runs.run(command, environment=kept, cwd=ROOT)


def test_it_is_written_once_and_compose_takes_it(project: Path) -> None:
    made = project / "made"
    planned = compose(project, "--check --diff")
    assert planned.status == 0, planned.why
    assert 'host_ip: "0.0.0.0"' in planned.output and "(secret)" in planned.output
    assert "def create_app" not in planned.output
    assert not made.exists() and not (project / "secrets").exists()

    done = compose(project)
    assert done.status == 0, done.why
    key = (project / "secrets/attic-speaches-api-key").read_text()
    assert key in (made / "secrets.json").read_text()
    assert stat.S_IMODE((made / "secrets.json").stat().st_mode) == 0o400
    assert [path for path in made.rglob("*") if path.is_file() and key.encode() in path.read_bytes()] == [
        made / "secrets.json"
    ]
    assert list(made.glob("hub/models--Systran--faster-whisper-tiny/snapshots/*/model.bin"))
    assert compose(project).changed("attic") == 0

    command = [ROOT / ".venv/bin/docker-compose", "config", "--quiet"]
    taken = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False)
    assert (taken.returncode, taken.stderr) == (0, "")


def test_what_cannot_be_had_is_said_before_anything_is_written(project: Path) -> None:
    with (project / "host_vars/attic.yml").open("a") as file:
        file.write("stt_server_memory_max: 75%\nstt_server_engine: faster_whisper\n")
    status, said = compose(project)
    assert status != 0
    assert "with Docker there is the engine speaches alone, and stt_server_engine is faster_whisper" in said
    assert "stt_server_memory_max is 75%, and Docker wants a size: 6G for example" in said
    assert not (project / "made").exists()
