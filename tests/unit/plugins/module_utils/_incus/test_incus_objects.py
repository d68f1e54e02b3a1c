# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of kinds, and that an entry in it is all that finding, comparing, sending and deleting need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._incus.apply import Journal, apply
from ansible_collections.anklume.stt.plugins.module_utils._incus.desired import Desired, desired
from ansible_collections.anklume.stt.plugins.module_utils._incus.host_reader import LocalHost
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import (
    KINDS,
    PROJECT_MARK,
    Key,
    Kind,
    Resource,
    order_of_deletion,
    url,
    uses,
)
from ansible_collections.anklume.stt.plugins.module_utils._incus.observe import Observed, observe
from ansible_collections.anklume.stt.plugins.module_utils._incus.plan import Options, plan
from incus_models import HOST, after_apply, domain, model

ZONE = Key("zone", "default", "lab.example")


@pytest.mark.parametrize(
    ("key", "place"),
    [
        (Key("project", "", "lab"), ("/1.0/projects/lab", {})),
        (Key("acl", "default", "net-lab"), ("/1.0/network-acls/net-lab", {"project": "default"})),
        (Key("network", "default", "net-lab"), ("/1.0/networks/net-lab", {"project": "default"})),
        (Key("profile", "lab", "g p"), ("/1.0/profiles/g%20p", {"project": "lab"})),
        (Key("volume", "lab", "fast/data"), ("/1.0/storage-pools/fast/volumes/custom/data", {"project": "lab"})),
        (Key("instance", "lab", "lab-ai"), ("/1.0/instances/lab-ai", {"project": "lab"})),
    ],
)
def test_where_an_object_is(key: Key, place: object) -> None:
    assert url(key) == place


def test_whoever_uses_a_thing_goes_before_it() -> None:
    order = order_of_deletion()
    assert sorted(order) == sorted(KINDS)
    for name, kind in KINDS.items():
        assert all(order.index(user) < order.index(name) for user in kind.used_by)


def test_what_the_fields_of_an_object_name() -> None:
    fields = {
        "profiles": ["default", "gpu"],
        "devices/eth0/network": "net-lab",
        "devices/data/pool": "fast",
        "devices/data/source": "data",
    }
    named = set(uses(Key("instance", "lab", "lab-ai"), fields))
    assert named >= {
        Key("profile", "lab", "default"),
        Key("profile", "lab", "gpu"),
        Key("network", "default", "net-lab"),
        Key("volume", "lab", "fast/data"),
    }
    bridge = {"config/security.acls": "net-lab, other"}
    assert set(uses(Key("network", "default", "net-lab"), bridge)) == {
        Key("acl", "default", "net-lab"),
        Key("acl", "default", "other"),
    }


@pytest.fixture
def with_zones() -> Iterator[None]:
    """A kind more, before those that use it."""
    before = dict(KINDS)
    zone = Kind(
        ("network-zones",),
        "default",
        used_by=("network",),
        named_in=lambda fields: [fields.get("config/dns.zone.forward", "")],
    )
    KINDS.clear()
    KINDS.update({"zone": zone, **before})
    yield
    KINDS.clear()
    KINDS.update(before)


class Lists:
    """An Incus in memory with a bridge that uses a zone; keeps what is written."""

    def __init__(self) -> None:
        mark = {PROJECT_MARK.partition("/")[2]: "mine"}
        self.zones: list[Any] = [{"name": "lab.example", "description": "old", "config": mark}]
        self.written: list[tuple[str, str, Any]] = []

    def get(self, path: str, **query: str) -> Any:
        profile = {"name": "default", "project": "default", "config": {}, "devices": {}}
        environment = {"server_version": "6.0.4", "driver": "lxc", "firewall": "nftables"}
        answers: dict[str, Any] = {
            "/1.0": {"environment": environment},
            "/1.0/resources": {"gpu": {}, "cpu": {"total": 2}, "memory": {"total": 1 << 30}},
            "/1.0/operations": {},
            "/1.0/profiles": [profile],
            "/1.0/network-zones": self.zones,
        }
        return answers.get(path, [])

    def get_tagged(self, path: str, **_query: str) -> tuple[Any, str]:
        return self.zones[0], "tag"

    def send(self, method: str, path: str, body: Any = None, **_more: str) -> None:
        self.written.append((method, path, body))


def carried_out(lists: Lists, wanted: Desired, observed: Observed, folder: Path) -> list[tuple[str, str, Any]]:
    todo = plan(wanted, observed, HOST, Options(prune=True))
    apply(lists, todo, {}, Journal(None), workers=1, backup_dir=folder)  # type: ignore[arg-type]
    return lists.written


@pytest.mark.usefixtures("with_zones")
def test_a_new_kind_is_one_entry(tmp_path: Path) -> None:
    lists = Lists()
    observed, _host = observe(lists, LocalHost())  # type: ignore[arg-type]
    assert observed.found[ZONE].fields["description"] == "old"
    some = model(domain("lab", 3))
    wanted = desired(some, HOST)
    zone = Resource(ZONE, {"description": "new", PROJECT_MARK: "mine"})
    network = next(key for key in wanted.resources if key.kind == "network")
    using = replace(wanted.resources[network], needs=(ZONE, *wanted.resources[network].needs))
    wanted = replace(wanted, resources={**wanted.resources, network: using, ZONE: zone})

    there = after_apply(replace(wanted, resources={k: r for k, r in wanted.resources.items() if k != ZONE}))
    body = {"name": "lab.example", "description": "new", "config": {"user.anklume.project": "mine"}}
    assert carried_out(lists, wanted, there, tmp_path) == [("POST", "/1.0/network-zones", body)]
    lists.written.clear()

    with_old = Observed({**there.found, ZONE: observed.found[ZONE]})
    [(method, path, sent)] = carried_out(lists, wanted, with_old, tmp_path)
    assert (method, path, sent["description"]) == ("PUT", "/1.0/network-zones/lab.example", "new")
    lists.written.clear()

    everything = after_apply(wanted)
    steps = [str(step.what) for step in plan(Desired("mine"), everything, HOST, Options(prune=True)).steps]
    assert steps.index("delete network net-lab") < steps.index("delete zone lab.example")
