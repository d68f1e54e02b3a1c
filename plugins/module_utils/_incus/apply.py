# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries out a plan: independent steps at the same time, each one told to a journal as it starts and ends."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error, IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import (
    Client,
    IncusConflictError,
    IncusNotFoundError,
    OperationFailedError,
    OperationForgottenError,
    path_of,
)
from ansible_collections.anklume.stt.plugins.module_utils._incus.images import Source
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import KINDS, Key, flatten, unflatten, url
from ansible_collections.anklume.stt.plugins.module_utils._incus.plan import Action, Change, Plan, Step, StepId

SNAPSHOT_PREFIX = "anklume-"
STAMP = r"\d{8}-\d{6}-\d{3}"
BEFORE_APPLY = re.compile(SNAPSHOT_PREFIX + STAMP)
SNAPSHOTS_KEPT = 3
STOP_TIMEOUT = 30
ADDRESS_TIMEOUT = 120.0
POLL = 0.15
LOOK = threading.Lock()
LEASE = threading.Lock()
ATTEMPTS = 6
VANISHED = "bridge children interfaces"
DEFINED = "already defined on member"
"""What Incus says, as of a bad request, of a network that is defined on a member before."""


class Journal:
    """JSON lines for whoever follows: one when a step starts, one when it ends."""

    def __init__(self, path: str | None) -> None:
        self._path = Path(path) if path else None
        self._lock = threading.Lock()
        if self._path:
            try:
                self._path.write_text("", encoding="utf-8")
            except OSError as error:
                raise IncusError(f"cannot write the log {path} ({error.strerror})") from error

    def write(self, state: str, **entry: Any) -> None:
        """Add one line; a disk that is full by now stops no apply that is under way."""
        if self._path:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            line = json.dumps({"time": now, "state": state, **entry}) + "\n"
            with contextlib.suppress(OSError), self._lock, self._path.open("a", encoding="utf-8") as stream:
                stream.write(line)

    @contextlib.contextmanager
    def whole(self, steps: int) -> Iterator[None]:
        """The first line and the last one."""
        self.write("begin", steps=steps)
        try:
            yield
        except Error as error:
            self.write("end", error=str(error))
            raise
        self.write("end")


def apply(
    client: Client,
    plan: Plan,
    sources: Mapping[tuple[str, str], Source],
    journal: Journal,
    *,
    workers: int,
    backup_dir: Path,
) -> list[str]:
    """Do every step of `plan`; the paths of the exports that were made are returned."""
    worker = _Worker(client, sources, backup_dir, plan.members)
    _run(plan, worker, journal, workers)
    return worker.exports


def _run(plan: Plan, worker: _Worker, journal: Journal, workers: int) -> None:
    """Start each step when all that it needs is done; after a failure start no more and wait for what runs."""
    todo = {step.what: step for step in plan.steps}
    texts = dict(zip(todo, plan.lines(), strict=True))
    for key in plan.waits:
        started: tuple[Action, ...] = ("create", "start")
        todo[StepId("ready", key)] = Step(StepId("ready", key), needs=tuple(StepId(a, key) for a in started))
    undone = set(todo)
    stopped = {what for what in todo if what.action == "stop"}
    running: dict[Future[None], StepId] = {}
    failed: list[str] = []
    with ThreadPoolExecutor(workers) as pool, ThreadPoolExecutor(max(1, len(plan.waits))) as watch:
        while True:
            for what in [] if failed else [w for w, step in todo.items() if undone.isdisjoint(step.needs)]:
                step = todo.pop(what)
                if what.action == "ready":
                    text = f"* wait until {what.key}{plan.place} has its address"
                    running[watch.submit(_told, journal, what, text, worker.wait, plan.waits[what.key])] = what
                else:
                    running[pool.submit(_told, journal, what, texts[what], worker.do, step)] = what
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                what = running.pop(future)
                error = future.exception()
                if error is None:
                    undone.discard(what)
                elif isinstance(error, Error):
                    failed.append(f"{what}{plan.place}: {error}")
                else:
                    raise error
    for what, step in todo.items():
        # an instance that was stopped for a change that failed runs again
        if what.action == "start" and StepId("stop", what.key) in stopped - undone:
            try:
                _told(journal, what, texts[what], worker.do, step)
            except Error as error:
                failed.append(f"{what}{plan.place}: {error}")
    if failed:
        raise IncusError("\n".join(failed))


def _told(journal: Journal, what: StepId, text: str, work: Callable[[StepId, Any], None], argument: Any) -> None:
    """Do `work` and write its beginning and its end."""
    about = {"action": what.action, "object": str(what.key), "text": text}
    journal.write("start", **about)
    began = time.monotonic()
    try:
        work(what, argument)
    except Error as error:
        journal.write("failed", **about, seconds=round(time.monotonic() - began, 3), error=str(error))
        raise
    journal.write("done", **about, seconds=round(time.monotonic() - began, 3))


class _Worker:
    """The steps one by one; used by several threads."""

    def __init__(
        self,
        client: Client,
        sources: Mapping[tuple[str, str], Source],
        backup_dir: Path,
        members: Sequence[str] = (),
    ) -> None:
        self.client = client
        self.sources = sources
        self.backup_dir = backup_dir
        self.members = members
        self.exports: list[str] = []
        self.stamp = time_stamp()

    def do(self, what: StepId, step: Step) -> None:
        """Carry out one step."""
        match what.action, what.key.kind:
            case "create", "folder":
                _make_folder(Path(what.key.name))
            case "create", _:
                self._create(step)
            case "release", _:
                self._release(what.key, step.changes)
            case "update", _:
                self._update(what.key, step.changes)
            case "snapshot", _:
                take_snapshot(self.client, what.key, f"{SNAPSHOT_PREFIX}{self.stamp}")
                forget_old_snapshots(self.client, what.key, SNAPSHOT_PREFIX)
            case "stop", _:
                self._halt(what.key)
            case "move", _ if step.resource:
                self._move(what.key, step.resource.place)
            case "start", _:
                self._set_state(what.key, "unfreeze" if step.reason == "is frozen" else "start")
            case "export", _:
                self.exports.append(str(self._export(what.key)))
            case "delete", _:
                self._delete(what.key)

    def _create(self, step: Step) -> None:
        key, resource = step.what.key, step.resource
        if resource is None:
            raise IncusError(f"{key}: the plan creates it without saying what it is")
        if key.comes_with_project:
            self._update(key, step.changes)
            return
        body = {"name": key.own_name, **unflatten({**resource.fields, **resource.create})}
        if resource.image:
            body |= {"source": self.sources[resource.image, resource.create["type"]], "start": True}
        path, query = url(key)
        try:
            self._send("POST", key, body, target=resource.place)
        except OperationForgottenError:
            self.client.get(path, **query)
        # Incus 6.0 forgets what a network is called that it makes on several members
        text = body.get("description") if key.kind == "network" and self.members else None
        if text and self.client.get(path, **query)["description"] != text:
            self._update(key, (Change("description", "", text),))

    def _move(self, key: Key, place: str) -> None:
        """A stopped instance to another member."""
        path, query = url(key)
        body = {"name": key.name, "migration": True, "live": False}
        try:
            self.client.send("POST", path, body, target=place, **query)
        except OperationForgottenError:
            self.client.get(path, **query)

    def _define(self, body: Mapping[str, Any]) -> None:
        """A network on each member of a cluster, before it is made on all; an interrupted run may have begun that."""
        for member in self.members:
            part = {"name": body["name"], "type": body["type"]}
            try:
                self.client.send("POST", path_of("networks"), part, target=member, project="default")
            except IncusError as error:
                if DEFINED not in str(error):
                    raise

    def _update(self, key: Key, changes: tuple[Change, ...]) -> None:
        """Change our fields of what is there now; the rest stays as it is."""
        path, query = url(key)
        body, etag = self._tagged(key)
        writable = KINDS[key.kind].writable
        fields = flatten({name: body[name] for name in writable if name in body})
        for change in changes:
            now = fields.get(change.path)
            if now not in (change.before, change.after, None, ""):
                raise IncusConflictError(f"{change.path} was changed by somebody else while this ran; run it again")
            if change.after is not None:
                fields[change.path] = change.after
            elif "/" not in change.path:
                fields[change.path] = type(now)() if now is not None else ""
            else:
                fields.pop(change.path, None)
        kept = {name: body[name] for name in writable if name in ("architecture", "ephemeral")}
        empty: dict[str, Any] = {name: {} for name in writable if name in ("config", "devices")}
        try:
            self._send("PUT", key, {**kept, **empty, **unflatten(fields)}, etag)
        except OperationForgottenError:
            now = flatten(self.client.get(path, **query))
            if any(now.get(change.path) != change.after for change in changes if change.after is not None):
                raise

    def _tagged(self, key: Key) -> tuple[Any, str]:
        """What is there, with its ETag. "Not found" may be about a project that went while Incus looked who uses it."""
        path, query = url(key)
        for _attempt in range(ATTEMPTS - 1):
            with contextlib.suppress(IncusNotFoundError):
                return self.client.get_tagged(path, **query)
            time.sleep(POLL)
        return self.client.get_tagged(path, **query)

    def _send(self, method: str, key: Key, body: Mapping[str, Any] | None, etag: str = "", *, target: str = "") -> None:
        """Send a write; one about a bridge or an ACL again, when Incus stumbled.

        Incus looks at every interface of the host or at every user then, and fails over one that goes at that moment.
        """
        path, query = url(key)
        address = path.rpartition("/")[0] if method == "POST" else path
        at = {**query, "target": target} if target else query
        for attempt in range(ATTEMPTS):
            try:
                if method == "POST" and key.kind == "network" and body:
                    self._define(body)
                self.client.send(method, address, body, etag=etag, **at)
                return
            except IncusError as error:
                went = VANISHED in str(error) or (method == "PUT" and isinstance(error, IncusNotFoundError))
                if not went or attempt == ATTEMPTS - 1:
                    raise
            time.sleep(POLL)
            if method == "POST":  # half a network may be there
                with contextlib.suppress(IncusNotFoundError):
                    self.client.send("DELETE", path, None, **query)

    def _set_state(self, key: Key, action: str, *, force: bool = False) -> None:
        path, query = url(key)
        body = {"action": action, "timeout": STOP_TIMEOUT, "force": force}
        try:
            self.client.send("PUT", f"{path}/state", body, **query)
        except OperationForgottenError:
            wanted = "Stopped" if action == "stop" else "Running"
            if self.client.get(path, **query)["status"] != wanted:
                raise

    def _halt(self, key: Key) -> None:
        """Stop it, by force when it does not do so by itself in time."""
        try:
            self._set_state(key, "stop")
        except OperationFailedError:
            self._set_state(key, "stop", force=True)

    def _release(self, key: Key, changes: tuple[Change, ...]) -> None:
        """Give addresses back: only an interface that goes takes its lease with it, so it goes and comes again."""
        path, query = url(key)
        body = self.client.get(path, **query)
        kept = {name: body[name] for name in KINDS[key.kind].writable}
        interfaces = {change.path.split("/")[1] for change in changes}
        gone = {name: {"type": "none"} for name in interfaces}
        back = {
            name: {k: v for k, v in body["devices"][name].items() if k != "ipv4.address"}
            for name in interfaces & set(body["devices"])
        }
        with LEASE:  # Incus finds it in a file that dnsmasq writes anew while another one goes: one at a time
            self.client.send("PUT", path, {**kept, "devices": {**body["devices"], **gone}}, **query)
            time.sleep(POLL)
        self.client.send("PUT", path, {**kept, "devices": {**body["devices"], **back}}, **query)

    def wait(self, what: StepId, address: str | None) -> None:
        """Until the instance runs and has its IPv4 address."""
        wait_for_address(self.client, what.key, address)

    def _export(self, key: Key) -> Path:
        """A file from which `incus import` (or `incus storage volume import`) makes the object again."""
        path, query = url(key)
        name = f"{SNAPSHOT_PREFIX}{self.stamp}"
        target = self.backup_dir / f"{key.project}_{key.name.replace('/', '_')}_{self.stamp}.tar.gz"
        _make_folder(self.backup_dir, 0o700)
        expires = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        body = {"name": name, "compression_algorithm": "gzip", "expires_at": expires}
        self.client.send("POST", f"{path}/backups", body, **query)
        try:
            self.client.download(f"{path}/backups/{name}/export", target, **query)
        finally:
            self.client.send("DELETE", f"{path}/backups/{name}", None, **query)
        return target

    def _delete(self, key: Key) -> None:
        """Away with it. "Not found" may be about another that went at that moment, so it is looked for afterwards."""
        path, query = url(key)
        for attempt in range(ATTEMPTS):
            try:
                if key.kind == "instance":
                    self._let_go(key)
                self._send("DELETE", key, None)
                return
            except (IncusNotFoundError, OperationForgottenError):
                try:
                    self.client.get(path, **query)
                except IncusNotFoundError:
                    return
                if attempt == ATTEMPTS - 1:
                    raise

    def _let_go(self, key: Key) -> None:
        """Stop an instance and lift its protection."""
        path, query = url(key)
        body = self.client.get(path, **query)
        if body["status"] != "Stopped":
            self._set_state(key, "stop", force=True)
        if body["config"].get("security.protection.delete") == "true":
            # without its interfaces: their addresses may no longer be valid, and Incus would refuse
            kept = {name: body[name] for name in KINDS[key.kind].writable}
            config = {**body["config"], "security.protection.delete": "false"}
            devices = {name: device for name, device in body["devices"].items() if device["type"] != "nic"}
            self.client.send("PUT", path, {**kept, "config": config, "devices": devices}, **query)


def time_stamp() -> str:
    """Now to the millisecond, as part of a name."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]


def wait_for_address(client: Client, key: Key, address: str | None) -> None:
    """Until an instance runs and has `address` (None: any IPv4 address, "": none needed)."""
    path, query = url(key)
    end = time.monotonic() + ADDRESS_TIMEOUT
    has: list[str] = []
    while time.monotonic() < end:
        with LOOK:  # to look into an instance costs Incus a process: one at a time, however many are waited for
            state = client.get(f"{path}/state", **query)
            has = _addresses(state)
            if state["status"] == "Running" and (address == "" or (address in has if address else has)):
                return
            time.sleep(POLL / 3)
        time.sleep(POLL)
    raise IncusError(
        f"no {f'address {address}' if address else 'IPv4 address'} within {ADDRESS_TIMEOUT:g} s"
        f"{f', but {has[0]}' if has else ''}: see incus console --show-log {key.name} --project {key.project}"
    )


def take_snapshot(client: Client, key: Key, name: str) -> None:
    """A snapshot of an instance."""
    path, query = url(key)
    try:
        client.send("POST", f"{path}/snapshots", {"name": name, "stateful": False}, **query)
    except OperationForgottenError:
        client.get(f"{path}/snapshots/{name}", **query)


def delete_snapshot(client: Client, key: Key, name: str) -> None:
    """Away with a snapshot."""
    path, query = url(key)
    with contextlib.suppress(IncusNotFoundError, OperationForgottenError):
        client.send("DELETE", f"{path}/snapshots/{name}", None, **query)


def restore_snapshot(client: Client, key: Key, name: str) -> None:
    """Back to a snapshot: files, config, devices and profiles; a running instance runs again afterwards."""
    path, query = url(key)
    client.send("PUT", path, {"restore": name}, **query)


def forget_old_snapshots(client: Client, key: Key, prefix: str) -> None:
    """Keep the last few of those that were taken by us."""
    path, query = url(key)
    names = [snapshot["name"] for snapshot in client.get(f"{path}/snapshots", recursion="1", **query)]
    for name in sorted(name for name in names if re.fullmatch(prefix + STAMP, name))[:-SNAPSHOTS_KEPT]:
        delete_snapshot(client, key, name)


def _addresses(state: Mapping[str, Any]) -> list[str]:
    """The IPv4 addresses of an instance."""
    return [
        address["address"]
        for name, interface in (state["network"] or {}).items()
        if name != "lo"
        for address in interface["addresses"]
        if address["family"] == "inet" and address["scope"] == "global"
    ]


def _make_folder(path: Path, mode: int = 0o755) -> None:
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise IncusError(
            f"cannot make the folder {path} ({error.strerror}): make it as root, then run this again"
        ) from error
