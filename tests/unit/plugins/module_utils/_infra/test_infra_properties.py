# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random files: none that is accepted opens a flow that it does not name, and none mounts two things at one place."""

from __future__ import annotations

import os
import random
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import yaml
from ansible_collections.anklume.stt.plugins.module_utils._incus.desired import Desired, desired
from ansible_collections.anklume.stt.plugins.module_utils._incus.host import Host
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import Key
from ansible_collections.anklume.stt.plugins.module_utils._infra.check import check
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import parse
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Model

FILES = 20_000 if os.environ.get("ANKLUME_TEST_LONG") == "1" else 1_000
HOST = Host(addresses=(IPv4Address("192.168.1.5"),), lan=(IPv4Interface("192.168.1.5/24"),))
LAN, WORLD = "192.168.1.77", "8.8.8.8"
PORTS = [
    None, None, "all", "[]", "[22]", "[022]", "[80, 443]", '["8000-8010"]', '["90-80"]', "[8443]", "[1:30]", '["443"]',
    "[0]", "[65535]", "[22, 22]",
]  # fmt: skip


def model_of(text: str) -> Model | None:
    root, faults = parse(text.encode(), "infra.yml")
    if root is None or faults:
        return None
    return check(root)[0]


# ---------------------------------------------------------------- flows


def random_flows(rng: random.Random) -> str:
    lines = ["domains:"]
    names = ["host", "lan", "internet"]
    zoned = rng.random() < 0.3
    for domain in range(rng.randint(2, 4)):
        name = f"d{domain}"
        names += [name, name]
        entry = [] if zoned else [f"subnet_id: {rng.choice([domain, domain, domain, f'0{domain + 7}'])}"]
        entry += ["enabled: false"] if rng.random() < 0.1 else []
        machines = []
        for machine in range(1, rng.randint(2, 4)):
            keys = [f"ip: 10.100.{domain}.{machine}"] if rng.random() < 0.9 and not zoned else []
            keys += [f"publish: [{rng.choice(['443', '8443:443', '{port: 53, protocol: udp}'])}]"] * (
                rng.random() < 0.1
            )
            machines.append(f"{name}-m{machine}: {{{', '.join(keys)}}}")
            names.append(f"{name}-m{machine}")
        entry.append(f"machines: {{{', '.join(machines)}}}")
        lines.append(f"  {name}: {{{', '.join(entry)}}}")
    lines.append("network_policies:")
    for _ in range(rng.randint(1, 4)):
        keys = [f"from: {rng.choice(names)}", f"to: {rng.choice(names)}"]
        ports = rng.choice(PORTS)
        keys += [f"ports: {ports}"] if ports else []
        keys += [f"protocol: {rng.choice(['tcp', 'udp'])}"] if rng.random() < 0.4 else []
        keys += [f"bidirectional: {rng.choice(['true', 'false'])}"] if rng.random() < 0.3 else []
        lines.append(f"  - {{{', '.join(keys)}}}")
    return ("global: {addressing: {}}\n" if zoned else "") + "\n".join(lines) + "\n"


def names_flow(said: dict[str, Any], source: set[str], target: set[str], protocol: str, port: int) -> bool:
    """Whether a policy of the file, as it reads, is about a packet; the ends are all names that they go by."""
    ways = [(said["from"], said["to"])]
    if said.get("bidirectional"):
        ways.append((said["to"], said["from"]))
    if not any(start in source and end in target for start, end in ways):
        return False
    if said.get("ports", "all") == "all":
        return said.get("protocol") in (None, protocol)
    for one in said["ports"]:
        low, _dash, high = str(one).partition("-")
        if protocol == said.get("protocol", "tcp") and int(low) <= port <= int(high or low):
            return True
    return False


def passes(rules: list[dict[str, str]], source: str, target: str, protocol: str, port: int) -> bool:
    """Whether one of the rules of an ACL lets a packet through."""

    def within(address: str, given: str | None) -> bool:
        number = int(IPv4Address(address))
        for part in (given or "0.0.0.0/0").split(","):
            first, dash, last = part.partition("-")
            network = None if dash else IPv4Network(first)
            low = int(IPv4Address(first)) if network is None else int(network.network_address)
            high = int(IPv4Address(last)) if network is None else int(network.broadcast_address)
            if low <= number <= high:
                return True
        return False

    for rule in rules:
        ports = [part.partition("-") for part in rule.get("destination_port", "0-65535").split(",")]
        if (
            rule["action"] == "allow"
            and rule.get("protocol", protocol) == protocol
            and any(int(low) <= port <= int(high or low) for low, _dash, high in ports)
            and within(source, rule.get("source"))
            and within(target, rule.get("destination"))
        ):
            return True
    return False


def opened_by_publish(machine: dict[str, Any], protocol: str, port: int) -> bool:
    for one in machine.get("publish", ()):
        long = one if isinstance(one, dict) else {"port": int(str(one).split(":")[-1])}
        if long.get("protocol", "tcp") == protocol and port == long.get("to", long["port"]):
            return True
    return False


def test_no_accepted_file_opens_a_flow_that_it_does_not_name():
    rng = random.Random(20261128)
    accepted = opened = 0
    for _ in range(FILES):
        text = random_flows(rng)
        model = model_of(text)
        if model is None:
            continue
        accepted += 1
        said = yaml.safe_load(text)
        policies = said["network_policies"]
        asked = desired(model, HOST)
        acls = {key.name.removeprefix("net-"): one for key, one in asked.resources.items() if key.kind == "acl"}
        machines = [one for one in model.machines if one.ip]
        ports = (21, 22, 53, 80, 85, 443, 8000, 8443, 65535)
        for target in rng.sample(machines, min(3, len(machines))):
            ingress = acls[target.domain].fields["ingress"]
            for source in machines:
                if source.domain == target.domain:
                    continue
                egress = acls[source.domain].fields["egress"]
                for protocol, port in ((p, n) for p in ("tcp", "udp", "icmp4") for n in rng.sample(ports, 3)):
                    open_ = all(passes(one, source.ip, target.ip, protocol, port) for one in (egress, ingress))
                    ends = ({source.name, source.domain}, {target.name, target.domain})
                    named = any(names_flow(one, *ends, protocol, port) for one in policies)
                    assert open_ == named, (text, source.name, target.name, protocol, port)
                    opened += open_
            keys = said["domains"][target.domain]["machines"][target.name]
            for address, who in ((LAN, "lan"), (WORLD, "internet")):
                for protocol, port in (("tcp", 22), ("tcp", 443), ("udp", 53), ("icmp4", 0)):
                    open_ = passes(ingress, address, target.ip, protocol, port)
                    named = any(
                        names_flow(one, {who}, {target.name, target.domain}, protocol, port) for one in policies
                    )
                    named |= who == "lan" and opened_by_publish(keys, protocol, port)
                    assert open_ == named, (text, who, target.name, protocol, port)
            out = acls[target.domain].fields["egress"]
            for protocol, port in (("tcp", 22), ("udp", 53)):
                open_ = passes(out, target.ip, "192.168.1.5", protocol, port)
                named = any(names_flow(one, {target.name, target.domain}, {"host"}, protocol, port) for one in policies)
                assert open_ == named, (text, target.name, "host", protocol, port)
    assert accepted > FILES / 10 and opened > FILES / 10, (accepted, opened)


# ---------------------------------------------------------------- mounts

PATHS = ["/x", "/x/", "/y", "/y/../x", "//x", "/x/./z", "/x/z", "/", *(f"/srv/{n}" for n in range(15))]
MEANT = {"/x/": "/x", "/y/../x": "/x", "//x": "/x", "/x/./z": "/x/z"}


def random_mounts(rng: random.Random) -> str:
    def path() -> str:
        return rng.choice(PATHS)

    def some(noun: str, names: list[str], more: str = "") -> list[str]:
        chosen = rng.sample(names, rng.choice([0, 0, 1, 1, 2]))
        return [f"{noun}: {{{', '.join(f'{name}: {{path: {path()}{more}}}' for name in chosen)}}}"] if chosen else []

    lines = ["domains:", "  lab:", "    subnet_id: 3", "    profiles:"]
    lines += [
        f"      {name}: {{devices: {{{name}: {{type: disk, source: /s, path: {path()}}}}}}}" for name in ("p", "root")
    ]
    lines.append("    machines:")
    for machine in ("one", "two"):
        keys = some("storage_volumes", ["a", "eth0", f"b-{machine}", f"c-{machine}", f"d-{machine}"])
        keys += some("persistent_data", ["a", "c"])
        keys += some("devices", ["d", "e", "f", "a", "sv-s", "root"], ", type: disk, source: /s")
        keys += [f"profiles: {rng.choice(['[default]', '[default, p]', '[p]', '[root]', '[default, root]', '[]'])}"]
        keys += ["config: {security.nesting: true}"] * (rng.random() < 0.4)
        lines.append(f"      {machine}: {{{', '.join(keys)}}}")
    lines.append("shared_volumes:")
    for name in ("s", "t"):
        more = rng.choice(["", ", propagate: true"])
        lines.append(f"  {name}: {{path: {path()}, consumers: {{{rng.choice(['one', 'two', 'lab'])}: ro}}{more}}}")
    return "\n".join(lines) + "\n"


def mounted(asked: Desired, instance: Key) -> list[str]:
    """Where Incus would mount something in an instance: its profiles' devices in order, then its own."""
    devices: dict[str, dict[str, str]] = {}
    names = asked.resources[instance].fields["profiles"]
    for key in [*(Key("profile", instance.project, name) for name in names), instance]:
        own: dict[str, dict[str, str]] = {}
        for field, value in asked.resources[key].fields.items():
            if field.startswith("devices/"):
                _, device, name = field.split("/", 2)
                own.setdefault(device, {})[name] = value
        devices |= own
    paths = [device["path"] for device in devices.values() if device["type"] == "disk"]
    return [
        os.path.realpath("/" + path.lstrip("/")) if ".." not in path else path.replace("/y/../x", "/x")
        for path in paths
    ]


def test_no_accepted_file_mounts_two_things_at_one_place():
    rng = random.Random(20261128)
    accepted = 0
    for _ in range(FILES):
        text = random_mounts(rng)
        model = model_of(text)
        if model is None:
            continue
        accepted += 1
        asked = desired(model, HOST)
        for machine in model.machines:
            places = mounted(asked, Key("instance", "lab", machine.name))
            assert len(places) == len(set(places)), (text, places)
            assert "/" in places, text
        volumes = [one.fields for key, one in asked.resources.items() if key.kind == "volume"]
        assert len(volumes) == sum(len(machine.storage_volumes) for machine in model.machines), text
    assert accepted > FILES / 50, accepted
