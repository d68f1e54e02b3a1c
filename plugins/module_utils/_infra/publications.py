# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The local network, and what of it leads to machines: `global.lan` and `publish`, as passes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._infra import model
from ansible_collections.anklume.stt.plugins.module_utils._infra.addresses import Subnet
from ansible_collections.anklume.stt.plugins.module_utils._infra.places import Path, Report

# pylint: disable-next=unsupported-binary-operation
Doors = dict[tuple[str, int], Path]
"""What leads to a machine: (protocol, port of the host) → its place in the file."""


def local_network(report: Report, data: Mapping[str, Any], prefixes: Mapping[str, Subnet]) -> model.Lan:
    """`global.lan`; a network of it that holds a domain would open that domain to others."""
    given = data["global"]["lan"]
    path: Path = ("global", "lan", "networks")
    for index, text in report.whole_list(path, given["networks"]):
        network = _network(report, (*path, index), text)
        for name, (prefix, _number) in prefixes.items():
            if network and network.overlaps(IPv4Network(f"{prefix}.0/24")):
                report.error((*path, index), f"{text} overlaps {prefix}.0/24 of domain {name}")
                break
    return model.Lan(tuple(given["networks"]), tuple(given["addresses"]))


def publications(
    report: Report, domains: Mapping[str, Mapping[str, Any]], fixed: Collection[str]
) -> Mapping[str, tuple[model.Publication, ...]]:
    """What each machine publishes; `fixed` are the machines that keep their address."""
    doors: Doors = {}
    return {
        name: tuple(_of_machine(report, ("domains", domain, "machines", name), entry, fixed, doors))
        for domain, owner in domains.items()
        for name, entry in owner["machines"].items()
        if entry["publish"]
    }


def _of_machine(
    report: Report, path: Path, entry: Mapping[str, Any], fixed: Collection[str], doors: Doors
) -> Iterator[model.Publication]:
    """`publish`: each port of the host once, and only to an address that the machine keeps."""
    here, name, devices = (*path, "publish"), path[-1], entry["devices"]
    if name not in fixed and not report.has((*path, "ip")):
        report.error(here, f"machine {name} has no fixed address to be published at", "give it an ip", on_key=True)
        return
    own = {"ipv4.address", "network", "nictype", "parent"}.intersection(devices.get("eth0", {}))
    if own:
        message = f"machine {name} has an interface of its own: devices.eth0 says {', '.join(sorted(own))}"
        report.error(here, message, "only what hangs on its domain's bridge can be published", on_key=True)
        return
    for index, given in report.whole_list(here, entry["publish"]):
        one = _publication(report, (*here, index), given)
        if one is None:
            continue
        other = doors.setdefault((one.protocol, one.port), (*here, index))
        if other != (*here, index):
            machine = f"machine {other[3]}, " if other[3] != name else ""
            message = f"port {one.port} of the host is already published: {machine}{report.at(path, other)}"
            hint = f'choose another port of the host, like "{_another(one, doors)}:{one.to}"'
            report.error((*here, index), message, hint)
        needed = re.compile(rf"publish-{one.protocol}-{one.port}(-\d+)?$")
        for rival in filter(needed.match, devices):
            report.error((*here, index), f"the machine has a device {rival}, the name this port needs")
        yield one


def _another(one: model.Publication, doors: Doors) -> int:
    """A port of the host to suggest instead of one that is taken."""
    ports = (*range(one.port + 8000 if one.port < 8000 else one.port + 1, 65536), *range(8443, 65536))
    free: int = next(port for port in ports if (one.protocol, port) not in doors)
    return free


def _publication(report: Report, path: Path, given: int | str | Mapping[str, Any]) -> model.Publication | None:
    """One entry of `publish`, or None after a fault."""
    node = report.node(path)
    where = f"{node.file.name}:{node.line + 1}:{node.column + 1}"
    if not isinstance(given, Mapping):
        port, _colon, to = str(given).partition(":")
        return model.Publication(int(port), int(to or port), where=where)
    if "port" not in given:
        return None
    sources = given["from"]
    if isinstance(sources, str):
        sources, places = [sources], {0: (*path, "from")}
    else:
        places = {index: (*path, "from", index) for index, _one in report.whole_list((*path, "from"), sources)}
    for index, source in enumerate(sources):
        if source not in ("lan", "any") and index in places:
            _network(report, places[index], source)
    return model.Publication(given["port"], given.get("to", given["port"]), given["protocol"], tuple(sources), where)


def _network(report: Report, path: Path, text: str) -> IPv4Network | None:
    """A network in CIDR form, or None after a fault."""
    network = IPv4Network(text, strict=False)
    if "/" in text and str(network) != text:
        report.error(path, f"{text} is an address in a network", f"write {network} for the network")
        return None
    return network
