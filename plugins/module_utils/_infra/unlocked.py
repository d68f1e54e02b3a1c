# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is published and asks nobody for a key: a fault, unless infra.yml says that it is meant so. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._infra.diagnostic import Diagnostic
from ansible_collections.anklume.stt.plugins.module_utils._infra.form import diagnose
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import Node
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Machine, Model
from ansible_collections.anklume.stt.plugins.module_utils._infra.variables import Variables
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import BY_ROLE, COLLECTION, Service


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
        for index, one in enumerate(machine.publish):
            for service in _services(machine):
                if service.login or _port(service, known.values) not in (None, one.to):
                    continue
                fault = _fault(machine, service, known)
                if fault is None:
                    continue
                level, message, hint = fault
                node = root.value["domains"].value[machine.domain].value["machines"].value[machine.name]
                path = f"domains.{machine.domain}.machines.{machine.name}.publish[{index}]"
                open_to_all = "or, for all who reach the port: publish_without_key: true on the machine"
                hints = (hint, open_to_all) if hint else (open_to_all.removeprefix("or, "),)
                item = node.value["publish"].items[index]
                yield diagnose(level, item, path, f"port {one.port} leads to {service.role}, {message}", hints)


def _fault(machine: Machine, service: Service, known: Variables) -> Any:
    """(level, what, hint), or None where the service asks for a key."""
    if not service.key_variable:
        return "error", "which knows no key", ""
    if known.values.get(service.key_variable):
        return None
    if known.sealed:
        return (
            "warning",
            f"and whether {service.key_variable} is set cannot be seen: a file is encrypted or not YAML",
            "",
        )
    return "error", "which has no key", f"set {service.key_variable}: auto in host_vars/{machine.name}.yml"


def _services(machine: Machine) -> list[Service]:
    return [BY_ROLE[name] for role in machine.roles if (name := role.removeprefix(COLLECTION)) in BY_ROLE]


def _port(service: Service, values: Mapping[str, Any]) -> int | None:
    """Where the service answers; None where that is computed by Ansible only."""
    text = str(values.get(service.port_variable, service.port))
    last = text.rpartition(":")[2] if service.port_in_address else text
    return int(last) if last.isascii() and last.isdigit() else None
