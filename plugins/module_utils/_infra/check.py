# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The meaning of infra.yml: names that must exist, addresses in their subnet, one GPU; out comes the model.

The form (types, allowed keys and words, defaults) is read first, in `form`. Then come passes, functions that say what
they find in the same report and return what they found out; what was malformed is not told again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._infra import model, schema
from ansible_collections.anklume.stt.plugins.module_utils._infra.addresses import (
    DEFAULT_ZONE,
    DHCP_FIRST,
    DHCP_LAST,
    GATEWAY,
    LAST_NUMBER,
    ZONED,
    Subnet,
    addresses,
    subnets,
)
from ansible_collections.anklume.stt.plugins.module_utils._infra.diagnostic import Diagnostic, nearest
from ansible_collections.anklume.stt.plugins.module_utils._infra.form import INVALID, Form, diagnose
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import Node, uncollected
from ansible_collections.anklume.stt.plugins.module_utils._infra.places import Path, Report
from ansible_collections.anklume.stt.plugins.module_utils._infra.publications import local_network, publications
from ansible_collections.anklume.stt.plugins.module_utils._infra.references import (
    OUTSIDE,
    Names,
    policies,
    shared_volumes,
)
from ansible_collections.anklume.stt.plugins.module_utils._infra.rules import RULES, unknown_roles

FIREWALL = 253
ROUTER = "firewall_router"
"""AnKLuMe's role for the firewall machine; it is not part of this collection."""

_PRIVATE = re.compile(r"^(10\.|192\.168$|172\.(1[6-9]|2[0-9]|3[01])$)")

# pylint: disable-next=unsupported-binary-operation
Data = Mapping[str, Any]
"""What the file says, every default filled in."""


@dataclass(frozen=True)
class _Known:
    """What the passes over the whole found out, for the model of each domain and machine."""

    settings: Data
    zoned: bool
    prefixes: Mapping[str, Subnet]
    fixed: Mapping[str, str]
    """The address of each machine that keeps it."""
    published: Mapping[str, tuple[model.Publication, ...]]


@uncollected()
def check(
    root: Node, *, folder: str = "project", roles: Collection[str] = ()
) -> tuple[model.Model | None, list[Diagnostic]]:
    """The model of a project, or None, and everything there is to say about it.

    `folder` names the project when it does not name itself; `roles` are those found in the project.
    """
    form = Form()
    data = form.read(schema.ROOT, root, "")
    if data is INVALID:
        return None, form.diagnostics
    report = Report(root, form.diagnostics, form.malformed)
    made = _model(report, data, folder, frozenset(roles))
    found = report.diagnostics
    for rule in RULES:
        found += rule(made, report)
    found += unknown_roles(made, report, frozenset(roles))
    found += _carried_along(form.carried, data["global"])
    if any(diagnostic.level == "error" for diagnostic in found):
        return None, found
    return made, found


def _model(report: Report, data: Data, folder: str, roles: Collection[str]) -> model.Model:
    """All passes, each with what it needs of those before it."""
    _settings(report, data)
    data = _with_firewall(report, data, roles)
    domains: Mapping[str, Data] = data["domains"]
    enabled = {name: one for name, one in domains.items() if one["enabled"]}
    home = _homes(report, domains, enabled)
    prefixes = subnets(report, data)
    fixed = addresses(report, data, prefixes, home)
    names = Names(domains, enabled, home)
    published = publications(report, {name: one for name, one in enabled.items() if name in prefixes}, fixed)
    settings, zoned = data["global"], report.has(ZONED)
    addressing = settings.get("addressing", schema.ADDRESSING.defaults)
    known = _Known(settings, zoned, prefixes, fixed, published)
    return model.Model(
        project_name=data.get("project_name", _valid_name(folder)),
        lan=local_network(report, data, prefixes),
        remotes=tuple(_remote(name, one["address"]) for name, one in settings["remotes"].items() if "address" in one),
        domains=tuple(_domain(report, known, name, one) for name, one in enabled.items() if name in prefixes),
        policies=policies(report, data, names, fixed),
        shared_volumes=shared_volumes(report, data, names),
        default_image=settings["default_os_image"],
        gpu_policy=settings["gpu_policy"],
        firewall_mode=settings["firewall_mode"],
        base_subnet=None if zoned else settings["base_subnet"],
        addressing={key: addressing[key] for key in schema.ADDRESSING.keys} if zoned else None,
        default_connection=settings.get("default_connection"),
        default_user=settings.get("default_user"),
        resource_policy=_resource_policy(settings.get("resource_policy")),
        carried={name: settings[name] for name in schema.GLOBAL.carried if name in settings},
        disabled={name: tuple(one["machines"]) for name, one in domains.items() if name not in enabled},
    )


# The whole ---------------------------------------------------------------------------------------


def _settings(report: Report, data: Data) -> None:
    path: Path = ("global", "base_subnet")
    base = data["global"]["base_subnet"]
    if report.has(path) and not report.malformed(path):
        if report.has(ZONED):
            report.say("warning", path, "is not used: addressing decides the addresses")
        elif not _PRIVATE.match(base):
            hint = "private are 10.x, 172.16 to 172.31 and 192.168"
            report.say("warning", path, f"{base} is not a private range", hint)
    is_empty = not any(True for _name in report.names(("domains",)))
    if is_empty and report.has(("domains",)) and not report.malformed(("domains",)):
        report.say("warning", ("domains",), "there is no domain yet")


def _with_firewall(report: Report, data: Data, roles: Collection[str]) -> Data:
    """`firewall_mode: vm` adds a machine, as both generations of AnKLuMe do."""
    domains: Mapping[str, Data] = data["domains"]
    if data["global"]["firewall_mode"] != "vm":
        return data
    own = {"anklume": "anklume-firewall", "admin": "sys-firewall"}
    if any(name in own.values() for domain in domains for name in report.names(("domains", domain, "machines"))):
        return data
    order = ("anklume", "admin") if report.has(ZONED) else ("admin", "anklume")
    home = next((name for name in order if name in domains and domains[name]["enabled"]), None)
    path: Path = ("global", "firewall_mode")
    if home is None:
        message = "vm needs an enabled domain anklume or admin for the firewall machine"
        report.error(path, message, "add the domain, or declare a machine anklume-firewall yourself")
        return data
    machine = {
        **schema.MACHINE.defaults,
        "description": "Firewall of all domains (added by firewall_mode: vm)",
        "type": "vm",
        "ephemeral": False,
        "config": {"limits.cpu": "2", "limits.memory": "2GiB"},
        "roles": ["base_system", *([ROUTER] if ROUTER in roles else [])],
        LAST_NUMBER: FIREWALL,
    }
    if ROUTER not in roles:
        message = f"machine {own[home]} is added to domain {home}, but nothing is routed through it"
        hint = f"put AnKLuMe's role {ROUTER} into the project's roles/ to have it applied"
        report.say("warning", path, message, hint)
    domain = {**domains[home], "machines": {**domains[home]["machines"], own[home]: machine}}
    return {**data, "domains": {**domains, home: domain}}


def _homes(report: Report, domains: Mapping[str, Data], enabled: Collection[str]) -> Mapping[str, str]:
    """The domain of each machine, disabled domains included."""
    home: dict[str, str] = {}
    for domain, entry in domains.items():
        for name in dict.fromkeys((*report.names(("domains", domain, "machines")), *entry["machines"])):
            path: Path = ("domains", domain, "machines", name)
            other = home.setdefault(name, domain)
            if other != domain:
                at = report.at(path, ("domains", other, "machines", name))
                message = f'the machine name "{name}" is also in domain {other}, {at}'
                report.error(path, message, "machine names are unique over all domains", on_key=True)
    for name, domain in home.items():
        path = ("domains", domain, "machines", name)
        if name in enabled and domain in enabled:
            message = f"the machine has the name of domain {name}; Ansible mixes up hosts and groups of one name"
            report.say("warning", path, message, on_key=True)
        if name in OUTSIDE:
            message = f"policies cannot name this machine: {name} means {OUTSIDE[name]}"
            report.say("warning", path, message, on_key=True)
    for name in [one for one in OUTSIDE if one in domains]:
        message = f"policies cannot name this domain: {name} means {OUTSIDE[name]}"
        report.say("warning", ("domains", name), message, on_key=True)
    return home


def _remote(name: str, address: str | list[str]) -> model.Remote:
    return model.Remote(name, (address,) if isinstance(address, str) else tuple(address))


def _resource_policy(policy: Any) -> model.ResourcePolicy | None:
    if policy is None:
        return None
    values = dict(schema.RESOURCE_POLICY.defaults if policy is True else policy)
    reserve = values.pop("host_reserve")
    return model.ResourcePolicy(str(reserve["cpu"]), str(reserve["memory"]), **values)


# Domains and machines ----------------------------------------------------------------------------


def _domain(report: Report, known: _Known, name: str, domain: Data) -> model.Domain:
    prefix, number = known.prefixes[name]
    profiles = {"default", *report.names(("domains", name, "profiles"))}
    for machine, entry in domain["machines"].items():
        for profile in entry["profiles"]:
            if profile not in profiles:
                _unknown_profile(report, ("domains", name, "machines", machine), profile, profiles)
    return model.Domain(
        name=name,
        network=model.Network(
            name=f"net-{name}",
            subnet=f"{prefix}.0/24",
            gateway=f"{prefix}.{GATEWAY}",
            dhcp_first=f"{prefix}.{DHCP_FIRST}",
            dhcp_last=f"{prefix}.{DHCP_LAST}",
        ),
        subnet_id=number,
        description=domain["description"],
        remote=domain["remote"],
        ephemeral=domain["ephemeral"],
        trust_level=domain.get("trust_level", DEFAULT_ZONE if known.zoned else None),
        profiles=tuple(model.Profile(key, one["config"], one["devices"]) for key, one in domain["profiles"].items()),
        machines=tuple(_machine(known, (name, domain), *machine) for machine in domain["machines"].items()),
        carried=_carried_of(domain),
    )


def _carried_of(domain: Data) -> Mapping[str, Any]:
    found = {key: domain[key] for key in schema.DOMAIN.carried if key in domain}
    return {**found, "ai_sanitize": domain.get("ai_sanitize", domain["ai_provider"] != "local")}


def _machine(known: _Known, home: tuple[str, Data], name: str, entry: Data) -> model.Machine:
    domain, owner = home
    folder = f"{known.settings['persistent_data_base'].rstrip('/')}/{domain}/{name}"
    return model.Machine(
        name=name,
        domain=domain,
        type=entry["type"],
        description=entry["description"],
        ip=known.fixed.get(name),
        ephemeral=entry.get("ephemeral", owner["ephemeral"]),
        gpu=entry["gpu"],
        target=entry["target"],
        image=entry.get("os_image", known.settings["default_os_image"]),
        profiles=tuple(entry["profiles"]),
        config=entry["config"],
        devices=entry["devices"],
        storage_volumes=tuple(
            model.StorageVolume(volume, one.get("pool", ""), one["path"], one.get("size", ""))
            for volume, one in entry["storage_volumes"].items()
            if "path" in one
        ),
        persistent_data=tuple(
            model.PersistentData(data, f"{folder}/{data}", one["path"], one["readonly"])
            for data, one in entry["persistent_data"].items()
            if "path" in one
        ),
        publish=known.published.get(name, ()),
        publish_name=entry["publish_name"],
        publish_without_key=entry["publish_without_key"],
        roles=tuple(entry["roles"]),
        weight=entry["weight"],
        boot_autostart=entry.get("boot_autostart"),
        boot_priority=entry.get("boot_priority"),
        snapshots_schedule=entry.get("snapshots_schedule"),
        snapshots_expiry=entry.get("snapshots_expiry"),
        carried={key: entry[key] for key in schema.MACHINE.carried if key in entry},
    )


def _unknown_profile(report: Report, path: Path, profile: str, known: Collection[str]) -> None:
    listing = report.find((*path, "profiles"))
    index = next(i for i, item in enumerate(listing.items if listing else ()) if item.value == profile)
    near = nearest(profile, known)
    hints = [f"did you mean {near}?"] if near else []
    hints.append("known here: " + ", ".join(sorted(known)))
    report.error((*path, "profiles", index), f'domain {path[1]} has no profile "{profile}"', *hints)


def _carried_along(carried: Mapping[str, Node], settings: Data) -> Iterator[Diagnostic]:
    """Each key that is only carried, named once."""
    for name, node in carried.items():
        if name == "nesting_prefix" and settings.get(name) is False:
            continue
        yield diagnose("note", node, "", f"{name}: carried, not acted on")


def _valid_name(folder: str) -> str:
    """A folder's name as a project name."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder).strip("-._")[:63].rstrip("-._")
    return name or "project"
