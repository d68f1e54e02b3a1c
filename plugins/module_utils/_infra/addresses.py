# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers: which subnet a domain has, which address a machine has. Each pass returns what it found out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from ansible_collections.anklume.stt.plugins.module_utils._infra import schema
from ansible_collections.anklume.stt.plugins.module_utils._infra.places import Path, Report

GATEWAY = 254
DHCP_FIRST, DHCP_LAST = 100, 249
NUMBERED = range(1, 100)
"""Last numbers given to machines without an address."""

ZONES = {"admin": 0, "trusted": 10, "semi-trusted": 20, "untrusted": 40, "disposable": 50}
DEFAULT_ZONE = "semi-trusted"
ZONED: Path = ("global", "addressing")
"""What makes zones of the domains, where it is there."""

LAST_NUMBER = "(last number)"
"""How an added machine says which address it takes; no key of the file can have this name."""


class Subnet(NamedTuple):
    """The first three numbers of a domain's addresses, and its subnet_id."""

    prefix: str
    number: int


def subnets(report: Report, data: Mapping[str, Any]) -> Mapping[str, Subnet]:
    """The subnet of every domain that can have one; disabled ones keep their numbers."""
    domains: Mapping[str, Mapping[str, Any]] = data["domains"]
    zoned = report.has(ZONED)
    found: dict[str, Subnet] = {}
    taken: dict[tuple[str, int], str] = {}
    automatic: list[tuple[str, str]] = []
    numbers = {domain.get("subnet_id") for domain in domains.values()}
    for name, domain in domains.items():
        path: Path = ("domains", name, "subnet_id")
        zone = domain.get("trust_level", DEFAULT_ZONE) if zoned else ""
        if "trust_level" not in domain and zoned and report.has(("domains", name, "trust_level")):
            continue
        number = domain.get("subnet_id")
        if number is None:
            if report.has(path):
                continue
            if zoned:
                automatic.append((zone, name))
            else:
                number = next((n for n in (*range(1, 255), 0) if n not in numbers), None)
                hint = "all are taken" if number is None else f"{number} is free"
                numbers.add(number)
                report.error(path, "has no subnet_id, a number from 0 to 254", hint)
            continue
        other = taken.setdefault((zone, number), name)
        if other != name:
            inside = f" in zone {zone}" if zone else ""
            report.error(
                path,
                f"{number} is already the subnet_id of domain {other}{inside}, "
                f"{report.at(path, ('domains', other, 'subnet_id'))}",
            )
            continue
        _put(report, data, found, (name, zone, number))
    for zone, name in sorted(automatic):
        number = next((n for n in range(255) if (zone, n) not in taken), None)
        if number is None:
            report.error(("domains", name), f"zone {zone} has no subnet left", on_key=True)
            continue
        taken[zone, number] = name
        _put(report, data, found, (name, zone, number))
    return found


def _put(report: Report, data: Mapping[str, Any], found: dict[str, Subnet], one: tuple[str, str, int]) -> None:
    name, zone, number = one
    settings = data["global"]
    if not zone:
        if not report.malformed(("global", "base_subnet")):
            found[name] = Subnet(f"{settings['base_subnet']}.{number}", number)
        return
    if report.malformed(("global", "addressing", "zone_base")):
        return
    second = settings.get("addressing", schema.ADDRESSING.defaults)["zone_base"] + ZONES[zone]
    if second > 255:
        report.error(
            ("domains", name),
            f"zone {zone} gets the addresses 10.{second}.x.x, and 255 is the highest number",
            f"lower global.addressing.zone_base to {255 - ZONES[zone]} or less",
            on_key=True,
        )
        return
    found[name] = Subnet(f"10.{second}.{number}", number)


def addresses(
    report: Report, data: Mapping[str, Any], prefixes: Mapping[str, Subnet], home: Mapping[str, str]
) -> Mapping[str, str]:
    """The address of each machine that has one; `home` is the domain of each machine."""
    domains: Mapping[str, Mapping[str, Any]] = data["domains"]
    zoned = report.has(ZONED)
    given = {one["ip"] for domain in domains.values() for one in domain["machines"].values() if "ip" in one}
    found: dict[str, str] = {}
    owners: dict[str, str] = {}
    for domain, entry in domains.items():
        prefix = prefixes[domain].prefix if domain in prefixes else ""
        unnumbered: list[str] = []
        for name, machine in entry["machines"].items():
            if home.get(name) != domain:
                continue
            path: Path = ("domains", domain, "machines", name, "ip")
            address = machine.get("ip")
            if address is None and LAST_NUMBER in machine and prefix:
                address = f"{prefix}.{machine[LAST_NUMBER]}"
                path = ("global", "firewall_mode")
            if address is None:
                if not report.has(path):
                    unnumbered.append(name)
                continue
            other = owners.setdefault(address, name)
            if other != name:
                at = report.at(path, ("domains", home[other], "machines", other, "ip"))
                report.error(path, f"{address} is already the address of {other}, {at}")
            elif prefix:
                _judge(report, path, address, prefix, given)
            found[name] = address
        if zoned and prefix:
            found |= _number(report, domain, prefix, unnumbered, owners)
    return found


def _judge(report: Report, path: Path, address: str, prefix: str, given: Collection[str]) -> None:
    first, _dot, last = address.rpartition(".")
    number = int(last)
    if first != prefix:
        report.error(
            path,
            f"{address} is outside the domain's subnet {prefix}.0/24",
            f"like {_free(prefix, number, given)}",
        )
    elif number == GATEWAY:
        report.error(path, f"{address} is the gateway of the domain", f"take one from {prefix}.1 to {prefix}.99")
    elif number in (0, 255):
        what = "network" if number == 0 else "broadcast"
        report.error(path, f"{address} is the {what} address", f"take one from {prefix}.1 to {prefix}.99")
    elif DHCP_FIRST <= number <= DHCP_LAST:
        report.say(
            "warning",
            path,
            f"{address} is among the addresses that DHCP hands out ({prefix}.{DHCP_FIRST} to .{DHCP_LAST})",
            f"it is reserved for the machine, but another may hold it now; {prefix}.1 to {prefix}.99 are safe",
        )


def _free(prefix: str, like: int, given: Collection[str]) -> str:
    """An address to suggest, with the same last number where that can be had."""
    numbers = [like, *NUMBERED] if like in NUMBERED else NUMBERED
    free = (text for text in (f"{prefix}.{number}" for number in numbers) if text not in given)
    return next(free, f"{prefix}.{NUMBERED[-1]}")


def _number(report: Report, domain: str, prefix: str, names: list[str], owners: dict[str, str]) -> Mapping[str, str]:
    """Addresses for machines without one, in the order of the file."""
    found: dict[str, str] = {}
    free = (number for number in NUMBERED if f"{prefix}.{number}" not in owners)
    for name in names:
        number = next(free, None)
        if number is None:
            report.error(
                ("domains", domain, "machines", name),
                f"no address from {prefix}.1 to {prefix}.99 is left for the machine",
                "give it an ip, or move it to another domain",
                on_key=True,
            )
            break
        found[name] = f"{prefix}.{number}"
        owners[found[name]] = name
    return found
