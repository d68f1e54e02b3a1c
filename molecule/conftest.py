# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Testinfra for the scenarios: a backend that runs commands with `incus exec`, and a host per machine.

Testinfra's own ansible backend makes a whole ansible run of every check, which is ten times slower.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml
from testinfra.backend import BACKENDS
from testinfra.backend.base import BaseBackend, CommandResult


class IncusBackend(BaseBackend):
    """Hosts are written incus://INSTANCE?project=PROJECT."""

    NAME = "incus"

    def __init__(self, name: str, project: str = "default", **kwargs: Any) -> None:
        self.name, self.project = name, project
        super().__init__(f"incus://{project}/{name}", **kwargs)

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        """Run a command in the instance."""
        line = self.get_command(command, *args)
        return self.run_local("incus exec --project %s %s -- /bin/sh -c %s", self.project, self.name, line)


BACKENDS["incus"] = f"{__name__}.IncusBackend"
PROJECT = Path(os.environ["PROJECT"])


@pytest.fixture(scope="session")
def project() -> Path:
    """The scenario's work folder: infra.yml, inventory, secrets."""
    return PROJECT


@pytest.fixture(scope="session")
def infra() -> dict[str, Any]:
    """The scenario's infra.yml."""
    return yaml.safe_load((PROJECT / "infra.yml").read_text())


@pytest.fixture(scope="session")
def machine(infra: dict[str, Any]) -> Any:
    """A function from the name of a machine to its testinfra host."""
    domains = {name: domain for domain, body in infra["domains"].items() for name in body["machines"]}
    return lambda name: testinfra.get_host(f"incus://{name}?project={domains[name]}")
