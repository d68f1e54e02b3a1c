# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots → findings: every rule is asked, what is only a consequence is left out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._doctor import docker_rules
from ansible_collections.anklume.stt.plugins.module_utils._doctor.rules import ERROR, SEVERITIES, Evidence, Rule
from ansible_collections.anklume.stt.plugins.module_utils._doctor.snapshot import (
    INCUS_HOST,
    Snapshot,
    without_secrets,
)
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import BY_ROLE, command_on

PAGE = "docs/reference/doctor.md"
CRASHED = "DOC-01"


@dataclass(frozen=True)
class Finding:
    """A rule that has found something, and where."""

    rule: Rule
    host: str
    evidence: Evidence
    fix: tuple[str, ...]

    def data(self) -> dict[str, Any]:
        """For tables and programs."""
        return {
            "code": self.rule.code,
            "severity": self.rule.severity,
            "host": self.host,
            "title": self.rule.title,
            "cause": self.rule.cause,
            "evidence": {"command": self.evidence.command, "line": without_secrets(self.evidence.line)},
            "fix": list(self.fix),
            "docs": f"{PAGE}#{self.rule.code.lower()}",
        }


def examine(
    rules: Sequence[Rule], snapshots: Sequence[Snapshot], *, check: str = "", ignore: Iterable[str] = ()
) -> list[Finding]:
    """What is wrong, root causes only; `check` is a code or a pattern of codes, `ignore` has entries CODE=host."""
    wanted = [rule for rule in rules if fnmatchcase(rule.code, check or "*") and (check or not rule.preflight)]
    if not wanted:
        raise Error(f"no rule has the code {check}: the codes are {', '.join(rule.code for rule in rules)}")
    passed = _passed(ignore)
    machines = {snapshot.host: snapshot for snapshot in snapshots}
    found = [one for one in _all(rules, snapshots, machines) if not _is_in(one, passed)]
    kept = [one for one in found if not any(_hides(other, one, machines) for other in found)]
    # what a check asks for by name is told, whatever else is wrong
    shown = [one for one in (found if check else kept) if one.rule in wanted or one.rule.code == CRASHED]
    return sorted(shown, key=lambda one: (SEVERITIES.index(one.rule.severity), one.host, one.rule.code))


def _passed(ignore: Iterable[str]) -> list[tuple[str, str]]:
    entries = []
    for entry in ignore:
        code, sign, host = str(entry).partition("=")
        if not (code and sign and host):
            raise Error(f"doctor_ignore has an entry {entry}: write CODE=host, as NET-03=homelab-ai; * stands for all")
        entries.append((code, host))
    return entries


def _is_in(finding: Finding, passed: Iterable[tuple[str, str]]) -> bool:
    return any(fnmatchcase(finding.rule.code, code) and fnmatchcase(finding.host, host) for code, host in passed)


def _all(rules: Sequence[Rule], snapshots: Sequence[Snapshot], machines: Mapping[str, Snapshot]) -> list[Finding]:
    crashed = next(rule for rule in rules if rule.code == CRASHED)
    found: dict[tuple[str, str], Finding] = {}
    for snapshot in snapshots:
        for rule in rules:
            if rule.kind != snapshot.kind:
                continue
            try:
                seen = list(rule.look(snapshot))
            except Exception as error:  # a rule of ours that fails must not hide what the others see
                line = f"{rule.code}: {type(error).__name__}: {error}"
                fault = Evidence(f"the rule {rule.code}", line)
                found[CRASHED, f"{snapshot.host} {rule.code}"] = Finding(crashed, snapshot.host, fault, crashed.fix)
                continue
            for evidence in seen:
                host = evidence.about or snapshot.host
                where = machines.get(host, snapshot)
                found.setdefault((rule.code, host), Finding(rule, host, evidence, _commands(rule, evidence, where)))
    return list(found.values())


def _commands(rule: Rule, evidence: Evidence, snapshot: Snapshot) -> tuple[str, ...]:
    machine = {"inventory_hostname": snapshot.host, **snapshot.machine}
    place = {
        "host": snapshot.host,
        "instance": str(machine.get("ansible_incus_host", snapshot.host)),
        "project": str(machine.get("ansible_incus_project", "default")),
        "compose": docker_rules.folder(machine),
    }
    fix = docker_rules.in_docker(rule.fix) if docker_rules.ROLE in snapshot.roles else rule.fix
    filled = [command.format_map(_Names({**place, **evidence.names})) for command in fix]
    return tuple(command_on(machine, command[1:].strip()) if command.startswith("@") else command for command in filled)


class _Names(dict[str, str]):
    """What is not known stays as a word in capitals, for people to fill in."""

    def __missing__(self, key: str) -> str:
        return key.upper()


def _hides(root: Finding, other: Finding, machines: Mapping[str, Snapshot]) -> bool:
    if root is other or not _reaches(root, other, machines):
        return False
    if other.rule.last:
        return root.rule.severity == ERROR and not root.rule.last and root.rule.code != CRASHED
    return any(fnmatchcase(other.rule.code, pattern) for pattern in root.rule.hides)


def _reaches(root: Finding, other: Finding, machines: Mapping[str, Snapshot]) -> bool:
    """Whether what is wrong on one machine can be felt on the other: the same, the Incus host, or one talked to."""
    one, two = machines.get(root.host), machines.get(other.host)
    if root.host == other.host or (one and one.kind == INCUS_HOST):
        return True
    if two and two.kind == INCUS_HOST:  # an instance that is not there is missed in the plan, too
        return root.rule.kind == INCUS_HOST
    if not other.rule.last:
        return False
    talks_to = {served for role in (two.roles if two else ()) if role in BY_ROLE for served in BY_ROLE[role].talks_to}
    return bool(one and talks_to.intersection(one.roles))
