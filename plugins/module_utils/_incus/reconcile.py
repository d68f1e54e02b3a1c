# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a model to a converged Incus: desired → observe → plan → apply."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus.apply import Journal, apply
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import (
    Client,
    IncusNotFoundError,
    OperationFailedError,
    OperationForgottenError,
    path_of,
)
from ansible_collections.anklume.stt.plugins.module_utils._incus.desired import Desired, desired
from ansible_collections.anklume.stt.plugins.module_utils._incus.host import Host
from ansible_collections.anklume.stt.plugins.module_utils._incus.host_reader import HostReader
from ansible_collections.anklume.stt.plugins.module_utils._incus.images import Source, resolve
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import Key, url
from ansible_collections.anklume.stt.plugins.module_utils._incus.observe import Found, Observed, observe
from ansible_collections.anklume.stt.plugins.module_utils._incus.plan import Options, Plan, places, plan
from ansible_collections.anklume.stt.plugins.module_utils._incus.published import takes
from ansible_collections.anklume.stt.plugins.module_utils._incus.servers import Server
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import IncusUnreachableError
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Model

PAUSE = 0.5
STILL = 3
"""So many looks in a row that find no bridge behind a name mean that nobody is at work on it."""
LOOKS = 60


@dataclass(frozen=True)
class _Look:
    """What is to be done on a server, once it was looked at; nothing where it was not reached."""

    server: Server
    wanted: Desired
    todo: Plan = field(default_factory=Plan)
    sources: Mapping[tuple[str, str], Source] = field(default_factory=dict)
    silence: str = ""
    """Why the server was not reached."""


def reconcile(
    servers: Sequence[Server],
    model: Model,
    options: Options,
    *,
    absent: bool = False,
    check: bool = False,
    workers: int = 4,
    backup_dir: Path = Path("backups"),
    log_path: str | None = None,
) -> dict[str, Any]:
    """Make each server as `model` says (or empty of it), all at the same time; the module's answer.

    Nothing is made anywhere as long as one of them refuses. One that is not reached is named and left alone.
    """
    _refuse_one_twice(servers)

    def look(server: Server) -> _Look:
        part = model.on(server.name)
        others = {} if absent else _elsewhere(model, server.name)
        try:
            return _look(server, part, options, others, absent=absent, check=check, alone=len(servers) == 1)
        except IncusUnreachableError as error:
            if len(servers) == 1:
                raise
            return _Look(server, Desired(model.project_name), silence=str(error))

    looks = _at_once(look, servers)
    works = [one for one in looks if one.todo.steps or one.todo.waits]
    exports: list[str] = []
    if works and not check:
        journal = Journal(log_path)

        def work(one: _Look) -> list[str] | IncusError:
            try:
                return apply(one.server.client, one.todo, one.sources, journal, workers=workers, backup_dir=backup_dir)
            except IncusError as error:
                return error

        with journal.whole(sum(len(one.todo.steps) for one in works)):
            done = _at_once(work, works)
            failed = [str(one) for one in done if isinstance(one, IncusError)]
            if failed:
                raise IncusError("\n".join(failed))
        exports = sorted(path for some in done for path in some)
    silent = {one.server.name: one.silence for one in looks if one.silence}
    apart = [domain for domain in model.domains if domain.remote in silent]
    notes = [f"{why}: nothing was looked at or changed there" for why in silent.values()]
    return {
        "project_name": model.project_name,
        "exports": exports,
        "published": [one.data() for some in looks for one in some.wanted.published],
        "announced": [name for one in looks for name in one.wanted.announced],
        "unreached": [
            *(machine.name for domain in apart for machine in domain.machines),
            *sorted(name for one in looks for name in one.todo.left),
        ],
        **_answer([one.todo for one in looks], notes),
    }


def _refuse_one_twice(servers: Sequence[Server]) -> None:
    """Under a second name it would be emptied of what it holds under the first."""
    known: dict[str, str] = {}
    for server in servers if len(servers) > 1 else ():
        with contextlib.suppress(IncusUnreachableError):
            # one that does not trust us tells nothing of itself
            shown = server.client.get(path_of()).get("environment", {}).get("certificate_fingerprint")
            name = f"server {server.name}" if server.name else "the Incus of this machine"
            if shown and known.setdefault(shown, name) != name:
                raise IncusError(
                    f"{known[shown]} and {name} are one and the same: take one of them out of global.remotes, "
                    "or out of the address that leads there"
                )


def _at_once(work: Callable[[Any], Any], things: Sequence[Any]) -> list[Any]:
    """`work` on each; the first error of one is raised when all have ended."""
    if len(things) < 2:
        return [work(one) for one in things]
    with ThreadPoolExecutor(len(things)) as pool:
        return [one.result() for one in [pool.submit(work, one) for one in things]]


def _elsewhere(model: Model, here: str) -> dict[str, str]:
    """The Incus projects and networks of the domains on other servers, with what messages call those."""
    others = [domain for domain in model.domains if model.remotes and domain.remote != here]
    words = {domain.name: f"server {domain.remote}" if domain.remote else "this machine" for domain in others}
    return {name: words[one.name] for one in others for name in (one.project, one.network.name)}


def _look(
    server: Server,
    model: Model,
    options: Options,
    elsewhere: Mapping[str, str],
    *,
    absent: bool,
    check: bool,
    alone: bool,
) -> _Look:
    client, reader = server.client, server.reader
    server.admitted()
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
    if not alone:  # global.lan may name addresses of each
        own = tuple(one for one in model.lan.addresses if IPv4Address(one) in host.addresses)
        model = replace(model, lan=replace(model.lan, addresses=own))
    options = replace(options, now=datetime.now(UTC))
    wanted = Desired(model.project_name) if absent else desired(model, host, places(model, observed, options))
    wanted = replace(wanted, elsewhere=elsewhere)
    # of a cluster that this machine is in, it knows its own ports alone
    if wanted.published and (reader.name or not observed.members):
        host = replace(host, listeners=reader.listeners(_new_doors(wanted, observed)))
    folders = reader.existing_folders([key.name for key in wanted.resources if key.kind == "folder"])
    todo = plan(wanted, observed, host, options, folders)
    new = {s.what.key for s in todo.steps if s.what.action == "create" and s.what.key.kind == "instance"}
    pairs = [(wanted.resources[key].image, wanted.resources[key].create["type"]) for key in new]
    sources, faults = resolve(client, pairs)
    if faults:
        raise IncusError("\n".join(faults))
    return _Look(server, wanted, replace(todo, server=server.name), sources)


def _new_doors(wanted: Desired, observed: Observed) -> list[tuple[str, int]]:
    """What is to be published that no instance publishes yet: who answers there now is somebody else."""
    held = [
        listen
        for one in observed.found.values()
        for path, listen in one.fields.items()
        if path.startswith("devices/") and path.endswith("/listen")
    ]
    return [
        (one.address, one.port)
        for one in wanted.published
        if one.protocol == "tcp" and not any(takes(listen, "tcp", one.address, one.port) for listen in held)
    ]


def _wait_for_others(client: Client, observed: Observed, projects: set[str]) -> bool:
    """Wait for what an interrupted run left going in our Incus projects; whether there was something."""
    theirs = [path for path, where in observed.busy if projects.intersection(where)]
    for path in theirs:
        with contextlib.suppress(OperationFailedError, OperationForgottenError):
            client.wait(path)
    return bool(theirs)


def _ruins(reader: HostReader, model: Model, observed: Observed) -> list[Key]:
    """Our networks that are not whole: in the making, or with nothing but their name left."""
    keys = [Key("network", "default", domain.network.name) for domain in model.domains]
    return [
        key for key in keys if (one := observed.found.get(key)) is not None and _is_ruin(reader, model, observed, one)
    ]


def _is_ruin(reader: HostReader, model: Model, observed: Observed, one: Found) -> bool:
    """Incus makes and deletes a network while its client waits.

    When that client is killed, it takes the bridge away and cannot take away the name. In a cluster, the name alone is
    first defined on each member; what was not made on all of them has failed.
    """
    ours = one.owner == model.project_name
    if observed.members:
        defined = one.status == "Pending" and one.owner is None
        return not observed.down and (defined or (ours and one.status in ("Pending", "Errored")))
    return ours and (one.status == "Pending" or not reader.has_interface(one.key.name))


def _without_ruins(
    client: Client, reader: HostReader, model: Model, observed: Observed, host: Host
) -> tuple[Observed, Host]:
    """What there is once nothing moves any more and the names without a bridge are gone."""
    still = 0
    for _look in range(LOOKS):
        ruins = _ruins(reader, model, observed)
        if not ruins:
            return observed, host
        moving = not observed.members and any(reader.has_interface(key.name) for key in ruins)
        still = 0 if moving else still + 1
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


def _answer(todo: Sequence[Plan], notes: Sequence[str]) -> dict[str, Any]:
    """Server by server."""
    steps = [step for one in todo for step in one.steps]
    return {
        "changed": bool(steps),
        "plan": [data for one in todo for data in one.data()],
        "summary": [line for one in todo for line in one.lines()],
        "new": [s.what.key.name for s in steps if s.what.action == "create" and s.what.key.kind == "instance"],
        "notes": [*(f"{note}{one.place}" for one in todo for note in one.notes), *notes],
        "diff": [entry for one in todo for entry in one.diff()],
    }
