# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of a project's instances: taken, deleted, gone back to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus.apply import (
    BEFORE_APPLY,
    delete_snapshot,
    forget_old_snapshots,
    restore_snapshot,
    take_snapshot,
    time_stamp,
    wait_for_address,
)
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import Client, path_of
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import PROJECT_MARK, Key, flatten

BEFORE_RESTORE = "before-restore-"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

State = Literal["present", "absent", "restored", "rolled_back"]


@dataclass(frozen=True)
class Holder:
    """An instance with the names of its snapshots, oldest first."""

    client: Client
    key: Key
    running: bool
    snapshots: tuple[str, ...]


def holders(
    clients: Iterable[Client], project_name: str, domains: Iterable[str] = (), instances: Iterable[str] = ()
) -> list[Holder]:
    """The instances of a project on all its servers, or those of some domains or of some names."""
    found = [
        Holder(
            client,
            Key("instance", body["project"], body["name"]),
            body["status"] == "Running",
            tuple(s["name"] for s in sorted(body["snapshots"] or (), key=lambda s: str(s["created_at"]))),
        )
        for client in clients
        for body in client.get(path_of("instances"), recursion="2", all_projects="true")
        if flatten(body).get(PROJECT_MARK) == project_name
    ]
    for wanted, given, what in (
        (set(domains), {holder.key.project for holder in found}, "domain"),
        (set(instances), {holder.key.name for holder in found}, "instance"),
    ):
        if wanted - given:
            raise IncusError(f"no {what} {', '.join(sorted(wanted - given))} in Incus: there is {_list(given)}")
        if wanted:
            found = [h for h in found if (h.key.project if what == "domain" else h.key.name) in wanted]
    return found


def snapshot(
    found: list[Holder], state: State, name: str | None, *, check: bool = False, workers: int = 4
) -> dict[str, Any]:
    """Bring the snapshot `name` of all `found` instances into `state`; the module's answer."""
    if name is not None and not NAME.fullmatch(name):
        raise IncusError(f"{name!r} is no name for a snapshot: use letters, digits, dots and dashes")
    stamp = time_stamp()
    if state == "present":
        name = name or stamp
        concerned = [holder for holder in found if name not in holder.snapshots]
    else:
        name = _newest(found) if state == "rolled_back" else name
        concerned = [holder for holder in found if name in holder.snapshots]
    if state in ("restored", "rolled_back") and not concerned:
        known = {one for holder in found for one in holder.snapshots}
        raise IncusError(f"no instance has a snapshot {name}: there is {_list(known)}")

    def restore(holder: Holder) -> None:
        take_snapshot(holder.client, holder.key, f"{BEFORE_RESTORE}{stamp}")
        restore_snapshot(holder.client, holder.key, str(name))
        forget_old_snapshots(holder.client, holder.key, BEFORE_RESTORE)
        if holder.running:
            wait_for_address(holder.client, holder.key, None)

    work: Mapping[State, Callable[[Holder], None]] = {
        "present": lambda holder: take_snapshot(holder.client, holder.key, str(name)),
        "absent": lambda holder: delete_snapshot(holder.client, holder.key, str(name)),
        "restored": restore,
        "rolled_back": restore,
    }
    if not check:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work[state], concerned))
    before, after = {"present": ("", name), "absent": (name, "")}.get(state, ("its present state", name))
    return {
        "changed": bool(concerned),
        "snapshot": name,
        "instances": [holder.key.name for holder in concerned],
        "diff": [
            {
                "before_header": str(h.key),
                "after_header": f"{h.key} {state}",
                "before": f"{before}\n",
                "after": f"{after}\n",
            }
            for h in concerned
        ],
    }


def _newest(found: list[Holder]) -> str:
    """The last snapshot that an apply took."""
    names = sorted(name for holder in found for name in holder.snapshots if BEFORE_APPLY.fullmatch(name))
    if not names:
        raise IncusError("there is nothing to roll back to: no apply has changed an instance since it was made")
    return names[-1]


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
