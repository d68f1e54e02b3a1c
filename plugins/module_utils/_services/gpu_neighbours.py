# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which services are on the same GPU as another, and what has to be asked about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import BY_ROLE, SERVICES
from ansible_collections.anklume.stt.plugins.module_utils._vram.gather import VARIABLES

Machines = Mapping[str, Mapping[str, Any]]


def on_same_gpu(
    role: str, machine: str, groups: Mapping[str, Iterable[str]], machines: Machines
) -> list[dict[str, str]]:
    """The services that may use the GPU of a role's machine: its own, and those of machines that were given a GPU too.

    A machine on another Incus server, or on another member of a cluster, has another GPU. Each has the `role` and the
    `name` of its machine.
    """
    own = machines[machine]
    return [
        {"role": service.role, "name": name}
        for service in SERVICES
        if service.gpu and service.role != role
        for name in groups.get(f"role_{service.role}", [])
        if name == machine or _share(own, machines[name])
    ]


def _share(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if one.get("ansible_incus_remote") != other.get("ansible_incus_remote"):
        return False
    targets = {str(each.get("instance_target", "@")) for each in (one, other)}
    apart = len(targets) == 2 and not any(target.startswith("@") for target in targets)
    return bool(one.get("instance_gpu") and other.get("instance_gpu") and not apart)


def judged_variables(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the role stt_server that a verdict goes by, for the module stt_fit."""
    return {name: variables[name] for name in VARIABLES}


def questions(
    reserve: object,
    machine: str,
    groups: Mapping[str, Iterable[str]],
    machines: Machines,
    defaults: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """What stt_fit has to be asked for Ollama's reserve on a machine: one question for each STT server on its GPU.

    A reserve that is given needs only the GPU itself, which any model's answer tells; one that is off needs nothing.
    Each has `name`, `variables` and `models_dir` for stt_fit, and stt_server_model_ttl.
    """
    if str(reserve) in ("off", "False"):
        return []
    if str(reserve) != "auto":
        return [_question("the GPU", {**defaults, "stt_server_model": "tiny", "stt_server_quantization": "auto"})]
    beside = [each["name"] for each in on_same_gpu("ollama_server", machine, groups, machines)]
    servers = {name: {key: machines[name].get(key, value) for key, value in defaults.items()} for name in beside}
    return [_question(name, server) for name, server in servers.items() if boolean(server["stt_server_enabled"])]


def answered(
    answers: Iterable[Mapping[str, Any]], machine: str, variables: Mapping[str, Any], refused: Iterable[str]
) -> dict[str, Any]:
    """The answer of a loop over such questions that holds for the STT server on a machine itself; empty without one.

    A model that lies there needs no disk any more, and what else a verdict goes by does not change within a run. What
    is refused is asked anew, for the refusal to be the role's own.
    """
    asked = judged_variables(variables)
    for answer in answers:
        question = answer["item"]
        own = question["name"] == machine and question["variables"] == asked
        if own and answer.get("model", {}).get("here") and answer["verdict"] not in refused:
            return dict(answer)
    return {}


def _question(name: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    ttl = "stt_server_model_ttl"
    where = BY_ROLE["stt_server"].data
    return {"name": name, "variables": judged_variables(variables), "models_dir": where, ttl: variables[ttl]}
