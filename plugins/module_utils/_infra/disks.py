# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine gets mounted beside its own devices, in one place for the checks, host_vars and Incus. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Domain, Machine, Model

TRUE = frozenset({"true", "1", "yes", "on"})
"""How Incus reads that something is switched on."""


@dataclass(frozen=True)
class Disk:
    """A disk device: a volume of a pool, or a folder of the host."""

    device: str
    what: str
    """In words, for messages."""
    place: tuple[str, ...]
    """Its entry in infra.yml."""
    source: str
    path: str
    shift: bool = False
    readonly: bool = False
    is_folder: bool = True

    def keys(self) -> dict[str, str]:
        """The device as Incus has it; a volume still needs its pool."""
        keys = {"type": "disk", "source": self.source, "path": self.path}
        if self.shift:
            keys["shift"] = "true"
        if self.readonly:
            keys["readonly"] = "true"
        return keys


def machine_disks(model: Model, domain: Domain, machine: Machine) -> Iterator[Disk]:
    """Storage volumes, persistent data, and the shared volumes that it consumes or that are propagated to it."""
    here = ("domains", domain.name, "machines", machine.name)
    for volume in machine.storage_volumes:
        what, place = f"storage volume {volume.name}", (*here, "storage_volumes", volume.name)
        yield Disk(volume.name, what, place, volume.name, volume.path, is_folder=False)
    for data in machine.persistent_data:
        what, place = f"persistent data {data.name}", (*here, "persistent_data", data.name)
        yield Disk(f"pd-{data.name}", what, place, data.source, data.path, shift=True, readonly=data.readonly)
    yield from _shared(model, domain, machine)


def _shared(model: Model, domain: Domain, machine: Machine) -> Iterator[Disk]:
    """The shared volumes of a machine; with `propagate`, one in which others run has them read-only."""
    nests = any(one.propagate for one in model.shared_volumes) and _nests(domain, machine)
    for volume in model.shared_volumes:
        access = volume.consumers.get(machine.name, "ro" if volume.propagate and nests else None)
        if access:
            what, place = f"shared volume {volume.name}", ("shared_volumes", volume.name)
            readonly = access == "ro"
            yield Disk(f"sv-{volume.name}", what, place, volume.source, volume.path, volume.shift, readonly=readonly)


def _nests(domain: Domain, machine: Machine) -> bool:
    """Whether instances can run inside; what the machine itself says wins over its profiles, the last of them first."""
    profiles = {profile.name: profile.config for profile in domain.profiles}
    configs = [machine.config, *(profiles.get(name, {}) for name in reversed(machine.profiles))]
    said = next((config["security.nesting"] for config in configs if "security.nesting" in config), "false")
    return said.lower() in TRUE
