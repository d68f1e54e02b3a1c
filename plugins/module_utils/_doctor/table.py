# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings as a table: what, where, why, the line that shows it, and what mends it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

_WIDTH = 120
_LONGEST = 300
"""Letters of a line of evidence; the whole one is in doctor_json."""


def table(findings: Iterable[Mapping[str, Any]], skipped: Iterable[str] = ()) -> str:
    """Lay out findings, then what could not be looked at, with the verdict as the last line."""
    found, unseen = list(findings), list(skipped)
    lines: list[str] = []
    for one in found:
        lines += [f"{one['severity'].upper()}  {one['code']}  {one['host']}: {one['title']}"]
        lines += textwrap.wrap(
            one["cause"], _WIDTH, initial_indent="  why   ", subsequent_indent="        ", break_on_hyphens=False
        )
        line = one["evidence"]["line"]
        lines += [f"  seen  {one['evidence']['command']}"]
        lines += [f"        > {line[:_LONGEST]}{'…' if len(line) > _LONGEST else ''}"]
        lines += [f"  {'mend' if not number else '':4}  {command}" for number, command in enumerate(one["fix"])]
        lines += [f"  more  {one['docs']}", ""]
    lines += [f"not looked at: {reason}" for reason in unseen]
    if unseen:
        lines.append("")
    return "\n".join([*lines, verdict(found)])


def verdict(found: Iterable[Mapping[str, Any]]) -> str:
    """How many of each severity."""
    severities = [str(one["severity"]) for one in found]
    if not severities:
        return "nothing is wrong"
    counts = [(severities.count(severity), severity) for severity in dict.fromkeys(severities)]
    return ", ".join(f"{count} {severity}{'s' if count > 1 else ''}" for count, severity in counts)
