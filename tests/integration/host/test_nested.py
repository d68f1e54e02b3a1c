# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role incus_host from nothing on a Debian 13 with systemd as PID 1: a container of its own stands for the host."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import ansible_runs
import pytest

pytestmark = pytest.mark.skipif(not os.environ.get("ANKLUME_TEST_LONG"), reason="minutes long: make test-long")

ROOT = Path(__file__).resolve().parents[3]
NAME = "anklume-test-host"


def inside(script: str) -> str:
    command = ["incus", "exec", NAME, "--", "bash", "-ec", script]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def play(folder: Path, **variables: object) -> ansible_runs.Run:
    playbook, inventory = folder / "play.yml", folder / "hosts"
    playbook.write_text("- hosts: all\n  gather_facts: false\n  roles: [anklume.stt.incus_host]\n")
    inventory.write_text(f"{NAME} ansible_connection=community.general.incus\n")
    command = ["ansible-playbook", "-i", inventory, playbook, "-e", json.dumps(variables)]
    return ansible_runs.run(command, cwd=ROOT)


@pytest.fixture(scope="module", autouse=True)
def host() -> Iterator[None]:
    subprocess.run(["incus", "delete", "--force", NAME], capture_output=True)
    # what a host has and a container lacks: control groups to write to, and room for the ids of its own containers
    nesting = ["-c", "security.nesting=true", "-c", "raw.lxc=lxc.mount.auto = cgroup:rw:force"]
    subprocess.run(["incus", "launch", "debian/13", NAME, *nesting], check=True, capture_output=True)
    inside("echo root:1000000:500000000 | tee /etc/subuid >/etc/subgid")
    inside("until systemctl is-system-running --wait >/dev/null; do sleep 0.5; done")
    inside("until apt-get -qq -o APT::Update::Error-Mode=any update; do sleep 0.5; done")
    inside("apt-get -qq install -y --no-install-recommends python3")
    yield
    subprocess.run(["incus", "delete", "--force", NAME], check=True, capture_output=True)


@pytest.mark.timeout(900)
def test_from_nothing_to_a_container_in_it(tmp_path: Path) -> None:
    own = inside("ip -4 -o addr show eth0 | awk '{print $4}'")
    refused = play(tmp_path, incus_host_bridge_address=own)
    assert refused.status != 0
    assert f"the bridge incusbr0 with {own} would overlap a network" in refused.said, refused.output

    first = play(tmp_path, incus_host_bridge_address="10.78.0.1/24")
    assert first.status == 0, first.output
    again = play(tmp_path, incus_host_bridge_address="10.78.0.1/24")
    assert again.changed() == 0, again.output

    assert inside("cat /proc/1/comm") == "systemd"
    inside("incus launch debian/13 inner --quiet")
    inside("timeout 60 bash -c 'until incus list inner -c 4 -f csv | grep -q 10.78.0; do sleep 0.5; done'")
    inside("systemctl restart incus && incus exec inner -- true")
