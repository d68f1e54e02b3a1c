# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an instance gets from its profiles and itself, and what of it the guest sees only when it starts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import Fields

CONFIG = (
    "linux.sysctl.",
    "limits.hugepages.",
    "limits.kernel.",
    "nvidia.",
    "oci.",
    "raw.idmap",
    "raw.lxc",
    "raw.qemu",
    "raw.seccomp",
    "security.csm",
    "security.idmap.",
    "security.iommu",
    "security.nesting",
    "security.privileged",
    "security.secureboot",
    "security.sev",
    "security.syscalls.",
)
"""`config` keys (or their beginnings) that Incus applies at the next start only."""

NIC = ("hwaddr", "ipv4.address", "mtu", "name", "network", "nictype", "parent", "vlan")
"""Keys of a network interface that the guest notices only when it starts."""

UNSEEN = ("config/user.", "config/volatile.", "config/image.")
"""Marks and what Incus keeps for itself."""


def effective(fields: Fields, profiles: Mapping[str, Fields]) -> dict[str, Any]:
    """The config and devices that an instance gets from its profiles and itself; what no guest sees is left out."""
    merged: dict[str, Any] = {}
    for layer in [profiles.get(name, {}) for name in fields.get("profiles", ())] + [fields]:
        devices = {path.split("/")[1] for path in layer if path.startswith("devices/")}
        merged = {p: v for p, v in merged.items() if not (p.startswith("devices/") and p.split("/")[1] in devices)}
        merged |= {p: v for p, v in layer.items() if p.startswith(("config/", "devices/"))}
    return {path: value for path, value in merged.items() if not path.startswith(UNSEEN)}


def restart_reason(before: Fields, after: Fields) -> str:
    """The changed paths that the guest sees only after a restart; "" without such."""
    return ", ".join(path for path in sorted({*before, *after}) if _needs_restart(path, before, after))


def _needs_restart(path: str, before: Fields, after: Fields) -> bool:
    if before.get(path) == after.get(path):
        return False
    head, _slash, rest = path.partition("/")
    if head == "config":
        return rest.startswith(CONFIG)
    device, _slash, key = rest.partition("/")
    kinds = {fields.get(f"devices/{device}/type") for fields in (before, after)}
    return "nic" in kinds and key in NIC
