# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service changes its release on a real systemd, in a container: there, back, and there after runs that were cut."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
NAME = "release-test"
PYTHON = "apt-get -qq install -y --no-install-recommends python3 >/dev/null 2>&1"


def inside(script: str) -> str:
    # a moment at least: Incus may lose what shorter commands print
    command = ["incus", "exec", NAME, "--", "sh", "-ec", f"{script}\nsleep 0.1"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@dataclass
class Run:
    status: int
    output: str

    @property
    def said(self) -> str:
        return " ".join(self.output.split())


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    subprocess.run(["incus", "delete", "--force", NAME], capture_output=True)
    subprocess.run(["incus", "launch", "debian/12", NAME], check=True, capture_output=True)
    inside("until systemctl is-system-running --wait >/dev/null; do sleep 0.2; done")
    inside(f"{PYTHON} || {{ until apt-get -qq -o APT::Update::Error-Mode=any update; do sleep 1; done; {PYTHON}; }}")
    path = tmp_path_factory.mktemp("release") / "hosts"
    path.write_text(f"{NAME} ansible_connection=community.general.incus\n")
    yield path
    subprocess.run(["incus", "delete", "--force", NAME], check=True, capture_output=True)


def play(inventory: Path, *options: str, **variables: Any) -> Run:
    playbook = Path(__file__).with_name("playbooks") / "tiny.yml"
    environment = os.environ | {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"),
        "ANSIBLE_NOCOLOR": "1",
    }
    command = ["ansible-playbook", "-i", inventory, playbook, *options, "-e", json.dumps(variables)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    return Run(done.returncode, done.stdout + done.stderr)


def serves() -> str:
    return inside(
        "python3 -c 'from urllib.request import urlopen; print(urlopen(\"http://127.0.0.1:8080\").read().decode())'"
    )


def lies() -> str:
    """The link, the settings, the unit's last line, and what lies beside the releases."""
    return inside(
        "cd /opt/tiny; readlink current; cat /etc/tiny/tiny.env; tail -n 1 /etc/systemd/system/tiny.service; ls"
    )


FIRST = "1\nWORD=hello\n# of 1\n"


def test_there_and_back(inventory: Path) -> None:
    run = play(inventory)
    assert run.status == 0, run.output
    assert serves() == "1 hello"

    # what check mode shows
    foreseen = play(inventory, "--check", "--diff", version="2", word="bye")
    assert "-current: 1 +current: 2" in foreseen.said
    assert lies() == f"{FIRST}1\ncurrent"

    # a run that was cut off leaves settings that nobody proved; the release does not start: what was proved comes back
    assert play(inventory, version="2", word="bye", starts=False, end_after="settings").status == 0
    assert serves() == "1 hello", "nothing was restarted"
    run = play(inventory, version="2", word="good night")
    assert run.status != 0
    assert "2 does not serve, so 1 serves again" in run.said
    assert (serves(), lies()) == ("1 hello", f"{FIRST}1\n2\ncurrent")
    assert inside("systemctl show -P NeedDaemonReload tiny; ls /run/tiny-drained || echo ready") == "no\nready"

    # one that was cut off after the switch goes on, and a clean-up that fails takes nothing back
    inside("mkdir /opt/tiny/0 && mount -t tmpfs tmpfs /opt/tiny/0")
    assert play(inventory, version="2", word="bye", end_after="switch").status == 0
    run = play(inventory, version="2", word="bye")
    assert run.status == 0, run.output
    assert "/opt/tiny/0 could not be removed" in run.said
    assert serves() == "2 bye"
    assert lies() == "2\nWORD=bye\n# of 2\n0\n1\n2\ncurrent"
    assert "changed=0" in play(inventory, version="2", word="bye").said
