# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Config keys that the server does not know, told before anything is made: it would refuse them one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ansible_collections.anklume.stt.plugins.module_utils._incus.client import Client, IncusNotFoundError
from ansible_collections.anklume.stt.plugins.module_utils._incus.desired import Resource
from ansible_collections.anklume.stt.plugins.module_utils._infra.diagnostic import nearest
from ansible_collections.anklume.stt.plugins.module_utils._infra.incus_values import is_known


def unknown_keys(client: Client, resources: Iterable[Resource]) -> Iterator[str]:
    """One sentence each; the server is asked only where our own list does not know a key."""
    doubtful = [
        (resource.key, key)
        for resource in resources
        if resource.key.kind in ("instance", "profile")
        for key in (field.removeprefix("config/") for field in resource.fields if field.startswith("config/"))
        if not is_known(key)
    ]
    if not doubtful:
        return
    try:
        groups = client.get("/1.0/metadata/configuration")["configs"]
    except IncusNotFoundError:  # an older server keeps no list
        return
    parts = (*groups.get("instance", {}).values(), *groups.get("kernel", {}).values())
    known = {name for part in parts for one in part["keys"] for name in one}
    free = tuple(name.partition("*")[0] for name in known if name.endswith("*"))
    for owner, key in doubtful:
        if key not in known and not key.startswith(free):
            near = nearest(key, known)
            hint = f": did you mean {near}?" if near else ""
            yield f"{owner}: the Incus of this host has no config key {key}{hint}"
