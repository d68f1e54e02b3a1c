# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a plan is carried out: order, failures, what Incus forgets and stumbles over. An Incus in memory stands in."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus import apply as apply_module
from ansible_collections.anklume.stt.plugins.module_utils._incus.apply import Journal, apply
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import (
    IncusNotFoundError,
    OperationFailedError,
    OperationForgottenError,
)
from ansible_collections.anklume.stt.plugins.module_utils._incus.desired import Desired, desired
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import Key
from ansible_collections.anklume.stt.plugins.module_utils._incus.observe import Observed
from ansible_collections.anklume.stt.plugins.module_utils._incus.plan import Options, Plan, plan
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import PersistentData
from incus_models import HOST, applied, domain, machine, model

SOURCES = {("images:debian/13", "container"): {"type": "image", "alias": "debian/13"}}
STUMBLE = "Failed to delete bridge children interfaces: veth1 does not exist"


class Memory:
    """Keeps what was written; `faults` says which writes fail, and how often."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.bodies: dict[str, Any] = {}
        self.faults: dict[str, list[IncusError]] = {}
        self.there: dict[str, Any] = {}
        self._lock = threading.Lock()

    def get(self, path: str, **_query: str) -> Any:
        if path.endswith("/state"):
            addresses = [{"address": "10.100.3.10", "family": "inet", "scope": "global"}]
            return {"status": "Running", "network": {"eth0": {"addresses": addresses}}}
        if path.endswith("/snapshots"):
            return []
        if path not in self.there:
            raise IncusNotFoundError(path)
        return self.there[path]

    def get_tagged(self, path: str, **_query: str) -> tuple[Any, str]:
        if self.faults.get(f"look at {path}"):
            raise self.faults[f"look at {path}"].pop(0)
        return self.there.get(path, {"config": {}, "devices": {}, "description": ""}), "tag"

    def send(self, method: str, path: str, body: Any = None, *, etag: str = "", **_query: str) -> None:
        with self._lock:
            self.written.append(f"{method} {path}")
            self.bodies[path] = body
            if self.faults.get(path):
                raise self.faults[path].pop(0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply_module, "POLL", 0.001)
    monkeypatch.setattr(apply_module, "ADDRESS_TIMEOUT", 0.05)


@pytest.fixture
def memory() -> Memory:
    return Memory()


def from_nothing() -> Plan:
    return plan(desired(model(), HOST), Observed(), HOST, Options())


def run(memory: Memory, todo: Plan, folder: Path, workers: int = 4) -> list[str]:
    journal = Journal(str(folder / "log"))
    with journal.whole(len(todo.steps)):
        apply(memory, todo, SOURCES, journal, workers=workers, backup_dir=folder)
    return memory.written


@pytest.mark.parametrize("workers", [1, 8])
def test_everything_in_order_whatever_the_number_of_workers(memory: Memory, tmp_path: Path, workers: int) -> None:
    written = run(memory, from_nothing(), tmp_path, workers)
    assert sorted(written[:2]) == ["POST /1.0/network-acls", "POST /1.0/projects"]
    assert written[2:] == ["POST /1.0/networks", "PUT /1.0/profiles/default", "POST /1.0/instances"]
    instance = memory.bodies["/1.0/instances"]
    assert instance["start"] is True
    assert instance["source"]["alias"] == "debian/13"
    assert instance["config"]["user.anklume.image"] == "images:debian/13"
    assert memory.bodies["/1.0/projects"]["config"]["features.networks"] == "false"


def test_the_journal_tells_each_step(memory: Memory, tmp_path: Path) -> None:
    run(memory, from_nothing(), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert lines[0]["state"] == "begin"
    assert lines[-1] == {"time": lines[-1]["time"], "state": "end"}
    assert [line["object"] for line in lines if line["state"] == "done"][-1] == "instance lab-ai in lab"
    told = {line["text"] for line in lines if line["state"] == "done"}
    assert told - set(from_nothing().lines()) == {"* wait until instance lab-ai in lab has its address"}
    assert told >= set(from_nothing().lines())
    assert sum(line["state"] == "start" for line in lines) == sum(line["state"] == "done" for line in lines) == 6


def test_a_log_that_cannot_be_begun_stops_and_one_that_cannot_go_on_does_not(memory: Memory, tmp_path: Path) -> None:
    with pytest.raises(IncusError, match=r"cannot write the log .*/none/log \(No such file or directory\)"):
        Journal(str(tmp_path / "none" / "log"))
    apply(memory, from_nothing(), SOURCES, Journal("/dev/full"), workers=4, backup_dir=tmp_path)
    assert memory.written[-1] == "POST /1.0/instances"


def test_after_a_failure_nothing_that_needs_it_is_tried(memory: Memory, tmp_path: Path) -> None:
    memory.faults["/1.0/networks"] = [OperationFailedError("no space left")]
    with pytest.raises(IncusError, match=r"^create network net-lab: no space left$"):
        run(memory, from_nothing(), tmp_path)
    assert "POST /1.0/instances" not in memory.written
    last = json.loads((tmp_path / "log").read_text().splitlines()[-1])
    assert (last["state"], last["error"]) == ("end", "create network net-lab: no space left")


def test_an_instance_that_was_stopped_for_a_change_that_failed_runs_again(memory: Memory, tmp_path: Path) -> None:
    nesting = model(domain("lab", 3, machine(config={"security.nesting": "true"})))
    observed = applied(model())
    there = {"config": {}, "devices": {}, "description": "", "profiles": ["default"]}
    memory.there["/1.0/instances/lab-ai"] = {**there, "architecture": "x86_64", "ephemeral": False}
    memory.faults["/1.0/instances/lab-ai"] = [OperationFailedError("no such key")]
    with pytest.raises(IncusError, match=r"^update instance lab-ai in lab: no such key$"):
        run(memory, plan(desired(nesting, HOST), observed, HOST, Options()), tmp_path)
    assert memory.written[-2:] == ["PUT /1.0/instances/lab-ai", "PUT /1.0/instances/lab-ai/state"]
    assert memory.bodies["/1.0/instances/lab-ai/state"]["action"] == "start"


def test_an_operation_that_incus_forgot_is_looked_up(memory: Memory, tmp_path: Path) -> None:
    memory.faults["/1.0/instances"] = [OperationForgottenError("gone")]
    with pytest.raises(IncusError, match=r"create instance lab-ai in lab: /1\.0/instances/lab-ai"):
        run(memory, from_nothing(), tmp_path)
    memory.faults["/1.0/instances"] = [OperationForgottenError("gone")]
    memory.there["/1.0/instances/lab-ai"] = {}
    run(memory, from_nothing(), tmp_path)


def test_a_bridge_is_tried_again_when_incus_stumbles(memory: Memory, tmp_path: Path) -> None:
    memory.faults["/1.0/networks"] = [IncusError(STUMBLE), IncusError(STUMBLE)]
    run(memory, from_nothing(), tmp_path)
    about = [line for line in memory.written if "/networks" in line]
    assert about == ["POST /1.0/networks", "DELETE /1.0/networks/net-lab"] * 2 + ["POST /1.0/networks"]


def test_a_bridge_is_not_tried_for_ever(memory: Memory, tmp_path: Path) -> None:
    memory.faults["/1.0/networks"] = [IncusError(STUMBLE) for _ in range(50)]
    with pytest.raises(IncusError, match="veth1 does not exist"):
        run(memory, from_nothing(), tmp_path)


def test_what_is_still_there_after_not_found_is_deleted_again(memory: Memory, tmp_path: Path) -> None:
    # what Incus answers when another ACL went while it looked who uses this one
    memory.faults["/1.0/network-acls/net-lab"] = [IncusNotFoundError("Failed getting ACL usage: not found")]
    memory.there["/1.0/network-acls/net-lab"] = {}
    memory.there["/1.0/instances/lab-ai"] = {"status": "Stopped", "config": {}}
    options = Options(prune=True, confirm_all=True, backup=False)
    written = run(memory, plan(Desired("mine"), applied(model()), HOST, options), tmp_path)
    assert written[-2:] == ["DELETE /1.0/network-acls/net-lab"] * 2
    memory.faults["/1.0/network-acls/net-lab"] = [IncusNotFoundError("Network ACL not found") for _ in range(50)]
    with pytest.raises(IncusError, match="delete acl net-lab: Network ACL not found"):
        run(memory, plan(Desired("mine"), applied(model()), HOST, options), tmp_path)


@pytest.mark.parametrize("when", ["look at ", ""])
def test_an_acl_is_changed_while_a_project_goes(memory: Memory, tmp_path: Path, when: str) -> None:
    # Incus looks into every project for who uses the ACL
    fault = IncusNotFoundError('Failed getting ACL usage: Failed to load project "web": Project not found')
    memory.faults[f"{when}/1.0/network-acls/net-lab"] = [fault, fault]
    key = Key("acl", "default", "net-lab")
    found = applied(model()).found
    drifted = replace(found[key], fields={**found[key].fields, "egress": []})
    todo = plan(desired(model(), HOST), Observed({**found, key: drifted}), HOST, Options())
    memory.there["/1.0/network-acls/net-lab"] = {"config": {}, "description": "", "ingress": [], "egress": []}
    assert run(memory, todo, tmp_path)[-1] == "PUT /1.0/network-acls/net-lab"
    memory.faults[f"{when}/1.0/network-acls/net-lab"] = [fault] * 50
    with pytest.raises(IncusError, match="update acl net-lab: Failed getting ACL usage"):
        run(memory, todo, tmp_path)


def test_a_field_that_somebody_changed_meanwhile(memory: Memory, tmp_path: Path) -> None:
    memory.there["/1.0/networks/net-lab"] = {"config": {"ipv4.nat": "maybe"}, "description": ""}
    observed = applied(model())
    key = next(key for key in observed.found if key.kind == "network")
    found = observed.found[key]
    drifted = type(found)(key, {**found.fields, "config/ipv4.nat": "false"}, type="bridge")
    todo = plan(desired(model(), HOST), Observed({**observed.found, key: drifted}), HOST, Options())
    with pytest.raises(IncusError, match=r"config/ipv4\.nat was changed by somebody else"):
        run(memory, todo, tmp_path)
    assert memory.written == []


def test_an_address_that_never_comes(memory: Memory, tmp_path: Path) -> None:
    todo = plan(desired(model(domain("lab", 3, machine(ip="10.100.3.99"))), HOST), Observed(), HOST, Options())
    with pytest.raises(
        IncusError, match=r"no address 10\.100\.3\.99 within .* s, but 10\.100\.3\.10: see incus console .* lab-ai"
    ):
        run(memory, todo, tmp_path)


def test_addresses_that_change_hands_are_given_back_one_at_a_time(
    memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply_module, "POLL", 0.1)
    monkeypatch.setattr(apply_module, "wait_for_address", lambda *_words: None)
    given_back: list[float] = []
    send = memory.send

    def timed(method: str, path: str, body: Any = None, **words: str) -> None:
        if any(device["type"] == "none" for device in (body or {}).get("devices", {}).values()):
            given_back.append(time.monotonic())
        send(method, path, body, **words)

    memory.send = timed  # type: ignore[method-assign]
    addresses = ["10.100.3.10", "10.100.3.11"]
    before, after = (
        model(domain("lab", 3, machine(ip=first), machine("lab-b", ip=second)))
        for first, second in (addresses, addresses[::-1])
    )
    for name, address in zip(("lab-ai", "lab-b"), addresses, strict=True):
        eth0 = {"type": "nic", "network": "net-lab", "ipv4.address": address}
        rest = dict.fromkeys(("architecture", "description", "ephemeral", "profiles"), "")
        memory.there[f"/1.0/instances/{name}"] = {"config": {}, "devices": {"eth0": eth0}, **rest}
    todo = plan(desired(after, HOST), applied(before), HOST, Options(backup=False))
    run(memory, todo, tmp_path, workers=8)
    assert len(given_back) == 2 and given_back[1] - given_back[0] >= 0.1


def test_a_folder_that_cannot_be_made(memory: Memory, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    data = PersistentData("d", str(tmp_path / "file" / "d"), "/d")
    todo = plan(desired(model(domain("lab", 3, machine(persistent_data=(data,)))), HOST), Observed(), HOST, Options())
    with pytest.raises(IncusError, match=r"cannot make the folder .*: make it as root"):
        run(memory, todo, tmp_path)
    assert "POST /1.0/instances" not in memory.written
