# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the playbook doctor: whom to ask, what is wrong, and the table of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.anklume.stt.plugins.filter.stt_server import role_defaults
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._doctor import checklist, docker_rules, gather, table
from ansible_collections.anklume.stt.plugins.module_utils._doctor.catalogue import RULES
from ansible_collections.anklume.stt.plugins.module_utils._doctor.examine import examine
from ansible_collections.anklume.stt.plugins.module_utils._doctor.snapshot import Snapshot
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import BY_ROLE

Machines = Mapping[str, Mapping[str, Any]]


def doctor_instances(hostvars: Machines, machines: list[str]) -> list[dict[str, str]]:
    """The instances of Incus among the machines."""
    return gather.instances({name: hostvars[name] for name in machines})


def doctor_asked(host: Mapping[str, Any], hostvars: Machines, machines: list[str]) -> list[str]:
    """The machines that can be asked now."""
    return gather.asked({name: hostvars[name] for name in machines}, host)


def doctor_compose(machine: Mapping[str, Any]) -> str:
    """The folder of the service of Docker Compose on a machine; empty where it has none."""
    return docker_rules.folder(machine)


def doctor_fits(hostvars: Machines, machines: list[str]) -> list[dict[str, Any]]:
    """What stt_fit has to be asked before an apply."""
    return gather.fits({name: hostvars[name] for name in machines}, role_defaults("stt_server"))


def doctor_findings(
    answers: Mapping[str, Any],
    hostvars: Machines,
    machines: list[str],
    check: str = "",
    ignore: list[str] | None = None,
) -> dict[str, Any]:
    """What is wrong, and what could not be looked at."""
    told = _told(hostvars, machines)
    snapshots = _snapshots(answers, hostvars, told)
    try:
        found = [finding.data() for finding in examine(RULES, snapshots, check=check, ignore=ignore or [])]
    except Error as error:
        raise AnsibleFilterError(str(error)) from error
    explained = {finding["host"] for finding in found}
    skipped = gather.unseen(answers["asked"], snapshots, told)
    silent = [name for name in machines if name not in answers["asked"] and name not in explained]
    return {"findings": found, "skipped": skipped + [f"{name}: it was not asked" for name in silent]}


def doctor_checklist(
    answers: Mapping[str, Any],
    hostvars: Machines,
    machines: list[str],
    when: str = "after",
    ignore: list[str] | None = None,
) -> dict[str, Any]:
    """The list of preflight: its items and their text."""
    if when not in checklist.LISTS:
        raise AnsibleFilterError(f"preflight is for {' or '.join(checklist.LISTS)} an apply, and not for {when!r}")
    snapshots = _snapshots(answers, hostvars, _told(hostvars, machines))
    try:
        done = checklist.go_through(checklist.LISTS[when], RULES, snapshots, ignore or [])
    except Error as error:
        raise AnsibleFilterError(str(error)) from error
    return {"items": done, "text": checklist.shown(done)}


def _told(hostvars: Machines, machines: list[str]) -> dict[str, Any]:
    return {name: hostvars[name].get("doctor_told") or {} for name in machines}


def _snapshots(answers: Mapping[str, Any], hostvars: Machines, told: Mapping[str, Any]) -> list[Snapshot]:
    snapshots = [gather.host_snapshot(answers["host"], answers["planned"], answers.get("judged", ()))]
    for name, one in told.items():
        roles = [role for role in BY_ROLE if f"role_{role}" in hostvars[name].get("group_names", [])]
        roles += [docker_rules.ROLE] if docker_rules.folder(hostvars[name]) else []
        snapshots.append(gather.machine_snapshot(hostvars[name], roles, one))
    return snapshots


def doctor_table(result: Mapping[str, Any]) -> str:
    """The findings for people."""
    return table.table(result["findings"], result["skipped"])


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map names to functions."""
        return {
            "doctor_asked": doctor_asked,
            "doctor_checklist": doctor_checklist,
            "doctor_compose": doctor_compose,
            "doctor_findings": doctor_findings,
            "doctor_fits": doctor_fits,
            "doctor_instances": doctor_instances,
            "doctor_table": doctor_table,
        }
