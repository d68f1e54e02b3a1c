# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`resource_policy`: the host's CPU and memory, less a reserve, shared out by weight. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.anklume.stt.plugins.module_utils._errors import InfraError
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
    """The limits of each machine by name; what a machine's own `config` says comes first."""
    policy = model.resource_policy
    if policy is None:
        return {}
    free_cpus = cpus - _reserve(policy.host_reserve_cpu, cpus)
    free_memory = memory - _reserve(policy.host_reserve_memory, memory)
    if free_cpus <= 0 or free_memory <= 0:
        raise InfraError("resource_policy: host_reserve leaves nothing of this host to the instances")

    def weight(machine: Machine) -> int:
        return 1 if policy.mode == "equal" else machine.weight

    want_cpu = [m for m in model.machines if not {"limits.cpu", "limits.cpu.allowance"} & set(m.config)]
    want_memory = [m for m in model.machines if "limits.memory" not in m.config]
    limits: dict[str, dict[str, str]] = {machine.name: {} for machine in model.machines}
    for machine in want_cpu:
        share = free_cpus * weight(machine) / sum(map(weight, want_cpu))
        if policy.cpu_mode == "count":
            limits[machine.name]["limits.cpu"] = str(max(1, int(share)))
        elif machine.type == "lxc":
            limits[machine.name]["limits.cpu.allowance"] = f"{max(1, int(share / cpus * 100))}%"
    for machine in want_memory:
        share = free_memory * weight(machine) / sum(map(weight, want_memory))
        limits[machine.name]["limits.memory"] = f"{int(max(LEAST_MEMORY, share)) // MIB}MiB"
    if policy.memory_enforce == "soft":
        for machine in model.machines:
            if machine.type == "lxc" and "limits.memory.enforce" not in machine.config:
                limits[machine.name]["limits.memory.enforce"] = "soft"
    if not policy.overcommit:
        _refuse_overcommit(model, limits, free_cpus, free_memory)
    return dict(limits)


def _reserve(text: str, whole: float) -> float:
    if text.endswith("%"):
        return whole * float(text[:-1]) / 100
    return _bytes(text)


def _bytes(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKMGT]?i?B?)", text)
    if match is None or match[2] not in UNITS:
        raise InfraError(f"resource_policy: cannot read the size {text!r}: write it like 4GiB or 20%")
    return float(match[1]) * float(UNITS[match[2]])


def _refuse_overcommit(model: Model, limits: Mapping[str, Mapping[str, str]], cpus: float, memory: float) -> None:
    whole = [{**limits[machine.name], **machine.config} for machine in model.machines]
    used = sum(_bytes(config["limits.memory"]) for config in whole if not config["limits.memory"].endswith("%"))
    counted = sum(int(config["limits.cpu"]) for config in whole if config.get("limits.cpu", "").isdigit())
    over = []
    if used > memory:
        over.append(f"memory {int(used) // MIB} MiB of {int(memory) // MIB} MiB")
    if counted > cpus:
        over.append(f"{counted} CPUs of {cpus:g}")
    if over:
        raise InfraError(
            f"resource_policy: more is asked for than this host has left ({', '.join(over)}): "
            "lower the limits, or set resource_policy.overcommit: true"
        )
