# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A made-up service in a copy of the collection, and one container, made as a user makes it: sync, then apply."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ansible_runs
import pytest
from ansible_runs import Run

ROOT = Path(__file__).resolve().parents[3]
CLONE = ROOT / ".cache" / "collections"
NAME = "release-test"
PARTS = ("meta", "playbooks", "plugins", "roles")
"""What a playbook needs of a collection."""

# all that the collection is told of the made-up service
RECORD = """\
    Service(
        role="hello_server",
        unit="hello",
        port_variable="hello_server_port",
        port=8081,
        url_variable="infra_hello_url",
        talks_to=("stt_server",),
    ),
"""
INFRA = {
    "project_name": NAME,
    "global": {"base_subnet": "10.180", "default_os_image": "images:debian/12"},
    "domains": {
        "release": {"subnet_id": 1, "machines": {NAME: {"ip": "10.180.1.10", "roles": ["base_system", "hello_server"]}}}
    },
}


def inside(script: str) -> str:
    # a moment at least: Incus may lose what shorter commands print
    command = ["incus", "exec", "--project", "release", NAME, "--", "sh", "-ec", f"{script}\nsleep 0.1"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@dataclass
class Project:
    """A user's folder, and the collections that its playbooks are taken from."""

    folder: Path
    collections: Path

    def play(self, playbook: str | Path, *options: str, collections: Path | None = None, **variables: Any) -> Run:
        environment = os.environ | {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(collections or self.collections),
            "ANSIBLE_HOME": str(ROOT / ".cache" / "ansible"),
            "PROJECT": str(self.folder),
        }
        inventory = ["-i", self.folder / "inventory"] if (self.folder / "inventory").is_dir() else []
        command = ["ansible-playbook", *inventory, playbook, *options, "-e", json.dumps(variables)]
        return ansible_runs.run(command, cwd=ROOT, environment=environment)

    def done(self, playbook: str, **variables: Any) -> Run:
        run = self.play(f"anklume.stt.{playbook}", **variables)
        assert run.status == 0, run.output
        return run


@pytest.fixture(scope="session")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection with a role and a record more, beside those that it needs."""
    root = tmp_path_factory.mktemp("collections")
    copy = root / "ansible_collections" / "anklume" / "stt"
    for part in PARTS:
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(Path(__file__).with_name("roles") / "hello_server", copy / "roles" / "hello_server")
    catalogue = copy / "plugins/module_utils/_services/catalogue.py"
    catalogue.write_text(catalogue.read_text().replace(")\nBY_ROLE = ", f"{RECORD})\nBY_ROLE = "))
    for other in ("ansible", "community"):
        (root / "ansible_collections" / other).symlink_to(CLONE / "ansible_collections" / other)
    return root


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, collections: Path) -> Iterator[Project]:
    """A project with one machine, written and not yet applied, with nothing left of an earlier run."""
    made = Project(tmp_path_factory.mktemp("project"), collections)
    (made.folder / "infra.yml").write_text(json.dumps(INFRA))
    gone = {"infra_destroy": NAME, "infra_apply_backup": False}
    made.done("destroy", **gone)
    made.done("sync")
    yield made
    made.done("destroy", **gone)


@pytest.fixture(scope="session")
def applied(project: Project) -> Run:
    """The first apply."""
    return project.done("apply")
