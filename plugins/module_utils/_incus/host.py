# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plan has to know of the machine that Incus runs on: addresses, routes, GPUs, default storage. Pure.

How it is read there is in `host_reader.py`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._incus.cluster import Member, meant
from ansible_collections.anklume.stt.plugins.module_utils._incus.listeners import Listener

ETHERNET_MTU = 1500


@dataclass(frozen=True)
class Host:
    """The Incus host. The defaults describe a plain one, for tests."""

    remote: str = ""
    """What another machine is called; "" for the one that this runs on."""
    member: str = ""
    """Of a cluster: which of its machines."""
    members: Mapping[str, Host] = field(default_factory=dict)
    """Of a cluster as a whole: those of its machines that answer. What else it says is what holds on each of them."""
    cluster: tuple[Member, ...] = ()
    """Its members, those that do not answer too."""
    server: str = ""
    """Version of Incus."""
    virtual_machines: bool = True
    """QEMU and vhost_vsock are there."""
    nftables: bool = True
    """The firewall driver is nftables (the other one, xtables, knows no address ranges)."""
    links: tuple[tuple[str, IPv4Network], ...] = ()
    """(interface, directly connected network)."""
    addresses: tuple[IPv4Address, ...] = ()
    """The host's own addresses, loopback and the bridges of Incus that we made left out."""
    lan: tuple[IPv4Interface, ...] = ()
    """Its addresses in the private networks of interfaces that have a default route, tunnels left out."""
    systemd: bool = True
    """It keeps services running on the host, what announces names among them."""
    listeners: tuple[Listener, ...] = ()
    """Who listens at the host's ports; looked up only where something is published."""
    mtu: int = ETHERNET_MTU
    """MTU of the default route."""
    gpus: int = 0
    nvidia_tools: bool = False
    """The NVIDIA container tools are installed."""
    gpu_faults: tuple[str, ...] = ()
    """Why an NVIDIA GPU of this host would not work in a container."""
    cpus: int = 1
    memory: int = 1 << 30
    """Bytes."""
    default_config: Mapping[str, str] = field(default_factory=dict)
    """`config` of the host's own default profile: what its administrator wants in every instance."""
    root: Mapping[str, str] = field(default_factory=lambda: {"type": "disk", "path": "/", "pool": "default"})
    """The root disk of that profile, or one in the first storage pool."""

    @property
    def words(self) -> str:
        """What messages call it."""
        if self.member:
            return f"member {self.member}"
        return f"server {self.remote}" if self.remote else "this host"

    def at(self, place: str) -> Host | None:
        """The machine that something is on, or what holds on each of those it may be on; None while those are down."""
        if not self.cluster:
            return self
        there = [self.members[one.name] for one in meant(place, self.cluster) if one.name in self.members]
        return there[0] if len(there) == 1 else together(self, there) if there else None


def together(whole: Host, machines: Sequence[Host]) -> Host:
    """`whole`, with what holds on each of these machines, and the networks and addresses of all."""
    return replace(
        whole,
        virtual_machines=all(one.virtual_machines for one in machines),
        nftables=all(one.nftables for one in machines),
        links=tuple(dict.fromkeys(link for one in machines for link in one.links)),
        addresses=tuple(sorted({address for one in machines for address in one.addresses})),
        lan=tuple(dict.fromkeys(end for one in machines for end in one.lan)),
        listeners=tuple(dict.fromkeys(some for one in machines for some in one.listeners)),
        systemd=False,
        mtu=min(one.mtu for one in machines),
        gpus=min(one.gpus for one in machines),
        nvidia_tools=all(one.nvidia_tools for one in machines if one.gpus),
        gpu_faults=tuple(f"{fault} (on {one.member})" for one in machines for fault in one.gpu_faults),
        cpus=min(one.cpus for one in machines),
        memory=min(one.memory for one in machines),
    )


def with_answers(
    host: Host,
    server: Mapping[str, Any],
    resources: Mapping[str, Any],
    profile: Mapping[str, Any],
    pools: Sequence[str],
) -> Host:
    """`host` with what Incus answered about itself, its hardware, its own default profile and its storage pools."""
    root = next((device for device in profile["devices"].values() if _is_root(device)), None)
    return replace(
        host,
        server=server["environment"]["server_version"],
        nftables=server["environment"]["firewall"] == "nftables",
        gpus=len(gpu_cards(resources)),
        cpus=resources["cpu"]["total"],
        memory=resources["memory"]["total"],
        default_config={k: v for k, v in profile["config"].items() if not k.startswith("user.")},
        root=root or {"type": "disk", "path": "/", "pool": pools[0] if pools else "default"},
    )


def gpu_cards(resources: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """What Incus tells of the GPUs."""
    return (resources.get("gpu") or {}).get("cards") or ()


def own_addresses(networks: Sequence[Mapping[str, Any]]) -> set[str]:
    """The addresses of the bridges that we made."""
    return {
        network["config"].get("ipv4.address", "").partition("/")[0]
        for network in networks
        if "user.anklume.project" in network["config"]
    }


def _is_root(device: Mapping[str, str]) -> bool:
    return device.get("type") == "disk" and device.get("path") == "/"


def connected(routes: str) -> tuple[tuple[str, IPv4Network], ...]:
    """The networks that interfaces stand in, from /proc/net/route."""
    found = []
    for interface, target, gateway, mask in _routes(routes):
        if gateway == IPv4Address(0) and mask != IPv4Address(0):
            found.append((interface, IPv4Network((int(target), bin(int(mask)).count("1")))))
    return tuple(found)


def networks_of(routes: str) -> tuple[tuple[str, IPv4Network], ...]:
    """The targets of all routes but the default one, with their interfaces."""
    return tuple(
        (interface, IPv4Network((int(target), bin(int(mask)).count("1"))))
        for interface, target, _gateway, mask in _routes(routes)
        if mask != IPv4Address(0)
    )


def behind_default_routes(
    routes: str, addresses: Collection[IPv4Address], ethernet: Collection[str]
) -> tuple[IPv4Interface, ...]:
    """The host's addresses in the private networks of these interfaces that have a default route."""
    ways = {interface for interface, _target, _gateway, mask in _routes(routes) if mask == IPv4Address(0)}
    return tuple(
        IPv4Interface((address, network.prefixlen))
        for interface, network in connected(routes)
        if interface in ways and interface in ethernet and network.is_private
        for address in addresses
        if address in network
    )


def local_addresses(trie: str) -> tuple[IPv4Address, ...]:
    """The host's addresses, from /proc/net/fib_trie: each leaf `|-- a.b.c.d` followed by `/32 host LOCAL`."""
    found = {IPv4Address(a) for a in re.findall(r"\|-- (\S+)\n(?:\s+/\d+ (?!host LOCAL).*\n)*\s+/32 host LOCAL", trie)}
    return tuple(sorted(a for a in found if not a.is_loopback))


def default_interface(routes: str) -> str:
    """The interface of the default route; "" without one."""
    return next((interface for interface, _target, _gateway, mask in _routes(routes) if mask == IPv4Address(0)), "")


def _routes(text: str) -> list[tuple[str, IPv4Address, IPv4Address, IPv4Address]]:
    found = []
    for line in text.splitlines()[1:]:
        words = line.split()
        found.append((words[0], _address(words[1]), _address(words[2]), _address(words[7])))
    return found


def _address(hexadecimal: str) -> IPv4Address:
    return IPv4Address(bytes.fromhex(hexadecimal)[::-1])
