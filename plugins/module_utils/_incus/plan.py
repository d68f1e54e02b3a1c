# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The difference between what Incus should hold and what it holds, as ordered steps. Pure.

The plan is the diff: what check mode prints is what apply does, step by step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Interface
from typing import Any, Literal, NamedTuple

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus.cluster import meant
from ansible_collections.anklume.stt.plugins.module_utils._incus.desired import Desired
from ansible_collections.anklume.stt.plugins.module_utils._incus.host import Host
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import (
    KEYS_MARK,
    KINDS,
    MARKS,
    Fields,
    Key,
    Resource,
    order_of_deletion,
    uses,
)
from ansible_collections.anklume.stt.plugins.module_utils._incus.observe import Found, Observed
from ansible_collections.anklume.stt.plugins.module_utils._incus.preflight import faults, is_ours
from ansible_collections.anklume.stt.plugins.module_utils._incus.published import takes
from ansible_collections.anklume.stt.plugins.module_utils._incus.restarts import effective, restart_reason
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Model

Action = Literal["create", "snapshot", "stop", "move", "release", "update", "start", "ready", "export", "delete"]

CHANGING: tuple[Action, ...] = ("create", "update")
BOOTING = timedelta(seconds=20)
TAKE_ALONG = "to take it along: docs/how-to/another-machine.md, Moving a domain"


@dataclass(frozen=True)
class Options:
    """What the user allows."""

    prune: bool = False
    adopt: bool = False
    confirm: frozenset[str] = frozenset()
    """Instances (and the machines of volumes) that may be deleted though they are not ephemeral."""
    confirm_all: bool = False
    backup: bool = True
    """Export what is deleted and not ephemeral."""
    now: datetime | None = None
    """An instance started shortly before may still be without its address."""


class Change(NamedTuple):
    """One field; None where it is not there."""

    path: str
    before: Any
    after: Any


class StepId(NamedTuple):
    """What identifies a step in a plan."""

    action: Action
    key: Key

    def __str__(self) -> str:
        return f"{self.action} {self.key}"


@dataclass(frozen=True)
class Step:
    """One thing to do, once everything in `needs` is done."""

    what: StepId
    changes: tuple[Change, ...] = ()
    resource: Resource | None = None
    reason: str = ""
    needs: tuple[StepId, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The steps in an order that works, and what the user should know beside them."""

    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()
    waits: Mapping[Key, str | None] = field(default_factory=dict)
    """Instances that have to be running and have their address (None: any, "": none) in the end."""
    server: str = ""
    """On which server; "" for this machine."""
    members: tuple[str, ...] = ()
    """Of a cluster: on each of them a network is defined before it is made."""
    left: frozenset[str] = frozenset()
    """Machines that nothing is known of, or that are not made yet, because a member of the cluster is down."""

    @property
    def place(self) -> str:
        """The same in words, after an object."""
        return f" on {self.server}" if self.server else ""

    def diff(self) -> list[dict[str, str]]:
        """For `--diff`: one before and after per step."""
        return [
            {
                "before_header": f"{step.what.key}{self.place}",
                "after_header": f"{step.what}{self.place}{f' ({step.reason})' if step.reason else ''}",
                "before": _text((change.path, change.before) for change in step.changes),
                "after": _text((change.path, change.after) for change in step.changes),
            }
            for step in self.steps
            if step.changes
        ]

    def data(self) -> list[dict[str, Any]]:
        """For the module's answer."""
        return [
            {
                "server": self.server,
                "action": step.what.action,
                "kind": step.what.key.kind,
                "project": step.what.key.project,
                "name": step.what.key.name,
                "reason": step.reason,
                "changes": [change._asdict() for change in _shown(step.changes)],
            }
            for step in self.steps
        ]

    def lines(self) -> list[str]:
        """For people: one line per step."""
        signs = {"create": "+", "update": "~", "delete": "-"}
        lines = []
        for step in self.steps:
            fields = [change.path for change in _shown(step.changes)] if step.what.action == "update" else []
            detail = ", ".join(filter(None, [step.reason, " ".join(fields)]))
            lines.append(f"{signs.get(step.what.action, '*')} {step.what}{self.place}{f': {detail}' if detail else ''}")
        return lines


def plan(
    wanted: Desired, observed: Observed, host: Host, options: Options, folders: Collection[Key] = frozenset()
) -> Plan:
    """All steps from `observed` to `wanted`; `folders` are the host's folders that are there already."""
    found = faults(wanted, observed, host, adopt=options.adopt)
    if found:
        raise IncusError("; ".join(found) if len(found) == 1 else "\n".join(("nothing was changed:", *found)))
    return _Planner(wanted, observed, options, folders).plan()


def places(model: Model, observed: Observed, options: Options) -> dict[str, str]:
    """Where each machine will be in a cluster: where it is, unless it is new or may be moved."""
    found: dict[str, str] = {}
    for domain in model.domains if observed.members else ():
        for machine in domain.machines:
            one = observed.found.get(Key("instance", domain.project, machine.name))
            here = one.location if one is not None else ""
            moves = (
                _is_elsewhere(machine.target, here, observed)
                and not machine.storage_volumes
                and (options.confirm_all or machine.name in options.confirm)
            )
            found[machine.name] = machine.target if moves or not here else here
    return found


def _is_elsewhere(target: str, location: str, observed: Observed) -> bool:
    """Whether a target means other members than the one that an instance is on, and one of those can be asked."""
    there = meant(target, observed.members.values())
    return location not in {one.name for one in there} and any(not one.down for one in there)


class _Planner:
    """The working state of one call of :func:`plan`."""

    def __init__(self, wanted: Desired, observed: Observed, options: Options, folders: Collection[Key]) -> None:
        self.wanted = wanted
        self.observed = observed.found
        self.observed_whole = observed
        self.options = options
        self.folders = folders
        self.steps: dict[StepId, Step] = {}
        self.notes: list[str] = []
        self.waits: dict[Key, str | None] = {}
        self.down = observed.down
        self.left: dict[Key, str] = {}
        """What is left alone because of a member that is down, which is named."""

    def plan(self) -> Plan:
        order = list(KINDS)
        for resource in sorted(self.wanted.resources.values(), key=lambda one: order.index(one.key.kind)):
            if self.down and self._waits_for_a_member(resource):
                continue
            if resource.key.kind == "instance":
                self._instance(resource)
            elif resource.key.kind == "folder":
                if resource.key not in self.folders:
                    self._add("create", resource.key, resource=resource)
            else:
                self._plain(resource)
        self._snapshots_first()
        self._stale()
        self._published_twice()
        self._addresses_change_hands()
        self._address_twice()
        self._tell_who_is_down()
        return Plan(
            _ordered(self.steps),
            tuple(self.notes),
            self.waits,
            members=tuple(self.observed_whole.members),
            left=frozenset(key.name for key in self.left if key.kind == "instance"),
        )

    # ------------------------------------------------------------------ members of a cluster

    def _waits_for_a_member(self, resource: Resource) -> bool:
        """What is, or is to be, on a member that is down, networks and their rules, and what needs such a thing first.

        Incus writes a network and an ACL to all members at once, or not at all.
        """
        key = resource.key
        on = key.member or (self.observed[key].location if key in self.observed else resource.place)
        there = meant(on, self.observed_whole.members.values())
        blocked = there[0].name if there and all(one.down for one in there) else ""
        if not blocked and key.kind in ("network", "acl"):
            blocked = next(iter(self.down))
        if not blocked and key not in self.observed:
            blocked = next(
                (self.left[need] for need in resource.needs if need not in self.observed and need in self.left), ""
            )
        if blocked:
            self.left[key] = blocked
        return bool(blocked)

    def _tell_who_is_down(self) -> None:
        """Once for each member."""
        unknown = [key for key in self.observed if self.observed_whole.is_unknown(key)]
        for name, why in self.down.items():
            there = [key.own_name for key in unknown if name in (self.observed[key].location, key.member)]
            later = [key.own_name for key, on in self.left.items() if on == name and key not in self.observed]
            self.notes.append(
                f"member {name} is down ({why}): "
                + (f"what is on it is left alone, since nothing is known of it: {', '.join(there)}; " if there else "")
                + "networks and their rules stay as they are, since Incus changes them on all members at once"
                + (f"; not made before it is back: {', '.join(later)}" if later else "")
            )

    def _moves(self, resource: Resource, found: Found) -> bool:
        """Whether an instance goes to another member now; a note says it where it only should."""
        if resource.place != found.location:
            return bool(found.location)
        if not _is_elsewhere(resource.target, found.location, self.observed_whole):
            return False
        words = f"{resource.key} is on {found.location}, infra.yml says {resource.target}"
        volumes = [need.own_name for need in resource.needs if need.kind == "volume"]
        name = resource.key.name
        self.notes.append(
            f"{words}: {', '.join(volumes)} would stay behind: move both by hand, volume and instance (incus move)"
            if volumes
            else f"{words}: confirm={name} (make: CONFIRM={name}) stops it, moves it and starts it there"
        )
        return False

    def _address_twice(self) -> None:
        """The members of a cluster do not look at each other: Incus takes one address on two of them without a word."""
        wanted = {
            value: key
            for key, resource in self.wanted.resources.items()
            for path, value in resource.fields.items()
            if key.kind == "instance" and _is_address(path)
        }
        taken = [
            f"{wanted[value]}: its address {value} is that of {found.key} on {found.location}: take another"
            for found in self.observed.values()
            if found.location and found.key not in self.wanted.resources and not self._existing("delete", found.key)
            for path, value in found.fields.items()
            if _is_address(path) and value in wanted
        ]
        if taken:
            raise IncusError(taken[0] if len(taken) == 1 else "\n".join(("nothing was changed:", *taken)))

    # ------------------------------------------------------------------ objects that infra.yml names

    def _plain(self, resource: Resource) -> None:
        found = self.observed.get(resource.key)
        if found is None:
            self._create(resource)
            return
        changes = _changes(resource, found)
        if changes:
            self._add("update", resource.key, changes, resource, needs=self._after(resource.needs))

    def _create(self, resource: Resource, reason: str = "", needs: tuple[StepId, ...] = ()) -> None:
        changes = tuple(Change(path, None, value) for path, value in resource.fields.items())
        self._add(
            "create", resource.key, changes, resource, reason=reason, needs=(*self._after(resource.needs), *needs)
        )

    def _instance(self, resource: Resource) -> None:
        key = resource.key
        found = self.observed.get(key)
        if found is None:
            self._create(resource)
            self.waits[key] = resource.address
            return
        replaced = self._replacement(resource, found)
        if replaced and self._may_delete(key, ephemeral=resource.ephemeral):
            gone = self._delete(key, replaced, ephemeral=resource.ephemeral)
            self._create(resource, replaced, needs=(gone,))
            self.waits[key] = resource.address
            return
        if replaced:
            self.notes.append(
                f"{key}: {replaced}; only a new instance can have it: confirm={key.name} (make: CONFIRM={key.name}) "
                "deletes this one after an export and makes it anew"
            )
        moves = self._moves(resource, found)
        changes = _changes(resource, found)
        before = effective(found.fields, self._profiles(key.project, lambda one: one.fields))
        after = effective(_applied(found.fields, changes), self._profiles(key.project, self._fields_after))
        restart = (
            self._moved(before) or restart_reason(before, after) or (f"{resource.target} is its place" if moves else "")
        )
        if any(change.path not in MARKS for change in changes) or before != after:
            self._add("snapshot", key)
        if restart and found.status == "Running":
            # down before the change, up after it: an interrupted run leaves an instance that the next one starts
            self._add("stop", key, reason=f"to restart: {restart}", needs=self._existing("snapshot", key))
        if moves:
            words = f"from {found.location} to {resource.target}"
            self._add("move", key, resource=resource, reason=words, needs=self._existing("stop", key))
        if changes:
            needs = (*self._after(resource.needs), *self._existing("move", key))
            self._add("update", key, changes, resource, needs=needs)
        if restart or found.status != "Running":
            reason = "" if found.status == "Running" else f"is {found.status.lower()}"
            self._add(
                "start",
                key,
                reason=reason,
                needs=(*self._after(resource.needs), *self._existing("move", key), *self._after([key])),
            )
            self.waits[key] = resource.address
        elif self.options.now and self.options.now - datetime.fromisoformat(found.started) < BOOTING:
            self.waits[key] = resource.address

    def _replacement(self, resource: Resource, found: Found) -> str:
        if found.type != resource.create["type"]:
            return f"is a {found.type}, infra.yml says {resource.create['type']}"
        if found.image not in (None, resource.image):
            return f"was made from {found.image}, infra.yml says {resource.image}"
        return ""

    def _profiles(self, project: str, fields: Any) -> dict[str, Fields]:
        return {k.name: fields(f) for k, f in self.observed.items() if k.kind == "profile" and k.project == project} | {
            k.name: resource.fields
            for k, resource in self.wanted.resources.items()
            if k.kind == "profile" and k.project == project and k not in self.observed
        }

    def _fields_after(self, found: Found) -> Fields:
        """What an object that is there will say once this plan is done."""
        if StepId("create", found.key) in self.steps:  # it is made anew
            return self.wanted.resources[found.key].fields
        step = self.steps.get(StepId("update", found.key))
        return _applied(found.fields, step.changes) if step else found.fields

    def _moved(self, before: Fields) -> str:
        """Its bridge's new subnet, into which Incus lets no running instance follow; "" when it stays."""
        for path, name in before.items():
            network = self.wanted.resources.get(Key("network", "default", name)) if path.endswith("/network") else None
            if network is None or not path.startswith("devices/"):
                continue
            subnet = network.fields["config/ipv4.address"]
            step = self.steps.get(StepId("update", network.key))
            address = before.get(f"{path.rpartition('/')[0]}/ipv4.address")
            if any(change.path == "config/ipv4.address" for change in (step.changes if step else ())) or (
                address and IPv4Address(address) not in IPv4Interface(subnet).network
            ):
                return f"{name} is now {subnet}"
        return ""

    def _snapshots_first(self) -> None:
        """A profile's or network's update reaches its instances: not before they are ready for it."""
        prepared = tuple(what for what in self.steps if what.action in ("snapshot", "stop"))
        for what in list(self.steps):
            if what.action == "update":
                self._also_needs(what, tuple(p for p in prepared if what.key.kind != "instance" or p.key == what.key))

    def _addresses_change_hands(self) -> None:
        """Incus refuses an address that another instance still has: that one lets go of it first."""
        holders = {
            value: found.key
            for found in self.observed.values()
            for path, value in found.fields.items()
            if found.key.kind == "instance" and _is_address(path)
        }
        for what, step in list(self.steps.items()):
            for change in step.changes:
                holder = holders.get(change.after) if _is_address(change.path) and what.action in CHANGING else None
                if holder is None or holder == what.key:
                    continue
                needs = self._existing("delete", holder)
                if self._existing("update", holder):
                    self._add(
                        "release",
                        holder,
                        [Change(change.path, change.after, None)],
                        needs=self._existing("stop", holder),
                    )
                    needs = self._existing("release", holder)
                    self._also_needs(StepId("update", holder), needs)
                self._also_needs(what, needs)

    def _published_twice(self) -> None:
        """Incus takes two devices for one port without a word, and the older one has it."""
        doors = self.wanted.published
        if not doors:
            return
        ours = {(Key("instance", one.domain, one.machine), one.device) for one in doors}
        after = {key: resource.fields for key, resource in self.wanted.resources.items() if key not in self.observed}
        after |= {
            key: self._fields_after(found)
            for key, found in self.observed.items()
            if key.kind in ("instance", "profile") and not self._existing("delete", key)
        }
        others = [
            (key, path.split("/")[1], listen)
            for key, fields in after.items()
            for path, listen in fields.items()
            if path.startswith("devices/") and path.endswith("/listen")
        ]
        taken = [
            f"{one.where}: port {one.port} of {one.address} is taken by device {device} of {key}: remove that"
            f"{'' if key in self.wanted.resources else ' (PRUNE=1 if it is of an earlier infra.yml)'}, "
            f"or publish another port that leads to {one.to}"
            for key, device, listen in others
            if (key, device) not in ours
            for one in doors
            if takes(listen, one.protocol, one.address, one.port)
        ]
        if taken:
            raise IncusError(taken[0] if len(taken) == 1 else "\n".join(("nothing was changed:", *taken)))

    def _also_needs(self, what: StepId, needs: tuple[StepId, ...]) -> None:
        step = self.steps[what]
        self.steps[what] = replace(step, needs=(*step.needs, *needs))

    # ------------------------------------------------------------------ objects that it no longer names

    def _stale(self) -> None:
        stale = {
            found.key: found
            for found in self.observed.values()
            if found.key not in self.wanted.resources
            and is_ours(found, self.wanted, self.observed_whole)
            and not self.observed_whole.is_unknown(found.key)
            and not (self.down and found.key.kind in ("network", "acl"))
        }
        if not stale:
            return
        if not self.options.prune:
            shown = [key for key in stale if not key.comes_with_project]
            self.notes += [f"{key} is {self._where_now(key)}: prune=true (make: PRUNE=1) deletes it" for key in shown]
            return
        kept = self._kept(stale)
        order = order_of_deletion()
        for key in sorted(stale, key=lambda key: order.index(key.kind)):
            if key not in kept and not key.comes_with_project:
                self._delete(key)

    def _where_now(self, key: Key) -> str:
        """Where infra.yml has what it no longer has here; data do not go along by themselves."""
        there = self.wanted.elsewhere.get(key.project if KINDS[key.kind].home == "each" else key.name)
        if there is None:
            return "no longer in infra.yml"
        if not KINDS[key.kind].keeps_data:
            return f"on {there} in infra.yml now"
        return f"on {there} in infra.yml now, and anew there: what this one holds stays here ({TAKE_ALONG})"

    def _kept(self, stale: Mapping[Key, Found]) -> set[Key]:
        """What prune must leave: what is not confirmed, and all that something left still uses."""
        kept: set[Key] = set()
        for key in stale:
            if not KINDS[key.kind].keeps_data or self._may_delete(key, ephemeral=self._is_ephemeral(key)):
                continue
            kept.add(key)
            name, command = key.own_name, ""
            why = "may hold data"
            if key.kind == "instance":
                why, command = "not ephemeral", f" (make: CONFIRM={name})"
            self.notes.append(
                f"{key} is {self._where_now(key)} and {why}: confirm={name}{command} deletes it after an export"
            )
        for found in [one for one in self.observed.values() if one.key not in stale or one.key in kept]:
            kept |= {key for key in uses(found.key, self._fields_after(found), found.location) if key in stale}
            if self.observed_whole.is_unknown(found.key):  # it may use any
                kept |= {key for key in stale if key.kind == "profile" and key.project == found.key.project}
        for key in [key for key in stale if key.kind == "project"]:
            default = Key("profile", key.name, "default")
            inside = [one for one in self.observed if one.project == key.name and one != default]
            strangers = [one for one in inside if one not in stale or one in kept]
            if strangers:
                kept |= {key, default}
                foreign = [
                    str(one) for one in strangers if one not in stale and not self.observed_whole.is_unknown(one)
                ]
                if foreign:
                    self.notes.append(f"{key} is kept: it holds {', '.join(foreign)}, which infra.yml did not make")
        for kind in order_of_deletion():
            for key in [key for key in kept if key.kind == kind]:
                kept |= {used for used in uses(key, stale[key].fields, stale[key].location) if used in stale}
        return kept

    def _may_delete(self, key: Key, *, ephemeral: bool) -> bool:
        return ephemeral or self.options.confirm_all or key.own_name in self.options.confirm

    def _is_ephemeral(self, key: Key) -> bool:
        """Whether it, or every instance that uses it, is; what no instance uses may hold somebody's data."""
        if key.kind == "instance":
            return _is_ephemeral(self.observed[key])
        users = [
            one
            for one in self.observed.values()
            if one.key.kind == "instance" and key in uses(one.key, one.fields, one.location)
        ]
        return bool(users) and all(map(_is_ephemeral, users))

    def _delete(self, key: Key, reason: str = "", *, ephemeral: bool | None = None) -> StepId:
        """Users go, or let go, before what they use; a project goes after all in it."""
        exported = KINDS[key.kind].keeps_data and self.options.backup
        if exported and not (self._is_ephemeral(key) if ephemeral is None else ephemeral):
            self._add("export", key)
        users = KINDS[key.kind].used_by
        others = [
            what
            for what in (self.steps if users else ())
            if what.action in ("update", "delete", "export")
            and what.key.kind in users
            and (key.project in ("", "default") or what.key.project == key.project)
        ]
        needs = (*self._existing("export", key), *others)
        self._add("delete", key, _removal(self.observed[key]), reason=reason, needs=needs)
        return StepId("delete", key)

    # ------------------------------------------------------------------ steps

    def _add(
        self,
        action: Action,
        key: Key,
        changes: Iterable[Change] = (),
        resource: Resource | None = None,
        *,
        reason: str = "",
        needs: tuple[StepId, ...] = (),
    ) -> None:
        what = StepId(action, key)
        self.steps[what] = Step(what, tuple(changes), resource, reason, needs)

    def _after(self, keys: Iterable[Key]) -> tuple[StepId, ...]:
        return tuple(what for key in keys for action in CHANGING for what in self._existing(action, key))

    def _existing(self, action: Action, key: Key) -> tuple[StepId, ...]:
        what = StepId(action, key)
        return (what,) if what in self.steps else ()


def _changes(resource: Resource, found: Found) -> tuple[Change, ...]:
    changes = [
        Change(path, found.fields.get(path), value)
        for path, value in resource.fields.items()
        if found.fields.get(path) != value
    ]
    named = {path.rpartition("/")[0] for path in resource.fields if path.startswith("devices/")}
    for path in sorted(found.set_by_us - set(resource.fields)):
        if path in found.fields and path not in MARKS:
            changes.append(Change(path, found.fields[path], None))
            device = path.rpartition("/")[0]
            if path == f"{device}/type" and device not in named:
                # the device as a whole: without its type nothing is left of it
                rest = [
                    other for other in found.fields if other.startswith(f"{device}/") and other not in found.set_by_us
                ]
                changes += [Change(other, found.fields[other], None) for other in rest]
    return tuple(changes)


def _applied(fields: Fields, changes: Iterable[Change]) -> dict[str, Any]:
    after = dict(fields)
    for change in changes:
        if change.after is None:
            after.pop(change.path, None)
        else:
            after[change.path] = change.after
    return after


def _is_address(path: str) -> bool:
    return path.startswith("devices/") and path.endswith("/ipv4.address")


def _is_ephemeral(found: Found) -> bool:
    return found.fields.get("config/security.protection.delete") == "false"


def _removal(found: Found) -> Iterator[Change]:
    for path, value in found.fields.items():
        if not path.startswith(("config/volatile.", "config/image.")):
            yield Change(path, value, None)


def _ordered(steps: Mapping[StepId, Step]) -> tuple[Step, ...]:
    """The steps, each after all that it needs."""
    done: dict[StepId, Step] = {}

    def visit(what: StepId) -> None:
        if what in steps and what not in done:
            for need in steps[what].needs:
                visit(need)
            done[what] = steps[what]

    for what in steps:
        visit(what)
    return tuple(done.values())


def _shown(changes: Iterable[Change]) -> Iterator[Change]:
    return (change for change in changes if change.path not in MARKS)


def _text(fields: Iterable[tuple[str, Any]]) -> str:
    lines = []
    for path, value in fields:
        if value is None or path == KEYS_MARK:
            continue
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for rule in value:
                lines.append(f"{path}: " + " ".join(f"{k}={v}" for k, v in sorted(rule.items())))
        else:
            lines.append(f"{path}: {', '.join(value) if isinstance(value, list) else value}")
    return "".join(f"{line}\n" for line in lines)
