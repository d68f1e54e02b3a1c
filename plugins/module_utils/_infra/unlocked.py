# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is published and asks nobody for a key: a fault, unless infra.yml says that it is meant so. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._infra.diagnostic import Diagnostic, Level
from ansible_collections.anklume.stt.plugins.module_utils._infra.form import diagnose
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import Node
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Machine, Model
from ansible_collections.anklume.stt.plugins.module_utils._infra.variables import Variables
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import BY_ROLE, COLLECTION, Service

OPEN_TO_ALL = "publish_without_key: true on the machine opens it to all who reach the port"


def suspects(model: Model) -> list[Machine]:
    """The machines whose variables have to be known: they publish, and have a service that may be without a key."""
    return [
        machine
        for machine in model.machines
        if machine.publish and not machine.publish_without_key and any(not one.login for one in _services(machine))
    ]


def unlocked(model: Model, root: Node, variables: Mapping[str, Variables]) -> Iterator[Diagnostic]:
    """A diagnostic for each port that leads to a service without a key; `variables` are those of the suspects."""
    for machine in suspects(model):
        known = variables[machine.name]
        entries = root.value["domains"].value[machine.domain].value["machines"].value[machine.name].value["publish"]
        for index, one in enumerate(machine.publish):
            for service in _services(machine):
                leads_there = one.protocol == "tcp" and _port(service, known.values) in (None, one.to)
                if not leads_there or service.login or known.values.get(service.key_variable):
                    continue
                path = f"domains.{machine.domain}.machines.{machine.name}.publish[{index}]"
                level, why, hints = _fault(machine, service, known)
                message = f"port {one.port} leads to {service.role}, {why}"
                yield diagnose(level, entries.items[index], path, message, (*hints, OPEN_TO_ALL))


def _fault(machine: Machine, service: Service, known: Variables) -> tuple[Level, str, tuple[str, ...]]:
    variable = service.key_variable
    if not variable:
        return "error", "which knows no key", ()
    if known.sealed:
        return "warning", f"and whether {variable} is set cannot be seen: a file is encrypted or not YAML", ()
    return (
        "error",
        "which has no key",
        (f"set {variable}{': auto' if service.key_made else ''} in host_vars/{machine.name}.yml",),
    )


def _services(machine: Machine) -> list[Service]:
    return [BY_ROLE[name] for role in machine.roles if (name := role.removeprefix(COLLECTION)) in BY_ROLE]


def _port(service: Service, values: Mapping[str, Any]) -> int | None:
    """Where the service answers; None where that is computed by Ansible only."""
    text = str(values.get(service.port_variable, service.port))
    last = text.rpartition(":")[2] if service.port_in_address else text
    return int(last) if last.isascii() and last.isdigit() else None
