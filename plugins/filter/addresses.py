# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that says at which addresses people open what is published."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible.utils.color import ANSIBLE_COLOR
from ansible_collections.anklume.stt.plugins.module_utils._services.addresses import addresses, drawn

try:
    import segno
except ImportError:
    segno = None

QUIET = 4
"""So many light modules around a code does its standard ask for."""


def _code(url: str) -> str:
    return drawn([list(row) for row in segno.make_qr(url, error="l").matrix_iter(border=QUIET)])


def _addresses(
    machines: Iterable[str], hostvars: Mapping[str, Any], found: Sequence[str] = (), code: bool | None = None
) -> str:
    lines, first = addresses((hostvars[name] for name in machines), found)
    if first and segno and (ANSIBLE_COLOR if code is None else code):
        lines.append(_code(first))
    return "\n".join(lines)


class FilterModule:
    """The filter, by its name."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Return it as Ansible asks for it."""
        return {"addresses": _addresses}
