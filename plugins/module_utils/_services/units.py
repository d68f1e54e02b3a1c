# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd and the sockets say of units → whether they run as they should. Pure: texts in, answers out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PROPERTIES = ("LoadState", "ActiveState", "UnitFileState", "ExecMainStartTimestampMonotonic")
"""What `systemctl show` is asked for."""


@dataclass(frozen=True)
class Unit:
    """A unit as it is."""

    known: bool = False
    active: bool = False
    enabled: bool = False
    started: float = 0.0
    """Seconds after the machine's start; 0 when its program was never started."""

    def needs_restart(self, boot: float, now: float, times: Iterable[float]) -> bool:
        """Whether it runs with an older state of files that were written at these times; `boot` is the clock then."""
        started = boot + self.started
        # a time to come is of a clock that was wrong, and no restart would mend it
        return self.active and self.started > 0 and any(started < time <= now for time in times)

    def as_wanted(self, enabled: bool) -> bool:
        """Whether it runs and starts with the machine, or neither."""
        return self.active == self.enabled == enabled


def units_of(shown: str) -> list[Unit]:
    """The units in an answer of `systemctl show`, in the order in which they were asked for."""
    blocks = [dict(re.findall(r"(?m)^(\w+)=(.*)$", block)) for block in re.split(r"\n\n+", shown.strip("\n"))]
    return [_unit(block) for block in blocks]


def _unit(shown: Mapping[str, str]) -> Unit:
    started = shown.get("ExecMainStartTimestampMonotonic", "")
    return Unit(
        known=shown.get("LoadState") == "loaded",
        active=shown.get("ActiveState") in ("active", "reloading", "refreshing"),
        enabled=shown.get("UnitFileState") == "enabled",
        started=int(started) / 1e6 if started.isdigit() else 0.0,
    )


def listeners(shown: str) -> dict[int, list[tuple[str, str]]]:
    """Name and process id of those that listen on each port, from `ss -Hltnp`; without them when it names none."""
    found: dict[int, list[tuple[str, str]]] = {}
    for line in shown.splitlines():
        words = line.split()
        if len(words) > 3 and (port := words[3].rpartition(":")[2]).isdigit():
            found.setdefault(int(port), []).extend(
                re.findall(r'\("([^"]+)",pid=(\d+)', line) or [("another program", "")]
            )
    return found
