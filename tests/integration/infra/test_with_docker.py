# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""make compose and make migrate on this machine: what they write, and nothing at a second run."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path

import ansible_runs
import pytest
from real_compose import COMPOSE

ROOT = Path(__file__).resolve().parents[3]
LONG = pytest.mark.skipif(not os.environ.get("ANKLUME_TEST_LONG"), reason="five seconds for a run: make test-long")
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


def make(project: Path, *arguments: str, path: str = "") -> ansible_runs.Run:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    kept["PATH"] = f"{path}{kept['PATH']}"
    return ansible_runs.run(["make", f"PROJECT={project}", *arguments], environment=kept, cwd=ROOT)


def compose(project: Path, arguments: str = "") -> ansible_runs.Run:
    return make(project, "compose", "HOST=attic", f"ARGS={arguments}")


@LONG
def test_what_it_would_write_is_shown_without_keys(project: Path) -> None:
    planned = compose(project, "--check --diff")
    assert planned.status == 0, planned.why
    assert 'host_ip: "0.0.0.0"' in planned.output and "(secret)" in planned.output
    assert "def create_app" not in planned.output
    assert not (project / "made").exists() and not (project / "secrets").exists()


def test_it_is_written_once_and_compose_takes_it(project: Path) -> None:
    made = project / "made"
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

    command = [COMPOSE, "config", "--quiet"]
    taken = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False)
    assert (taken.returncode, taken.stderr) == (0, "")


@LONG
def test_what_cannot_be_had_is_said_before_anything_is_written(project: Path) -> None:
    with (project / "host_vars/attic.yml").open("a") as file:
        file.write("stt_server_memory_max: 75%\nstt_server_engine: faster_whisper\n")
    status, said = compose(project)
    assert status != 0
    assert "with Docker there is the engine speaches alone, and stt_server_engine is faster_whisper" in said
    assert "stt_server_memory_max is 75%, and Docker wants a size: 6G for example" in said
    assert not (project / "made").exists()


def test_without_an_inventory_it_says_what_to_write(tmp_path: Path) -> None:
    status, said = compose(tmp_path)
    assert status != 0
    assert f"there is no docker.yml in {tmp_path}: write it" in said


@LONG
def test_an_old_server_is_taken_over(tmp_path: Path) -> None:
    project, old = tmp_path / "my project", tmp_path / "old one/compose.yaml"
    project.mkdir()
    old.parent.mkdir()
    old.write_text(
        "services: {stt: {image: fedirz/faster-whisper-server:latest-cpu, environment: [API_KEY=hunter2]}}\n"
    )
    done = make(project, "migrate", f"FROM={old}", "NAME=attic")
    assert done.status == 0, done.why
    assert "API_KEY: stt_server_api_key (in secrets/)" in done.said
    assert "hunter2" not in done.output
    assert (project / "secrets/attic-speaches-api-key").read_text() == "hunter2\n"
    assert "stt_server_api_key: auto\n" in (project / "host_vars/attic.yml").read_text()
    assert make(project, "migrate", f"FROM={old}", "NAME=attic").changed("localhost") == 0


@LONG
def test_a_move_needs_room_for_both(project: Path, tmp_path: Path) -> None:
    """A stand-in for the command docker says of one container that it runs; all else would be written down."""
    inspected = tmp_path / "old.json"
    inspected.write_text(
        '[{"Name": "/whisper", "State": {"Running": true}, "HostConfig": {"RestartPolicy": {"Name": "always"}},'
        ' "Config": {"Image": "fedirz/faster-whisper-server:latest-cuda", "Env": ["WHISPER__COMPUTE_TYPE=float16"]}}]'
    )
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    cases = f'ps) echo whisper;; container) cat {inspected};; *) echo "$@" >>{tmp_path}/done;;'
    docker.write_text(f'#!/bin/sh\ncase "$1" in {cases} esac\n')
    docker.chmod(0o755)
    (project / "host_vars/attic.yml").unlink()
    (project / "group_vars").mkdir()
    (project / "group_vars/stt_compose.yml").write_text(
        f"{{stt_server_device: cuda, stt_server_gpu: RTX 3060, stt_compose_folder: {tmp_path}/made}}\n"
    )
    status, said = make(project, "migrate", f"FROM={inspected}", "NAME=attic", "APPLY=1", path=f"{docker.parent}:")
    assert status != 0
    assert re.search(r"large-v3 in float16 .* does not fit on .* (\d+) for the old server\): it needs \1 MiB", said)
    assert '"begun": "beside"' in (project / ".migration-attic.json").read_text()
    assert not (tmp_path / "made").exists() and not (tmp_path / "done").exists()
