# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused before anything is made: conflicts with this host and with objects that are not ours. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Interface

from ansible_collections.anklume.stt.plugins.module_utils._incus.cluster import GROUP, meant
from ansible_collections.anklume.stt.plugins.module_utils._incus.desired import Desired
from ansible_collections.anklume.stt.plugins.module_utils._incus.host import Host
from ansible_collections.anklume.stt.plugins.module_utils._incus.listeners import ANY
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import Key, Resource, project_key
from ansible_collections.anklume.stt.plugins.module_utils._incus.observe import Found, Observed


def faults(wanted: Desired, observed: Observed, host: Host, *, adopt: bool) -> list[str]:
    """Everything that stands in the way, one sentence each."""
    return [
        *_targets(wanted, host),
        *_folders(wanted, host),
        *_subnets(wanted, observed, host),
        *_gpus(wanted, host),
        *_virtual_machines(wanted, host),
        *_owners(wanted, observed, adopt=adopt),
        *_ports(wanted, host),
        *_names(wanted, host),
    ]


def is_ours(found: Found, wanted: Desired, observed: Observed) -> bool:
    """Whether it carries our mark, or is what Incus itself put into a project that does."""
    if found.owner is None and found.key.comes_with_project:
        project = observed.found.get(project_key(found.key.project))
        return project is not None and project.owner == wanted.project_name
    return found.owner == wanted.project_name


def _folders(wanted: Desired, host: Host) -> Iterator[str]:
    """A folder of this machine is none of another, and nothing there can be made from here."""
    if host.remote or host.cluster:
        for key, resource in _of(wanted, "instance"):
            folders = [need.name for need in resource.needs if need.kind == "folder"]
            if folders:
                what = f"{host.words} is another machine" if host.remote else "a cluster has several"
                yield (
                    f"{key.name} mounts {', '.join(folders)}: a folder of the Incus host, and {what}: "
                    "take storage_volumes instead of persistent_data or shared_volumes"
                )


def _targets(wanted: Desired, host: Host) -> Iterator[str]:
    """A target has to be there; what lies on one member, or is published at its address, has to say which."""
    doors = {one.machine for one in wanted.published}
    names = [one.name for one in host.cluster]
    for key, resource in _of(wanted, "instance"):
        if resource.target and not host.cluster:
            yield f"{key.name} has target {resource.target}, and {host.words} is no cluster: drop target"
        elif host.cluster and not meant(resource.target, host.cluster):
            groups = sorted({f"{GROUP}{group}" for one in host.cluster for group in one.groups})
            yield (
                f"{key.name} has target {resource.target}, and the cluster has no such member: "
                f"it has {', '.join((*names, *groups))}"
            )
        elif host.cluster and resource.place not in names:
            volumes = [need.own_name for need in resource.needs if need.kind == "volume"]
            if volumes or key.name in doors:
                what = f"keeps {', '.join(volumes)}" if volumes else "publishes a port"
                yield f"{key.name} {what}, on one member of the cluster: say which with target ({', '.join(names)})"


def _subnets(wanted: Desired, observed: Observed, host: Host) -> Iterator[str]:
    for key, resource in _of(wanted, "network"):
        subnet = IPv4Interface(resource.fields["config/ipv4.address"]).network
        others = [link for link in host.links if link[0] != key.name]
        for found in observed.found.values():
            address = found.fields.get("config/ipv4.address", "") if found.key.kind == "network" else ""
            if found.key not in wanted.resources and "/" in address:
                others.append((found.key.name, IPv4Interface(address).network))
        for interface, network in dict(others).items():
            if subnet.overlaps(network):
                yield (
                    f"network {key.name}: its subnet {subnet} overlaps {network} of the host's interface {interface}: "
                    "choose another base_subnet or subnet_id"
                )


def _gpus(wanted: Desired, host: Host) -> Iterator[str]:
    """Where instances may be put on several machines, each of them needs a GPU."""
    broken: dict[str, list[str]] = {}
    for key, profiles in wanted.gpu.items():
        here = host.at(wanted.resources[key].place)
        if here is None:
            continue
        if here.gpus:
            if wanted.resources[key].create.get("type", "container") == "container":
                for fault in here.gpu_faults:
                    broken.setdefault(fault, []).append(key.name)
            continue
        drop = "".join(f", drop profile {profile}" for profile in profiles)
        some = " on each member" if host.cluster and not here.member else ""
        yield (
            f"{key.name} asks for a GPU: {here.words} has none{some} that Incus sees; "
            f"to run on CPU set gpu: false{drop} and set stt_server_quantization: int8"
        )
    yield from (f"{', '.join(names)} with a GPU: {fault}" for fault, names in broken.items())


def _virtual_machines(wanted: Desired, host: Host) -> Iterator[str]:
    for key, resource in _of(wanted, "instance"):
        here = host.at(resource.place)
        if resource.create["type"] == "virtual-machine" and here and not here.virtual_machines:
            yield (
                f"{key.name} is a virtual machine: {here.words} cannot run one "
                "(Incus needs QEMU and /dev/vhost-vsock): use type: lxc, or install them"
            )


def _owners(wanted: Desired, observed: Observed, *, adopt: bool) -> Iterator[str]:
    for key, _resource in wanted.resources.items():
        found = observed.found.get(key)
        if found is None or observed.is_unknown(key) or (observed.down and key.kind in ("network", "acl")):
            continue
        if key.kind == "network" and not found.type:
            yield f"{key}: the host has an interface of that name that Incus does not manage: rename the domain"
        elif key.kind == "project" and found.fields.get("config/features.networks") == "true":
            yield f"{key} exists with features.networks=true: bridges are impossible in it; rename the domain"
        elif not is_ours(found, wanted, observed) and not adopt:
            owner = f"belongs to project_name {found.owner}" if found.owner else "was not made from an infra.yml"
            yield f"{key} exists and {owner}: rename it here or there, or take it over with adopt=true (make: ADOPT=1)"


def _ports(wanted: Desired, host: Host) -> Iterator[str]:
    """Incus would publish a port that the host itself uses, and shut out who comes to the host."""
    for one in wanted.published:
        for other in host.listeners:
            if (other.protocol, other.port) == (one.protocol, one.port) and other.address in (ANY, one.address):
                yield (
                    f"{one.where}: port {one.port} of {one.address} is taken on {host.words} by {other.owner}: "
                    f"stop it there, or publish another port that leads to {one.to}"
                )
                break


def _names(wanted: Desired, host: Host) -> Iterator[str]:
    names = dict.fromkeys(one["name"] for one in wanted.announced)
    if names and not host.systemd:
        why = (
            "nothing of ours runs on another machine"
            if host.remote or host.cluster
            else "this host does not run systemd"
        )
        yield (
            f"{', '.join(names)} cannot be announced: {why}: drop publish_name, and name the "
            "host by its address, or by a name that your router gives it (infra_lan_names)"
        )


def _of(wanted: Desired, kind: str) -> Iterable[tuple[Key, Resource]]:
    return ((key, resource) for key, resource in wanted.resources.items() if key.kind == kind)
