# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the homelab share: the two machines, make as users run it, the role ollama_server alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from suite import ROOT

SCENARIO = Path(__file__).resolve().parents[1]


@dataclass
class Run:
    """What a run of make or ansible-playbook said."""

    status: int
    output: str

    @property
    def said(self) -> str:
        """The output with its line breaks taken out: long messages are wrapped anywhere."""
        return " ".join(self.output.split())

    @property
    def why(self) -> str:
        """The tasks that failed, and the end of what was said."""
        failed = re.findall(r"^(?:(?:TASK .*\n)?fatal:| +✗) .*(?:\n {4}.*)*", self.output, re.M)
        return "\n".join([*failed, self.output[-1500:]])

    def changed(self, machine: str) -> int:
        """How many tasks changed something on a machine, from the recap."""
        found = re.search(rf"^{machine} .*changed=(\d+)", self.output, re.M)
        assert found, self.why
        return int(found.group(1))


def run(command: list[str]) -> Run:
    """Run a command at the repository's root."""
    # molecule's own settings of Ansible are not those that users have
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment |= {"ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return Run(done.returncode, done.stdout + done.stderr)


@pytest.fixture(scope="session")
def make(project: Path) -> Callable[..., Run]:
    """make TARGET PROJECT=… ARGS=…, as documented."""
    return lambda target, args="": run(["make", target, f"PROJECT={project}", f"ARGS={args}"])


@pytest.fixture(scope="session")
def play(project: Path) -> Callable[..., Run]:
    """A playbook of the scenario, with variables."""

    def play(name: str, *options: str, **variables: Any) -> Run:
        extra = ["--extra-vars", json.dumps(variables)]
        environment = [f"ANSIBLE_CONFIG={ROOT}/ansible.cfg", f"ANSIBLE_COLLECTIONS_PATH={ROOT}/.cache/collections"]
        playbook = ["ansible-playbook", "-i", f"{project}/inventory", f"{SCENARIO}/{name}.yml", *options, *extra]
        return run(["env", *environment, *playbook])

    return play


@pytest.fixture(scope="session")
def ai(machine: Any) -> Any:
    """The machine with Ollama and the STT server."""
    return machine("homelab-ai")


@pytest.fixture(scope="session")
def webui(machine: Any) -> Any:
    """The machine with Open WebUI."""
    return machine("homelab-webui")


@pytest.fixture
def host_vars(project: Path) -> Iterator[Path]:
    """host_vars/homelab-ai.yml, as it was before afterwards."""
    path = project / "host_vars/homelab-ai.yml"
    before = path.read_text()
    yield path
    path.write_text(before)


def started(host: Any, unit: str) -> str:
    """When a unit was started last, to the microsecond; it changes with every restart."""
    return str(host.check_output(f"systemctl show -P ExecMainStartTimestampMonotonic {unit}"))
