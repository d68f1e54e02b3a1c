# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Incus holds now, read with one list request per kind of object (of volumes, one per pool)."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError, InfraError
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import Client, path_of
from ansible_collections.anklume.stt.plugins.module_utils._incus.cluster import Member, members_of
from ansible_collections.anklume.stt.plugins.module_utils._incus.host import Host, together, with_answers
from ansible_collections.anklume.stt.plugins.module_utils._incus.host_reader import HostReader, RemoteHost, answers
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import (
    IMAGE_MARK,
    KEYS_MARK,
    KINDS,
    PROJECT_MARK,
    Fields,
    Key,
    flatten,
)
from ansible_collections.anklume.stt.plugins.module_utils._incus.published import Lan, local_network
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import IncusUnreachableError
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Model

READERS = 4
SETTLES = 30.0
"""Seconds for which a cluster is looked at again while what it says of a member is not so."""
PAUSE = 1.0


@dataclass(frozen=True)
class Found:
    """One object that is there, ours or not."""

    key: Key
    fields: Fields = field(default_factory=dict)
    status: str = ""
    """Of an instance: Running, Stopped, Frozen, Error; of a network: Created, or Pending while it is being made."""
    type: str = ""
    """Of an instance: container or virtual-machine; of a network: bridge …, "" when Incus does not manage it."""
    started: str = ""
    """Of an instance: when it was last started (ISO 8601)."""
    location: str = ""
    """Of an instance in a cluster: the member that it is on."""

    @property
    def owner(self) -> str | None:
        """The project_name of the infra.yml that it belongs to."""
        return self.fields.get(PROJECT_MARK)

    @property
    def set_by_us(self) -> frozenset[str]:
        """The fields that an earlier apply set."""
        return frozenset(json.loads(self.fields.get(KEYS_MARK, "[]")))

    @property
    def image(self) -> str | None:
        """What an instance was made from, in the words of infra.yml; None when we did not make it."""
        return self.fields.get(f"config/{IMAGE_MARK}")


@dataclass(frozen=True)
class Observed:
    """All objects of the server by key."""

    found: Mapping[Key, Found] = field(default_factory=dict)
    busy: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Background operations that are under way: (path, the Incus projects they work in)."""
    members: Mapping[str, Member] = field(default_factory=dict)
    """The members of a cluster by name."""

    @property
    def down(self) -> dict[str, str]:
        """The members of which nothing can be known, each with the reason."""
        return {one.name: one.down for one in self.members.values() if one.down}

    def is_unknown(self, key: Key) -> bool:
        """Whether it is on such a member: that it is there is all that the others can tell."""
        one = self.found.get(key)
        return one is not None and bool({one.location, key.member} & set(self.down))


def observe(client: Client, reader: HostReader) -> tuple[Observed, Host]:
    """Read everything that a plan compares, several lists at the same time.

    When a member has died, healthy ones give no answer or are called offline until they have elected a leader and heard
    of each other: what the cluster says of a member and what it is like have to agree, or stay as they are for a while.
    """
    end = time.monotonic() + SETTLES
    observed, host, settled = _observe(client, reader)
    while not settled and time.monotonic() < end:
        time.sleep(PAUSE)
        observed, host, settled = _observe(client, reader)
    if observed.members and not host.members:
        reasons = ", ".join(f"{name}: {reason}" for name, reason in observed.down.items())
        raise IncusUnreachableError(
            f"no member of the cluster of {host.words} answers ({reasons}): wait until one does, and run this again"
        )
    return observed, host


def _observe(client: Client, reader: HostReader) -> tuple[Observed, Host, bool]:
    """One look, and whether those members answer that the cluster calls online, and no others."""
    before = reader.addresses()
    with ThreadPoolExecutor(READERS) as readers:

        def ask(path: str, **query: str) -> Future[Any]:
            return readers.submit(client.get, path, **query)

        server = ask(path_of())
        pools = [url.rpartition("/")[2] for url in ask(path_of("storage-pools")).result()]
        members = members_of(client, server.result())
        lists = {
            (name, pool): ask(path, recursion="1", **({"all_projects": "true"} if kind.home == "each" else {}))
            for name, kind in KINDS.items()
            for pool, path in kind.lists(pools)
        }
        operations = ask(path_of("operations"), recursion="1", all_projects="true")
        resources = ask(path_of("resources"))
    bodies = [(name, body, pool) for (name, pool), answer in lists.items() for body in answer.result()]
    profiles, networks = (lists[name, ""].result() for name in ("profile", "network"))
    default = next(body for body in profiles if (body["project"], body["name"]) == ("default", "default"))

    def of_one(
        reader: HostReader, networks: Sequence[Any], server: Any, resources: Any, before: Collection[IPv4Address]
    ) -> Host:
        host = with_answers(reader.interfaces(networks, before=before), server, resources, default, pools)
        return replace(host, **vars(reader.hardware(server, resources)))

    if not members:
        found = [_found(*one) for one in bodies]
        host = of_one(reader, networks, server.result(), resources.result(), before)
        return Observed({one.key: one for one in found}, _busy(operations.result())), host, True

    told = list(members.values())
    for name, body, _pool in bodies:  # Incus takes a while to see that one is gone
        at = body.get("location", "")
        if name == "instance" and body["status"] == "Error" and not body.get("config") and not members[at].down:
            members[at] = replace(members[at], down="it does not answer")
    machines: dict[str, Host] = {}
    for member in [one for one in members.values() if not one.down]:
        there = RemoteHost(client, reader.name, [member.door[0]], member.name)
        try:
            hardware = client.get(path_of("resources"), target=member.name)
            answer = client.get(path_of(), target=member.name)
            machines[member.name] = of_one(there, [*networks, *_ports(hardware, networks)], answer, hardware, ())
        except IncusUnreachableError:
            raise
        except IncusError as error:
            members[member.name] = replace(member, down=str(error))
    found = [_found(*one, clustered=True) for one in bodies]
    here = with_answers(Host(remote=reader.name), server.result(), resources.result(), default, pools)
    whole = together(here, list(machines.values())) if machines else here
    host = replace(whole, members=machines, cluster=tuple(members.values()))
    settled = not any(answers(one.door) if one.down else one.name not in machines for one in told)
    return Observed({one.key: one for one in found}, _busy(operations.result()), members), host, settled


def _found(kind: str, body: Mapping[str, Any], pool: str, *, clustered: bool = False) -> Found:
    """One object of a list."""
    entry = KINDS[kind]
    location = body.get("location", "") if clustered else ""
    return Found(
        Key(
            kind,
            body["project"] if entry.home == "each" else entry.home,
            f"{pool}/{body['name']}" if pool else body["name"],
            location if entry.per_member else "",
        ),
        flatten(body),
        status=body.get("status", ""),
        type=body.get("type", "") if body.get("managed", True) else "",
        started=body.get("last_used_at", ""),
        location=location if kind == "instance" else "",
    )


def _ports(resources: Mapping[str, Any], known: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The network cards of a member, as Incus lists those of the member that answers."""
    names = {network["name"] for network in known}
    cards = (resources.get("network") or {}).get("cards") or ()
    found = {port["id"]: None for card in cards for port in card.get("ports") or () if port["id"] not in names}
    return [{"name": name, "managed": False, "type": "physical", "config": {}} for name in found]


def observe_lan(client: Client, reader: HostReader, model: Model) -> tuple[str, Lan]:
    """The host's name, and its local network where something is published; empty where it has none now."""
    if not any(machine.publish for machine in model.machines):
        return "", Lan()
    before = reader.addresses()
    host = reader.interfaces(client.get(path_of("networks"), recursion="1"), before=before)
    name = str(client.get(path_of())["environment"]["server_name"])
    try:
        return name, local_network(model, host)
    except InfraError:  # apply refuses that; who only looks need not
        return name, Lan()


def _busy(operations: Mapping[str, Any]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple(
        (path_of("operations", operation["id"]), _projects(operation))
        for operation in operations.get("running", [])
        if operation["class"] == "task"
    )


def _projects(operation: Mapping[str, Any]) -> tuple[str, ...]:
    urls = [url for some in (operation.get("resources") or {}).values() for url in some]
    return tuple({parse_qs(urlsplit(url).query).get("project", ["default"])[0] for url in urls})
