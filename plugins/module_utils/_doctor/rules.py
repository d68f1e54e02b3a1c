# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rule is: a code, what it means, what mends it, and how it is seen in a snapshot."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._doctor.snapshot import INSTANCE, Said, Snapshot
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import BY_ROLE

ERROR = "error"
WARNING = "warning"
SEVERITIES = (ERROR, WARNING)


@dataclass(frozen=True)
class Evidence:
    """The command that was run and the line that it printed."""

    command: str
    line: str
    names: Mapping[str, str] = field(default_factory=dict)
    """What the commands of the fix are filled with."""
    about: str = ""
    """The machine that it concerns, where it was seen on another."""


Look = Callable[[Snapshot], Iterator[Evidence]]


@dataclass(frozen=True)
class Rule:
    """One thing that can be wrong."""

    code: str
    title: str
    cause: str
    fix: tuple[str, ...]
    """Commands; one that begins with @ is for the machine itself, the others are for the Incus host or the project."""
    look: Look
    severity: str = ERROR
    kind: str = INSTANCE
    hides: tuple[str, ...] = ()
    """Codes, or patterns of codes, of what is only its consequence."""
    last: bool = False
    """Told only where no error explains it."""
    preflight: bool = False
    """Asked by preflight alone."""


def prints(pattern: str, sources: str, *more: str) -> Look:
    """A line that fits `pattern`, in what was said under names like these; its named groups fill the fix."""
    sign = re.compile(pattern)

    def look(snapshot: Snapshot) -> Iterator[Evidence]:
        for source in (sources, *more):
            for name, said in snapshot.named(source):
                for line in said.text.splitlines():
                    if found := sign.search(line):
                        groups = {key: value for key, value in found.groupdict().items() if value}
                        yield Evidence(said.command, line.strip(), {"unit": _unit(name), **groups})
                        break

    return look


def either(*looks: Look) -> Look:
    """What one look or another sees."""

    def look(snapshot: Snapshot) -> Iterator[Evidence]:
        for one in looks:
            yield from one(snapshot)

    return look


def _unit(name: str) -> str:
    """The unit that something was said of: `journal caddy`, or by a role, `refused stt_server`."""
    about = name.rpartition(" ")[2]
    return BY_ROLE[about].unit if about in BY_ROLE else about


def objects(snapshot: Snapshot, name: str) -> tuple[str, list[dict[str, Any]]]:
    """The command that asked Incus for a list, and the list; empty where it was not asked or did not answer."""
    said = snapshot.get(name)
    return said.command, json.loads(said.text) if said.text and not said.status else []


def values(said: Said) -> list[dict[str, str]]:
    """The blocks of NAME=value that `systemctl show` and others print."""
    blocks = re.split(r"\n\n+", said.text.strip())
    return [found for block in blocks if (found := dict(re.findall(r"(?m)^(\w+)=(.*)$", block)))]
