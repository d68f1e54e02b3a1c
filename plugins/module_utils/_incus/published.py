# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The local network and what is published there: addresses, ports, machines. Pure.

A port is published by a proxy device of the instance with `nat=true`: Incus then rewrites the target of the packets
and leaves their source alone, so the service and the ACL see the client's own address. (A network forward does the
same, but Incus lets only one bridge have a forward at an address of the host; a proxy without `nat` shows the service
127.0.0.1 and passes the ACL by.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import InfraError
from ansible_collections.anklume.stt.plugins.module_utils._incus.host import Host
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Model

DEVICE = "publish-"
"""How the names of our devices begin."""


@dataclass(frozen=True)
class Lan:
    """The host's addresses in the local network, and its networks."""

    addresses: tuple[IPv4Address, ...] = ()
    networks: tuple[IPv4Network, ...] = ()


@dataclass(frozen=True)
class Published:
    """A port at an address of the host, and where it leads."""

    address: str
    port: int
    protocol: str
    machine: str
    domain: str
    to_address: str
    to: int
    sources: tuple[str, ...]
    device: str
    """The device of the instance that does it."""
    where: str = ""
    """`file:line:column`."""

    def data(self) -> dict[str, Any]:
        """For the module's answer."""
        return {
            "address": self.address,
            "port": self.port,
            "protocol": self.protocol,
            "machine": self.machine,
            "to": self.to,
            "from": list(self.sources),
        }

    def proxy(self) -> Mapping[str, str]:
        """The device."""
        return {
            "type": "proxy",
            "nat": "true",
            "listen": f"{self.protocol}:{self.address}:{self.port}",
            "connect": f"{self.protocol}:{self.to_address}:{self.to}",
        }


def local_network(model: Model, host: Host) -> Lan:
    """What `lan` means: as `global.lan` names it, else as the host's interfaces have it; empty where nothing asks."""
    publishes = [one for machine in model.machines for one in machine.publish]
    ends = {end.kind for policy in model.policies for end in (policy.source, policy.target)}
    if not publishes and "lan" not in ends:
        return Lan()
    networks = tuple(map(IPv4Network, model.lan.networks))
    addresses = tuple(map(IPv4Address, model.lan.addresses))
    foreign = [address for address in addresses if address not in host.addresses]
    if foreign:
        raise InfraError(
            f"global.lan: {host.words} has no address {', '.join(map(str, foreign))}; it has "
            f"{', '.join(map(str, host.addresses)) or 'none'}"
        )
    if not addresses:
        addresses = (
            tuple(address for address in host.addresses if any(address in network for network in networks))
            if networks
            else tuple(dict.fromkeys(one.ip for one in host.lan))
        )
    if not networks:
        around = host.links if model.lan.addresses else tuple(("", one.network) for one in host.lan)
        networks = tuple(dict.fromkeys(n for _link, n in around if any(address in n for address in addresses)))
    if not networks or (publishes and not addresses):
        what = "address in its networks" if networks else "private network behind a default route"
        asking = f"{publishes[0].where}: " if publishes and publishes[0].where else ""
        raise InfraError(
            f"{asking}{host.words} has no {what}: say in global.lan which addresses and networks are meant"
        )
    return Lan(addresses, networks)


def published(model: Model, lan: Lan) -> tuple[Published, ...]:
    """Everything that is published, port by port, at each address of the host."""
    return tuple(
        Published(
            address=str(address),
            port=one.port,
            protocol=one.protocol,
            machine=machine.name,
            domain=domain.project,
            to_address=machine.ip or "",
            to=one.to,
            sources=one.sources,
            device=f"{DEVICE}{one.protocol}-{one.port}{f'-{number}' if number > 1 else ''}",
            where=one.where,
        )
        for domain in model.domains
        for machine in domain.machines
        for one in machine.publish
        for number, address in enumerate(lan.addresses, 1)
    )


def announced(model: Model, lan: Lan) -> tuple[Mapping[str, str], ...]:
    """Which names the host announces in the local network, each with an address of it."""
    return tuple(
        {"name": f"{machine.publish_name}.local", "address": str(address)}
        for machine in model.machines
        if machine.publish_name
        for address in lan.addresses
    )


def takes(listen: str, protocol: str, address: str, port: int) -> bool:
    """Whether what a proxy device listens to (`tcp:0.0.0.0:80-90,443`) holds a port at an address."""
    kind, _colon, rest = listen.partition(":")
    place, _colon, ports = rest.rpartition(":")
    if kind != protocol or place.strip("[]") not in ("0.0.0.0", "::", address):
        return False
    for part in ports.split(","):
        low, _dash, high = part.partition("-")
        if low.isdigit() and (high or low).isdigit() and int(low) <= port <= int(high or low):
            return True
    return False
