# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of a cluster of Incus, and who of them a `target` means. Pure, but for the one question.

Incus forms clusters, from three machines on; we find one by asking.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.anklume.stt.plugins.module_utils._incus.client import Client, path_of

GROUP = "@"
"""How a target begins that is a group of members."""


@dataclass(frozen=True)
class Member:
    """One machine of a cluster."""

    name: str
    groups: tuple[str, ...] = ()
    door: tuple[str, int] = ("", 0)
    """Where the others reach it: address and port."""
    down: str = ""
    """Why nothing can be asked of it; "" while it answers."""


def members_of(client: Client, server: Mapping[str, Any]) -> dict[str, Member]:
    """The members by name; none where the server is no cluster."""
    if not server["environment"].get("server_clustered"):
        return {}
    return {
        body["server_name"]: Member(
            body["server_name"],
            tuple(body.get("groups") or ()),
            (url.hostname or "", url.port or 443),
            _first_words(body.get("message") or "it is off, or cut off") if body["status"] == "Offline" else "",
        )
        for body in client.get(path_of("cluster", "members"), recursion="1")
        for url in [urlsplit(body["url"])]
    }


def _first_words(message: str) -> str:
    """Without the moment in brackets, to the nanosecond: "No heartbeat for 25.1s (2026-…)"."""
    return message.partition(" (")[0]


def meant(target: str, members: Iterable[Member]) -> list[Member]:
    """Those that an instance with this target may be put on; "" means any."""
    if target.startswith(GROUP):
        return [one for one in members if target.removeprefix(GROUP) in one.groups]
    return [one for one in members if target in ("", one.name)]
