# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the homelab share: the two machines, make as users run it, the role ollama_server alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ansible_runs
import pytest
from ansible_runs import Run
from suite import ROOT

SCENARIO = Path(__file__).resolve().parents[1]


def run(command: list[str]) -> Run:
    """Run a command at the repository's root."""
    # molecule's own settings of Ansible are not those that users have
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return ansible_runs.run(command, environment=kept, cwd=ROOT)


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


def until_all_answer(ai: Any, webui: Any) -> None:
    """Return once the services answer, which a verify that comes too early finds out more slowly."""
    places = ((ai, "8000/health"), (ai, "11434/api/version"), (webui, "8080/health"))
    for host, place in places:
        url = f"http://127.0.0.1:{place}"
        host.check_output(f"timeout 180 sh -c 'until curl -sf -o /dev/null {url}; do sleep 0.5; done'")


def started(host: Any, unit: str) -> str:
    """When a unit was started last, to the microsecond; it changes with every restart."""
    return str(host.check_output(f"systemctl show -P ExecMainStartTimestampMonotonic {unit}"))
