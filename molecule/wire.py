# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What instances send out of their network: tcpdump on their bridge, read with dpkt.

usage: wire.py BRIDGE FILE   (watches until it is ended; its pid is in FILE.pid)
"""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import dpkt

# of a TCP connection its opening is enough; DNS over TCP is read
OPENINGS = "not (ip proto 6 and tcp[tcpflags] & tcp-syn == 0 and not port 53)"
PROTOCOLS = {dpkt.ip.IP_PROTO_TCP: "tcp", dpkt.ip.IP_PROTO_UDP: "udp"}


@dataclass(frozen=True)
class Sent:
    """One packet: when (seconds since 1970), where to, what, and the name that a DNS question asks for."""

    time: float
    destination: str
    what: str
    question: str = ""


def watch(bridge: str, file: Path) -> None:
    """Become tcpdump, on what the instances behind a bridge hand over to the host; each packet is written at once."""
    Path(f"{file}.pid").write_text(str(os.getpid()))
    tcpdump = ["tcpdump", "-q", "-Z", "root", "-U", "--immediate-mode", "-Q", "in", "-i", bridge, "-w", str(file)]
    os.execvp("tcpdump", [*tcpdump, OPENINGS])


def sent(file: Path) -> list[Sent]:
    """What was seen so far, without ARP, which never leaves the bridge."""
    with file.open("rb") as source:
        packets = [(time, dpkt.ethernet.Ethernet(frame)) for time, frame in dpkt.pcap.Reader(source)]
    return [_sent(time, packet.data) for time, packet in packets if not isinstance(packet.data, dpkt.arp.ARP)]


def _sent(time: float, packet: object) -> Sent:
    if not isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6):
        return Sent(time, "", type(packet).__name__)
    family = socket.AF_INET if isinstance(packet, dpkt.ip.IP) else socket.AF_INET6
    destination, inner = socket.inet_ntop(family, packet.dst), packet.data
    if not isinstance(inner, dpkt.tcp.TCP | dpkt.udp.UDP):
        return Sent(time, destination, type(inner).__name__)
    what = f"{PROTOCOLS[packet.p]}/{inner.dport}"
    return Sent(time, destination, what, _question(inner) if inner.dport == 53 else "")


def _question(inner: dpkt.tcp.TCP | dpkt.udp.UDP) -> str:
    """The name in a DNS question; over TCP two bytes of length come first."""
    data = bytes(inner.data)[2:] if isinstance(inner, dpkt.tcp.TCP) else bytes(inner.data)
    return dpkt.dns.DNS(data).qd[0].name.lower() if data else ""


if __name__ == "__main__":
    watch(sys.argv[1], Path(sys.argv[2]))
