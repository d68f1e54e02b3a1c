# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plan has to know of the machine that Incus runs on: addresses, routes, GPUs, default storage."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._incus.gpu import read_nvidia_faults
from ansible_collections.anklume.stt.plugins.module_utils._incus.listeners import Listener

ETHERNET_MTU = 1500
ETHERNET = "1"
"""The kernel's type of Ethernet, Wi-Fi and bridges; tunnels have others."""


@dataclass(frozen=True)
class Host:
    """The Incus host. The defaults describe a plain one, for tests."""

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


def read_host(
    server: Mapping[str, Any],
    resources: Mapping[str, Any],
    profile: Mapping[str, Any],
    networks: Sequence[Mapping[str, Any]],
    pools: Sequence[str],
    *,
    before: Collection[IPv4Address],
) -> Host:
    """What Incus answered about itself, its hardware, its own default profile, its networks and storage pools.

    `before` are the addresses that the host had before Incus was asked: a bridge that somebody else's apply makes or
    removes meanwhile is then in one of the lists only.
    """
    environment = server["environment"]
    cards = (resources.get("gpu") or {}).get("cards") or ()
    root = next((device for device in profile["devices"].values() if _is_root(device)), None)
    return replace(
        read_interfaces(networks, before=before),
        server=environment["server_version"],
        virtual_machines="qemu" in environment["driver"] and Path("/dev/vhost-vsock").exists(),
        nftables=environment["firewall"] == "nftables",
        systemd=Path("/run/systemd/system").is_dir(),
        gpus=len(cards),
        gpu_faults=read_nvidia_faults(cards),
        nvidia_tools=shutil.which("nvidia-container-cli") is not None,
        cpus=resources["cpu"]["total"],
        memory=resources["memory"]["total"],
        default_config={k: v for k, v in profile["config"].items() if not k.startswith("user.")},
        root=root or {"type": "disk", "path": "/", "pool": pools[0] if pools else "default"},
    )


def read_interfaces(networks: Sequence[Mapping[str, Any]], *, before: Collection[IPv4Address]) -> Host:
    """Addresses and networks of the host's interfaces alone; the rest is as on a plain one."""
    ours = {
        network["config"].get("ipv4.address", "").partition("/")[0]
        for network in networks
        if "user.anklume.project" in network["config"]
    }
    routes = _read("/proc/net/route")
    addresses = tuple(a for a in read_addresses() if a in before and str(a) not in ours)
    return Host(
        links=connected(routes),
        addresses=addresses,
        lan=behind_default_routes(routes, addresses, _ethernet()),
        mtu=_mtu(routes),
    )


def _is_root(device: Mapping[str, str]) -> bool:
    return device.get("type") == "disk" and device.get("path") == "/"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError:
        return ""


def connected(routes: str) -> tuple[tuple[str, IPv4Network], ...]:
    """The networks that interfaces stand in, from /proc/net/route."""
    found = []
    for interface, target, gateway, mask in _routes(routes):
        if gateway == IPv4Address(0) and mask != IPv4Address(0):
            found.append((interface, IPv4Network((int(target), bin(int(mask)).count("1")))))
    return tuple(found)


def routed() -> tuple[tuple[str, IPv4Network], ...]:
    """Every network that this host has a route to, directly or through others; the default route is none."""
    return networks_of(_read("/proc/net/route"))


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


def _ethernet() -> frozenset[str]:
    return frozenset(
        path.parent.name for path in Path("/sys/class/net").glob("*/type") if _read(str(path)).strip() == ETHERNET
    )


def local_addresses(trie: str) -> tuple[IPv4Address, ...]:
    """The host's addresses, from /proc/net/fib_trie: each leaf `|-- a.b.c.d` followed by `/32 host LOCAL`."""
    found = {IPv4Address(a) for a in re.findall(r"\|-- (\S+)\n(?:\s+/\d+ (?!host LOCAL).*\n)*\s+/32 host LOCAL", trie)}
    return tuple(sorted(a for a in found if not a.is_loopback))


def has_interface(name: str) -> bool:
    """Whether the host has a network interface of that name."""
    return Path("/sys/class/net", name).exists()


def read_addresses() -> tuple[IPv4Address, ...]:
    """The host's addresses now."""
    return local_addresses(_read("/proc/net/fib_trie"))


def _mtu(routes: str) -> int:
    for interface, _target, _gateway, mask in _routes(routes):
        if mask == IPv4Address(0):
            return int(_read(f"/sys/class/net/{interface}/mtu") or ETHERNET_MTU)
    return ETHERNET_MTU


def _routes(text: str) -> list[tuple[str, IPv4Address, IPv4Address, IPv4Address]]:
    found = []
    for line in text.splitlines()[1:]:
        words = line.split()
        found.append((words[0], _address(words[1]), _address(words[2]), _address(words[7])))
    return found


def _address(hexadecimal: str) -> IPv4Address:
    return IPv4Address(bytes.fromhex(hexadecimal)[::-1])
