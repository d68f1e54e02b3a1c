# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine printed when the doctor looked at it: a snapshot, which the rules read. Secrets are out of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

INCUS_HOST = "incus_host"
INSTANCE = "instance"
"""A machine with services: an instance of Incus, or a server of its own."""

_SECRETS = (
    re.compile(r"(?i)(authorization\W+(?:bearer|basic)\s+)\S+"),
    re.compile(r"(?i)(\b\w*(?:password|passwd|secret|token|api_?key)s?[\"']?\s*[=:]\s*[\"']?)[^\s\"',;]+"),
    re.compile(r"(\w+://[^\s/:@]*:)[^\s/@]+(?=@)"),
    re.compile(r"()\b(?:sk|hf)[-_][A-Za-z0-9_-]{8,}"),
)


def without_secrets(text: str) -> str:
    """The text with keys, passwords and tokens hidden."""
    for secret in _SECRETS:
        text = secret.sub(r"\1***", text)
    return text


@dataclass(frozen=True)
class Said:
    """A command and what it printed, both channels together."""

    command: str
    text: str = ""
    status: int = 0
    skipped: str = ""
    """Why it was not run; a rule finds nothing in it then."""

    def data(self) -> dict[str, Any]:
        """For JSON."""
        return {"command": self.command, "text": self.text, "status": self.status, "skipped": self.skipped}


@dataclass(frozen=True)
class Snapshot:
    """One machine as it was seen."""

    host: str
    kind: str = INSTANCE
    said: Mapping[str, Said] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    """Its variables; the commands of a fix go by them."""
    roles: tuple[str, ...] = ()
    """Its roles with a service."""

    def named(self, pattern: str) -> Iterator[tuple[str, Said]]:
        """What was said under the names that fit the pattern."""
        return ((name, said) for name, said in sorted(self.said.items()) if fnmatchcase(name, pattern))

    def get(self, name: str) -> Said:
        """What was said under a name; nothing, where it was not asked."""
        return self.said.get(name, Said(name, skipped="not asked"))


def read(data: Mapping[str, Any], machine: Mapping[str, Any], roles: tuple[str, ...] = ()) -> Snapshot:
    """A snapshot as a module returned it: `host`, `kind` and `said`."""
    said = {name: Said(**one) for name, one in data["said"].items()}
    return Snapshot(data["host"], data["kind"], said, machine, roles)
