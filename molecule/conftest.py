# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Testinfra for the scenarios: a backend that runs commands with `incus exec`, and a host per machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml
from testinfra.backend import BACKENDS

BACKENDS["incus"] = "incus_backend.IncusBackend"
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
    return lambda name: testinfra.get_host(f"incus://{name}", project=domains[name])
