# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Under which names browsers reach a page of ours: its certificate's, its origins', and those an authority permits."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OWN = ("localhost", "127.0.0.1")
"""How a machine calls itself."""

PRIVATE_NETWORKS = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
    "127.0.0.0/8",
    "::1/128",
)
"""Addresses that are no site's: RFC 1918, unique local ones, the machine itself. Whole networks, because an address
that a router changes must not need a new authority."""

PRIVATE_SUFFIXES = ("local", "localhost", "incus")
"""Names that are no site's: announced in the network itself, the machine's own, and those that Incus gives."""


@dataclass(frozen=True)
class Site:
    """One way to a page: a name or an address, and the port there."""

    name: str
    port: int

    def origin(self, https: bool) -> str:
        """What a browser sends as its origin: a port that the scheme means anyway is left out."""
        host = f"[{self.name}]" if ":" in self.name else self.name
        port = "" if self.port == (443 if https else 80) else f":{self.port}"
        return f"{'https' if https else 'http'}://{host}{port}"


@dataclass(frozen=True)
class Place:
    """What a machine is called, and by which of the host's ports it is reached from outside."""

    machine: str
    address: str = ""
    chosen: Sequence[str] = ()
    """Names that somebody chose; they replace all others."""
    published: Sequence[Mapping[str, Any]] = ()
    """The host's ports (`port`) that lead to ports of the machine (`to`)."""
    host: Sequence[str] = ()
    """The host's names and addresses in its local network that somebody gave, the best first."""
    found: Sequence[str] = ()
    """Those that were found on the host."""

    @classmethod
    def of(cls, variables: Mapping[str, Any], found: Sequence[str] = ()) -> Place:
        """A machine by its variables; what was found here says nothing of one on another machine."""
        elsewhere = variables.get("ansible_incus_remote") or variables.get("instance_target")
        return cls(
            variables["inventory_hostname"],
            variables.get("ansible_host") or "",
            variables.get("open_webui_names") or (),
            variables.get("instance_published") or (),
            given_names(variables),
            () if elsewhere else found,
        )

    def ports(self, to: int) -> list[int]:
        """The host's ports that lead to one of the machine's."""
        return [int(one["port"]) for one in self.published if int(one["to"]) == to and one.get("protocol") != "udp"]

    def outside(self, port: int) -> list[Site]:
        """The ways from the local network to what the machine serves on a port, the best first."""
        names = self.chosen or (*self.host, *self.found)
        return list(dict.fromkeys(Site(name, one) for one in self.ports(port) for name in names))

    def sites(self, port: int) -> list[Site]:
        """All ways to a page that the machine serves on a port, the best first."""
        direct = self.chosen or [name for name in (self.machine, self.address) if name]
        ways, own = self.outside(port), [Site(name, port) for name in direct]
        return list(dict.fromkeys([*own, *ways] if self.chosen else [*ways, *own]))


def host_names(ways: Iterable[Site]) -> list[str]:
    """The names and addresses alone, each once."""
    return list(dict.fromkeys(site.name for site in ways))


def origins(ways: Iterable[Site], https: bool, port: int) -> list[str]:
    """The origins of a page, its own names last."""
    return list(dict.fromkeys(site.origin(https) for site in (*ways, *(Site(name, port) for name in OWN))))


def is_private(name: str) -> bool:
    """Whether a name or an address lies in what every authority of ours may sign for."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name.rpartition(".")[2].lower() in PRIVATE_SUFFIXES
    return any(address in ipaddress.ip_network(network) for network in PRIVATE_NETWORKS)


def given_names(variables: Mapping[str, Any]) -> list[str]:
    """The names that somebody gave the host: the one announced for this machine, then those of the whole project."""
    announced = variables.get("instance_published_name")
    return [*([announced] if announced else []), *(variables.get("infra_lan_names") or ())]


def found_names(host: str, addresses: Iterable[Any]) -> list[str]:
    """Under which the host may be known in its local network: addresses, its name as mDNS has it, and as it is."""
    short = host.partition(".")[0].lower()
    own = [f"{short}.local", short, host.lower()] if short.isascii() and short not in ("", "localhost") else []
    return list(dict.fromkeys([*map(str, addresses), *own]))


def permitted(machines: Iterable[Mapping[str, Any]], host: str = "", found: Iterable[str] = ()) -> list[str]:
    """What the authority of a project may sign for: its machines, names chosen for them, its host, private networks.

    `machines` holds the variables of each machine, `found` the names that were found on the host.
    """
    names = [host, host.partition(".")[0], *found]
    for machine in machines:
        place = Place.of(machine)
        names += [place.machine, place.address, *place.chosen, *place.host]
    chosen = {name.lower() for name in names if name and name.isascii() and not is_private(name)}
    return [*sorted(chosen), *PRIVATE_SUFFIXES, *PRIVATE_NETWORKS]


def pages(machine: Mapping[str, Any], found: Sequence[str] = ()) -> list[str]:
    """The addresses of a machine's page from outside, by its variables; none where its page is not published."""
    https = machine.get("open_webui_https", True)
    page = 443 if https else int(machine.get("open_webui_port", 3000))
    return [site.origin(https) for site in Place.of(machine, found).outside(page)]


def trust_pages(machines: Iterable[Mapping[str, Any]], found: Sequence[str] = ()) -> list[str]:
    """Where devices get the authority's certificate, in plain HTTP: they do not trust HTTPS yet.

    Where the host's ports lead to the machine's HTTPS alone, it is there, behind the browser's warning.
    """
    pages = []
    for machine in machines:
        given = machine.get("open_webui_tls_certificate") or machine.get("open_webui_acme_url")
        if not machine.get("open_webui_https", True) or given:
            continue
        place = Place.of(machine, found)
        if not place.ports(80):
            pages += [site.origin(True) for site in place.outside(443)]
        pages += [site.origin(False) for site in place.sites(80)]
    return [f"{page}/trust" for page in dict.fromkeys(pages)]
