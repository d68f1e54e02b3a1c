# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Debian 13 with systemd as PID 1 that stands for a host: a container that has containers of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import ansible_runs
import pytest

ROOT = Path(__file__).resolve().parents[2]


class Host:
    """The container, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        # what a host has and a container lacks: control groups to write to, and room for the ids of its own containers
        nesting = ["-c", "security.nesting=true", "-c", "raw.lxc=lxc.mount.auto = cgroup:rw:force"]
        subprocess.run(["incus", "launch", "debian/13", name, *nesting], check=True, capture_output=True)
        self("echo root:1000000:500000000 | tee /etc/subuid >/etc/subgid")
        self("until systemctl is-system-running --wait >/dev/null; do sleep 0.5; done")
        self("until apt-get -qq -o APT::Update::Error-Mode=any update; do sleep 0.5; done")
        self("apt-get -qq install -y --no-install-recommends python3")

    def __call__(self, script: str) -> str:
        """What a script prints in it, which has to succeed."""
        done = self.run(script)
        assert done.returncode == 0, (script, done.stdout, done.stderr)
        return done.stdout.strip()

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """A script in it, with its exit status."""
        command = ["incus", "exec", self.name, "--", "bash", "-ec", script]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def inventory(self, folder: Path) -> Path:
        """An inventory that holds it alone."""
        hosts = folder / "hosts"
        hosts.write_text(f"{self.name} ansible_connection=community.general.incus\n")
        return hosts

    def play(self, folder: Path, role: str, **variables: object) -> ansible_runs.Run:
        """A role on it."""
        playbook = folder / "play.yml"
        playbook.write_text(f"- hosts: all\n  gather_facts: false\n  roles: [anklume.stt.{role}]\n")
        command = ["ansible-playbook", "-i", self.inventory(folder), playbook, "-e", json.dumps(variables)]
        return ansible_runs.run(command, cwd=ROOT)


@pytest.fixture(scope="module")
def nested() -> Iterator[Callable[[str], Host]]:
    """Makes one under a name; it is taken away at the end."""
    made = []

    def make(name: str) -> Host:
        made.append(name)
        subprocess.run(["incus", "delete", "--force", name], capture_output=True, check=False)
        return Host(name)

    yield make
    for name in made:
        subprocess.run(["incus", "delete", "--force", name], check=True, capture_output=True)
