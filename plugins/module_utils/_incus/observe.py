# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Incus holds now, read with one list request per kind of object."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ansible_collections.anklume.stt.plugins.module_utils._incus.client import Client, path_of
from ansible_collections.anklume.stt.plugins.module_utils._incus.desired import (
    IMAGE_MARK,
    KEYS_MARK,
    PROJECT_MARK,
    Fields,
    Key,
    flatten,
    project_key,
)
from ansible_collections.anklume.stt.plugins.module_utils._incus.host import Host, read_host


@dataclass(frozen=True)
class Found:
    """One object that is there, ours or not."""

    key: Key
    fields: Fields = field(default_factory=dict)
    status: str = ""
    """Of an instance: Running, Stopped, Frozen, Error."""
    type: str = ""
    """Of an instance: container or virtual-machine; of a network: bridge …, "" when Incus does not manage it."""
    started: str = ""
    """Of an instance: when it was last started (ISO 8601)."""

    @property
    def owner(self) -> str | None:
        """The project_name of the infra.yml that it belongs to."""
        return self.fields.get(PROJECT_MARK)

    @property
    def set_by_us(self) -> frozenset[str]:
        """The fields that an earlier apply set."""
        return frozenset(json.loads(self.fields.get(KEYS_MARK, "[]")))

    @property
    def image(self) -> str | None:
        """What an instance was made from, in the words of infra.yml; None when we did not make it."""
        return self.fields.get(f"config/{IMAGE_MARK}")


@dataclass(frozen=True)
class Observed:
    """All objects of the server by key."""

    found: Mapping[Key, Found] = field(default_factory=dict)
    busy: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Background operations that are under way: (path, the Incus projects they work in)."""


def observe(client: Client) -> tuple[Observed, Host]:
    """Read everything that a plan compares."""
    server = client.get(path_of())
    networks = client.get(path_of("networks"), recursion="1")
    pools = client.get(path_of("storage-pools"), recursion="1")
    everywhere = {"recursion": "1", "all_projects": "true"}
    found: list[Found] = []
    for body in client.get(path_of("projects"), recursion="1"):
        found.append(Found(project_key(body["name"]), flatten(body)))
    for body in client.get(path_of("network-acls"), recursion="1"):
        found.append(Found(Key("acl", "default", body["name"]), flatten(body)))
    for body in networks:
        kind = body["type"] if body["managed"] else ""
        found.append(Found(Key("network", "default", body["name"]), flatten(body), type=kind))
    for body in client.get(path_of("profiles"), **everywhere):
        found.append(Found(Key("profile", body["project"], body["name"]), flatten(body)))
    for pool in pools:
        for body in client.get(path_of("storage-pools", pool["name"], "volumes", "custom"), **everywhere):
            key = Key("volume", body["project"], f"{pool['name']}/{body['name']}")
            found.append(Found(key, flatten(body)))
    for body in client.get(path_of("instances"), **everywhere):
        found.append(instance(body))
    operations = client.get(path_of("operations"), **everywhere)
    busy = tuple(
        (path_of("operations", operation["id"]), _projects(operation))
        for operation in operations.get("running", [])
        if operation["class"] == "task"
    )
    return Observed({one.key: one for one in found}, busy), read_host(client, server, networks, pools)


def instance(body: Mapping[str, Any]) -> Found:
    """One instance of a list or by itself."""
    return Found(
        Key("instance", body["project"], body["name"]),
        flatten(body),
        status=body["status"],
        type=body["type"],
        started=body["last_used_at"],
    )


def existing_folders(paths: Collection[str]) -> frozenset[Key]:
    """Which of the host's folders are there."""
    return frozenset(Key("folder", "", path) for path in paths if Path(path).is_dir())


def _projects(operation: Mapping[str, Any]) -> tuple[str, ...]:
    urls = [url for some in (operation.get("resources") or {}).values() for url in some]
    return tuple({parse_qs(urlsplit(url).query).get("project", ["default"])[0] for url in urls})
