# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules answered in the playbook doctor, as snapshots. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._doctor.snapshot import (
    INSTANCE,
    Said,
    Snapshot,
    read,
    without_secrets,
)
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import BY_ROLE
from ansible_collections.anklume.stt.plugins.module_utils._services.gpu_neighbours import judged_variables

Answers = Mapping[str, Any]
VARIABLES = (
    "ansible_connection",
    "ansible_host",
    "ansible_incus_host",
    "ansible_incus_project",
    "ansible_incus_remote",
    "ansible_port",
    "ansible_user",
    "group_names",
    "open_webui_stt_url",
    "stt_compose_folder",
)
"""Those of a machine that rules and fixes read."""


def on_incus(machine: Answers) -> bool:
    """Whether a machine is an instance that Ansible reaches through Incus."""
    return "incus" in str(machine.get("ansible_connection", ""))


def instances(machines: Mapping[str, Answers]) -> list[dict[str, str]]:
    """The instances that the inventory reaches through the Incus of this host."""
    return [
        {
            "host": name,
            "instance": str(machine.get("ansible_incus_host") or name),
            "project": str(machine.get("ansible_incus_project") or "default"),
        }
        for name, machine in machines.items()
        if on_incus(machine) and not machine.get("ansible_incus_remote")
    ]


def asked(machines: Mapping[str, Answers], host: Answers) -> list[str]:
    """The machines that can be asked: instances that run, and all that are not reached through this host's Incus."""
    listed = Said(**host["said"]["instances"]).text if "instances" in host.get("said", {}) else "[]"
    running = {one["host"] for one in _parsed(listed) if one["status"] == "Running"}
    elsewhere = {name for name, one in machines.items() if not on_incus(one) or one.get("ansible_incus_remote")}
    return [name for name in machines if name in running | elsewhere]


def fits(machines: Mapping[str, Answers], defaults: Answers) -> list[dict[str, Any]]:
    """What stt_fit has to be asked of the GPU of this host: each STT server that is to use it, by its variables."""
    found = []
    for name, machine in machines.items():
        given = {key: machine.get(key, value) for key, value in defaults.items()}
        uses = "role_stt_server" in machine.get("group_names", ()) and machine.get("instance_gpu")
        here = on_incus(machine) and not machine.get("ansible_incus_remote")
        if uses and here and given["stt_server_enabled"] and given["stt_server_device"] != "cpu":
            found.append({"name": name, "variables": judged_variables(given)})
    return found


def host_snapshot(host: Answers, planned: Answers, judged: Iterable[Answers] = ()) -> Snapshot:
    """The Incus host, with what infra_apply said in check mode; where it failed, it has a message and no summary.

    `judged` are answers of stt_fit to what `fits` asks.
    """
    seen = read(host, {})
    if planned.get("skipped"):  # there is no infra.yml, and so nothing that Incus is needed for
        return Snapshot(seen.host, seen.kind, {name: said for name, said in seen.said.items() if name != "incus"})
    more = {
        "plan": Said("make plan", "\n".join(planned.get("summary", []))),
        "inventory": Said("make plan", "\n".join(str(line) for line in planned.get("warnings", []))),
    }
    if "summary" not in planned and planned.get("msg"):
        more["plan refused"] = Said("make plan", without_secrets(_line(planned["msg"])), 1)
    for one in judged:
        more[f"fit {one['item']['name']}"] = _fit(one)
    return Snapshot(seen.host, seen.kind, {**seen.said, **more})


def _fit(answer: Answers) -> Said:
    if "verdict" not in answer:
        return Said("make fit", _line(answer.get("msg", "no answer")), 1)
    if answer["device"] != "cuda":
        return Said("make fit", skipped="no NVIDIA GPU can be used on this host")
    return Said("make fit", _line(answer["explanation"]), int(not answer["accepted"]))


def machine_snapshot(machine: Answers, roles: Iterable[str], told: Answers) -> Snapshot:
    """A machine: what doctor_info saw, what its roles' looks found, why they were refused, and its hops."""
    name, kept = machine["inventory_hostname"], {key: machine[key] for key in VARIABLES if key in machine}
    seen = told.get("seen") or {}
    said = dict(read({"host": name, "kind": INSTANCE, "said": seen.get("said", {})}, {}).said)
    for role, look in told.get("looks", {}).items():
        said[f"drift {role}"] = Said("make plan", "\n".join(_drift(role, look)))
    for role, why in told.get("refused", {}).items():
        said[f"refused {role}"] = Said("make plan", without_secrets(_line(why)), 1)
    if seen.get("msg") and "said" not in seen:
        said["refused doctor"] = Said("make doctor", without_secrets(_line(seen["msg"])), 1)
    lines = [_hop(hop) for hop in told.get("hops", [])]
    said["hops"] = Said("make verify", without_secrets("\n".join(lines)))
    return Snapshot(name, INSTANCE, said, {"inventory_hostname": name, **kept}, tuple(roles))


def unseen(machines: Iterable[str], snapshots: Iterable[Snapshot], told: Mapping[str, Answers]) -> list[str]:
    """What could not be looked at, with the reason."""
    reasons = [
        f"{snapshot.host}: {said.command}: {said.skipped}"
        for snapshot in snapshots
        for said in snapshot.said.values()
        if said.skipped == "only root may ask it"
    ]
    silent = [name for name in machines if not (told.get(name, {}).get("seen") or {}).get("said")]
    return reasons + [f"{name}: it does not answer" for name in silent]


def _drift(role: str, look: Answers) -> list[str]:
    lines = [f"differs: {path}" for path in look.get("differing", [])]
    lines += [f"differs: {model}" for model in (look.get("speech_models") or {}).get("differing", [])]
    if look.get("under_way"):
        lines.append("differs: a change of release was begun and not ended")
    units = {**look.get("units", {}), **({BY_ROLE[role].unit: look} if role in BY_ROLE else {})}
    return lines + [f"needs a restart: {unit}" for unit, one in units.items() if one.get("needs_restart")]


def _hop(hop: Answers) -> str:
    way = f"{'ok' if hop['ok'] else 'FAILED':6}  {hop['hop']}: {_line(hop['detail'])}"
    return way if hop["ok"] else f"{way} next: {_line(hop['next_step'])}"


def _line(text: object) -> str:
    return " ".join(str(text).split())


def _parsed(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text or "[]")
    return found
