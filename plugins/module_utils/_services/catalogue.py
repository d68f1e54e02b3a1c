# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service is: one record each, for whoever has to know a service's name, place, port or neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

COLLECTION = "anklume.stt."


@dataclass(frozen=True)
class Service:
    """One service of this collection."""

    role: str
    unit: str
    """The systemd unit, and the user that it runs as."""
    port_variable: str
    port: int
    """What the variable is when nobody sets it."""
    port_in_address: bool = False
    """Whether the variable holds an address that ends in the port."""
    url_variable: str = ""
    """The variable that sync writes with its address, for whoever talks to it; a later record's goes before."""
    url_path: str = ""
    url_of_several: bool = False
    """Whether that variable names all machines that have it, separated by semicolons, and not only a single one."""
    talks_to: tuple[str, ...] = ()
    """Roles of the services that must be there before it."""
    gpu: bool = False
    """Whether it may use the GPU."""
    login: bool = False
    """Whether it asks everybody who they are."""
    key_variable: str = ""
    """The variable that holds the key it asks for, where it can ask for one."""
    key_made: bool = False
    """Whether that variable may be "auto", for a key that the role makes."""
    folder: str = ""
    """The name of its folder in /opt, where it is not the unit's."""
    goes: bool = False
    """Whether apply takes it away where infra.yml no longer gives its role: it holds nothing of anybody's."""
    packaged: bool = False
    """Whether it comes out of the distribution's packages; then it has no releases."""
    enabled_variable: str = ""
    """The variable that turns it off, where it is not the role's name with _enabled."""
    health: str = ""
    """What is asked of it over HTTP, without a key, to see whether it serves; empty: only whether its port is open."""

    @property
    def home(self) -> str:
        """Where its releases lie, each in a folder of its own; `current` points to the one that serves."""
        return f"/opt/{self.folder or self.unit}"

    @property
    def data(self) -> str:
        """What outlives a release."""
        return f"/var/lib/{self.unit}"

    def is_enabled(self, machine: Mapping[str, Any]) -> bool:
        """Whether it runs on a machine that has its role, by the machine's variables."""
        return bool(machine.get(self.enabled_variable or f"{self.role}_enabled", True))

    def is_local(self, machine: Mapping[str, Any]) -> bool:
        """Whether it listens to its own machine alone, by the machine's variables."""
        given = str(machine.get(self.port_variable if self.port_in_address else f"{self.role}_host") or "")
        host = given.rpartition(":")[0] if self.port_in_address else given
        return host.startswith("127.") or host in ("localhost", "::1", "[::1]")

    def port_on(self, machine: Mapping[str, Any]) -> int:
        """Its port on a machine, by the machine's variables."""
        given = str(machine.get(self.port_variable) or self.port)
        return int(given.rpartition(":")[2] if self.port_in_address else given)

    @property
    def port_expression(self) -> str:
        """The port, as an expression over the variables of its machine."""
        if self.port_in_address:
            return f"{self.port_variable} | default(':{self.port}') | split(':') | last"
        return f"{self.port_variable} | default({self.port})"


SERVICES = (
    Service(
        role="stt_server",
        unit="speaches",
        port_variable="stt_server_port",
        port=8000,
        url_variable="infra_stt_url",
        url_path="/v1",
        gpu=True,
        key_variable="stt_server_api_key",
        key_made=True,
        folder="stt-server",
        health="/health",
    ),
    Service(
        role="stt_balancer",
        unit="stt-balancer",
        port_variable="stt_balancer_port",
        port=8000,
        url_variable="infra_stt_url",
        url_path="/v1",
        talks_to=("stt_server",),
        key_variable="stt_balancer_api_key",
        goes=True,
        health="/health",
    ),
    Service(
        role="ollama_server",
        unit="ollama",
        port_variable="ollama_host",
        port=11434,
        port_in_address=True,
        url_variable="infra_ollama_url",
        url_of_several=True,
        gpu=True,
        enabled_variable="ollama_service_enabled",
        health="/api/version",
    ),
    Service(
        role="open_webui",
        unit="open-webui",
        port_variable="open_webui_port",
        port=3000,
        talks_to=("ollama_server", "stt_server", "stt_balancer"),
        login=True,
        health="/health",
    ),
    Service(
        role="wyoming",
        unit="wyoming",
        port_variable="wyoming_port",
        port=10300,
        talks_to=("stt_server", "stt_balancer"),
    ),
    Service(
        role="edge_tts",
        unit="edge-tts",
        port_variable="edge_tts_port",
        port=3002,
        url_variable="infra_edge_tts_url",
        url_path="/v1",
        key_variable="edge_tts_api_key",
        health="/health",
    ),
    Service(
        role="monitoring",
        unit="prometheus",
        port_variable="monitoring_port",
        port=9090,
        url_variable="infra_prometheus_url",
        talks_to=("stt_server", "stt_balancer"),
        packaged=True,
    ),
)
BY_ROLE = {service.role: service for service in SERVICES}

MACHINE_ROLES = tuple(sorted({"base_system", *BY_ROLE}))
"""The roles of this collection that a machine can have."""


def stage(role: str) -> int:
    """After how many others, one behind the other, a role's turn comes: 0 for all that talk to no service."""
    service = BY_ROLE.get(role.removeprefix(COLLECTION))
    return 1 + max(map(stage, service.talks_to)) if service and service.talks_to else 0


STAGES = 1 + max(stage(service.role) for service in SERVICES)


def roles_of_stage(roles: Iterable[str], wanted: int) -> list[str]:
    """The roles of one machine whose turn comes in a stage; a role never comes before one that stands before it."""
    chosen, reached = [], 0
    for role in roles:
        reached = max(reached, stage(role))
        if reached == wanted:
            chosen.append(role)
    return chosen


def machines_of_stage(groups: Mapping[str, Iterable[str]], wanted: int) -> list[str]:
    """The machines with a service whose turn comes in a stage, by the groups of the inventory."""
    found = (groups.get(f"role_{role}", ()) for role in BY_ROLE if stage(role) == wanted)
    return list(dict.fromkeys(name for names in found for name in names))


def services_left(machines: Iterable[str], hostvars: Mapping[str, Any]) -> dict[str, list[str]]:
    """By machine the roles whose service is still there, and which infra.yml no longer gives.

    What is there says `__python`, the look with which an apply begins; a machine without `instance_roles` is of no
    infra.yml.
    """
    found = {}
    for name in machines:
        units = (hostvars[name].get("__python") or {}).get("stdout_lines") or ()
        there = [one.role for one in SERVICES if one.goes and f"{one.unit}.service" in units]
        if there and (roles := hostvars[name].get("instance_roles")) is not None:
            given = {role.removeprefix(COLLECTION) for role in roles}
            # a role of the user's own may have brought it in this very run
            found[name] = [role for role in there if role not in given and f"__{role}_look" not in hostvars[name]]
    return {name: roles for name, roles in found.items() if roles}


def command_on(machine: Mapping[str, Any], command: str) -> str:
    """A line for the user's shell that runs a command on a machine: through Incus on an instance, else over SSH.

    `machine` holds the variables of the machine: inventory_hostname, and those that the connection goes by.
    """
    name = machine["inventory_hostname"]
    if "ansible_incus_host" in machine or "ansible_incus_project" in machine:
        instance, project = machine.get("ansible_incus_host", name), machine.get("ansible_incus_project", "default")
        remote = f"{machine['ansible_incus_remote']}:" if machine.get("ansible_incus_remote") else ""
        return f"incus exec {remote}{instance} --project {project} -- {command}"
    user, port = machine.get("ansible_user", ""), str(machine.get("ansible_port") or 22)
    way = f"ssh {'' if port == '22' else f'-p {port} '}{f'{user}@' if user else ''}{machine.get('ansible_host', name)}"
    return f"{way} {'sudo ' if user not in ('', 'root') else ''}{command}"


def logs(machine: Mapping[str, Any], unit: str) -> str:
    """How to read the last lines of a unit's log."""
    return command_on(machine, f"journalctl -u {unit} -n 50")


def units_of_roles(roles: Iterable[str]) -> list[str]:
    """The units of our services among these roles."""
    return [BY_ROLE[role].unit for role in roles if role in BY_ROLE]
