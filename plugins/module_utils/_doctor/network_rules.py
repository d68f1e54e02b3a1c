# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for the way between instances and the world, seen from the Incus host."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._doctor.rules import WARNING, Evidence, Rule, objects, prints
from ansible_collections.anklume.stt.plugins.module_utils._doctor.snapshot import INCUS_HOST, Snapshot

Bridge = Mapping[str, Any]
OURS = "incus"
"""The name of the tables that Incus itself makes."""


@dataclass(frozen=True)
class Way:
    """What the packets that come to a rule have in common."""

    named: bool = False
    """They are of the bridge."""
    narrowed: bool = False
    """They are a part only, as those of a connection that there is already."""

    @property
    def leads(self) -> bool:
        """Whether what is accepted at its end lets the bridge through."""
        return self.named or not self.narrowed

    def through(self, expression: list[dict[str, Any]], bridge: Bridge, keys: tuple[str, ...]) -> Way | None:
        """The way behind a rule; None where no packet of the bridge comes through."""
        named, narrowed = self.named, self.narrowed or any("xt" in one for one in expression)
        for match in (one["match"] for one in expression if "match" in one):
            left, right = match["left"], match["right"]
            meta = left.get("meta", {}).get("key", "") if isinstance(left, dict) else ""
            payload = left.get("payload", {}).get("field", "") if isinstance(left, dict) else ""
            if meta in keys:
                if not _covers(right, bridge["name"], match["op"]):
                    return None
                named = True
            elif payload in ("saddr", "daddr"):
                if not _overlaps(right, bridge["address"]):
                    return None
                named = True
            else:
                narrowed = True
        return Way(named, narrowed)


class Ruleset:
    """What `nft -j list ruleset` prints."""

    def __init__(self, text: str) -> None:
        entries = json.loads(text)["nftables"] if text else []
        self.tables = [entry["table"] for entry in entries if "table" in entry]
        self.chains = [entry["chain"] for entry in entries if "chain" in entry]
        self.rules = [entry["rule"] for entry in entries if "rule" in entry]

    def dropping(self, hook: str) -> Iterator[dict[str, Any]]:
        """The chains that drop what no rule of theirs accepts, those of Incus left out."""
        for chain in self.chains:
            drops = chain.get("hook") == hook and chain.get("policy") == "drop"
            if drops and chain["table"] != OURS and chain["family"] in ("ip", "inet"):
                yield chain

    def accepts(self, chain: Mapping[str, Any], bridge: Bridge, *, keys: tuple[str, ...]) -> bool:
        """Whether a rule that is reached from a chain lets the packets of a bridge through."""
        place = chain["family"], chain["table"]
        seen: set[tuple[str, Way]] = set()

        def leads(name: str, way: Way) -> bool:
            for rule in self.rules:
                there = (rule["family"], rule["table"]) == place and rule["chain"] == name
                on = way.through(rule["expr"], bridge, keys) if there else None
                if on is None:
                    continue
                if any("accept" in one for one in rule["expr"]) and on.leads:
                    return True
                ways = (one.get("jump") or one.get("goto") or {} for one in rule["expr"])
                for target in {(str(one["target"]), on) for one in ways if one} - seen:
                    seen.add(target)
                    if leads(*target):
                        return True
            return False

        return leads(chain["name"], Way())

    def of_ufw(self, chain: Mapping[str, Any]) -> bool:
        """Whether ufw made the chain's table."""
        table = chain["family"], chain["table"]
        return any((one["family"], one["table"]) == table and one["name"].startswith("ufw-") for one in self.chains)


def _covers(right: Any, name: str, op: str) -> bool:
    wanted = right.get("set", []) if isinstance(right, dict) else [right]
    fits = any(isinstance(one, str) and fnmatchcase(name, one) for one in wanted)
    return fits if op != "!=" else not fits


def _overlaps(right: Any, address: str) -> bool:
    inside = ipaddress.ip_interface(address).network
    for one in right.get("set", [right]) if isinstance(right, dict) else [right]:
        prefix = one.get("prefix") if isinstance(one, dict) else {"addr": one, "len": 32}
        try:
            network = ipaddress.ip_network(f"{prefix['addr']}/{prefix['len']}", strict=False) if prefix else None
        except ValueError:
            network = None
        if network is not None and network.version == inside.version and network.overlaps(inside):
            return True
    return False


def _bridges(snapshot: Snapshot) -> list[dict[str, Any]]:
    return [one for one in objects(snapshot, "networks")[1] if one["address"]]


def _dropped(snapshot: Snapshot, hook: str, keys: tuple[str, ...], *, ufw: bool) -> Iterator[Evidence]:
    said = snapshot.get("nft")
    ruleset = Ruleset(said.text if not said.status else "")
    for chain in ruleset.dropping(hook):
        for bridge in _bridges(snapshot):
            if ruleset.of_ufw(chain) == ufw and not ruleset.accepts(chain, bridge, keys=keys):
                place = f"table {chain['family']} {chain['table']}, chain {chain['name']}"
                line = f"{place}: hook {hook}, policy drop, and no rule accepts {bridge['name']}"
                yield Evidence(said.command, line, {"bridge": bridge["name"], "table": chain["table"]})
                break


def _forward(snapshot: Snapshot) -> Iterator[Evidence]:
    yield from _dropped(snapshot, "forward", ("iifname", "iif"), ufw=False)


def _input(snapshot: Snapshot) -> Iterator[Evidence]:
    yield from _dropped(snapshot, "input", ("iifname", "iif"), ufw=False)


def _ufw(snapshot: Snapshot) -> Iterator[Evidence]:
    yield from _dropped(snapshot, "input", ("iifname", "iif"), ufw=True)
    yield from _dropped(snapshot, "forward", ("iifname", "iif"), ufw=True)


def _flushed(snapshot: Snapshot) -> Iterator[Evidence]:
    said, server = snapshot.get("nft"), snapshot.get("firewall")
    if said.skipped or said.status or server.text.strip() != "nftables" or not _bridges(snapshot):
        return
    ruleset = Ruleset(said.text)
    if not any(table["name"] == OURS for table in ruleset.tables):
        yield Evidence(said.command, "no table inet incus")
        return
    chains = {chain["name"] for chain in ruleset.chains if chain["table"] == OURS}
    for bridge in _bridges(snapshot):
        if bridge.get("nat") and f"pstrt.{bridge['name']}" not in chains:
            yield Evidence(said.command, f"table inet incus: no chain pstrt.{bridge['name']}")


def _no_forwarding(snapshot: Snapshot) -> Iterator[Evidence]:
    said = snapshot.get("ip_forward")
    if said.text.strip().endswith("0") and _bridges(snapshot):
        yield Evidence(said.command, said.text.strip())


def _bridge_down(snapshot: Snapshot) -> Iterator[Evidence]:
    said = snapshot.get("links")
    links = dict(line.split(": ", 1) for line in said.text.splitlines())
    for bridge in _bridges(snapshot):
        state = links.get(bridge["name"], "")
        wanted = bridge["address"].partition("/")[0]
        if state and not (state.startswith("up") and wanted in state.split()):
            yield Evidence(said.command, f"{bridge['name']}: {state}, and it should be up {wanted}")


def _no_name_servers(snapshot: Snapshot) -> Iterator[Evidence]:
    said = snapshot.get("name servers")
    if not said.skipped and not said.text.startswith("nameserver") and _bridges(snapshot):
        yield Evidence(said.command, said.text or "/etc/resolv.conf names no server")


def _mtu(snapshot: Snapshot) -> Iterator[Evidence]:
    said, mtus, way = snapshot.get("mtu"), {}, ""
    for line in said.text.splitlines():
        interface, value, *default = line.split()
        mtus[interface] = int(value)
        way = interface if default else way
    for bridge in _bridges(snapshot):
        if way and mtus.get(bridge["name"], 0) > mtus[way]:
            line = f"{bridge['name']} {mtus[bridge['name']]}, {way} {mtus[way]}"
            yield Evidence(said.command, line, {"bridge": bridge["name"], "mtu": str(mtus[way])})


FRONT = {80, 443}
"""The ports of a page, and of the way to it."""


def _open_outside(snapshot: Snapshot) -> Iterator[Evidence]:
    """Doors of Incus that lead in from outside the host, and instances that hang on a network outside themselves."""
    command, instances = objects(snapshot, "instances")
    inside = {one["name"] for one in objects(snapshot, "networks")[1]}
    for one in instances:
        doors = [door for door in one["doors"] if _leads_in(door)]
        outside = [f"all ports, on {name}" for name in one["bridges"] if name not in inside]
        if doors or outside:
            yield Evidence(command, f"{one['instance']}: {', '.join([*doors, *outside])}", {}, one["host"])


def _leads_in(door: str) -> bool:
    """Of an address as tcp:0.0.0.0:8000 or tcp:[::1]:80-90, whether others reach it, at other ports than a page's."""
    protocol, _colon, rest = door.partition(":")
    address, _colon, ports = rest.rpartition(":")
    try:
        if protocol == "unix" or ipaddress.ip_address(address.strip("[]")).is_loopback:
            return False
    except ValueError:  # it is told as it stands
        return True
    return protocol != "tcp" or not set(ports.split(",")) <= {str(port) for port in FRONT}


RULES = (
    Rule(
        code="NET-01",
        kind=INCUS_HOST,
        title="the host forwards no packets",
        cause="net.ipv4.ip_forward is 0: instances reach the host and each other on one bridge, and nothing beyond. A"
        " program or a file in /etc/sysctl.d has turned it off.",
        fix=("sysctl -w net.ipv4.ip_forward=1", "grep -r ip_forward /etc/sysctl.conf /etc/sysctl.d"),
        look=_no_forwarding,
        hides=("HOP-*", "STT-04"),
    ),
    Rule(
        code="NET-02",
        kind=INCUS_HOST,
        title="the firewall rules of Incus are gone",
        cause="Somebody ran `nft flush ruleset`, or a service that loads its own rules at its start did. Without the"
        " table of Incus nothing is translated to the host's address, so that nothing comes out of the instances.",
        fix=("systemctl restart incus",),
        look=_flushed,
        hides=("HOP-*", "STT-04", "INC-08"),
    ),
    Rule(
        code="NET-03",
        kind=INCUS_HOST,
        title="another program drops what the host forwards",
        cause="Docker sets the policy of the chain forward to drop, and a packet has to be accepted by every program's"
        " chain. Names are resolved, and connections out of the instances hang.",
        fix=(
            "iptables -I DOCKER-USER -i {bridge} -j ACCEPT",
            "iptables -I DOCKER-USER -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        ),
        look=_forward,
        hides=("HOP-*", "STT-04"),
    ),
    Rule(
        code="NET-04",
        kind=INCUS_HOST,
        title="ufw keeps the instances off the network",
        cause="ufw drops what comes from a bridge, DHCP and DNS among it: an instance runs and has no IPv4 address.",
        fix=("ufw allow in on {bridge}", "ufw route allow in on {bridge}", "ufw route allow out on {bridge}"),
        look=_ufw,
        hides=("HOP-*", "STT-04", "NET-06", "INC-08"),
    ),
    Rule(
        code="NET-05",
        kind=INCUS_HOST,
        title="firewalld knows no zone for the bridge",
        cause="firewalld refuses what comes over an interface without a zone, DHCP and DNS among it.",
        fix=(
            "firewall-cmd --permanent --zone=trusted --change-interface={bridge}",
            "firewall-cmd --zone=trusted --change-interface={bridge}",
        ),
        look=prints(r"^(?P<bridge>\S+): no zone", "firewalld"),
        hides=("HOP-*", "STT-04", "NET-06", "INC-08"),
    ),
    Rule(
        code="NET-06",
        kind=INCUS_HOST,
        title="the name server of the bridge does not answer",
        cause="Incus runs one dnsmasq for each bridge. It has died: instances keep their addresses until their lease"
        " ends, and find no name.",
        fix=("systemctl restart incus",),
        look=prints(r"^(?P<bridge>\S+): \S+ port 53: (?:connection )?refused", "dns"),
        hides=("HOP-*", "STT-04", "STT-06", "INC-08"),
    ),
    Rule(
        code="NET-07",
        kind=INCUS_HOST,
        title="the bridge lets through larger packets than the host's way out",
        cause="Small answers come, and a download or an upload hangs: large packets are lost where the way out takes"
        " smaller ones (a VPN, PPPoE, a cloud's network).",
        fix=("incus network set {bridge} bridge.mtu={mtu}",),
        look=_mtu,
        hides=("HOP-*", "STT-04"),
    ),
    Rule(
        code="NET-08",
        kind=INCUS_HOST,
        title="the host's own firewall drops what comes from the bridge",
        cause="A chain input with the policy drop has no rule that accepts the bridge: DHCP and DNS do not reach Incus,"
        " and instances have no IPv4 address.",
        fix=("nft list ruleset", "nft insert rule inet {table} input iifname {bridge} accept"),
        look=_input,
        hides=("HOP-*", "STT-04", "NET-06", "INC-08"),
    ),
    Rule(
        code="NET-09",
        kind=INCUS_HOST,
        title="a bridge of Incus is down or has lost its address",
        cause="Somebody took the interface down, or a program that manages the host's network did: NetworkManager,"
        " systemd-networkd or a VPN. Instances on it reach neither each other nor the host.",
        fix=("systemctl restart incus",),
        look=_bridge_down,
        hides=("HOP-*", "STT-04", "NET-06", "INC-07", "INC-08", "MON-01"),
    ),
    Rule(
        code="NET-10",
        kind=INCUS_HOST,
        severity=WARNING,
        title="the host has nobody to ask for names",
        cause="/etc/resolv.conf is empty or leads nowhere. The dnsmasq of each bridge asks whom the host asks:"
        " instances find each other, and no name outside.",
        fix=("ls -l /etc/resolv.conf", "systemctl restart systemd-resolved NetworkManager networking"),
        look=_no_name_servers,
        hides=("STT-04",),
    ),
    Rule(
        code="NET-11",
        kind=INCUS_HOST,
        severity=WARNING,
        preflight=True,
        title="other ports than 80 and 443 are open to the network outside",
        cause="A page over HTTPS asks everybody who they are. What `publish` or a device of Incus opens beside it is"
        " reached by the whole network, with its key or without. Where that is meant, name it in `doctor_ignore`.",
        fix=("grep -n publish infra.yml", "make plan"),
        look=_open_outside,
    ),
    Rule(
        code="CLK-01",
        kind=INCUS_HOST,
        severity=WARNING,
        title="the clock is not synchronised",
        cause="A time service is turned on, and it has not reached a server. With a wrong clock certificates are not"
        " valid yet, or not any more, and all instances have the host's clock.",
        fix=("timedatectl timesync-status", "systemctl restart systemd-timesyncd"),
        look=prints(r"^NTPSynchronized=no, NTP=yes", "clock"),
    ),
)
