# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The meaning of infra.yml: names that must exist, addresses in their subnet, one GPU; out comes the model.

The form (types, allowed keys and words) is checked first, in `form`; both report into the same list, and
what was malformed is missing from the data here, so a fault is told once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._infra import model, schema
from ansible_collections.anklume.stt.plugins.module_utils._infra.addresses import (
    DEFAULT_SUBNET,
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

DEFAULT_IMAGE = "images:debian/13"

_PRIVATE = re.compile(r"^(10\.|192\.168$|172\.(1[6-9]|2[0-9]|3[01])$)")


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
    checker = _Checker(root, data, form, frozenset(roles))
    made = checker.run(folder)
    found = checker.diagnostics
    for rule in RULES:
        found += rule(made, checker)
    found += unknown_roles(made, checker, frozenset(roles))
    found += checker.notes()
    if any(diagnostic.level == "error" for diagnostic in found):
        return None, found
    return made, found


class _Checker(Report):
    """What the checks share: the data, the tree for places, and the list of diagnostics."""

    def __init__(self, root: Node, data: dict[str, Any], form: Form, roles: frozenset[str]) -> None:
        super().__init__(root, form.diagnostics)
        self.data = data
        self.carried = form.carried
        self.roles = roles
        self.settings: dict[str, Any] = data.get("global", {})
        self.domains: dict[str, dict[str, Any]] = data.get("domains", {})
        self.enabled = {name: one for name, one in self.domains.items() if one.get("enabled", True)}
        self.home: dict[str, str] = {}
        """The domain of each machine, disabled domains included."""
        self.prefixes: Mapping[str, Subnet] = {}
        self.addresses: Mapping[str, str] = {}
        self.published: dict[tuple[str, int], Path] = {}
        """What leads to a machine: (protocol, port of the host) → its place in the file."""

    # The whole -------------------------------------------------------------------------------

    def run(self, folder: str) -> model.Model:
        self._settings()
        self._firewall()
        self._machine_names()
        self.prefixes = subnets(self, self.data)
        self.addresses = addresses(self, self.data, self.prefixes, self.home)
        lan = self._lan()
        names = Names(self.domains, self.enabled, self.home)
        domains = tuple(self._domain(name, domain) for name, domain in self.enabled.items() if name in self.prefixes)
        addressing = self.settings.get("addressing")
        return model.Model(
            project_name=self.data.get("project_name", _valid_name(folder)),
            domains=domains,
            policies=policies(self, self.data, names, self.addresses),
            shared_volumes=shared_volumes(self, self.data, names),
            lan=lan,
            default_image=self.settings.get("default_os_image", DEFAULT_IMAGE),
            gpu_policy=self.settings.get("gpu_policy", "exclusive"),
            firewall_mode=self.settings.get("firewall_mode", "host"),
            base_subnet=None if self._zoned else self.settings.get("base_subnet", DEFAULT_SUBNET),
            addressing={"base_octet": 10, "zone_base": 100, "zone_step": 10, **(addressing or {})}
            if self._zoned
            else None,
            default_connection=self.settings.get("default_connection"),
            default_user=self.settings.get("default_user"),
            resource_policy=self._resource_policy(),
            carried={name: self.settings[name] for name in _carried(schema.GLOBAL) if name in self.settings},
            disabled={
                name: tuple(one.get("machines", {})) for name, one in self.domains.items() if name not in self.enabled
            },
        )

    @property
    def _zoned(self) -> bool:
        return self.has(ZONED)

    def _settings(self) -> None:
        base = self.settings.get("base_subnet")
        if base is not None and self._zoned:
            self.say("warning", ("global", "base_subnet"), "is not used: addressing decides the addresses")
        elif base is not None and not _PRIVATE.match(base):
            self.say(
                "warning",
                ("global", "base_subnet"),
                f"{base} is not a private range",
                "private are 10.x, 172.16 to 172.31 and 192.168",
            )
        if not self.enabled and not any(True for _name in self.names(("domains",))) and self.has(("domains",)):
            self.say("warning", ("domains",), "there is no domain yet")

    def _firewall(self) -> None:
        """`firewall_mode: vm` adds a machine, as both generations of AnKLuMe do."""
        if self.settings.get("firewall_mode") != "vm":
            return
        own = {"anklume": "anklume-firewall", "admin": "sys-firewall"}
        if any(name in own.values() for domain in self.domains for name in self.names(("domains", domain, "machines"))):
            return
        order = ("anklume", "admin") if self._zoned else ("admin", "anklume")
        home = next((name for name in order if name in self.enabled), None)
        if home is None:
            self.error(
                ("global", "firewall_mode"),
                "vm needs an enabled domain anklume or admin for the firewall machine",
                "add the domain, or declare a machine anklume-firewall yourself",
            )
            return
        domain = dict(self.enabled[home])
        domain["machines"] = dict(domain.get("machines", {}))
        domain["machines"][own[home]] = {
            "description": "Firewall of all domains (added by firewall_mode: vm)",
            "type": "vm",
            "ephemeral": False,
            "config": {"limits.cpu": "2", "limits.memory": "2GiB"},
            "roles": ["base_system", *([ROUTER] if ROUTER in self.roles else [])],
            LAST_NUMBER: FIREWALL,
        }
        if ROUTER not in self.roles:
            self.say(
                "warning",
                ("global", "firewall_mode"),
                f"machine {own[home]} is added to domain {home}, but nothing is routed through it",
                f"put AnKLuMe's role {ROUTER} into the project's roles/ to have it applied",
            )
        self.enabled[home] = self.domains[home] = domain

    def _machine_names(self) -> None:
        for domain, entry in self.domains.items():
            for name in dict.fromkeys((*self.names(("domains", domain, "machines")), *entry.get("machines", {}))):
                path: Path = ("domains", domain, "machines", name)
                other = self.home.setdefault(name, domain)
                if other != domain:
                    self.error(
                        path,
                        f'the machine name "{name}" is also in domain {other}, '
                        f"{self.at(path, ('domains', other, 'machines', name))}",
                        "machine names are unique over all domains",
                        on_key=True,
                    )
        for name, domain in self.home.items():
            path = ("domains", domain, "machines", name)
            if name in self.enabled and domain in self.enabled:
                self.say(
                    "warning",
                    path,
                    f"the machine has the name of domain {name}; Ansible mixes up hosts and groups of one name",
                    on_key=True,
                )
            if name in OUTSIDE:
                message = f"policies cannot name this machine: {name} means {OUTSIDE[name]}"
                self.say("warning", path, message, on_key=True)
        for name in [one for one in OUTSIDE if one in self.domains]:
            message = f"policies cannot name this domain: {name} means {OUTSIDE[name]}"
            self.say("warning", ("domains", name), message, on_key=True)

    def _lan(self) -> model.Lan:
        """`global.lan`; a network of it that holds a domain would open that domain to others."""
        given = self.settings.get("lan", {})
        path: Path = ("global", "lan", "networks")
        for index, text in self.whole_list(path, given.get("networks", [])):
            network = self._network((*path, index), text)
            for name, (prefix, _number) in self.prefixes.items():
                if network and network.overlaps(IPv4Network(f"{prefix}.0/24")):
                    self.error((*path, index), f"{text} overlaps {prefix}.0/24 of domain {name}")
                    break
        return model.Lan(tuple(given.get("networks", ())), tuple(given.get("addresses", ())))

    def _network(self, path: Path, text: str) -> IPv4Network | None:
        """A network in CIDR form, or None after a fault."""
        network = IPv4Network(text, strict=False)
        if "/" in text and str(network) != text:
            self.error(path, f"{text} is an address in a network", f"write {network} for the network")
            return None
        return network

    # Domains and machines --------------------------------------------------------------------

    def _domain(self, name: str, domain: dict[str, Any]) -> model.Domain:
        prefix, number = self.prefixes[name]
        profiles = tuple(
            model.Profile(profile, entry.get("config", {}), entry.get("devices", {}))
            for profile, entry in domain.get("profiles", {}).items()
        )
        known = {"default", *self.names(("domains", name, "profiles"))}
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
            description=domain.get("description", ""),
            ephemeral=domain.get("ephemeral", False),
            trust_level=domain.get("trust_level", DEFAULT_ZONE if self._zoned else None),
            profiles=profiles,
            machines=tuple(
                self._machine(name, domain, machine, entry, known)
                for machine, entry in domain.get("machines", {}).items()
            ),
            carried={key: domain[key] for key in _carried(schema.DOMAIN) if key in domain},
        )

    def _machine(
        self, domain: str, owner: dict[str, Any], name: str, entry: dict[str, Any], profiles: set[str]
    ) -> model.Machine:
        path: Path = ("domains", domain, "machines", name)
        wanted = tuple(entry.get("profiles", ("default",)))
        for profile in wanted:
            if profile not in profiles:
                self._unknown_profile(path, domain, profile, profiles)
        volumes = tuple(
            model.StorageVolume(volume, one.get("pool", ""), one["path"], one.get("size", ""))
            for volume, one in entry.get("storage_volumes", {}).items()
            if "path" in one
        )
        base = self.settings.get("persistent_data_base", "/srv/anklume/data").rstrip("/")
        data = tuple(
            model.PersistentData(folder, f"{base}/{domain}/{name}/{folder}", one["path"], one.get("readonly", False))
            for folder, one in entry.get("persistent_data", {}).items()
            if "path" in one
        )
        devices = entry.get("devices", {})
        publish = tuple(self._publications(path, name, entry, devices)) if "publish" in entry else ()
        return model.Machine(
            name=name,
            domain=domain,
            type=entry.get("type", "lxc"),
            description=entry.get("description", ""),
            ip=self.addresses.get(name),
            ephemeral=entry.get("ephemeral", owner.get("ephemeral", False)),
            gpu=entry.get("gpu", False),
            image=entry.get("os_image", self.settings.get("default_os_image", DEFAULT_IMAGE)),
            profiles=wanted,
            config=entry.get("config", {}),
            devices=devices,
            storage_volumes=volumes,
            persistent_data=data,
            publish=publish,
            publish_name=entry.get("publish_name", ""),
            publish_without_key=entry.get("publish_without_key", False),
            roles=tuple(entry.get("roles", ())),
            weight=entry.get("weight", 1),
            boot_autostart=entry.get("boot_autostart"),
            boot_priority=entry.get("boot_priority"),
            snapshots_schedule=entry.get("snapshots_schedule"),
            snapshots_expiry=entry.get("snapshots_expiry"),
            carried={key: entry[key] for key in _MACHINE_CARRIED if key in entry},
        )

    def _publications(
        self, path: Path, name: str, entry: Mapping[str, Any], devices: Mapping[str, Mapping[str, str]]
    ) -> Iterable[model.Publication]:
        """`publish`: each port of the host once, and only to an address that the machine keeps."""
        here = (*path, "publish")
        if entry["publish"] and name not in self.addresses and not self.has((*path, "ip")):
            self.error(here, f"machine {name} has no fixed address to be published at", "give it an ip", on_key=True)
            return
        own = {"ipv4.address", "network", "nictype", "parent"}.intersection(devices.get("eth0", {}))
        if entry["publish"] and own:
            message = f"machine {name} has an interface of its own: devices.eth0 says {', '.join(sorted(own))}"
            self.error(here, message, "only what hangs on its domain's bridge can be published", on_key=True)
            return
        for index, given in self.whole_list(here, entry["publish"]):
            one = self._publication((*here, index), given)
            if one is None:
                continue
            other = self.published.setdefault((one.protocol, one.port), (*here, index))
            if other != (*here, index):
                machine = f"machine {other[3]}, " if other[3] != name else ""
                hint = f'choose another port of the host, like "{self._another(one)}:{one.to}"'
                self.error(
                    (*here, index),
                    f"port {one.port} of the host is already published: {machine}{self.at(path, other)}",
                    hint,
                )
            needed = re.compile(rf"publish-{one.protocol}-{one.port}(-\d+)?$")
            for rival in filter(needed.match, devices):
                self.error((*here, index), f"the machine has a device {rival}, the name this port needs")
            yield one

    def _another(self, one: model.Publication) -> int:
        """A port of the host to suggest instead of one that is taken."""
        ports = (*range(one.port + 8000 if one.port < 8000 else one.port + 1, 65536), *range(8443, 65536))
        free: int = next(port for port in ports if (one.protocol, port) not in self.published)
        return free

    def _publication(self, path: Path, given: int | str | Mapping[str, Any]) -> model.Publication | None:
        """One entry of `publish`, or None after a fault."""
        node = self.node(path)
        where = f"{node.file.name}:{node.line + 1}:{node.column + 1}"
        if not isinstance(given, Mapping):
            port, _colon, to = str(given).partition(":")
            return model.Publication(int(port), int(to or port), where=where)
        if "port" not in given:
            return None
        sources = given.get("from", "lan")
        if isinstance(sources, str):
            sources, places = [sources], {0: (*path, "from")}
        else:
            places = {index: (*path, "from", index) for index, _one in self.whole_list((*path, "from"), sources)}
        for index, source in enumerate(sources):
            if source not in ("lan", "any") and index in places:
                self._network(places[index], source)
        return model.Publication(
            given["port"], given.get("to", given["port"]), given.get("protocol", "tcp"), tuple(sources), where
        )

    def _unknown_profile(self, path: Path, domain: str, profile: str, known: set[str]) -> None:
        listing = self.root.value["domains"].value[domain].value["machines"].value[path[-1]].value["profiles"]
        index = next(i for i, item in enumerate(listing.items) if item.value == profile)
        near = nearest(profile, known)
        hints = [f"did you mean {near}?"] if near else []
        hints.append("known here: " + ", ".join(sorted(known)))
        self.error((*path, "profiles", index), f'domain {domain} has no profile "{profile}"', *hints)

    def _resource_policy(self) -> model.ResourcePolicy | None:
        policy = self.settings.get("resource_policy")
        if policy is None:
            return None
        if policy is True:
            return model.ResourcePolicy()
        values = {key: value for key, value in policy.items() if key != "host_reserve"}
        for key, value in policy.get("host_reserve", {}).items():
            values[f"host_reserve_{key}"] = str(value)
        return model.ResourcePolicy(**values)

    def notes(self) -> Iterator[Diagnostic]:
        """Each key that is only carried, named once."""
        for name, node in self.carried.items():
            if name == "nesting_prefix" and self.settings.get(name) is False:
                continue
            yield diagnose("note", node, "", f"{name}: carried, not acted on")


def _carried(record: schema.Record) -> tuple[str, ...]:
    return tuple(name for name, key in record.keys.items() if not key.acted)


_MACHINE_CARRIED = _carried(schema.MACHINE)


def _valid_name(folder: str) -> str:
    """A folder's name as a project name."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder).strip("-._")[:63].rstrip("-._")
    return name or "project"
