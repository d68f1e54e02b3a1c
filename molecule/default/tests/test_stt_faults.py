# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong is said clearly, nothing is left half made, and what served before still serves."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ansible_runs
import pytest
from suite import long

HEALTH = "curl -sf --retry 30 --retry-delay 1 --retry-connrefused http://127.0.0.1:8000/health"


def play(project: Path, name: str, *options: str, **variables: Any) -> ansible_runs.Run:
    command = ["ansible-playbook", "-i", project / "inventory", f"anklume.stt.{name}", "-e", json.dumps(variables)]
    return ansible_runs.run([*command, *options])


@pytest.fixture
def ai(machine: Any) -> Iterator[Any]:
    """The instance of the STT server; afterwards it must still recognise speech."""
    host = machine("mdef-ai")
    releases = host.check_output("ls /opt/stt-server")
    yield host
    assert host.check_output("ls /opt/stt-server") == releases
    assert host.run(HEALTH).rc == 0


def test_a_taken_port_is_refused_and_its_owner_named(project: Path, ai: Any) -> None:
    ai.check_output("systemd-run --quiet --unit=squatter python3 -m http.server 8001")
    try:
        ai.check_output("for try in 1 2 3 4 5 6 7 8 9; do ss -Hltn sport = :8001 | grep -q . && break; sleep 0.3; done")
        result = play(project, "stt", stt_server_port=8001)
    finally:
        ai.check_output("systemctl stop squatter")
    assert result.status != 0
    assert "port 8001 is taken by python3" in result.said, result.said
    assert result.changed() == 0


def test_a_full_disk_is_refused_before_anything_is_installed(project: Path, ai: Any) -> None:
    # a new release is wanted (another engine lock), and /opt/stt-server has no room
    ai.check_output("mkdir -p /mnt/full && mount -t tmpfs -o size=1m tmpfs /mnt/full")
    ai.check_output("mount --bind /mnt/full /opt/stt-server")
    try:
        result = play(project, "stt")
    finally:
        ai.check_output("umount /opt/stt-server && umount /mnt/full")
    assert result.status != 0
    assert "MiB are free under /opt" in result.said, result.said
    assert result.changed() == 0


def test_a_model_too_large_for_the_gpu_is_refused_with_what_fits(project: Path, ai: Any) -> None:
    gpu = {"memory_mib": 4096, "capability": "8.6"}
    result = play(
        project,
        "stt",
        stt_server_model="large-v3",
        stt_server_quantization="float16",
        stt_server_gpu=gpu,
        stt_server_device="cuda",
    )
    assert result.status != 0
    assert "large-v3" in result.said, result.said
    assert "int8" in result.said
    assert result.changed() == 0


def test_float16_without_a_gpu_names_int8(project: Path, ai: Any) -> None:
    result = play(project, "stt", stt_server_quantization="float16")
    assert result.status != 0
    assert "int8" in result.said, result.said
    assert result.changed() == 0


def test_an_unknown_engine_is_refused(project: Path, ai: Any) -> None:
    result = play(project, "stt", stt_server_engine="kaldi")
    assert result.status != 0
    assert "faster_whisper" in result.said, result.said
    assert result.changed() == 0


def test_an_unreachable_registry_leaves_what_serves(project: Path, ai: Any) -> None:
    # the package index of the role uv points nowhere, and uv's cache is hidden
    release = ai.check_output("basename $(readlink /opt/stt-server/current)")
    ai.check_output(f"cd /opt/stt-server && mv {release} other && ln -sfn other current")
    ai.check_output("mount -t tmpfs tmpfs /var/cache/uv")
    try:
        result = play(project, "stt", uv_index_url="http://127.0.0.1:9/simple")
        serving = ai.run(
            "systemctl restart speaches && curl -sf --retry 5 --retry-connrefused http://127.0.0.1:8000/health"
        ).rc
    finally:
        ai.check_output("umount /var/cache/uv")
        there = f"cd /opt/stt-server && rm -rf {release} && mv other {release}"
        ai.check_output(f"{there} && ln -sfn {release} current")
    assert result.status != 0
    assert "127.0.0.1:9" in result.said, result.said
    assert serving == 0


@long
def test_a_damaged_release_that_serves_is_not_emptied(project: Path, ai: Any) -> None:
    release = ai.check_output("readlink -f /opt/stt-server/current")
    lock, files = ai.check_output(f"cat {release}/lock.sha256"), ai.check_output(f"find {release} | wc -l")
    ai.check_output(f"echo damaged >{release}/lock.sha256 && mount -t tmpfs tmpfs /var/cache/uv")
    try:
        result = play(project, "stt", uv_index_url="http://127.0.0.1:9/simple")
        after = ai.check_output(f"readlink -f /opt/stt-server/current; find {release} | wc -l").split()
        beside = ai.file(f"{release}-2").exists
    finally:
        ai.check_output(f"umount /var/cache/uv; rm -rf {release}-2; echo {lock} >{release}/lock.sha256")
    assert result.status != 0 and "127.0.0.1:9" in result.said, result.said
    assert after == [release, files] and beside


@long
def test_releases_in_their_former_folder_are_moved_and_stay_reachable_there(project: Path, ai: Any) -> None:
    ai.check_output("rm -f /opt/speaches && mv /opt/stt-server /opt/speaches")
    planned = play(project, "stt", "--check")
    assert planned.status == 0 and "Bring the releases" in planned.said, planned.said
    assert ai.check_output("test -d /opt/speaches/current && ls -d /opt/s*").split() == ["/opt/speaches"]
    moved = play(project, "stt")
    assert moved.status == 0 and moved.changed() == 1, moved.said
    assert ai.check_output("readlink /opt/speaches; readlink -f /opt/speaches/current").split() == [
        "stt-server",
        ai.check_output("readlink -f /opt/stt-server/current"),
    ]


@long
def test_settings_that_were_written_before_a_kill_are_started_with(project: Path, ai: Any) -> None:
    pid = ai.check_output("systemctl show -P MainPID speaches")
    ai.check_output("touch /etc/speaches/speaches.env")
    restarted = play(project, "stt")
    assert restarted.status == 0 and restarted.changed() == 1, restarted.said
    assert ai.check_output("systemctl show -P MainPID speaches") != pid
    assert play(project, "stt").changed() == 0


def test_a_missing_infra_yml_says_how_to_begin(tmp_path: Path) -> None:
    result = ansible_runs.run(
        ["ansible-playbook", "anklume.stt.sync"], environment=os.environ | {"PROJECT": str(tmp_path)}
    )
    assert result.status != 0
    assert "make init" in result.said, result.said
    assert list(tmp_path.iterdir()) == []
