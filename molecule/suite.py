# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of several scenarios import: the mark of the long series, wheels, and an instance of a test's own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import testinfra
from ansible_runs import Counter, Run

ROOT = Path(__file__).resolve().parents[1]
LONG = bool(os.environ.get("ANKLUME_TEST_LONG"))
PLAIN = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "1"}
long = pytest.mark.skipif(not LONG, reason="part of make test-long")
DATA = ROOT / "tests/data"


def engine(name: str) -> dict[str, str]:
    """The variables of an engine other than Whisper, with our own model for it."""
    return {
        "stt_server_engine": name,
        "stt_server_model": f"anklume/{name}-test",
        "stt_server_model_source": str(DATA / f"{name}-test.tar.xz"),
        "stt_server_quantization": "float16",  # the role's default, which leaves it to the engine
    }


def download(lock: Path, python: str) -> Path:
    """A folder with the wheels of a lock file for an instance's version of Python."""
    folder = ROOT / ".cache/wheels" / f"{lock.stem}-{lock.parent.name}-{python}"
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, ROOT / "scripts/download_wheels.py", lock, python, folder], check=True)
    return folder


def uv_wheel() -> str:
    """The wheel of the version of uv that the role uv takes; it runs on any Python."""
    version = re.search(r'^uv_version: "(.*)"', (ROOT / "roles/uv/defaults/main.yml").read_text(), re.M)
    assert version
    folder = ROOT / ".cache/wheels/uv"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, f"uv=={version[1]}"]
    subprocess.run(command, check=True)
    return str(next(folder.glob(f"uv-{version[1]}-*.whl")))


class Instance:
    """An instance beside those of infra.yml, with an inventory of its own and a play of one role."""

    def __init__(
        self, name: str, image: str, project: str, play: Path, *, address: str = "", profiles: str = "default"
    ) -> None:
        self.name, self.project, self.play, self.address = name, project, play, address
        options = ["-d", f"eth0,ipv4.address={address}"] if address else []
        self.incus("init", image, name, *(f"--profile={each}" for each in profiles.split()), *options)
        self.incus("start", name)
        self.host = testinfra.get_host(f"incus://{name}", project=project)

    def incus(self, *words: str) -> None:
        """A command of Incus in the instance's project."""
        subprocess.run(["incus", *words, "--project", self.project], check=True, stdin=subprocess.DEVNULL)

    def write(self, role: str, **variables: Any) -> None:
        """Write the inventory and the play."""
        variables |= {
            "ansible_connection": "community.general.incus",
            "ansible_shell_type": "anklume.stt.incus",
            "ansible_incus_project": self.project,
            "ansible_incus_host": self.name,
        }
        (self.play / "inventory").mkdir()
        (self.play / "inventory/one.yml").write_text(json.dumps({"all": {"hosts": {self.name: variables}}}))
        play = {"name": "One", "hosts": "all", "gather_facts": False, "roles": [f"anklume.stt.{role}"]}
        (self.play / "play.yml").write_text(json.dumps([play]))

    def install(self, *packages: str) -> None:
        """Packages of the distribution, once its mirror can be reached."""
        self.host.check_output(
            "until apt-get -q -o APT::Update::Error-Mode=any update; do sleep 1; done"
            f" && apt-get -qy install --no-install-recommends {' '.join(packages)}"
        )

    def close(self) -> None:
        """Take its network away."""
        if self.address:
            self.incus("config", "device", "remove", self.name, "eth0")
        self.incus("config", "device", "add", self.name, "eth0", "none")
        assert self.host.check_output("ip -o -4 addr show scope global") == ""

    def start(self, environment: Mapping[str, str] | None = None, **variables: Any) -> subprocess.Popen[str]:
        """Start a run of the role."""
        command = ["ansible-playbook", "-i", f"{self.play}/inventory", f"{self.play}/play.yml"]
        command += ["-e", json.dumps(variables)]
        return subprocess.Popen(
            command,
            env=environment or os.environ | PLAIN,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def apply(self, **variables: Any) -> Run:
        """Run the role to its end."""
        counter = Counter(os.environ | PLAIN)
        process = self.start(counter.environment, **variables)
        output, _ = process.communicate(timeout=1200)
        print(output[-3000:])  # shown where a test fails
        return counter.run(process.returncode, output)
