# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster of three: each machine on its member, one that dies and comes back, a move, destroy; strangers stay."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Project, address, incus, long, look_at_strangers, make_strangers, query, with_incus

pytestmark = [long, pytest.mark.timeout(900)]

NAMES = [f"anklume-test-n{number}" for number in (1, 2, 3)]
READY = """
until systemctl is-system-running --wait >/dev/null; do sleep 0.5; done
until ip -4 -o addr show eth0 scope global | grep -q inet; do sleep 0.2; done
"""
SOURCE = {"entity": "storage-pool", "name": "default", "key": "source", "value": ""}


def inside(name: str, script: str) -> str:
    """What a script prints in one of the machines."""
    return incus("exec", name, "--", "bash", "-ec", script)


def joined(name: str, token: str = "") -> None:
    """A member of the cluster: the first one forms it."""
    member = name.rpartition("-")[2]
    own = f"{address(name)}:8443"
    cluster: dict[str, Any] = {"server_name": member, "enabled": True}
    preseed: dict[str, Any] = {"config": {"core.https_address": own}, "cluster": cluster}
    if token:
        cluster |= {"server_address": own, "cluster_token": token, "member_config": [SOURCE]}
    else:
        root = {"root": {"type": "disk", "path": "/", "pool": "default"}}
        preseed |= {
            "storage_pools": [{"name": "default", "driver": "dir"}],
            "profiles": [{"name": "default", "devices": root}],
        }
    inside(name, f"incus admin init --preseed <<<'{json.dumps(preseed)}'")


@pytest.fixture(scope="module")
def first(nested: Any) -> Iterator[Any]:
    """The first member of three, made alike."""
    for name in NAMES[1:]:
        subprocess.run(["incus", "delete", "--force", name], capture_output=True, check=False)
    host = with_incus(nested(NAMES[0]))
    host(
        "systemctl stop incus.socket incus; : >/etc/machine-id; rm -rf /var/lib/incus/database /var/lib/incus/server.*"
    )
    try:
        for name in NAMES[1:]:
            incus("copy", NAMES[0], name, "--stateless", "--instance-only")
            incus("start", name)
        host("systemctl start incus.socket")
        joined(NAMES[0])
        for name in NAMES[1:]:
            inside(name, READY)
            joined(name, host(f"incus cluster add {name.rpartition('-')[2]} --quiet | tail -n 1"))
        host("incus cluster group create it-gpu; incus cluster group assign n2 default,it-gpu")
        host(f"incus image import {host.files} --alias debian/13 --quiet")
        make_strangers(host)
        yield host
    finally:
        for name in NAMES[1:]:
            subprocess.run(["incus", "delete", "--force", name], capture_output=True, check=True)


@pytest.fixture(scope="module")
def project(first: Any, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project on the cluster."""
    project = Project(tmp_path_factory.mktemp("cluster"))
    machines = {
        "it-g1": {"ip": "10.179.3.11", "target": "@it-gpu"},
        "it-g2": {"ip": "10.179.3.12", "target": "n1", "ephemeral": False},
        "it-g3": {
            "ip": "10.179.3.13",
            "target": "n3",
            "publish": [8000],
            "storage_volumes": {"models": {"path": "/srv/models"}},
        },
    }
    where = {"subnet_id": 3, "remote": "it-cluster"}
    project.infra = {
        "project_name": "it-cluster",
        "global": {
            "base_subnet": "10.179",
            "remotes": {"it-cluster": {"address": [address(name) for name in NAMES]}},
        },
        "domains": {"it-g": {"description": "Three", **where, "ephemeral": True, "machines": machines}},
    }
    project.write()
    token = first("incus config trust add it-cluster --quiet | tail -n 1")
    project.done("remote-add", "NAME=it-cluster", f"TOKEN={token}")
    return project


def places(host: Any) -> dict[str, str]:
    """On which member each instance of the project is."""
    found = json.loads(host("incus list --project it-g --format json"))
    return {one["name"]: one["location"] for one in found}


def snapshots(host: Any) -> list[str]:
    """The names of those that were taken of the machine that moves."""
    found = json.loads(query(host, "GET", "/1.0/instances/it-g2/snapshots?project=it-g"))["metadata"]
    return [url.rpartition("/")[2].partition("?")[0] for url in found]


def wait_until(host: Any, status: str) -> None:
    """Until the cluster has seen how the third member is."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        found = json.loads(host("incus cluster list --format json"))
        if next(one["status"] for one in found if one["server_name"] == "n3") == status:
            return
        time.sleep(1)
    raise AssertionError(f"n3 is not {status}")


def test_first_apply_and_again(first: Any, project: Project, writes: list[str]) -> None:
    before = look_at_strangers(first)
    answer = project.reconcile()
    assert sorted(answer["new"]) == ["it-g1", "it-g2", "it-g3"]
    assert places(first) == {"it-g1": "n2", "it-g2": "n1", "it-g3": "n3"}
    assert project.incus("exec", "it-cluster:it-g3", "--project", "it-g", "--", "hostname") == "it-g3"
    assert [one["address"] for one in answer["published"]] == [address(NAMES[2])]
    volumes = json.loads(query(first, "GET", "/1.0/storage-pools/default/volumes/custom?recursion=1&project=it-g"))
    assert [(one["name"], one["location"]) for one in volumes["metadata"]] == [("models", "n3")]
    writes.clear()
    answer = project.reconcile()
    assert (answer["changed"], answer["notes"], writes) == (False, [], [])
    assert look_at_strangers(first) == before


def test_a_member_that_dies_and_comes_back(first: Any, project: Project, writes: list[str]) -> None:
    machines = project.infra["domains"]["it-g"]["machines"]
    before = look_at_strangers(first)
    incus("stop", "--force", NAMES[2])
    try:
        for _look in ("the others elect a leader", "marked"):
            answer = project.reconcile(check=True)
            assert (answer["changed"], answer["plan"], answer["unreached"]) == (False, [], ["it-g3"])
            [note] = answer["notes"]
            assert note.startswith("member n3 is down (") and "it-g3" in note, note
            wait_until(first, "Offline")
        machines["it-g2"]["config"] = {"limits.processes": "3000"}
        machines["it-g4"] = {"ip": "10.179.3.14", "target": "n2"}
        machines["it-g5"] = {"ip": "10.179.3.15", "target": "n3"}
        answer = project.reconcile(adopt=True, prune=True)
        assert answer["new"] == ["it-g4"]
        assert answer["unreached"] == ["it-g3", "it-g5"]
        assert not any("it-g3" in write or "/networks" in write for write in writes)
        assert places(first) == {"it-g1": "n2", "it-g2": "n1", "it-g3": "n3", "it-g4": "n2"}
        # as docs/how-to/cluster.md says it for the member that remote-add reached
        project.incus("remote", "set-url", "it-cluster", f"https://{address(NAMES[1])}:8443")
        assert project.incus("exec", "it-cluster:it-g2", "--project", "it-g", "--", "hostname") == "it-g2"
    finally:
        incus("start", NAMES[2])
        inside(NAMES[2], "until systemctl start incus; do sleep 0.5; done")
        wait_until(first, "Online")
    del machines["it-g5"]
    first("until incus list --project it-g --format csv --columns s name=it-g3 | grep -q RUNNING; do sleep 1; done")
    writes.clear()
    answer = project.reconcile()
    assert (answer["changed"], answer["notes"], writes) == (False, [], [])
    assert look_at_strangers(first) == before


def test_a_machine_moves_when_it_is_confirmed(first: Any, project: Project, writes: list[str]) -> None:
    project.infra["domains"]["it-g"]["machines"]["it-g2"]["target"] = "n2"
    answer = project.reconcile()
    assert (answer["changed"], writes) == (False, [])
    assert "instance it-g2 in it-g is on n1, infra.yml says n2: confirm=it-g2" in answer["notes"][0]
    taken = snapshots(first)
    assert taken, "none was taken before the change in the last test"
    answer = project.reconcile(confirm=frozenset({"it-g2"}))
    assert [step["action"] for step in answer["plan"]] == ["stop", "move", "start"]
    assert places(first)["it-g2"] == "n2"
    assert snapshots(first) == taken
    writes.clear()
    answer = project.reconcile()
    assert (answer["changed"], answer["notes"], writes) == (False, [], [])


def test_destroy(first: Any, project: Project) -> None:
    before = look_at_strangers(first)
    project.reconcile(absent=True, prune=True, confirm_all=True, backup=False)
    assert look_at_strangers(first) == before
    assert {one["name"] for one in json.loads(first("incus project list --format json"))} == {"default", "it-other"}
    assert "net-it-g" not in first("incus network list --format csv --columns n")
    assert "net-it-g" not in first("incus network acl list --format csv")
