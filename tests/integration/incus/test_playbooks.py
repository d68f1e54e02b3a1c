# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules as users run them: the playbooks from plan to destroy, and every example twice."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ansible_runs
import pytest
from ansible_collections.anklume.stt.plugins.module_utils._incus.host_reader import LocalHost
from ansible_collections.anklume.stt.plugins.module_utils._incus.plan import Options
from ansible_collections.anklume.stt.plugins.module_utils._incus.reconcile import reconcile
from ansible_collections.anklume.stt.plugins.module_utils._incus.servers import Server
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Domain, Endpoint, Machine, Model
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import read_project
from ansible_runs import Run
from conftest import LONG, ROOT, Lab, one_machine

EXAMPLES = ROOT / "docs" / "examples"
QUICK = ("demo", "policies", "shared-volumes")
GIVEN = ("ARGS", "MAKEFLAGS", "MAKEOVERRIDES")


def play(name: str, folder: Path, *arguments: str) -> Run:
    """A target of the Makefile, without what the make that runs the tests was given."""
    kept = {key: value for key, value in os.environ.items() if key not in GIVEN}
    return ansible_runs.run(["make", name, f"PROJECT={folder}", *arguments], environment=kept, cwd=ROOT)


def changed(run: Run) -> int:
    assert run.status == 0, run.output
    return run.changed("localhost")


def test_from_plan_to_destroy(lab: Lab) -> None:
    lab.infra["domains"]["it-a"] = one_machine(ephemeral=True)
    lab.write()
    assert changed(play("sync", lab.folder)) == 1
    plan = play("plan", lab.folder)
    assert changed(plan) == 1
    assert "+ config/ipv4.address: 10.178.1.254/24" in plan.stdout
    assert "+ create instance it-a1 in it-a" in plan.stdout

    first = play("apply-infra", lab.folder)
    assert changed(first) == 1
    assert re.search(r"\+ create instance it-a1 in it-a  \d\.\d s\n", first.stdout), "steps are shown as they are done"
    assert changed(play("apply-infra", lab.folder)) == 0

    refused = play("destroy", lab.folder, "ARGS=-e infra_destroy=something-else")
    assert refused.status != 0
    assert "nothing was deleted: that is not the project's name, it-lab" in refused.said
    assert lab.instance("it-a1")["status"] == "Running"


def test_snapshots_from_taking_to_rolling_back(lab: Lab) -> None:
    """With the instance of the test above."""

    def file() -> str:
        return lab.run("it-a1", "cat /root/file")

    lab.run("it-a1", "echo first >/root/file")
    assert changed(play("snapshot", lab.folder, "NAME=s1")) == 1
    assert changed(play("snapshot-domain", lab.folder, "D=it-a", "NAME=s2")) == 1
    assert "it-a1: s1, s2" in play("snapshot-list", lab.folder).stdout
    assert "which domain?" in play("snapshot-domain", lab.folder).stderr
    lab.run("it-a1", "echo second >/root/file")
    lab.infra["domains"]["it-a"] = one_machine(ephemeral=True, config={"limits.processes": "3000"})
    lab.apply()
    lab.run("it-a1", "echo third >/root/file")

    assert changed(play("rollback", lab.folder)) == 1
    assert file() == "second"
    assert changed(play("restore", lab.folder, "NAME=s1")) == 1
    assert file() == "first"
    assert "which snapshot?" in play("restore", lab.folder).stderr
    assert changed(play("snapshot-delete", lab.folder, "NAME=s1")) == 1
    left = lab.get("/1.0/instances/it-a1/snapshots?project=it-a&recursion=1")
    kinds = sorted(re.sub(r"\d{8}-.*", "", one["name"]) for one in left)
    assert kinds == ["anklume-", "before-restore-", "before-restore-", "s2"]


def test_destroy(lab: Lab) -> None:
    assert changed(play("destroy", lab.folder, "ARGS=-e infra_destroy=it-lab")) == 2
    assert "it-a" not in {project["name"] for project in lab.get("/1.0/projects?recursion=1")}


def test_no_infra_yml_and_no_incus(lab: Lab, tmp_path: Path) -> None:
    missing = play("apply-infra", tmp_path)
    assert missing.status != 0
    assert "there is no infra.yml" in missing.said
    lab.write()
    socket = json.dumps({"environment": {"INCUS_SOCKET": str(tmp_path / "none")}})
    result = subprocess.run(
        ["ansible", "localhost", "-m", "anklume.stt.incus_info", "-a", f"socket={tmp_path}/none", "-e", socket],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode != 0
    assert "Incus does not answer at" in result.stdout


def elsewhere(model: Model, folder: Path) -> Model:
    """The same model under names, addresses and folders that no real one has."""
    domains = {domain.name: f"it-e{number}" for number, domain in enumerate(model.domains)}
    machines = {machine.name: f"it-{machine.name}" for machine in model.machines}
    prefixes = {domain.name: f"10.178.{100 + number}." for number, domain in enumerate(model.domains)}

    def moved(text: str | None, domain: Domain) -> Any:
        return text and prefixes[domain.name] + text.rpartition(".")[2]

    def renamed(end: Endpoint) -> Endpoint:
        return replace(end, name={**domains, **machines}.get(end.name, end.name))

    def machine(one: Machine, domain: Domain) -> Machine:
        data = tuple(replace(some, source=str(folder / some.name)) for some in one.persistent_data)
        name = machines[one.name]
        there = {"domain": domains[domain.name], "target": "", "ip": moved(one.ip, domain), "persistent_data": data}
        return replace(one, name=name, publish_name="", **there)  # a name needs systemd on the host

    return replace(
        model,
        project_name="it-lab",
        base_subnet="10.178" if model.base_subnet else None,
        domains=tuple(
            replace(
                domain,
                name=domains[domain.name],
                network=replace(
                    domain.network,
                    name=f"net-{domains[domain.name]}",
                    subnet=moved(domain.network.subnet, domain),
                    gateway=moved(domain.network.gateway, domain),
                    dhcp_first=moved(domain.network.dhcp_first, domain),
                    dhcp_last=moved(domain.network.dhcp_last, domain),
                ),
                machines=tuple(machine(one, domain) for one in domain.machines),
            )
            for domain in model.domains
        ),
        policies=tuple(replace(p, source=renamed(p.source), target=renamed(p.target)) for p in model.policies),
        shared_volumes=tuple(
            replace(
                volume,
                source=str(folder / volume.name),
                consumers={machines[name]: mode for name, mode in volume.consumers.items()},
            )
            for volume in model.shared_volumes
        ),
    )


def runnable() -> Iterator[str]:
    """The examples that need neither a GPU nor virtual machines; the others are only planned, in the unit tests."""
    for folder in sorted(path for path in EXAMPLES.iterdir() if path.is_dir()):
        model, _notes = read_project(str(folder))
        devices = [
            device
            for domain in model.domains
            for devices in [profile.devices for profile in domain.profiles] + [one.devices for one in domain.machines]
            for device in devices.values()
        ]
        gpu = any(machine.gpu for machine in model.machines) or any(device["type"] == "gpu" for device in devices)
        if not gpu and not any(machine.type == "vm" for machine in model.machines) and (LONG or folder.name in QUICK):
            yield folder.name


@pytest.mark.parametrize("name", list(runnable()))
def test_the_second_apply_of_an_example_is_nothing(lab: Lab, name: str, tmp_path: Path) -> None:
    model = elsewhere(read_project(str(EXAMPLES / name))[0], tmp_path)

    def apply(*, absent: bool = False) -> Any:
        lab.transport.writes.clear()
        options = Options(prune=True, confirm_all=True, backup=False)
        return reconcile([Server("", lab.client, LocalHost())], model, options, absent=absent, workers=8)

    assert apply()["changed"]
    again = apply()
    assert not again["changed"], again["summary"]
    assert lab.transport.writes == []
    for machine in model.machines:
        assert lab.instance(machine.name, machine.domain)["status"] == "Running"
    apply(absent=True)
