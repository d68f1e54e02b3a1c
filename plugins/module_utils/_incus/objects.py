# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of Incus: their keys and fields, and a table of what is to be known of each kind. Pure.

A new kind is an entry in :data:`KINDS` and a function in `desired.py` that says which of its objects there should be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from ansible_collections.anklume.stt.plugins.module_utils._incus.client import path_of

PROJECT_MARK = "config/user.anklume.project"
"""Whose object this is: the `project_name` of an infra.yml."""

KEYS_MARK = "config/user.anklume.keys"
"""Which fields we set: those, and no others, are removed once infra.yml no longer names them."""

IMAGE_MARK = "user.anklume.image"
"""What an instance was made from, in the words of infra.yml."""

MARKS = (PROJECT_MARK, KEYS_MARK)

Fields = Mapping[str, Any]
"""Flat path → text, or a list (`profiles`, `ingress`, `egress`)."""


class Key(NamedTuple):
    """Which object: networks and ACLs live in project `default`, a volume's name is `pool/name`."""

    kind: str
    project: str
    name: str
    member: str = ""
    """Of a volume in a cluster: the member that it lies on. Another member may have another of that name."""

    def __str__(self) -> str:
        home = f" in {self.project}" if KINDS[self.kind].home == "each" else ""
        return f"{self.kind} {self.name}{home}{f' on {self.member}' if self.member else ''}"

    @property
    def own_name(self) -> str:
        """The name without the pool."""
        return self.name.rpartition("/")[2] if "*" in KINDS[self.kind].collection else self.name

    @property
    def comes_with_project(self) -> bool:
        """Whether Incus makes it with its project, and deletes it with it."""
        return self.name == KINDS[self.kind].built_in


@dataclass(frozen=True)
class Resource:
    """One object as it should be."""

    key: Key
    fields: Fields
    create: Fields = field(default_factory=dict)
    """What only its creation can say (project features, an instance's type and image)."""
    needs: tuple[Key, ...] = ()
    """What has to be there before it."""
    ephemeral: bool = False
    address: str | None = None
    """The IPv4 address that an instance will have; None where Incus may lease any, "" where that is not its affair."""
    target: str = ""
    """Where infra.yml wants an instance in a cluster: a member, or a group of them (`@group`)."""
    place: str = ""
    """Where it will be once the plan is done: a member, or as `target` says where Incus chooses."""

    @property
    def image(self) -> str:
        """What an instance is to be made from, in the words of infra.yml."""
        return str(self.create.get(f"config/{IMAGE_MARK}", ""))


def _nowhere(_fields: Fields) -> Iterator[str]:
    return iter(())


def _in_networks(fields: Fields) -> Iterator[str]:
    return (name.strip() for name in str(fields.get("config/security.acls", "")).split(","))


def _in_nics(fields: Fields) -> Iterator[str]:
    return (value for path, value in fields.items() if path.startswith("devices/") and path.endswith("/network"))


def _in_profile_lists(fields: Fields) -> Iterator[str]:
    return iter(fields.get("profiles", ()))


def _in_disks(fields: Fields) -> Iterator[str]:
    for path, pool in fields.items():
        if path.startswith("devices/") and path.endswith("/pool"):
            source = fields.get(f"{path.removesuffix('/pool')}/source", "")
            yield f"{pool}/{source}"


@dataclass(frozen=True)
class Kind:
    """What is to be known of a kind of object."""

    collection: tuple[str, ...]
    """The path of its list below /1.0, with * for the storage pool; empty for what is no object of Incus."""
    home: Literal["each", "default", ""]
    """The Incus project in which its objects are: each has its own, all in `default`, or outside of projects."""
    writable: tuple[str, ...] = ("config", "description")
    """What a PUT may say."""
    used_by: tuple[str, ...] = ()
    """Kinds whose objects use it: those go, or let go of it, before it goes."""
    named_in: Callable[[Fields], Iterable[str]] = _nowhere
    """The names of its objects that another object's fields say."""
    per_member: bool = False
    """In a cluster each of its objects lies on one member."""
    keeps_data: bool = False
    """It is exported before it is deleted, and deleted only if it is ephemeral or confirmed."""
    built_in: str = ""
    """The name of the one that comes and goes with its project."""

    def lists(self, pools: Iterable[str]) -> Iterator[tuple[str, str]]:
        """The paths of its lists, each with the storage pool where there is one for each."""
        if "*" in self.collection:
            for pool in pools:
                yield pool, path_of(*(pool if part == "*" else part for part in self.collection))
        elif self.collection:
            yield "", path_of(*self.collection)


KINDS: dict[str, Kind] = {
    "folder": Kind((), ""),
    "project": Kind(("projects",), "", used_by=("instance", "profile", "volume")),
    "acl": Kind(
        ("network-acls",),
        "default",
        writable=("config", "description", "ingress", "egress"),
        used_by=("network",),
        named_in=_in_networks,
    ),
    # a project takes its default profile, which uses the network, with it
    "network": Kind(("networks",), "default", used_by=("instance", "profile", "project"), named_in=_in_nics),
    "profile": Kind(
        ("profiles",),
        "each",
        writable=("config", "description", "devices"),
        used_by=("instance",),
        named_in=_in_profile_lists,
        built_in="default",
    ),
    "volume": Kind(
        ("storage-pools", "*", "volumes", "custom"),
        "each",
        used_by=("instance",),
        named_in=_in_disks,
        per_member=True,
        keeps_data=True,
    ),
    "instance": Kind(
        ("instances",),
        "each",
        writable=("architecture", "config", "description", "devices", "ephemeral", "profiles"),
        keeps_data=True,
    ),
}
"""Every kind, in the order in which a plan names what it makes."""


def order_of_deletion() -> list[str]:
    """The kinds, each after those that use it."""
    done: dict[str, None] = {}

    def visit(name: str) -> None:
        for user in KINDS[name].used_by:
            visit(user)
        done.setdefault(name)

    for name in reversed(KINDS):
        visit(name)
    return list(done)


def uses(key: Key, fields: Fields, member: str = "") -> Iterator[Key]:
    """What an object with these fields names, be it there or not; `member` is where in a cluster it is."""
    for name, kind in KINDS.items():
        project = key.project if kind.home == "each" else kind.home
        on = member if kind.per_member else ""
        yield from (Key(name, project, other, on) for other in kind.named_in(fields))


def url(key: Key) -> tuple[str, dict[str, str]]:
    """The path and the query of an object."""
    kind = KINDS[key.kind]
    [(_pool, path)] = kind.lists([key.name.partition("/")[0]])
    query = {"project": key.project} if kind.home else {}
    if key.member:
        query["target"] = key.member
    return f"{path}{path_of(key.own_name).removeprefix('/1.0')}", query


def project_key(name: str) -> Key:
    """The key of an Incus project."""
    return Key("project", "", name)


def flatten(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an API object or of a part of one."""
    flat: dict[str, Any] = {}
    for name in ("description", "profiles", "ingress", "egress"):
        if body.get(name) is not None:
            flat[name] = body[name]
    for key, value in (body.get("config") or {}).items():
        flat[f"config/{key}"] = value
    for device, keys in (body.get("devices") or {}).items():
        for key, value in keys.items():
            flat[f"devices/{device}/{key}"] = value
    return flat


def unflatten(fields: Fields) -> dict[str, Any]:
    """An API object from its fields; the opposite of `flatten`."""
    body: dict[str, Any] = {}
    for path, value in fields.items():
        head, _slash, rest = path.partition("/")
        if head == "config":
            body.setdefault("config", {})[rest] = value
        elif head == "devices":
            device, _slash, key = rest.partition("/")
            body.setdefault("devices", {}).setdefault(device, {})[key] = value
        else:
            body[path] = value
    return body
