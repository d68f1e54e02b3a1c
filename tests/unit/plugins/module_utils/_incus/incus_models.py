# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small models, and the Incus that an apply of one would leave behind."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._incus.cluster import Member
from ansible_collections.anklume.stt.plugins.module_utils._incus.desired import Desired, desired
from ansible_collections.anklume.stt.plugins.module_utils._incus.host import Host
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import IMAGE_MARK, Key
from ansible_collections.anklume.stt.plugins.module_utils._incus.observe import Found, Observed
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Domain, Machine, Model, Network

LAN = {"lan": (IPv4Interface("192.168.1.5/24"),)}
HOST = Host(nvidia_tools=False, **LAN)


def network(name: str, number: int) -> Network:
    prefix = f"10.100.{number}"
    return Network(f"net-{name}", f"{prefix}.0/24", f"{prefix}.254", f"{prefix}.100", f"{prefix}.249")


def domain(name: str = "lab", number: int = 3, *machines: Machine, **more: Any) -> Domain:
    return Domain(name, network(name, number), number, machines=machines, **more)


def machine(name: str = "lab-ai", domain_name: str = "lab", ip: str | None = "10.100.3.10", **more: Any) -> Machine:
    return Machine(name, domain_name, ip=ip, **more)


def model(*domains: Domain, **more: Any) -> Model:
    return Model("mine", domains or (domain("lab", 3, machine()),), base_subnet="10.100", **more)


def instance(name: str = "lab-ai", project: str = "lab") -> Key:
    return Key("instance", project, name)


def after_apply(wanted: Desired, *others: Found, status: str = "Running") -> Observed:
    """What an observation finds once `wanted` is there, with what Incus adds by itself."""
    found = {one.key: one for one in others}
    for resource in wanted.resources.values():
        if resource.key.kind == "folder":
            continue
        fields = {"description": "", **resource.fields}
        if resource.key.kind == "instance":
            fields |= {
                f"config/{IMAGE_MARK}": resource.image,
                "config/volatile.uuid": "0",
                "config/image.os": "Debian",
            }
        kind = {"instance": resource.create.get("type"), "network": "bridge"}.get(resource.key.kind, "")
        found[resource.key] = Found(
            resource.key,
            fields,
            status=status if resource.key.kind == "instance" else "",
            type=kind,
            started="2026-01-01T00:00:00Z",
            location=resource.place,
        )
    return Observed(found, members=nothing(wanted).members)


def nothing(wanted: Desired) -> Observed:
    """An Incus without anything of it; a cluster where its machines have a place in one."""
    places = [resource.place for resource in wanted.resources.values() if resource.place]
    return Observed(members={name: Member(name) for name in places})


def clustered(some: Model, host: Host) -> Host:
    """`host`, or a cluster of such machines where the model has targets."""
    targets = dict.fromkeys(one.target for one in some.machines if one.target)
    members = {name: replace(host, member=name) for name in targets}
    return replace(host, members=members, cluster=tuple(map(Member, targets)))


def targets(some: Model) -> dict[str, str]:
    """Where each machine is to be."""
    return {one.name: one.target for one in some.machines}


def applied(some: Model, *others: Found, host: Host = HOST) -> Observed:
    return after_apply(desired(some, host), *others)
