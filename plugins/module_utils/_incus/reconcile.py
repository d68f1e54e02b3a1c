# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a model to a converged Incus: desired → observe → plan → apply."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus.apply import Journal, apply
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import (
    Client,
    IncusNotFoundError,
    OperationFailedError,
    OperationForgottenError,
)
from ansible_collections.anklume.stt.plugins.module_utils._incus.desired import Desired, desired
from ansible_collections.anklume.stt.plugins.module_utils._incus.host import Host
from ansible_collections.anklume.stt.plugins.module_utils._incus.host_reader import HostReader
from ansible_collections.anklume.stt.plugins.module_utils._incus.images import resolve
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import Key, url
from ansible_collections.anklume.stt.plugins.module_utils._incus.observe import Observed, observe
from ansible_collections.anklume.stt.plugins.module_utils._incus.plan import Options, Plan, plan
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Model

PAUSE = 0.5
STILL = 3
"""So many looks in a row that find no bridge behind a name mean that nobody is at work on it."""
LOOKS = 60


def reconcile(
    client: Client,
    reader: HostReader,
    model: Model,
    options: Options,
    *,
    absent: bool = False,
    check: bool = False,
    workers: int = 4,
    backup_dir: Path = Path("backups"),
    log_path: str | None = None,
) -> dict[str, Any]:
    """Make Incus as `model` says (or empty of it); the module's answer."""
    observed, host = observe(client, reader)
    mine = {domain.project for domain in model.domains} | {
        key.name for key, one in observed.found.items() if key.kind == "project" and one.owner == model.project_name
    }
    if not check and _wait_for_others(client, observed, mine):
        observed, host = observe(client, reader)
    if not absent:
        if not check:
            observed, host = _without_ruins(client, reader, model, observed, host)
        ruins = _ruins(reader, model, observed)
        observed = replace(observed, found={key: one for key, one in observed.found.items() if key not in ruins})
    wanted = Desired(model.project_name) if absent else desired(model, host)
    if wanted.published:
        host = replace(host, listeners=reader.listeners())
    folders = reader.existing_folders([key.name for key in wanted.resources if key.kind == "folder"])
    todo = plan(wanted, observed, host, replace(options, now=datetime.now(UTC)), folders)
    new = {s.what.key for s in todo.steps if s.what.action == "create" and s.what.key.kind == "instance"}
    pairs = [(wanted.resources[key].image, wanted.resources[key].create["type"]) for key in new]
    sources, faults = resolve(client, pairs)
    if faults:
        raise IncusError("\n".join(faults))
    exports: list[str] = []
    if not check and (todo.steps or todo.waits):
        exports = apply(client, todo, sources, Journal(log_path), workers=workers, backup_dir=backup_dir)
    doors = [one.data() for one in wanted.published]
    return {
        "project_name": model.project_name,
        "exports": exports,
        "published": doors,
        "announced": list(wanted.announced),
        **_answer(todo),
    }


def _wait_for_others(client: Client, observed: Observed, projects: set[str]) -> bool:
    """Wait for what an interrupted run left going in our Incus projects; whether there was something."""
    theirs = [path for path, where in observed.busy if projects.intersection(where)]
    for path in theirs:
        with contextlib.suppress(OperationFailedError, OperationForgottenError):
            client.wait(path)
    return bool(theirs)


def _ruins(reader: HostReader, model: Model, observed: Observed) -> list[Key]:
    """Our networks that are not whole: in the making, or with nothing but their name left.

    Incus makes and deletes a network while its client waits. When that client is killed, it takes the bridge away and
    cannot take away the name.
    """
    keys = [Key("network", "default", domain.network.name) for domain in model.domains]
    return [
        key
        for key in keys
        if (one := observed.found.get(key)) is not None
        and one.owner == model.project_name
        and (one.status == "Pending" or not reader.has_interface(key.name))
    ]


def _without_ruins(
    client: Client, reader: HostReader, model: Model, observed: Observed, host: Host
) -> tuple[Observed, Host]:
    """What there is once nothing moves any more and the names without a bridge are gone."""
    still = 0
    for _look in range(LOOKS):
        ruins = _ruins(reader, model, observed)
        if not ruins:
            return observed, host
        still = 0 if any(reader.has_interface(key.name) for key in ruins) else still + 1
        if still == STILL:
            for key in ruins:
                path, query = url(key)
                try:
                    client.send("DELETE", path, None, **query)
                except IncusNotFoundError:
                    continue
                except IncusError as error:
                    raise IncusError(f"{key} has lost its bridge and is in use; restart Incus ({error})") from error
            return observe(client, reader)
        time.sleep(PAUSE)
        observed, host = observe(client, reader)
    raise IncusError(f"{ruins[0]} has been in the making for {LOOKS * PAUSE:g} s: look at the log of Incus")


def _answer(todo: Plan) -> dict[str, Any]:
    return {
        "changed": bool(todo.steps),
        "plan": todo.data(),
        "summary": todo.lines(),
        "new": [s.what.key.name for s in todo.steps if s.what.action == "create" and s.what.key.kind == "instance"],
        "notes": list(todo.notes),
        "diff": todo.diff(),
    }
