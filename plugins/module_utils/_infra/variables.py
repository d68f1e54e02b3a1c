# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the project's files say of a machine's variables, as far as it can be known before Ansible runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._infra.form import plain_data
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import parse

ENDINGS = ("", ".yml", ".yaml", ".json")
"""Of files that Ansible takes for variables."""

_OWN_TAGS = re.compile(r"!(?:vault|vault-encrypted|unsafe)(?=\s)")
"""Tags of Ansible: what they mark is text for us."""


@dataclass(frozen=True)
class Variables:
    """The variables of one machine, those of its groups below its own."""

    values: dict[str, Any] = field(default_factory=dict)
    sealed: bool = False
    """Whether a file could not be read: encrypted, or no mapping. A variable that is missing may be there."""


def read_variables(project: Path, groups: Iterable[str], machine: str) -> Variables:
    """What group_vars/ and host_vars/ say, the later wins: all, the groups by name, the machine."""
    found, sealed = {}, False
    places = [project / "group_vars" / name for name in ("all", *sorted(groups))]
    for place in (*places, project / "host_vars" / machine):
        for path in _files(place):
            values = _read(path)
            sealed |= values is None
            found.update(values or {})
    return Variables(found, sealed)


def _files(place: Path) -> Iterator[Path]:
    if place.is_dir():
        inside = sorted(path for path in place.rglob("*") if path.is_file() and not path.name.startswith("."))
        yield from (path for path in inside if path.suffix in ENDINGS)
    yield from (path for ending in ENDINGS if (path := place.with_name(place.name + ending)).is_file())


def _read(path: Path) -> dict[str, Any] | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    root, faults = parse(_OWN_TAGS.sub("", data.decode("utf-8", "replace")).encode(), str(path))
    if faults or root is None or root.kind not in ("map", "null"):
        return None
    return plain_data(root) or {}
