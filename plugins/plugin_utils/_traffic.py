# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far downloads are: what an instance of this host has received, what Incus says of an image that it fetches."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import Client, path_of
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import PROJECT_MARK
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import UnixTransport, default_socket

MARK = PROJECT_MARK.partition("/")[2]
PATIENCE = 10.0
"""Seconds before Incus is asked again where the interfaces are: a restart gives others."""


def ask_incus(what: str) -> Any:
    """Every instance of this host, or every operation that is under way."""
    with Client(UnixTransport(default_socket())).closing() as client:
        return client.get(path_of(what), recursion="1", **{"all-projects": "true"})


def interfaces_of(instances: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The host's ends by instance; only of those that we made, under a name that one instance alone has."""
    names = [one["name"] for one in instances]
    return {
        one["name"]: [
            value for key, value in one["config"].items() if key.startswith("volatile.") and key.endswith(".host_name")
        ]
        for one in instances
        if MARK in one["config"] and names.count(one["name"]) == 1
    }


def image_of(operations: dict[str, list[dict[str, Any]]]) -> str:
    """How far Incus is with an image, as "rootfs: 45% (3.20MB/s)"; empty where it fetches and unpacks none."""
    known = (one.get("metadata") or {} for one in operations.get("running") or ())
    told = (str(value) for about in known for key, value in about.items() if key.endswith("_progress"))
    return next(told, "")


class Traffic:
    """The counters of the host, and Incus' word."""

    def __init__(self, ask: Callable[[str], Any] = ask_incus, root: Path = Path("/sys/class/net")) -> None:
        self._ask, self._root = ask, root
        self._interfaces: dict[str, list[str]] = {}
        self._asked = self._looked = float("-inf")
        self._image = ""

    def image(self) -> str:
        """How far Incus is with an image, looked at once in a second."""
        if time.monotonic() - self._looked >= 1.0:
            self._looked = time.monotonic()
            try:
                self._image = image_of(self._ask("operations"))
            except (Error, OSError):
                self._looked, self._image = float("inf"), ""
        return self._image

    def received(self, host: str) -> int | None:
        """The bytes that an instance has received; None where that is not known here."""
        count = self._count(host)
        if count is None and time.monotonic() - self._asked >= PATIENCE:
            self._asked = time.monotonic()
            try:
                self._interfaces = interfaces_of(self._ask("instances"))
            except (Error, OSError):
                self._asked = float("inf")  # there is no Incus here, or not for this user
            count = self._count(host)
        return count

    def _count(self, host: str) -> int | None:
        try:
            files = [self._root / name / "statistics" / "tx_bytes" for name in self._interfaces[host]]
            return sum(int(file.read_text(encoding="ascii")) for file in files) if files else None
        except (KeyError, OSError):
            return None
