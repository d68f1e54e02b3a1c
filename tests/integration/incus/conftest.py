# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Incus for the tests: a laboratory per module, strangers that must stay as they are, counted requests."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / ".cache" / "collections"))
sys.path.append(str(ROOT / "molecule"))  # for lan.py

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._incus.apply import VANISHED  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import Client, IncusNotFoundError  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._incus.host_reader import LocalHost  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._incus.plan import Options  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._incus.reconcile import reconcile  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._incus.servers import Server  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import (  # noqa: E402
    Reply,
    UnixTransport,
    default_socket,
)
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import read_project  # noqa: E402

LONG = bool(os.environ.get("ANKLUME_TEST_LONG"))

STRANGERS = {
    "/1.0/projects/it-other": ("/1.0/projects", {"name": "it-other", "description": "theirs"}),
    "/1.0/network-acls/it-other": (
        "/1.0/network-acls",
        {"name": "it-other", "egress": [{"action": "allow", "state": "enabled"}]},
    ),
    "/1.0/networks/it-other": (
        "/1.0/networks",
        {"name": "it-other", "type": "bridge", "config": {"ipv4.address": "10.178.250.1/24", "ipv6.address": "none"}},
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
            "devices": {
                "root": {"type": "disk", "path": "/", "pool": "default"},
                "eth0": {"type": "nic", "network": "it-other"},
            },
        },
    ),
}


class CountingTransport:
    """Passes everything on and keeps the writes."""

    def __init__(self, inner: UnixTransport) -> None:
        self.inner = inner
        self.address = inner.address
        self.writes: list[str] = []
        self.reads = 0

    def request(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout: float) -> Reply:
        if method == "GET":
            self.reads += 1
        else:
            self.writes.append(f"{method} {path}" + (f" {json.loads(body)['action']}" if "/state" in path else ""))
        return self.inner.request(method, path, body, headers, timeout)

    def download(self, path: str, target: BinaryIO, timeout: float) -> int:
        return self.inner.download(path, target, timeout)

    def close(self) -> None:
        self.inner.close()


def end_orphans() -> None:
    """End the dnsmasq of a bridge of these tests that is gone: rarely, Incus leaves one when a client is killed.

    It goes on listening at the bridge's address, so that no bridge can have that address again.
    """
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            bridge = re.search(rb"dnsmasq\0.*--interface=(net-it-[a-z]+)\0", file.read_bytes())
            if bridge and not Path("/sys/class/net", bridge[1].decode()).exists():
                os.kill(int(file.parent.name), signal.SIGTERM)
                while file.read_bytes():
                    time.sleep(0.05)


class Lab:
    """A project folder and what was applied from it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.infra: dict[str, Any] = {"project_name": name, "global": {"base_subnet": "10.178"}, "domains": {}}
        self.transport = CountingTransport(UnixTransport(default_socket()))
        self.client = Client(self.transport)

    def write(self) -> None:
        # JSON is YAML
        (self.folder / "infra.yml").write_text(json.dumps(self.infra, indent=1))

    def apply(self, *, check: bool = False, absent: bool = False, **options: Any) -> dict[str, Any]:
        self.write()
        end_orphans()
        model, _notes = read_project(str(self.folder))
        self.transport.writes.clear()
        return reconcile(
            [Server("", self.client, LocalHost())],
            model,
            Options(**options),
            absent=absent,
            check=check,
            workers=8,
            backup_dir=self.folder / "backups",
            log_path=str(self.folder / "log"),
        )

    def unchanged(self, **options: Any) -> None:
        """The next apply finds nothing to do and writes nothing at all."""
        result = self.apply(**options)
        assert not result["changed"], result["summary"]
        assert self.transport.writes == []

    def destroy(self) -> None:
        self.apply(absent=True, prune=True, confirm_all=True, backup=False)
        self.transport.close()

    def get(self, path: str) -> Any:
        return self.client.get(path)

    def instance(self, name: str, domain: str = "it-a") -> Any:
        return self.get(f"/1.0/instances/{name}?project={domain}")

    def run(self, name: str, script: str, domain: str = "it-a", *, ok: bool = True) -> str:
        # a tenth of a second at least: Incus may lose what shorter commands print
        line = f"sleep 0.1 & ( {script}\n); status=$?; wait; exit $status"
        result = subprocess.run(
            ["incus", "exec", name, "--project", domain, "--", "sh", "-c", line], capture_output=True, text=True
        )
        assert not ok or result.returncode == 0, result.stdout + result.stderr
        return result.stdout.strip() if ok else str(result.returncode)


def insist(client: Client, method: str, path: str, body: Mapping[str, Any] | None = None) -> None:
    """Send a write, again while Incus stumbles over an interface of somebody else that goes at that moment."""
    for _attempt in range(9):
        try:
            client.send(method, path, body)
            return
        except IncusError as error:
            if VANISHED not in str(error):
                raise
    client.send(method, path, body)


def one_machine(**more: Any) -> dict[str, Any]:
    return {"subnet_id": 1, "machines": {"it-a1": {"ip": "10.178.1.10", **more}}}


@pytest.fixture(scope="session", autouse=True)
def strangers() -> Iterator[None]:
    """Objects of somebody else; after all tests they are as they were, to the byte."""
    transport = UnixTransport(default_socket())
    client = Client(transport)

    def remove() -> None:
        for path in reversed(STRANGERS):
            try:
                insist(client, "DELETE", path)
            except IncusNotFoundError:
                continue

    def dump() -> dict[str, bytes]:
        return {path: transport.request("GET", path, None, {}, 30).body for path in STRANGERS}

    remove()
    for collection, body in STRANGERS.values():
        insist(client, "POST", collection, body)
    before = dump()
    yield
    after = dump()
    remove()
    transport.close()
    assert after == before


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """An empty project of this test module's own; what is made from it goes at the end."""
    folder = tmp_path_factory.mktemp("lab")
    lab = Lab(folder, "it-lab")
    lab.destroy()  # what an interrupted run may have left
    yield lab
    lab.destroy()


@pytest.fixture
def no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before
