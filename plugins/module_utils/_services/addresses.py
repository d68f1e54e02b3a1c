# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What apply says at its end: where to open what it made, for people and for the camera of a phone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._services.names import pages, trust_pages

HALVES = " ▀▄█"
"""Two modules of a QR code, one above the other, by which of them are light: 1 the upper one, 2 the lower one."""


def addresses(machines: Iterable[Mapping[str, Any]], found: Sequence[str] = ()) -> tuple[list[str], str]:
    """A few lines for each page that is published, and the first address; `machines` holds their variables."""
    lines, first = [], ""
    for machine in machines:
        best, *others = pages(machine, found) or [""]
        if best:
            first = first or best
            lines.append(f"{machine['inventory_hostname']}: {best}")
            lines += [f"or {', '.join(others)}"] if others else []
            lines += [
                f"a device that warns gets the authority from {page}" for page in trust_pages([machine], found)[:1]
            ]
    return lines, first


def drawn(modules: Sequence[Sequence[int]]) -> str:
    """A QR code as text for a dark terminal, two rows in a line; `modules` are 1 where they are dark."""
    dark = [1] * len(modules[0])
    pairs = zip_longest(modules[::2], modules[1::2], fillvalue=dark)
    return "\n".join(
        "".join(HALVES[(not above) + 2 * (not below)] for above, below in zip(*pair, strict=True)) for pair in pairs
    )
