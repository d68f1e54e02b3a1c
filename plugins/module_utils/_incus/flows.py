# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network policies as the rules of one network ACL per domain. Pure.

Incus applies a domain's ACL where its bridge meets the host, after replies to what was let
through. Whatever no rule allows is rejected. Packets to a published port of the host come to it after their target was
rewritten: from the client's own address to the machine's. Three rules are always there: the host may talk to
its instances, peers of the same bridge may talk to each other (needed where bridged traffic
passes the firewall), and instances may talk to everything but other domains and the host itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, summarize_address_range

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import InfraError
from ansible_collections.anklume.stt.plugins.module_utils._incus.published import Lan
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import (
    Domain,
    Endpoint,
    Machine,
    Model,
    Policy,
    Publication,
)

Rule = dict[str, str]
LAST = (1 << 32) - 1
NO_LAN = Lan()

NOT_INTERNET = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/3",
)
"""Private networks, and what is no address of a machine."""


def acl_rules(
    model: Model, domain: Domain, host: Sequence[IPv4Address], *, lan: Lan = NO_LAN, ranges: bool = True
) -> tuple[list[Rule], list[Rule]]:
    """(ingress, egress) of `domain`; `host` are the host's own addresses outside our networks."""

    def outside(endpoint: Endpoint) -> str:
        """Who a source is that is no domain or machine."""
        if endpoint.kind == "lan":
            return ",".join(map(str, lan.networks))
        return _text(_outside(_private()), ranges)

    def beyond(endpoint: Endpoint) -> str:
        """Who a target is that is no domain or machine; other domains and the host are not part of lan and internet."""
        if endpoint.kind == "host":
            return _host(network.gateway, host)
        shut = _private() if endpoint.kind == "internet" else _outside(map(_span, lan.networks))
        return _text(_outside([*shut, *closed]), ranges)

    network = domain.network
    closed = _closed(model, domain)
    closed += [(int(address), int(address)) for address in (IPv4Address(network.gateway), *host)]
    ingress = [_rule(network.subnet, "", description="the host and its own network")]
    egress = [_rule(network.subnet, _text(_outside(closed), ranges), description="all but other domains and the host")]
    for policy, source, target in model.crossings.get(domain.name, ()):
        home = model.homes.get(source)
        if home is domain:
            there = _subject(model, target) if _is_inside(target) else beyond(target)
            if there:
                egress.append(_flow(policy, _subject(model, source), there))
        elif source.kind != "host":
            here = _subject(model, source) if _is_inside(source) else outside(source)
            ingress.append(_flow(policy, here, _subject(model, target)))
    ingress += [_opened(machine, one, lan) for machine in domain.machines for one in machine.publish]
    return ingress, egress


def _opened(machine: Machine, one: Publication, lan: Lan) -> Rule:
    """What lets in those whom a published port is for."""
    sources: list[str] = []
    for source in one.sources if "any" not in one.sources else ():
        sources += map(str, lan.networks) if source == "lan" else [source]
    rule = _rule(",".join(sources), f"{machine.ip}/32", description=f"published at port {one.port} of the host")
    return {**rule, "protocol": one.protocol, "destination_port": str(one.to)}


def _is_inside(endpoint: Endpoint) -> bool:
    return endpoint.kind in ("domain", "machine")


def _private() -> list[tuple[int, int]]:
    return [_span(IPv4Network(one)) for one in NOT_INTERNET]


def _closed(model: Model, domain: Domain) -> list[tuple[int, int]]:
    """The other domains."""
    if model.is_one_block:
        # the whole base subnet: a domain that comes or goes changes no other domain's rules
        whole = _span(IPv4Network(f"{model.base_subnet}.0.0/16"))
        own = _span(IPv4Network(domain.network.subnet))
        return [(whole[0], own[0] - 1), (own[1] + 1, whole[1])]
    return [_span(_network(other.network.subnet)) for other in model.domains if other is not domain]


def _flow(policy: Policy, source: str, target: str) -> Rule:
    rule = _rule(source, target, description=policy.description)
    if policy.protocol != "any":
        rule["protocol"] = policy.protocol
        if policy.ports:
            rule["destination_port"] = ",".join(policy.ports)
    return rule


def _rule(source: str, destination: str, *, description: str) -> Rule:
    rule = {"action": "allow", "state": "enabled"}
    if source:
        rule["source"] = source
    if destination:
        rule["destination"] = destination
    if description:
        rule["description"] = description
    return rule


def _subject(model: Model, endpoint: Endpoint) -> str:
    domain = model.homes.get(endpoint)
    if domain is None:
        raise InfraError(f"network policy: no domain or machine is called {endpoint.name}")
    if endpoint.kind == "domain":
        return domain.network.subnet
    address = model.addresses[endpoint.name]
    if address is None:
        raise InfraError(
            f"network policy: {endpoint.name} needs a fixed address to be named in a policy: give it an ip"
        )
    return f"{address}/32"


def _host(gateway: str, addresses: Sequence[IPv4Address]) -> str:
    return ",".join(f"{address}/32" for address in (gateway, *addresses))


@lru_cache(maxsize=1024)
def _network(text: str) -> IPv4Network:
    return IPv4Network(text)


def _span(network: IPv4Network) -> tuple[int, int]:
    return int(network.network_address), int(network.broadcast_address)


def _outside(closed: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """All addresses that lie in none of the spans."""
    free, start = [], 0
    for first, last in sorted(closed):
        if first > start:
            free.append((start, first - 1))
        start = max(start, last + 1)
    if start <= LAST:
        free.append((start, LAST))
    return free


def _text(spans: Iterable[tuple[int, int]], ranges: bool) -> str:
    pairs = [(IPv4Address(first), IPv4Address(last)) for first, last in spans]
    if ranges:
        return ",".join(f"{first}-{last}" if first != last else f"{first}/32" for first, last in pairs)
    return ",".join(str(network) for first, last in pairs for network in summarize_address_range(first, last))
