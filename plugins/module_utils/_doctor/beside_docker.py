# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Docker does to the firewall of a host: what it lets in past ufw, and what it cuts of Incus. Pure."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator

from ansible_collections.anklume.stt.plugins.module_utils._doctor.network_rules import OURS, RULES, Ruleset

_FORWARD = "fwd."
"""How Incus names the chain of each of its bridges."""
CUT = next(rule for rule in RULES if rule.code == "NET-03")


def warnings(nft: str, interfaces: str, host: str) -> Iterator[str]:
    """What to know of a host where a port is published on an address.

    By what `nft -j list ruleset` and `ip -j -4 address` print of it; where they print nothing, nothing is known.
    """
    rules = Ruleset(nft)
    if any(rules.of_ufw(chain) for chain in rules.dropping("input")) and not _this_host_alone(host):
        yield (
            "ufw is active here, and a port that Docker publishes goes past it: who reaches the host reaches the"
            " service; stt_server_host: 127.0.0.1 keeps it to the host, and stt_server_api_key asks for a key"
        )
    for name in cut(nft, interfaces):
        mend = "; ".join(command.format(bridge=name) for command in CUT.fix)
        yield f"{CUT.title}, and so cuts the instances of Incus at {name} ({CUT.code}): {mend}"


def cut(nft: str, interfaces: str) -> Iterator[str]:
    """The bridges of Incus whose packets another program's chain drops."""
    rules = Ruleset(nft)
    incus = {chain["name"].removeprefix(_FORWARD) for chain in rules.chains if chain["table"] == OURS}
    for name, address in _addresses(interfaces).items():
        bridge = {"name": name, "address": address}
        ways = (rules.accepts(chain, bridge, keys=("iifname", "iif")) for chain in rules.dropping("forward"))
        if name in incus and not all(ways):
            yield name


def _this_host_alone(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, which may lead anywhere
        return host == "localhost"


def _addresses(interfaces: str) -> dict[str, str]:
    """The first address of each interface, with the length of its prefix."""
    return {
        each["ifname"]: f"{each['addr_info'][0]['local']}/{each['addr_info'][0]['prefixlen']}"
        for each in json.loads(interfaces or "[]")
        if each.get("addr_info")
    }
