# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model as inventory files: for each file, the YAML between the markers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._infra.disks import machine_disks
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import (
    Domain,
    Machine,
    Model,
    Policy,
    Publication,
)
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import SERVICES, Service

OWN_PREFIX = "anklume.stt."


def render(model: Model) -> dict[str, str]:
    """The managed content of every file of the project, by its path relative to the project."""
    files = {"group_vars/all.yml": to_yaml(_all_vars(model))}
    for domain in model.domains:
        files[f"inventory/{domain.name}.yml"] = to_yaml(_inventory(domain))
        files[f"group_vars/{domain.name}.yml"] = to_yaml(_domain_vars(domain))
        for machine in domain.machines:
            files[f"host_vars/{machine.name}.yml"] = to_yaml(_machine_vars(model, domain, machine))
    return files


def empty_inventory(domain: str) -> str:
    """What is left in the inventory of a domain that is disabled or gone: its group, without machines."""
    return to_yaml({"all": {"children": {domain: {"hosts": {}}}}})


def role_group(role: str) -> str:
    """The group of the machines that have a role."""
    return "role_" + role.removeprefix(OWN_PREFIX).replace(".", "_")


def groups_of(machine: Machine) -> set[str]:
    """The groups that the inventory puts a machine into."""
    return {machine.domain, *map(role_group, machine.roles)}


def _inventory(domain: Domain) -> dict[str, Any]:
    hosts: dict[str, Any] = {}
    roles: dict[str, dict[str, Any]] = {}
    for machine in domain.machines:
        hosts[machine.name] = {"ansible_host": machine.ip} if machine.ip else {}
        for role in machine.roles:
            roles.setdefault(role_group(role), {"hosts": {}})["hosts"][machine.name] = {}
    return {"all": {"children": {domain.name: {"hosts": hosts}, **roles}}}


def _all_vars(model: Model) -> dict[str, Any]:
    addresses = {"addressing": dict(model.addressing)} if model.addressing else {"base_subnet": model.base_subnet}
    images = sorted({machine.image for machine in model.machines})
    return _filled(
        {
            "project_name": model.project_name,
            **addresses,
            "default_os_image": model.default_image,
            "psot_default_connection": model.default_connection,
            "psot_default_user": model.default_user,
            "incus_all_images": images or None,
            "network_policies": [_policy_vars(policy) for policy in model.policies] or None,
            "ansible_pipelining": True,
            **_service_urls(model),
        }
    )


def _service_urls(model: Model) -> dict[str, str]:
    """Where services answer, by variable; what stands before another, as a balancer, has its place."""
    found = ((service.url_variable, _service_url(model, service)) for service in SERVICES if service.url_variable)
    return {variable: url for variable, url in found if url}


def _service_url(model: Model, service: Service) -> str | None:
    """Where the machine with a service answers, or all of them; the port is looked up when the variable is used."""
    having = [machine for machine in model.machines if role_group(service.role) in map(role_group, machine.roles)]
    if not having or not all(machine.ip for machine in having) or (len(having) > 1 and not service.url_of_several):
        return None
    return ";".join(
        f"http://{machine.ip}:{{{{ hostvars['{machine.name}'].{service.port_expression} }}}}{service.url_path}"
        for machine in having
    )


def _policy_vars(policy: Policy) -> dict[str, Any]:
    ports: list[Any] | str = "all"
    if policy.ports is not None:
        ports = [int(port) if port.isdigit() else port for port in policy.ports]
    return _filled(
        {
            "description": policy.description or None,
            "from": policy.source.name,
            "to": policy.target.name,
            "ports": ports,
            "protocol": policy.protocol if policy.protocol != "any" else None,
            "bidirectional": policy.bidirectional,
        }
    )


def _domain_vars(domain: Domain) -> dict[str, Any]:
    network = domain.network
    profiles = {
        profile.name: _filled({"devices": dict(profile.devices) or None, "config": dict(profile.config) or None})
        for profile in domain.profiles
    }
    return _filled(
        {
            "domain_name": domain.name,
            "domain_description": domain.description,
            "domain_remote": domain.remote or None,
            "domain_ephemeral": domain.ephemeral,
            "domain_trust_level": domain.trust_level,
            **{f"domain_{key}": value for key, value in domain.carried.items()},
            "incus_project": domain.project,
            "incus_network": {"name": network.name, "subnet": network.subnet, "gateway": network.gateway},
            "subnet_id": domain.subnet_id,
            "incus_profiles": profiles or None,
        }
    )


def _machine_vars(model: Model, domain: Domain, machine: Machine) -> dict[str, Any]:
    disks = sorted(machine_disks(model, domain, machine), key=lambda one: one.place[0] != "shared_volumes")
    devices = {**{one.device: one.keys() for one in disks if one.is_folder}, **machine.devices}
    volumes = {
        volume.name: _filled({"pool": volume.pool or None, "size": volume.size or None, "path": volume.path})
        for volume in machine.storage_volumes
    }
    return _filled(
        {
            "instance_name": machine.name,
            "instance_type": machine.type,
            "instance_description": machine.description,
            "instance_domain": machine.domain,
            "instance_ephemeral": machine.ephemeral,
            "instance_os_image": machine.image,
            "instance_ip": machine.ip,
            "instance_gpu": machine.gpu,
            "instance_target": machine.target or None,
            "instance_profiles": list(machine.profiles),
            "instance_config": dict(machine.config) or None,
            "instance_devices": devices or None,
            "instance_storage_volumes": volumes or None,
            "instance_published": [_published(one) for one in machine.publish] or None,
            "instance_published_name": f"{machine.publish_name}.local" if machine.publish_name else None,
            "instance_roles": list(machine.roles),
            "instance_boot_autostart": machine.boot_autostart,
            "instance_boot_priority": machine.boot_priority,
            "instance_snapshots_schedule": machine.snapshots_schedule,
            "instance_snapshots_expiry": machine.snapshots_expiry,
            **{f"instance_{key}": value for key, value in machine.carried.items()},
            "ansible_connection": "community.general.incus",
            "ansible_shell_type": "anklume.stt.incus",
            "ansible_incus_host": machine.name,
            "ansible_incus_remote": domain.remote or None,
            "ansible_incus_project": domain.project,
            "ansible_host": machine.ip,
        }
    )


def _published(one: Publication) -> dict[str, Any]:
    return {"port": one.port, "to": one.to, "protocol": one.protocol, "from": list(one.sources)}


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


# YAML ------------------------------------------------------------------------------------------

_BARE = re.compile(r"[A-Za-z_/][A-Za-z0-9_/-]*(?:[.:][A-Za-z0-9_/-]+)*\Z")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def to_yaml(data: Mapping[str, Any]) -> str:
    """A mapping as YAML in block style, keys in their order, with a final line break."""
    lines: list[str] = []
    _emit_map(data, "", lines)
    return "\n".join(lines) + "\n"


def _emit_map(data: Mapping[str, Any], indent: str, lines: list[str]) -> None:
    for key, value in data.items():
        _emit(f"{indent}{_scalar(key)}:", value, indent + "  ", lines)


def _emit(head: str, value: Any, indent: str, lines: list[str]) -> None:
    """A value after its key or dash: on the same line, or as a block with the indent."""
    if isinstance(value, str):
        lines.append(f"{head} {_scalar(value)}")
    elif isinstance(value, dict):
        lines.append(head if value else f"{head} {{}}")
        _emit_map(value, indent, lines)
    elif isinstance(value, list):
        lines.append(head if value else f"{head} []")
        for item in value:
            if isinstance(item, dict) and item:
                inner: list[str] = []
                _emit_map(item, indent + "  ", inner)
                inner[0] = f"{indent}- {inner[0].lstrip(' ')}"
                lines += inner
            else:
                _emit(f"{indent}-", item, indent + "  ", lines)
    else:
        lines.append(f"{head} {json.dumps(value)}")


@lru_cache(maxsize=65536)
def _scalar(text: str) -> str:
    """A string without quotes where every YAML reader takes it for a string, else in double quotes."""
    if _BARE.match(text) and text.lower() not in _WORDS:
        return text
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))
