# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What names domains and machines from outside of them: network policies and shared volumes, as passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._infra import model
from ansible_collections.anklume.stt.plugins.module_utils._infra.diagnostic import nearest
from ansible_collections.anklume.stt.plugins.module_utils._infra.places import Path, Report

OUTSIDE = {
    "host": "the Incus host",
    "lan": "the networks of the host",
    "internet": "all but private networks",
}
"""What policies can name beside domains and machines."""


@dataclass(frozen=True)
class Names:
    """What can be named."""

    domains: Mapping[str, Mapping[str, Any]]
    enabled: Mapping[str, Mapping[str, Any]]
    home: Mapping[str, str]
    """The domain of each machine, disabled domains included."""


def shared_volumes(report: Report, data: Mapping[str, Any], names: Names) -> tuple[model.SharedVolume, ...]:
    """`shared_volumes`, each with the machines that get it."""
    volumes = []
    base = data["global"]["shared_volumes_base"].rstrip("/")
    for name, entry in data["shared_volumes"].items():
        volumes.append(
            model.SharedVolume(
                name=name,
                source=entry.get("source", f"{base}/{name}"),
                path=entry.get("path", f"/shared/{name}"),
                consumers=_consumers(report, names, ("shared_volumes", name), entry["consumers"]),
                shift=entry["shift"],
                propagate=entry["propagate"],
            )
        )
    return tuple(volumes)


def _consumers(report: Report, names: Names, path: Path, entries: Mapping[str, Any]) -> dict[str, Any]:
    """Domains become their machines; a machine's own entry wins."""
    of_domains: dict[str, Any] = {}
    of_machines: dict[str, Any] = {}
    for name, access in entries.items():
        here = (*path, "consumers", name)
        if name in names.domains:
            for machine in names.enabled.get(name, {"machines": ()})["machines"]:
                if names.home.get(machine) == name:
                    of_domains[machine] = access
        elif name in names.home:
            domain = names.enabled.get(names.home[name], {"machines": ()})
            if name in domain["machines"]:
                of_machines[name] = access
        elif name not in report.names(("domains",)):
            _unknown(report, names, here, name, on_key=True)
            continue
        _is_disabled(report, names, here, name, "the volume is not mounted there")
    return {**of_domains, **of_machines}


def _unknown(report: Report, names: Names, path: Path, name: str, *, host: bool = False, on_key: bool = False) -> None:
    known = [*report.names(("domains",)), *names.home, *(OUTSIDE if host else [])]
    near = nearest(name, known)
    if near in OUTSIDE and len(name) < len(near) + 1 < 5:
        near = None  # "any" is not "lan"
    hints = [f"did you mean {near}?"] if near else []
    if not near and host:
        hints = ["there are a domain, a machine, host, lan and internet for the two sides"]
    report.error(path, f'there is no domain or machine "{name}"', *hints, on_key=on_key)


def _is_disabled(report: Report, names: Names, path: Path, name: str, effect: str) -> bool:
    """Whether a name belongs to a disabled domain; says so once per use."""
    domain = name if name in names.domains else names.home.get(name, "")
    if domain not in names.domains or domain in names.enabled:
        return False
    report.say("warning", path, f"domain {domain} is disabled: {effect}", on_key=True)
    return True


def policies(
    report: Report, data: Mapping[str, Any], names: Names, fixed: Mapping[str, str]
) -> tuple[model.Policy, ...]:
    """`network_policies`, and the one that `ai_access_policy` adds; `fixed` are the addresses of machines."""
    found = []
    for index, entry in _entries(report, data):
        path: Path = ("network_policies", index)
        ends = [_endpoint(report, names, fixed, ((*path, side), entry.get(side))) for side in ("from", "to")]
        if ends[0] is None or ends[1] is None:
            continue
        if not {"domain", "machine"}.intersection((ends[0].kind, ends[1].kind)) and ends[0] != ends[1]:
            report.error(path, f"from {ends[0].name} to {ends[1].name} passes no domain: there is nothing to open")
        elif ends[1].kind in ("lan", "internet"):
            report.say("note", path, "is open anyway: machines reach all but other domains and the host")
        if ends[0] == ends[1]:
            report.say("warning", path, f"from and to are both {ends[0].name}: within a domain all is allowed anyway")
        ports = entry["ports"]
        protocol = entry.get("protocol", "any" if ports == "all" else "tcp")
        if ports == "all" and protocol != "any" and not report.malformed((*path, "ports")):
            message = f"opens every port of {protocol}, and no other protocol"
            report.say("note", (*path, "protocol"), message, "name the ports, or remove protocol to open all")
        for place, port in report.whole_list((*path, "ports"), ports) if ports != "all" else ():
            low, _dash, high = str(port).partition("-")
            if int(high or low) > 65535 or int(low) > int(high or low):
                report.error((*path, "ports", place), f"{port} is not a range of ports from 1 to 65535")
        found.append(
            model.Policy(
                source=ends[0],
                target=ends[1],
                ports=None if ports == "all" else tuple(str(port) for port in ports),
                protocol=protocol,
                bidirectional=entry["bidirectional"],
                description=entry["description"],
            )
        )
    return (*found, *_ai_access(report, data["global"], names, found))


def _entries(report: Report, data: Mapping[str, Any]) -> Iterable[tuple[int, dict[str, Any]]]:
    """The policies with their index in the file; malformed ones are not in the data."""
    node = report.root.value.get("network_policies")
    entries = iter(data["network_policies"])
    for index, item in enumerate(node.items if node is not None and node.kind == "list" else ()):
        if item.kind == "map":
            entry = next(entries, None)
            if entry is not None:
                yield index, entry


def _endpoint(
    report: Report, names: Names, fixed: Mapping[str, str], said: tuple[Path, str | None]
) -> model.Endpoint | None:
    path, name = said
    if name is None:
        return None
    if name == "host":
        return model.Endpoint("host", "host")
    if name in OUTSIDE:
        owner = "domain" if name in report.names(("domains",)) else "machine" if name in names.home else ""
        if owner:
            report.error(
                path, f"{name} means {OUTSIDE[name]}, and there is a {owner} of that name", f"rename the {owner}"
            )
            return None
        return model.Endpoint("lan" if name == "lan" else "internet", name)
    if name not in names.home and name not in report.names(("domains",)):
        _unknown(report, names, path, name, host=True)
        return None
    if _is_disabled(report, names, path, name, "the policy is left out"):
        return None
    if name in names.enabled:
        return model.Endpoint("domain", name)
    if name in names.home and name in names.enabled.get(names.home[name], {"machines": ()})["machines"]:
        if name not in fixed and not report.has(("domains", names.home[name], "machines", name, "ip")):
            report.error(path, f"machine {name} has no fixed address for the policy", "give it an ip")
            return None
        return model.Endpoint("machine", name)
    return None


def _ai_access(
    report: Report, settings: Mapping[str, Any], names: Names, policies: list[model.Policy]
) -> tuple[model.Policy, ...]:
    """`ai_access_policy: exclusive`: one domain at a time reaches `ai-tools`."""
    if settings["ai_access_policy"] != "exclusive":
        return ()
    path: Path = ("global", "ai_access_policy")
    default = settings.get("ai_access_default")
    if "ai-tools" not in names.enabled:
        report.error(path, "exclusive needs an enabled domain ai-tools")
        return ()
    to_tools = [policy for policy in policies if policy.target == model.Endpoint("domain", "ai-tools")]
    if len(to_tools) > 1:
        report.error(path, f"exclusive allows one policy to ai-tools, and there are {len(to_tools)}")
    if default is None:
        if not report.has(("global", "ai_access_default")):
            report.error(path, "exclusive needs ai_access_default, the domain that has access first")
        return ()
    here: Path = ("global", "ai_access_default")
    if default == "ai-tools":
        report.error(here, "ai-tools cannot have access to itself", "name a domain that uses it")
    elif default not in names.enabled:
        near = nearest(default, names.enabled)
        report.error(here, f'there is no enabled domain "{default}"', *([f"did you mean {near}?"] if near else []))
    elif not to_tools:
        return (
            model.Policy(
                model.Endpoint("domain", default),
                model.Endpoint("domain", "ai-tools"),
                protocol="any",
                bidirectional=True,
                description=f"{default} uses ai-tools (added by ai_access_policy: exclusive)",
            ),
        )
    return ()
