# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who listens at which port of the host: /proc/net, and the processes that hold the sockets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

LISTENING = {"tcp": "0A", "udp": "07"}
"""The state of a socket that waits for anybody, as the kernel writes it."""

ANY = "0.0.0.0"


@dataclass(frozen=True)
class Listener:
    """A socket that waits; `address` is 0.0.0.0 for all addresses."""

    protocol: str
    address: str
    port: int
    owner: str


def read_listeners() -> tuple[Listener, ...]:
    """All listeners of the host; a process of somebody else's is known by its user only, unless we are root."""
    owners = _owners()
    found: list[Listener] = []
    for protocol in LISTENING:
        for name in (protocol, f"{protocol}6"):
            with contextlib.suppress(OSError):
                found += listeners(protocol, Path("/proc/net", name).read_text(encoding="ascii"), owners)
    return tuple(found)


def listeners(protocol: str, table: str, owners: Mapping[str, str]) -> Iterator[Listener]:
    """Those of one table of /proc/net; `owners` names the process of each socket's inode."""
    for line in table.splitlines()[1:]:
        words = line.split()
        address, _colon, port = words[1].partition(":")
        shown = _shown(address)
        if words[3] == LISTENING[protocol] and shown:
            yield Listener(protocol, shown, int(port, 16), owners.get(words[9], f"a process of user {words[7]}"))


def _shown(hexadecimal: str) -> str:
    """An address; "" for one of IPv6 alone."""
    words = [bytes.fromhex(hexadecimal[at : at + 8])[::-1] for at in range(0, len(hexadecimal), 8)]
    if len(words) == 1:
        return str(IPv4Address(words[0]))
    address = IPv6Address(b"".join(words))
    if not int(address):
        return ANY  # such a socket takes IPv4 too, unless it was told not to, which is not seen here
    return str(address.ipv4_mapped or "")


def _owners() -> dict[str, str]:
    """The name and number of the process that holds a socket, by inode; the oldest of several."""
    found: dict[str, str] = {}
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        with contextlib.suppress(OSError):
            name = (folder / "comm").read_text(encoding="utf-8", errors="replace").strip()
            for entry in (folder / "fd").iterdir():
                with contextlib.suppress(OSError):
                    target = str(entry.readlink())
                    if target.startswith("socket:["):
                        found.setdefault(target[8:-1], f"{name} (pid {folder.name})")
    return found
