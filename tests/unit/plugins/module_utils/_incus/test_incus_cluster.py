# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster of Incus: each machine on its member, facts of each member, and nothing done to what cannot be seen.

The cluster is a stand-in that speaks the REST API over real TLS.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError, InfraError
from ansible_collections.anklume.stt.plugins.module_utils._incus import host_reader as reader_module
from ansible_collections.anklume.stt.plugins.module_utils._incus import observe as observe_module
from ansible_collections.anklume.stt.plugins.module_utils._incus import reconcile as reconcile_module
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import Client
from ansible_collections.anklume.stt.plugins.module_utils._incus.cluster import Member, meant
from ansible_collections.anklume.stt.plugins.module_utils._incus.host_reader import RemoteHost
from ansible_collections.anklume.stt.plugins.module_utils._incus.https_transport import HttpsTransport
from ansible_collections.anklume.stt.plugins.module_utils._incus.info import info
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import Key
from ansible_collections.anklume.stt.plugins.module_utils._incus.observe import Found, Observed, observe
from ansible_collections.anklume.stt.plugins.module_utils._incus.plan import Options
from ansible_collections.anklume.stt.plugins.module_utils._incus.reconcile import reconcile
from ansible_collections.anklume.stt.plugins.module_utils._incus.servers import Server
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import (
    Model,
    PersistentData,
    Publication,
    StorageVolume,
)
from incus_models import domain, machine, model
from remote_stand_in import STARTED, Remote

CARD = {"vendor_id": "10de", "driver": "nvidia", "nvidia": {"uuid": "GPU-1"}}
B = Key("instance", "lab", "lab-b")
Apply = Callable[..., dict[str, Any]]


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    with Remote(tmp_path).serving() as remote:
        remote.images["debian/13"] = "f00"
        remote.members = {"n1": {}, "n2": {"groups": ["default", "gpu"], "cards": [CARD]}, "n3": {}}
        yield remote


@pytest.fixture
def apply(remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Apply]:
    """Applies; `remote.writes` is what was written by that."""
    monkeypatch.setattr(reconcile_module, "PAUSE", 0)
    monkeypatch.setattr(observe_module, "SETTLES", 0)
    monkeypatch.setattr(observe_module, "answers", lambda _door: False)
    monkeypatch.setattr(reader_module, "answers", lambda _door: False)
    with Client(HttpsTransport("far", [remote.address], remote.credentials)).closing() as client:
        there = Server("far", client, RemoteHost(client, "far"))

        def apply(wanted: Model, *, check: bool = False, absent: bool = False, **options: Any) -> dict[str, Any]:
            remote.writes.clear()
            given = Options(prune=absent, confirm_all=absent, backup=False, **options)
            return reconcile([there], wanted, given, check=check, absent=absent, backup_dir=tmp_path)

        yield apply


def lab(*more: Any, **b: Any) -> Model:
    """One machine on each of two members."""
    machines = (
        machine("lab-a", target="n1"),
        machine("lab-b", ip="10.100.3.11", **{"target": "n2", **b}),
        *more,
    )
    return model(domain("lab", 3, *machines))


def test_each_machine_is_made_on_its_member_and_found_there(remote: Remote, apply: Apply) -> None:
    answer = apply(lab(machine("lab-c", ip="10.100.3.12", target="@gpu")))
    assert sorted(answer["new"]) == ["lab-a", "lab-b", "lab-c"]
    made = [write for write in remote.writes if write.startswith("POST /1.0/instances")]
    assert sorted(made) == ["POST /1.0/instances at @gpu", "POST /1.0/instances at n1", "POST /1.0/instances at n2"]
    networks = [write for write in remote.writes if write.startswith("POST /1.0/networks")]
    assert networks == [*(f"POST /1.0/networks at n{number}" for number in (1, 2, 3)), "POST /1.0/networks"]
    remote.location[Key("instance", "lab", "lab-c")] = "n2"
    answer = apply(lab(machine("lab-c", ip="10.100.3.12", target="@gpu")))
    assert (answer["changed"], answer["notes"], remote.writes) == (False, [], [])
    apply(lab(), absent=True)
    assert remote.observed.found == {}


def test_a_volume_lies_on_the_member_of_its_machine(remote: Remote, apply: Apply) -> None:
    theirs = Found(Key("volume", "lab", "default/models", "n1"), {"description": "theirs"})
    remote.observed = Observed({theirs.key: theirs})
    kept = lab(storage_volumes=(StorageVolume("models", "", "/srv/models"),))
    apply(kept)
    assert "POST /1.0/storage-pools/default/volumes/custom at n2" in remote.writes
    assert apply(kept)["changed"] is False
    apply(kept, absent=True)
    assert "DELETE /1.0/storage-pools/default/volumes/custom/models at n2" in remote.writes
    assert theirs.key in remote.observed.found


def test_facts_are_those_of_the_member(remote: Remote, apply: Apply) -> None:
    with Client(HttpsTransport("far", [remote.address], remote.credentials)).closing() as client:
        _observed, host = observe(client, RemoteHost(client, "far"))
    assert {name: one.gpus for name, one in host.members.items()} == {"n1": 0, "n2": 1, "n3": 0}
    assert (host.gpus, host.words, host.members["n2"].words) == (0, "server far", "member n2")
    assert [str(one.lan[0].ip) for one in host.members.values()] == [f"192.168.7.{number}" for number in (20, 21, 22)]
    assert {IPv4Address("192.168.7.20"), IPv4Address("192.168.7.22")} <= set(host.addresses)
    published = lab(publish=(Publication(8000, 80),))
    assert [one["address"] for one in apply(published, check=True)["published"]] == ["192.168.7.21"]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("n2", ""),
        ("@gpu", ""),
        ("n1", "lab-b asks for a GPU: member n1 has none that Incus sees"),
        ("", "lab-b asks for a GPU: server far has none on each member that Incus sees"),
        ("n9", "lab-b has target n9, and the cluster has no such member: it has n1, n2, n3, @default, @gpu"),
        ("@none", "lab-b has target @none, and the cluster has no such member"),
    ],
)
def test_the_gpu_has_to_be_where_the_machine_may_be(apply: Apply, target: str, said: str) -> None:
    wanted = lab(target=target, gpu=True)
    if said:
        with pytest.raises(IncusError, match=said):
            apply(wanted, check=True)
    else:
        assert "lab-b" in apply(wanted, check=True)["new"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"storage_volumes": (StorageVolume("v", "", "/v"),), "target": "@gpu"}, "lab-b keeps v, on one member"),
        ({"publish": (Publication(80, 80),), "target": ""}, r"publishes a port.*say which with target \(n1, n2, n3\)"),
        ({"persistent_data": (PersistentData("d", "/srv/d", "/d"),)}, "lab-b mounts /srv/d: a folder of the Incus"),
    ],
)
def test_what_lies_on_one_member_has_to_say_on_which(apply: Apply, given: dict[str, Any], said: str) -> None:
    with pytest.raises((IncusError, InfraError), match=said):
        apply(lab(**given), check=True)


def test_a_target_where_there_is_no_cluster(remote: Remote, apply: Apply) -> None:
    remote.members = {}
    with pytest.raises(IncusError, match="lab-a has target n1, and server far is no cluster: drop target"):
        apply(lab(), check=True)


@pytest.mark.parametrize("why", ["No heartbeat for 25s (2026-01-01 00:00:00)", ""], ids=["marked", "not yet marked"])
def test_what_is_on_a_member_that_is_down_is_left_alone(remote: Remote, apply: Apply, why: str) -> None:
    both = lab()
    apply(both)
    before = dict(remote.observed.found)
    remote.members["n2"]["down"] = why
    for check in (True, False):
        answer = apply(both, check=check, adopt=not check)
        assert (answer["changed"], answer["summary"], remote.writes) == (False, [], [])
        [note] = answer["notes"]
        assert note.startswith(
            f"member n2 is down ({why.partition(' (')[0] or 'it does not answer'}): what is on it is left alone"
        )
        assert "lab-b" in note
        assert answer["unreached"] == ["lab-b"]
    assert remote.observed.found == before
    del remote.members["n2"]["down"]
    answer = apply(both)
    assert (answer["changed"], answer["notes"], answer["unreached"], remote.writes) == (False, [], [], [])


@pytest.mark.parametrize("said", ["", "No heartbeat for 25s"], ids=["online", "offline"])
@pytest.mark.parametrize("healthy", [("n1",), ("n1", "n3")], ids=["one", "all"])
def test_healthy_members_are_waited_for_when_one_has_died(
    remote: Remote, apply: Apply, monkeypatch: pytest.MonkeyPatch, healthy: tuple[str, ...], said: str
) -> None:
    apply(lab())
    for name in healthy:
        remote.members[name]["down"] = said
    remote.members["n2"]["down"] = "No heartbeat for 25s"
    looks: list[float] = []

    def look_again(pause: float) -> None:
        looks.extend([pause] * (pause == observe_module.PAUSE))
        if len(looks) == 3 and "down" in remote.members[healthy[0]]:
            for name in healthy:
                del remote.members[name]["down"]

    monkeypatch.setattr(observe_module, "SETTLES", 60)
    monkeypatch.setattr(observe_module, "answers", lambda door: door != ("192.168.7.21", 8443))
    monkeypatch.setattr(time, "sleep", look_again)
    answer = apply(lab())
    assert (answer["changed"], answer["unreached"], len(looks)) == (False, ["lab-b"], 3)


def test_a_cluster_of_which_no_member_answers(remote: Remote, apply: Apply) -> None:
    for member in remote.members.values():
        member["down"] = ""
    with pytest.raises(IncusError, match=r"no member of the cluster of server far answers \(n1: .*run this again"):
        apply(lab())
    assert remote.writes == []


def test_the_others_go_on_while_one_is_down(remote: Remote, apply: Apply) -> None:
    apply(lab())
    remote.members["n2"]["down"] = "no heartbeat"
    a = machine("lab-a", target="n1", config={"limits.memory": "2GiB"})
    more = [
        machine("lab-c", ip="10.100.3.12", target="n3"),
        machine("lab-d", ip="10.100.3.13", target="n2"),
        machine("lab-e", ip="10.100.3.14", target="@gpu", gpu=True),
    ]
    wanted = lab(*more)
    first, b, *rest = wanted.domains[0].machines
    assert first.name == "lab-a"
    new = domain("new", 4, machine("new-a", "new", "10.100.4.10", target="n1"))
    answer = apply(replace(wanted, domains=(replace(wanted.domains[0], machines=(a, b, *rest)), new)))
    assert "~ update instance lab-a in lab on far: config/limits.memory" in answer["summary"]
    assert answer["new"] == ["lab-c"]
    # a new network would have to be made on n2 as well
    assert answer["unreached"] == ["lab-b", "lab-d", "lab-e", "new-a"]
    assert "not made before it is back: net-new, " in answer["notes"][0]
    assert all(f" {name}" in answer["notes"][0] for name in ("lab-d", "lab-e", "new-a"))
    assert not any("/networks" in write or "/network-acls" in write for write in remote.writes)


def test_nothing_is_pruned_or_destroyed_that_a_member_that_is_down_may_use(remote: Remote, apply: Apply) -> None:
    apply(lab())
    remote.members["n2"]["down"] = "no heartbeat"
    answer = apply(lab(), absent=True)
    assert remote.writes == [
        "PUT /1.0/instances/lab-a/state",
        "PUT /1.0/instances/lab-a",
        "DELETE /1.0/instances/lab-a",
    ]
    assert not any("which infra.yml did not make" in note for note in answer["notes"])
    del remote.members["n2"]["down"]
    apply(lab(), absent=True)
    assert remote.observed.found == {}


def test_a_changed_target_is_a_note_and_moves_when_it_is_confirmed(remote: Remote, apply: Apply) -> None:
    apply(lab())
    moved = lab(target="n3")
    answer = apply(moved)
    assert (answer["changed"], remote.writes) == (False, [])
    assert answer["notes"] == [
        "instance lab-b in lab is on n2, infra.yml says n3: confirm=lab-b (make: CONFIRM=lab-b) stops it, moves it and "
        "starts it there on far"
    ]
    answer = apply(moved, confirm=frozenset({"lab-b"}))
    assert [line.partition(" on far")[0] for line in answer["summary"]] == [
        "* stop instance lab-b in lab",
        "* move instance lab-b in lab",
        "* start instance lab-b in lab",
    ]
    assert answer["summary"][1].endswith("from n2 to n3")
    assert remote.location[B] == "n3"
    assert apply(moved, confirm=frozenset({"lab-b"}))["changed"] is False


def test_what_is_published_moves_with_its_machine(remote: Remote, apply: Apply) -> None:
    door = (Publication(8000, 80),)
    apply(lab(publish=door))
    listen = "devices/publish-tcp-8000/listen"
    assert remote.observed.found[B].fields[listen] == "tcp:192.168.7.21:8000"
    # it is not yet where it should be
    assert apply(lab(publish=door, target="n1"))["changed"] is False
    apply(lab(publish=door, target="n1"), confirm=frozenset({"lab-b"}))
    assert remote.observed.found[B].fields[listen] == "tcp:192.168.7.20:8000"
    order = [write for write in remote.writes if write.startswith(("POST", "PUT")) and "snapshots" not in write]
    assert order == [
        "PUT /1.0/instances/lab-b/state",
        "POST /1.0/instances/lab-b at n1",
        "PUT /1.0/instances/lab-b",
        "PUT /1.0/instances/lab-b/state",
    ]


def test_what_is_published_on_a_member_is_free_there(
    remote: Remote, apply: Apply, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = (Publication(8000, 80),)
    monkeypatch.setattr(reader_module, "answers", lambda door: door == ("192.168.7.21", 8000))
    with pytest.raises(IncusError, match=r"port 8000 of 192\.168\.7\.21 is taken on server far by somebody who"):
        apply(lab(publish=door))
    apply(lab(publish=door, target="n1"))
    # its own door is no stranger's
    monkeypatch.setattr(reader_module, "answers", lambda door: door == ("192.168.7.20", 8000))
    assert apply(lab(publish=door, target="n1"))["changed"] is False


def test_a_machine_with_a_volume_is_not_moved(remote: Remote, apply: Apply) -> None:
    volumes = (StorageVolume("models", "", "/srv/models"),)
    apply(lab(storage_volumes=volumes))
    answer = apply(lab(storage_volumes=volumes, target="n3"), confirm=frozenset({"lab-b"}))
    assert (answer["changed"], remote.writes) == (False, [])
    assert "models would stay behind: move both by hand" in answer["notes"][0]


def test_an_address_that_a_stranger_has_on_another_member(remote: Remote, apply: Apply) -> None:
    stranger = Found(
        Key("instance", "default", "theirs"),
        {"devices/eth0/type": "nic", "devices/eth0/network": "net-lab", "devices/eth0/ipv4.address": "10.100.3.11"},
        status="Running",
        type="container",
        started=STARTED,
    )
    remote.observed = Observed({stranger.key: stranger})
    remote.location[stranger.key] = "n3"
    with pytest.raises(
        IncusError, match=r"lab-b in lab: its address 10\.100\.3\.11 is that of instance theirs .* on n3"
    ):
        apply(lab())
    assert remote.writes == []


def test_a_network_has_its_description_at_once(remote: Remote, apply: Apply) -> None:
    wanted = lab()
    wanted = replace(wanted, domains=(replace(wanted.domains[0], description="Three"),))
    apply(wanted)
    assert remote.observed.found[Key("network", "default", "net-lab")].fields["description"] == "Three"
    assert (apply(wanted)["changed"], remote.writes) == (False, [])


def test_a_network_that_is_defined_on_a_member_already(remote: Remote, apply: Apply) -> None:
    remote.defined["net-lab"] = {"n2"}
    assert sorted(apply(lab())["new"]) == ["lab-a", "lab-b"]


@pytest.mark.parametrize(("status", "owner"), [("Pending", None), ("Errored", "mine")])
def test_a_network_that_was_made_on_some_members_only_is_made_anew(
    remote: Remote, apply: Apply, status: str, owner: str | None
) -> None:
    apply(lab())
    key = Key("network", "default", "net-lab")
    whole = remote.observed.found[key]
    half = replace(whole, fields=whole.fields if owner else {}, status=status)
    remote.observed = Observed({**remote.observed.found, key: half})
    apply(lab())
    assert remote.writes[0] == "DELETE /1.0/networks/net-lab"
    assert remote.observed.found[key].fields == whole.fields


def test_what_is_told_of_a_cluster_with_a_member_down(remote: Remote, apply: Apply) -> None:
    apply(lab())
    remote.members["n2"]["down"] = "no heartbeat"
    with Client(HttpsTransport("far", [remote.address], remote.credentials)).closing() as client:
        told = info(client)["instances"]
        assert [one["name"] for one in info(client, "mine")["instances"]] == ["lab-a"]
    assert {one["name"]: one["status"] for one in told} == {"lab-a": "Running", "lab-b": "Error"}


def test_whom_a_target_means() -> None:
    members = [Member("n1", ("default",)), Member("n2", ("default", "gpu"))]
    assert [[one.name for one in meant(target, members)] for target in ("", "n2", "@gpu", "@default", "n3")] == [
        ["n1", "n2"],
        ["n2"],
        ["n2"],
        ["n1", "n2"],
        [],
    ]
