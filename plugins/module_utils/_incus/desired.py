# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Incus should hold, computed from the model: projects, networks, profiles, volumes, instances. Pure.

Every object is a flat mapping of fields, `config/limits.memory` or `devices/eth0/network`, and
only fields that infra.yml (or this project) means something by are in it: the plan compares
these and leaves all others alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import InfraError
from ansible_collections.anklume.stt.plugins.module_utils._incus.flows import acl_rules
from ansible_collections.anklume.stt.plugins.module_utils._incus.host import ETHERNET_MTU, Host
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import (
    IMAGE_MARK,
    KEYS_MARK,
    PROJECT_MARK,
    Key,
    Resource,
    flatten,
    project_key,
)
from ansible_collections.anklume.stt.plugins.module_utils._incus.published import (
    Lan,
    Published,
    announced,
    local_network,
    published,
)
from ansible_collections.anklume.stt.plugins.module_utils._incus.share import shares
from ansible_collections.anklume.stt.plugins.module_utils._infra.disks import machine_disks
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Domain, Machine, Model

TYPES = {"lxc": "container", "vm": "virtual-machine"}


@dataclass(frozen=True)
class Desired:
    """All that one infra.yml asks of Incus."""

    project_name: str
    resources: Mapping[Key, Resource] = field(default_factory=dict)
    gpu: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)
    """Instances that ask for a GPU, with the profiles that give it to them."""
    published: tuple[Published, ...] = ()
    announced: tuple[Mapping[str, str], ...] = ()
    """Names in the local network, each with an address of the host."""
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    """Incus projects and networks that infra.yml has on another server, each with what messages call that."""


def desired(model: Model, host: Host, places: Mapping[str, str] | None = None) -> Desired:
    """Everything that `model` asks for on `host`; in a cluster, `places` says on which member each machine will be."""
    found: list[Resource] = []
    gpu: dict[Key, tuple[str, ...]] = {}
    places = places or {}
    limits: dict[str, Mapping[str, str]] = {}
    doors: dict[str, list[Published]] = {}
    lan = local_network(model, host)
    for part, machine_host in _parts(model, host, places):
        limits |= shares(part, machine_host.cpus, machine_host.memory)
        if any(machine.publish for machine in part.machines):
            for one in published(part, local_network(part, machine_host)):
                doors.setdefault(one.machine, []).append(one)
    for domain in model.domains:
        found += _domain(model, domain, host, lan)
        for machine in domain.machines:
            given = _gpu_profiles(domain, machine)
            if machine.gpu or given or _has_gpu(machine.devices):
                gpu[Key("instance", domain.project, machine.name)] = given
            found += _machine(
                model,
                domain,
                machine,
                host,
                limits.get(machine.name, {}),
                doors=doors.get(machine.name, ()),
                place=places.get(machine.name, ""),
            )
    unique = {resource.key: resource for resource in found}
    shared = Counter(resource.key for resource in found if resource.key.kind == "volume")
    for key in (key for key, times in shared.items() if times > 1):
        raise InfraError(
            f"{key} is named by {shared[key]} machines, which would all write to it: give each its own name"
        )
    return Desired(
        model.project_name,
        {key: _marked(resource, model.project_name) for key, resource in unique.items()},
        gpu,
        tuple(one for some in doors.values() for one in some),
        announced(model, lan),
    )


def _parts(model: Model, host: Host, places: Mapping[str, str]) -> Iterator[tuple[Model, Host]]:
    """The model in parts, one for each machine of the server; what is on a member that is down is in none."""
    if not host.cluster:
        yield model, host
        return
    for place in dict.fromkeys(places.get(machine.name, "") for machine in model.machines):
        there = host.at(place)
        if there is not None:
            yield _only(model, [name for name in model.addresses if places.get(name, "") == place], there), there


def _only(model: Model, names: Collection[str], host: Host) -> Model:
    """The model with these machines alone, and with the addresses of the local network that their host has."""
    domains = tuple(
        replace(domain, machines=tuple(machine for machine in domain.machines if machine.name in names))
        for domain in model.domains
    )
    addresses = tuple(one for one in model.lan.addresses if IPv4Address(one) in host.addresses)
    return replace(model, domains=domains, lan=replace(model.lan, addresses=addresses))


def _marked(resource: Resource, project_name: str) -> Resource:
    if resource.key.kind == "folder":
        return resource
    fields = {**resource.fields, PROJECT_MARK: project_name}
    fields[KEYS_MARK] = json.dumps(sorted(fields), separators=(",", ":"))
    return replace(resource, fields=fields)


def _domain(model: Model, domain: Domain, host: Host, lan: Lan) -> Iterable[Resource]:
    project = project_key(domain.project)
    network = Key("network", "default", domain.network.name)
    acl = Key("acl", "default", domain.network.name)
    yield Resource(
        project,
        flatten({"description": domain.description or None}),
        create={
            "config/features.images": "false",
            "config/features.networks": "false",
            "config/features.profiles": "true",
            "config/features.storage.volumes": "true",
        },
    )
    ingress, egress = acl_rules(model, domain, host.addresses, lan=lan, ranges=host.nftables)
    yield Resource(acl, {"description": f"Who may talk to {domain.name}", "ingress": ingress, "egress": egress})
    yield Resource(
        network,
        flatten({"description": domain.description or None, "config": _bridge(domain, host)}),
        create={"type": "bridge"},
        needs=(acl,),
    )
    given = {profile.name: profile for profile in domain.profiles}
    base = given.pop("default", None)
    yield Resource(
        Key("profile", domain.project, "default"),
        flatten(
            {
                "config": {**host.default_config, **(base.config if base else {})},
                "devices": {
                    "root": host.root,
                    "eth0": {"type": "nic", "network": domain.network.name, "name": "eth0"},
                    **(base.devices if base else {}),
                },
            }
        ),
        needs=(project, network),
    )
    for profile in given.values():
        yield Resource(
            Key("profile", domain.project, profile.name),
            flatten({"config": profile.config, "devices": profile.devices}),
            needs=(project, network),
        )


def _bridge(domain: Domain, host: Host) -> dict[str, str]:
    network = domain.network
    config = {
        "ipv4.address": f"{network.gateway}/{network.subnet.partition('/')[2]}",
        "ipv4.nat": "true",
        "ipv4.dhcp.ranges": f"{network.dhcp_first}-{network.dhcp_last}",
        "ipv6.address": "none",
        "security.acls": network.name,
        "security.acls.default.ingress.action": "reject",
        "security.acls.default.egress.action": "reject",
    }
    if host.mtu < ETHERNET_MTU:
        config["bridge.mtu"] = str(host.mtu)
    return config


def _machine(
    model: Model,
    domain: Domain,
    machine: Machine,
    host: Host,
    limits: Mapping[str, str],
    *,
    doors: Iterable[Published],
    place: str,
) -> Iterable[Resource]:
    here = host.at(place) or host
    project = project_key(domain.project)
    profiles = [Key("profile", domain.project, name) for name in machine.profiles]
    needs: list[Key] = [project, *profiles, Key("network", "default", domain.network.name)]
    devices: dict[str, Mapping[str, str]] = {"eth0": _nic(domain, machine)}
    others = (*_profile_devices(domain, machine), *machine.devices.values())
    if "default" not in machine.profiles and not any(map(_is_root, others)):
        devices["root"] = host.root
    pools = {volume.name: volume for volume in machine.storage_volumes}
    for disk in machine_disks(model, domain, machine):
        devices[disk.device] = disk.keys()
        if disk.is_folder:
            needs.append(Key("folder", "", disk.source))
            yield Resource(needs[-1], {})
            continue
        volume = pools[disk.source]
        pool = volume.pool or host.root["pool"]
        needs.append(Key("volume", domain.project, f"{pool}/{volume.name}", place))
        yield Resource(needs[-1], flatten({"config": {"size": volume.size} if volume.size else {}}), needs=(project,))
        devices[disk.device] = {**disk.keys(), "pool": pool}
    devices |= {one.device: one.proxy() for one in doors}
    config: dict[str, str] = {"security.protection.delete": "false" if machine.ephemeral else "true", **limits}
    if machine.boot_autostart is not None:
        config["boot.autostart"] = "true" if machine.boot_autostart else "false"
    if machine.boot_priority is not None:
        config["boot.autostart.priority"] = str(machine.boot_priority)
    if machine.snapshots_schedule:
        config["snapshots.schedule"] = machine.snapshots_schedule
    if machine.snapshots_expiry:
        # infra.yml writes hours and minutes as h and m; to Incus, h is nothing and m is months
        config["snapshots.expiry"] = machine.snapshots_expiry.replace("h", "H").replace("m", "M")
    given = _gpu_profiles(domain, machine)
    if machine.gpu and not given and not _has_gpu(machine.devices):
        devices["gpu"] = {"type": "gpu", "gputype": "physical"}
    if (machine.gpu or given or _has_gpu(machine.devices)) and machine.type == "lxc" and here.nvidia_tools:
        config["nvidia.runtime"] = "true"
    merged = {**devices, **{k: v for k, v in machine.devices.items() if k != "eth0"}}
    yield Resource(
        Key("instance", domain.project, machine.name),
        flatten(
            {
                "description": machine.description or None,
                "profiles": list(machine.profiles),
                "config": {**config, **machine.config},
                "devices": merged,
            }
        ),
        create={"type": TYPES[machine.type], f"config/{IMAGE_MARK}": machine.image},
        needs=tuple(needs),
        ephemeral=machine.ephemeral,
        address=merged["eth0"].get("ipv4.address") if "network" in merged["eth0"] else "",
        target=machine.target,
        place=place,
    )


def _nic(domain: Domain, machine: Machine) -> Mapping[str, str]:
    """The interface, its address fixed before the first start, and nothing but its own addresses let out of it."""
    given = machine.devices.get("eth0", {})
    if "parent" in given:
        return given
    nic = {
        "type": "nic",
        "network": domain.network.name,
        "name": "eth0",
        "security.mac_filtering": "true",
        "security.ipv4_filtering": "true",
    }
    if machine.ip:
        nic["ipv4.address"] = machine.ip
    return {**nic, **given}


def _profile_devices(domain: Domain, machine: Machine) -> list[Mapping[str, str]]:
    return [d for profile in domain.profiles if profile.name in machine.profiles for d in profile.devices.values()]


def _is_root(device: Mapping[str, str]) -> bool:
    return device.get("type") == "disk" and device.get("path") == "/"


def _has_gpu(devices: Mapping[str, Mapping[str, str]]) -> bool:
    return any(device.get("type") == "gpu" for device in devices.values())


def _gpu_profiles(domain: Domain, machine: Machine) -> tuple[str, ...]:
    return tuple(p.name for p in domain.profiles if p.name in machine.profiles and _has_gpu(p.devices))
