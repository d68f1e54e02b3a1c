# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks for tests: a bridge that stands for the host's network at home, and computers in network namespaces."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dpkt

MDNS = ("224.0.0.251", 5353)
ANSWERS = """
import socket, sys
with socket.socket() as client:
    client.settimeout(1)
    print(client.connect_ex((sys.argv[1], int(sys.argv[2]))) == 0)
"""


def ip(*words: str) -> None:
    """One command of iproute2."""
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def remove(*words: str) -> None:
    """Take away what an earlier run may have left."""
    subprocess.run(["ip", *words], check=False, capture_output=True)


@contextmanager
def network(bridge: str, *addresses: str) -> Iterator[None]:
    """A bridge on which the host has these addresses (with their networks)."""
    remove("link", "del", bridge)
    ip("link", "add", bridge, "type", "bridge")
    try:
        for address in addresses:
            ip("addr", "add", address, "dev", bridge)
        ip("link", "set", bridge, "up")
        yield
    finally:
        ip("link", "del", bridge)


@contextmanager
def computer(
    name: str, bridge: str, *addresses: str, gateway: str = "", hosts: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A network namespace beside the bridge's other members, with names of its own in /etc/hosts; its name."""
    own, link = Path("/etc/netns", name), f"{name}0"
    remove("netns", "del", name)
    remove("link", "del", link)
    ip("netns", "add", name)
    try:
        ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", link, "master", bridge, "up")
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "link", "set", "eth0", "addrgenmode", "none", "up")
        for address in addresses:
            ip("-n", name, "addr", "add", address, "dev", "eth0")
        if gateway:
            ip("-n", name, "route", "add", "default", "via", gateway)
        if hosts:
            own.mkdir(parents=True, exist_ok=True)
            (own / "hosts").write_text("".join(f"{address} {host}\n" for host, address in hosts.items()))
        yield name
    finally:
        shutil.rmtree(own, ignore_errors=True)
        ip("netns", "del", name)


def multicast_names(name: str, interface: str, seconds: float) -> list[str]:
    """The addresses that a network tells for a name, asked as a phone does (mDNS) from the host's address there."""
    here = socket.inet_aton(interface)
    deadline = time.monotonic() + seconds
    with socket.socket(type=socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        asking.bind(("", MDNS[1]))
        asking.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(MDNS[0]) + here)
        asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
        asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        asking.settimeout(0.5)
        while time.monotonic() < deadline:
            # again and again: what was just told to all is not told again within a second
            asking.sendto(bytes(dpkt.dns.DNS(op=0, qd=[dpkt.dns.DNS.Q(name=name)])), MDNS)
            try:
                told = dpkt.dns.DNS(asking.recv(9000)).an
            except TimeoutError:
                continue
            if found := [one for one in told if one.type == dpkt.dns.DNS_A and one.name == name]:
                return [socket.inet_ntoa(one.rdata) for one in found]
    return []


def answers(computer: str, address: str, port: int) -> bool:
    """Whether a computer finds a port open, within a second."""
    command = ["ip", "netns", "exec", computer, sys.executable, "-c", ANSWERS, address, str(port)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout == "True\n"
