# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`resource_policy`: the host's CPU and memory, less a reserve, shared out by weight. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import InfraError
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Machine, Model

MIB = 1 << 20
LEAST_MEMORY = 128 * MIB
UNITS = {
    "": 1,
    "B": 1,
    **{f"{u}B": 1000 ** (i + 1) for i, u in enumerate("kMGT")},
    **{f"{u}iB": 1024 ** (i + 1) for i, u in enumerate("KMGT")},
}


def shares(model: Model, cpus: int, memory: int) -> dict[str, Mapping[str, str]]:
    """The limits of each machine by name. What a machine's own `config` says comes first and is shared out no more."""
    policy = model.resource_policy
    if policy is None:
        return {}
    want_cpu = [m for m in model.machines if not {"limits.cpu", "limits.cpu.allowance"} & set(m.config)]
    want_memory = [m for m in model.machines if "limits.memory" not in m.config]
    free_cpus = _left(
        "CPUs",
        cpus - _reserve(policy.host_reserve_cpu, cpus),
        sum(_cpus(machine, cpus) for machine in model.machines),
        wanted=bool(want_cpu),
        overcommit=policy.overcommit,
    )
    free_memory = _left(
        "bytes of memory",
        memory - _reserve(policy.host_reserve_memory, memory),
        sum(_memory(machine, memory) for machine in model.machines),
        wanted=bool(want_memory),
        overcommit=policy.overcommit,
    )

    def weight(machine: Machine) -> int:
        return 1 if policy.mode == "equal" else machine.weight

    limits: dict[str, dict[str, str]] = {machine.name: {} for machine in model.machines}
    whole = sum(map(weight, want_cpu))
    for machine in want_cpu:
        share = free_cpus * weight(machine) / whole
        if policy.cpu_mode == "count":
            limits[machine.name]["limits.cpu"] = str(max(1, int(share)))
        elif machine.type == "lxc":
            limits[machine.name]["limits.cpu.allowance"] = f"{max(1, int(share / cpus * 100))}%"
    whole = sum(map(weight, want_memory))
    for machine in want_memory:
        share = free_memory * weight(machine) / whole
        limits[machine.name]["limits.memory"] = f"{int(max(LEAST_MEMORY, share)) // MIB}MiB"
    if policy.memory_enforce == "soft":
        for machine in model.machines:
            if machine.type == "lxc" and "limits.memory.enforce" not in machine.config:
                limits[machine.name]["limits.memory.enforce"] = "soft"
    return dict(limits)


def _left(what: str, free: float, named: float, *, wanted: bool, overcommit: bool) -> float:
    """What is left to share out after what the machines' own config names."""
    if free <= 0:
        raise InfraError(f"resource_policy: host_reserve leaves no {what} of this host to the instances")
    rest = free - named
    if rest >= 0 and (rest > 0 or not wanted):
        return rest
    if overcommit:
        return free
    raise InfraError(
        f"resource_policy: the machines' own limits take {named:g} of the {free:g} {what} that this host has left: "
        "lower them, or set resource_policy.overcommit: true"
    )


def _cpus(machine: Machine, cpus: int) -> float:
    if machine.config.get("limits.cpu", "").isdigit():
        return int(machine.config["limits.cpu"])
    allowance = machine.config.get("limits.cpu.allowance", "")
    return cpus * float(allowance[:-1]) / 100 if allowance.endswith("%") else 0


def _memory(machine: Machine, memory: int) -> float:
    return _reserve(machine.config.get("limits.memory", "0"), memory)


def _reserve(text: str, whole: float) -> float:
    if text.endswith("%"):
        return whole * float(text[:-1]) / 100
    return _bytes(text)


def _bytes(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKMGT]?i?B?)", text)
    if match is None or match[2] not in UNITS:
        raise InfraError(f"resource_policy: cannot read the size {text!r}: write it like 4GiB or 20%")
    return float(match[1]) * float(UNITS[match[2]])
