# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for the service of a host with Docker: its container in the place of a unit, and what mends it there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._doctor import beside_docker
from ansible_collections.anklume.stt.plugins.module_utils._doctor.rules import Evidence, Rule, prints, values
from ansible_collections.anklume.stt.plugins.module_utils._doctor.snapshot import Snapshot

ROLE = "stt_compose"
LOOP = 3
"""Restarts by Docker from which it is a loop, where the container is not well since."""

_SERVICE = "@ docker compose -f {compose}/compose.yaml"
COMMANDS = {
    "make apply": "make compose HOST={host}",
    "make apply-stt": "make compose HOST={host}",
    "make plan": 'make compose HOST={host} ARGS="--check --diff"',
    "@ journalctl -u {unit} -n 50": f"{_SERVICE} logs --tail 50",
    "@ journalctl -u speaches -n 50": f"{_SERVICE} logs --tail 50",
    "@ systemctl enable --now {unit}": f"{_SERVICE} up -d",
    "@ systemctl show {unit} -p MemoryMax -p MemoryPeak": f"{_SERVICE} stats --no-stream",
    "@ systemctl status {pid}": "@ ss -ltnp",
    # in the container; make compose fetches it anew
    "@ rm -r {folder}": "",
}
"""What a command of a fix is on such a host; empty, there is nothing to be done."""


def folder(machine: Mapping[str, Any]) -> str:
    """Where the service lies on a host with Docker, by its variables; empty where there is to be none."""
    there = ROLE in machine.get("group_names", ()) and machine.get("stt_server_enabled", True)
    return str(machine.get("stt_compose_folder") or "/opt/stt-compose") if there else ""


def in_docker(commands: tuple[str, ...]) -> tuple[str, ...]:
    """The commands of a fix as they are on a host with Docker."""
    return tuple(dict.fromkeys(filter(None, (COMMANDS.get(command, command) for command in commands))))


def _containers(snapshot: Snapshot) -> Iterator[tuple[str, dict[str, str]]]:
    said = snapshot.get("container")
    for one in values(said):
        if "State" in one:
            yield said.command, one


def _evidence(command: str, container: Mapping[str, str], *names: str) -> Evidence:
    return Evidence(command, ", ".join(f"{name}={container[name]}" for name in names if container.get(name)))


def stopped(snapshot: Snapshot) -> Iterator[Evidence]:
    """Docker starts one anew that ends by itself; this one was stopped, or was never started."""
    said = snapshot.get("container")
    if not (said.skipped or said.status or said.text.strip()):
        yield Evidence(said.command, "there is no container")
    for command, one in _containers(snapshot):
        ended = one["State"] in ("created", "exited", "paused")
        if ended and not one.get("Error") and one.get("OOMKilled") != "true":
            yield _evidence(command, one, "State", "ExitCode")


def loops(snapshot: Snapshot) -> Iterator[Evidence]:
    """One that Docker starts again and again."""
    for command, one in _containers(snapshot):
        again = int(one.get("Restarts") or 0) >= LOOP and one.get("Health") != "healthy"
        if one["State"] == "restarting" or (one["State"] == "running" and again):
            yield _evidence(command, one, "State", "Health", "Restarts", "ExitCode")


def killed(snapshot: Snapshot) -> Iterator[Evidence]:
    """By its own limit, or as the host had no memory left."""
    for command, one in _containers(snapshot):
        well = one["State"] == "running" and one.get("Health") == "healthy"
        if one.get("OOMKilled") == "true" and not well:
            yield _evidence(command, one, "State", "OOMKilled", "ExitCode", "Restarts")


not_written = prints(r"compose\.yaml: no such file or directory", "container")


def _unwell(snapshot: Snapshot) -> Iterator[Evidence]:
    for command, one in _containers(snapshot):
        if one["State"] == "running" and one.get("Health") == "unhealthy":
            yield _evidence(command, one, "State", "Health")


def _cut(snapshot: Snapshot) -> Iterator[Evidence]:
    """Of another host than this one, whose firewall is looked at as the Incus host's."""
    said, links = snapshot.get("nft"), snapshot.get("addresses")
    here = snapshot.machine.get("ansible_connection") == "local"
    if here or said.skipped or said.status or links.skipped or links.status:
        return
    for bridge in beside_docker.cut(said.text, links.text):
        yield Evidence(said.command, f"no chain of Docker's accepts {bridge}", {"bridge": bridge})


RULES = (
    Rule(
        code="SVC-12",
        title="a container runs and does no work",
        cause="Its health check asks it for its models, and gets no answer, or one without the model that is meant by"
        " default. The last lines of its log say why.",
        fix=(f"{_SERVICE} logs --tail 50", f"{_SERVICE} up -d --wait --force-recreate"),
        look=_unwell,
        hides=("HOP-*",),
    ),
    Rule(
        code="SVC-13",
        title="Docker does not answer",
        cause="Its daemon does not run, or not for this user.",
        fix=("@ systemctl enable --now docker", "@ journalctl -u docker -n 50"),
        look=prints(r"(?i)cannot connect to the Docker daemon|permission denied .*docker", "container"),
        hides=("SVC-0*", "SVC-1*", "HOP-*", "CFG-05"),
    ),
    Rule(
        code="NET-12",
        title="Docker cuts the instances of Incus on this host",
        cause="As NET-03, on a host with Docker that has bridges of Incus too: Docker sets the policy of the chain"
        " forward to drop.",
        fix=tuple(f"@ {command}" for command in beside_docker.CUT.fix),
        look=_cut,
    ),
)
