# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of the machine that an Incus server runs on, read on that machine and on no other.

A reader stands beside each transport: :class:`LocalHost` looks into /proc, /sys and folders, :class:`RemoteHost` asks
the server itself. What neither the kernel nor the server tells is not guessed from another machine.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from ansible_collections.anklume.stt.plugins.module_utils._incus.client import Client, IncusNotFoundError, path_of
from ansible_collections.anklume.stt.plugins.module_utils._incus.gpu import NODES, nvidia_faults, read_nvidia_faults
from ansible_collections.anklume.stt.plugins.module_utils._incus.host import (
    ETHERNET_MTU,
    Host,
    behind_default_routes,
    connected,
    default_interface,
    gpu_cards,
    local_addresses,
    networks_of,
    own_addresses,
)
from ansible_collections.anklume.stt.plugins.module_utils._incus.listeners import ANY, Listener, read_listeners
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import Key

ETHERNET = "1"
"""The kernel's type of Ethernet, Wi-Fi and bridges; tunnels have others."""

BROADCAST = "broadcast"
"""What Incus says of the same; tunnels are point-to-point. (What kind of interface it is says too little: the one of a
server that is a container itself is unknown to Incus.)"""

Door = tuple[str, int]
"""An address and a TCP port there."""

KNOCK = 1.0
"""Seconds for an answer at a port of another machine; a firewall that drops says as much as one that refuses."""

NOBODYS = 1
"""A port that nobody has: who answers there too answers at all."""

KNOCKERS = 8


@dataclass(frozen=True)
class Hardware:
    """What the server's own answers leave open."""

    virtual_machines: bool
    """QEMU and vhost_vsock are there."""
    systemd: bool
    nvidia_tools: bool
    gpu_faults: tuple[str, ...]


class HostReader(Protocol):
    """One way to look at the machine of an Incus server."""

    name: str
    """What another machine is called; "" for the one that this runs on."""

    def addresses(self) -> Collection[IPv4Address]:
        """Its addresses before Incus is asked.

        A bridge that somebody else's apply makes or removes meanwhile is then in one of the lists only.
        """

    def interfaces(self, networks: Sequence[Mapping[str, Any]], *, before: Collection[IPv4Address]) -> Host:
        """Addresses and networks of its interfaces; the rest is as on a plain host. `networks` is Incus's list."""

    def hardware(self, server: Mapping[str, Any], resources: Mapping[str, Any]) -> Hardware:
        """What it can do, beside what Incus answered about itself and its hardware."""

    def has_interface(self, name: str) -> bool:
        """Whether it has a network interface of that name."""

    def listeners(self, doors: Collection[Door]) -> tuple[Listener, ...]:
        """Who listens at its ports, as far as can be seen; `doors` are those that matter."""

    def existing_folders(self, paths: Collection[str]) -> frozenset[Key]:
        """Which of these folders are there."""


class LocalHost:
    """The machine that this runs on."""

    name = ""

    def addresses(self) -> Collection[IPv4Address]:
        """From the kernel's table of routes."""
        return local_addresses(_read("/proc/net/fib_trie"))

    def interfaces(self, networks: Sequence[Mapping[str, Any]], *, before: Collection[IPv4Address]) -> Host:
        """From the kernel's routes."""
        routes = _read("/proc/net/route")
        ours = own_addresses(networks)
        addresses = tuple(a for a in self.addresses() if a in before and str(a) not in ours)
        return Host(
            links=connected(routes),
            addresses=addresses,
            lan=behind_default_routes(routes, addresses, _ethernet()),
            mtu=int(_read(f"/sys/class/net/{default_interface(routes)}/mtu") or ETHERNET_MTU),
        )

    def hardware(self, server: Mapping[str, Any], resources: Mapping[str, Any]) -> Hardware:
        """From /dev, /run and the tools that are installed."""
        return Hardware(
            virtual_machines="qemu" in server["environment"]["driver"] and Path("/dev/vhost-vsock").exists(),
            systemd=Path("/run/systemd/system").is_dir(),
            nvidia_tools=shutil.which("nvidia-container-cli") is not None,
            gpu_faults=read_nvidia_faults(gpu_cards(resources)),
        )

    def has_interface(self, name: str) -> bool:
        """From /sys."""
        return Path("/sys/class/net", name).exists()

    def listeners(self, doors: Collection[Door]) -> tuple[Listener, ...]:
        """From the kernel's tables of sockets."""
        del doors
        return read_listeners()

    def existing_folders(self, paths: Collection[str]) -> frozenset[Key]:
        """From the file system."""
        return frozenset(Key("folder", "", path) for path in paths if Path(path).is_dir())


class RemoteHost:
    """Another machine: what its Incus tells."""

    def __init__(self, client: Client, name: str, reached: Collection[str] = (), member: str = "") -> None:
        self._client = client
        self.name = name
        self._reached = reached
        """Addresses at which it is reached: those are in its local network."""
        self._of = {"target": member} if member else {}
        """Which machine of a cluster it is."""

    def addresses(self) -> Collection[IPv4Address]:
        """None: the interfaces are looked at one by one, those of Incus's list only."""
        return ()

    def interfaces(self, networks: Sequence[Mapping[str, Any]], *, before: Collection[IPv4Address] = ()) -> Host:
        """From the state of each interface that Incus does not manage; a bridge of Incus says its address itself."""
        links: list[tuple[str, IPv4Network]] = []
        addresses: list[IPv4Address] = []
        lan: list[tuple[IPv4Interface, int]] = []
        for network in [*networks, *self._unlisted(networks)]:
            if network["managed"]:
                found = [network["config"].get("ipv4.address", "")]
                mtu, ethernet = ETHERNET_MTU, False
            else:
                try:
                    state = self._state(network["name"])
                except IncusNotFoundError:  # it went meanwhile
                    continue
                mtu, ethernet = state["mtu"], state["type"] == BROADCAST
                found = [f"{a['address']}/{a['netmask']}" for a in state["addresses"] if _is_global(a)]
            ends = [IPv4Interface(address) for address in found if "/" in address]
            links += [(network["name"], end.network) for end in ends]
            addresses += [end.ip for end in ends]
            if ethernet:
                lan += [(end, mtu) for end in ends if end.network.is_private]
        ours = own_addresses(networks)
        lan = [one for one in lan if str(one[0].ip) in self._reached] or lan
        return Host(
            remote=self.name,
            member=self._of.get("target", ""),
            links=tuple(links),
            addresses=tuple(sorted(a for a in addresses if str(a) not in ours)),
            lan=tuple(end for end, _mtu in lan),
            mtu=min((mtu for _end, mtu in lan), default=ETHERNET_MTU),
        )

    def _unlisted(self, networks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Interfaces that Incus names and does not describe: without Open vSwitch, all that it has no word for."""
        known = {network["name"] for network in networks}
        names = [unquote(url.rpartition("/")[2]) for url in self._client.get(path_of("networks"))]
        return [{"name": name, "managed": False} for name in names if name not in known]

    def hardware(self, server: Mapping[str, Any], resources: Mapping[str, Any]) -> Hardware:
        """From the server's answers: it names QEMU only where it can start it, and asks NVIDIA's container tools."""
        cards = gpu_cards(resources)
        tools = any((card.get("nvidia") or {}).get("uuid") for card in cards)
        return Hardware(
            virtual_machines="qemu" in server["environment"]["driver"],
            systemd=False,
            nvidia_tools=tools,
            gpu_faults=nvidia_faults(cards, NODES, "", tools=tools),
        )

    def has_interface(self, name: str) -> bool:
        """No only where the server itself says so; any other trouble is an error."""
        try:
            return self._state(name) is not None
        except IncusNotFoundError:
            return False

    def listeners(self, doors: Collection[Door]) -> tuple[Listener, ...]:
        """Its Incus, and whoever answers at one of the doors: no server tells who else listens there."""
        found = []
        for address in self._client.get(path_of(), **self._of)["environment"].get("addresses") or ():
            host, _colon, port = address.rpartition(":")
            if not host.startswith("["):
                found.append(Listener("tcp", host or ANY, int(port), "Incus itself"))
        asked = [*doors, *dict.fromkeys((address, NOBODYS) for address, _port in doors)]
        with ThreadPoolExecutor(KNOCKERS) as knockers:
            answered = {door for door, said in zip(asked, knockers.map(answers, asked), strict=True) if said}
        return (
            *found,
            *(
                Listener("tcp", *door, "somebody who answers there")
                for door in doors
                if door in answered and (door[0], NOBODYS) not in answered
            ),
        )

    def existing_folders(self, paths: Collection[str]) -> frozenset[Key]:
        """None: a folder of this machine is none of that one."""
        del paths
        return frozenset()

    def _state(self, name: str) -> Any:
        return self._client.get(path_of("networks", name, "state"), **self._of)


def answers(door: Door) -> bool:
    """Whether a connection to it is taken."""
    try:
        socket.create_connection(door, KNOCK).close()
    except OSError:
        return False
    return True


def routed() -> tuple[tuple[str, IPv4Network], ...]:
    """Every network that this machine has a route to, directly or through others; the default route is none."""
    return networks_of(_read("/proc/net/route"))


def _is_global(address: Mapping[str, Any]) -> bool:
    return bool(address["family"] == "inet" and address["scope"] == "global")


def _ethernet() -> frozenset[str]:
    return frozenset(
        path.parent.name for path in Path("/sys/class/net").glob("*/type") if _read(str(path)).strip() == ETHERNET
    )


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError:
        return ""
