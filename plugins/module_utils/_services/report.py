# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table that verify ends with: one line per hop on the way from an instance to a recognised sentence."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error

_WIDTH = 120
_GREEN, _RED, _PLAIN = "\033[32m", "\033[31m", "\033[0m"


def hop_table(hops: Iterable[Mapping[str, Any]], colour: bool = False) -> str:
    """Lay out hops (``host``, ``hop``, ``ok``, ``detail``, ``next_step``) as text, with the verdict as its last line.

    The next step is shown under a hop that failed, and only there. A chain without a hop is no success.
    """
    rows = [_row(hop) for hop in hops]
    if not rows:
        raise Error("no hop to show: no host of the inventory has a role that verify knows")
    host_width = max(len(host) for host, *_rest in rows)
    hop_width = max(len(hop) for _host, hop, *_rest in rows)
    indent = " " * (host_width + hop_width + len("FAILED") + 6)
    lines = []
    for host, hop, ok, detail, next_step in rows:
        shown = _wrapped(detail) + ([] if ok or not next_step else _wrapped(f"next: {next_step}"))
        state = f"{'ok' if ok else 'FAILED':6}"
        if colour:
            state = f"{_GREEN if ok else _RED}{state}{_PLAIN}"
        lines.append(f"{host:{host_width}}  {hop:{hop_width}}  {state}  {shown[0]}".rstrip())
        lines += [f"{indent}{line}" for line in shown[1:]]
    failed = sum(not ok for _host, _hop, ok, _detail, _next in rows)
    verdict = f"{failed} of {len(rows)} hops FAILED" if failed else f"all {len(rows)} hops are ok"
    if colour:
        verdict = f"{_RED if failed else _GREEN}{verdict}{_PLAIN}"
    return "\n".join([*lines, "", verdict])


def _row(hop: Mapping[str, Any]) -> tuple[str, str, bool, str, str]:
    missing = {"host", "hop", "ok", "detail", "next_step"} - set(hop)
    if missing:
        raise Error(f"a hop without {', '.join(sorted(missing))}: {dict(hop)}")
    if not isinstance(hop["ok"], bool):
        raise Error(f"hop {hop['hop']!r} of {hop['host']}: ok is {hop['ok']!r} and has to be true or false")
    detail, next_step = (" ".join(str(hop[key]).split()) for key in ("detail", "next_step"))
    return str(hop["host"]), str(hop["hop"]), hop["ok"], detail, next_step


def _wrapped(text: str) -> list[str]:
    """Lines of readable length; a long path or command stays in one piece, so that it can be copied."""
    return textwrap.wrap(text, _WIDTH - 40, break_long_words=False, break_on_hyphens=False) or [""]
