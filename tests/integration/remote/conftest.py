# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines with an Incus of their own: containers that stand for the other hosts of a project, over real TLS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ansible_runs
import pytest
from ansible_runs import Run

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / ".cache" / "collections"))

from ansible_collections.anklume.stt.plugins.module_utils._incus.plan import Options  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._incus.reconcile import reconcile  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._incus.servers import servers  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import KeptTransport  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import read_project  # noqa: E402

long = pytest.mark.skipif(not os.environ.get("ANKLUME_TEST_LONG"), reason="minutes long: make test-long")
GIVEN = ("ARGS", "MAKEFLAGS", "MAKEOVERRIDES", "INCUS_CONF")
PACKAGES = "incus-base incus-client dnsmasq-base nftables python3"
STRANGERS = {
    "/1.0/projects/it-other": ("/1.0/projects", {"name": "it-other", "description": "theirs"}),
    "/1.0/network-acls/it-other": (
        "/1.0/network-acls",
        {"name": "it-other", "egress": [{"action": "allow", "state": "enabled"}]},
    ),
    "/1.0/profiles/theirs?project=it-other": ("/1.0/profiles?project=it-other", {"name": "theirs"}),
    "/1.0/storage-pools/default/volumes/custom/it-other": (
        "/1.0/storage-pools/default/volumes/custom",
        {"name": "it-other"},
    ),
    "/1.0/instances/it-other": (
        "/1.0/instances",
        {
            "name": "it-other",
            "type": "container",
            "source": {"type": "none"},
            "devices": {"root": {"type": "disk", "path": "/", "pool": "default"}},
        },
    ),
}


def incus(*arguments: str) -> str:
    """The Incus of this machine."""
    return subprocess.run(["incus", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def address(name: str) -> str:
    """Where one of the machines is reached."""
    found = json.loads(incus("query", f"/1.0/instances/{name}/state"))["network"]["eth0"]["addresses"]
    return str(next(one["address"] for one in found if one["family"] == "inet"))


def with_incus(host: Any) -> Any:
    """Incus on it, listening, with a pool and the image that the tests use; no network yet."""
    host(f"apt-get -qq install -y --no-install-recommends {PACKAGES}")
    with tempfile.TemporaryDirectory() as folder:
        incus("image", "export", "debian/13", f"{folder}/image")
        for file in Path(folder).iterdir():
            incus("file", "push", str(file), f"{host.name}/root/{file.name}")
        files = " ".join(sorted((f"/root/{file.name}" for file in Path(folder).iterdir()), key=len))
    host.files = files
    return host


@dataclass
class Project:
    """A user's folder, whose domains are elsewhere."""

    folder: Path
    infra: dict[str, Any] = field(default_factory=dict)

    def write(self) -> None:
        # JSON is YAML
        (self.folder / "infra.yml").write_text(json.dumps(self.infra, indent=1))

    def make(self, target: str, *arguments: str) -> Run:
        """A target of the Makefile, without what the make that runs the tests was given."""
        kept = {key: value for key, value in os.environ.items() if key not in GIVEN}
        return ansible_runs.run(["make", target, f"PROJECT={self.folder}", *arguments], environment=kept, cwd=ROOT)

    def done(self, target: str, *arguments: str) -> Run:
        """One that has to succeed."""
        run = self.make(target, *arguments)
        assert run.status == 0, run.why
        return run

    def incus(self, *words: str) -> str:
        """The client of Incus, with what the project is trusted by."""
        environment = {**os.environ, "INCUS_CONF": str(self.folder / "secrets" / "incus")}
        command = ["incus", *words]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout.strip()

    def reconcile(self, *, check: bool = False, absent: bool = False, **options: Any) -> dict[str, Any]:
        """The same as apply, in this process: what it writes can be counted."""
        self.write()
        model, _notes = read_project(str(self.folder))
        with servers(model, str(self.folder), None) as found:
            backups = self.folder / "backups"
            return reconcile(
                found, model, Options(**options), absent=absent, check=check, workers=8, backup_dir=backups
            )


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that is written to any server from now on."""
    found: list[str] = []
    request = KeptTransport.request

    def counted(self: KeptTransport, method: str, path: str, *rest: Any) -> Any:
        if method != "GET":
            found.append(f"{method} {path}")
        return request(self, method, path, *rest)

    monkeypatch.setattr(KeptTransport, "request", counted)
    return found


def query(host: Any, method: str, path: str, body: Any = None) -> str:
    """The REST API of a machine's Incus, asked there."""
    data = f" --data '{json.dumps(body)}'" if body else ""
    return str(host(f"incus query --wait --raw -X {method}{data} '{path}'"))


def make_strangers(host: Any) -> None:
    """Objects of somebody else."""
    for collection, body in STRANGERS.values():
        query(host, "POST", collection, body)


def look_at_strangers(host: Any) -> dict[str, str]:
    """How they are, to the byte."""
    return {path: query(host, "GET", path) for path in STRANGERS}
