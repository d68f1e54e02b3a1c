# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container of an old server: what `docker inspect` says of it, and the commands that bring it elsewhere. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error

Command = tuple[str, ...]


@dataclass(frozen=True)
class Container:
    """As it is."""

    name: str
    running: bool
    restart: str
    """Its restart policy, as `docker update` takes it."""
    project: str
    """The project of Compose that it is of, if any."""
    host: str = "127.0.0.1"
    """Where it is asked on its own host: the first address that it publishes a port on alone, if there is one."""


def inspected(text: str) -> Container:
    """Of what `docker inspect` prints of one container."""
    try:
        (found,) = json.loads(text)
        policy = found["HostConfig"].get("RestartPolicy") or {}
        name, most = policy.get("Name") or "no", policy.get("MaximumRetryCount") or 0
        labels = found["Config"].get("Labels") or {}
        bindings = (found["HostConfig"].get("PortBindings") or {}).values()
        hosts = [one.get("HostIp") or "" for bound in bindings for one in bound or []]
        return Container(
            found["Name"].removeprefix("/"),
            bool(found["State"]["Running"]),
            f"{name}:{most}" if name == "on-failure" and most else name,
            labels.get("com.docker.compose.project", ""),
            next((host for host in hosts if host not in ("", "0.0.0.0", "::")), "127.0.0.1"),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Error("docker inspect says something else than of a container") from error


def commands(container: Container | None, state: str, restart: str, patience: int) -> Iterator[Command]:
    """What is to be run, in order, so that the container is as wanted; None is one that is not there."""
    if container is None:
        if state != "removed":
            raise Error("the container of the old server is gone")
        return
    name = container.name
    # else Docker starts it again when it itself is started
    wanted = "no" if state == "stopped" else restart
    if state in ("stopped", "started") and wanted and container.restart != wanted:
        yield "docker", "update", f"--restart={wanted}", name
    if state == "stopped" and container.running:
        # what it has begun it may end
        yield "docker", "stop", "--time", str(patience), name
    elif state == "started" and not container.running:
        yield "docker", "start", name
    elif state == "removed":
        if container.running:
            raise Error(f"{name} runs: it is removed only once it is stopped")
        yield "docker", "rm", name
