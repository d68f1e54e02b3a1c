# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold in a whole model: one place for each mount, one owner for each volume, one GPU, roles that exist.

Each rule is a function of the model and of the places where it was said, and yields what there is to say.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

from ansible_collections.anklume.stt.plugins.module_utils._infra.diagnostic import Diagnostic, nearest
from ansible_collections.anklume.stt.plugins.module_utils._infra.disks import machine_disks
from ansible_collections.anklume.stt.plugins.module_utils._infra.incus_values import incus_values
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Domain, Machine, Model, is_member
from ansible_collections.anklume.stt.plugins.module_utils._infra.places import Path, Places
from ansible_collections.anklume.stt.plugins.module_utils._infra.remotes import REMOTE_RULES
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import COLLECTION, MACHINE_ROLES


def gpus(model: Model, places: Places) -> Iterator[Diagnostic]:
    """`gpu_policy`, counting every way in which a machine gets the GPU."""
    said: Path = ("global", "gpu_policy")
    if places.has(said) and places.node(said).value != model.gpu_policy:
        return
    for remote in dict.fromkeys(domain.remote for domain in model.domains):
        users = [
            (machine, (*_place(machine), how))
            for domain in model.domains
            for machine in domain.machines
            if domain.remote == remote and (how := _gpu_by(domain, machine))
        ]
        # in a cluster each member has its own; where Incus chooses the member, it may be any
        members = dict.fromkeys(one.target for one, _path in users if is_member(one.target))
        for member in members or [""]:
            here = [(one.name, path) for one, path in users if one.target == member or not is_member(one.target)]
            yield from _gpus_of(here, model.gpu_policy, places)


def _gpus_of(users: list[tuple[str, Path]], policy: str, places: Places) -> Iterator[Diagnostic]:
    """Those of one machine that Incus runs on."""
    if len(users) < 2:
        return
    names = ", ".join(name for name, _path in users)
    if policy == "shared":
        message = f"{len(users)} machines share the GPU ({names}): their memory is not kept apart"
        yield places.told("warning", users[1][1], message)
        return
    message = f"{len(users)} machines have the GPU ({names}), and gpu_policy is exclusive"
    hint = "take the GPU from all but one, or set global.gpu_policy: shared"
    yield places.told("error", users[1][1], message, hint)


def _gpu_by(domain: Domain, machine: Machine) -> str:
    """The key that gives a machine the GPU."""
    if machine.gpu:
        return "gpu"
    if _has_gpu(machine.devices):
        return "devices"
    giving = any(profile.name in machine.profiles and _has_gpu(profile.devices) for profile in domain.profiles)
    return "profiles" if giving else ""


def _has_gpu(devices: Mapping[str, Mapping[str, str]]) -> bool:
    return any(device.get("type") == "gpu" for device in devices.values())


def named_twice(model: Model, places: Places) -> Iterator[Diagnostic]:
    """Incus refuses a profile that is there twice; a role would run twice."""
    for machine in model.machines:
        for kind, names in (("profile", machine.profiles), ("role", machine.roles)):
            if len(set(names)) < len(names):
                for index, _name in places.whole_list((*_place(machine), f"{kind}s"), list(names)):
                    if names[index] in names[:index]:
                        path = (*_place(machine), f"{kind}s", index)
                        message = f"{kind} {names[index]} is already in this list"
                        yield places.told("error" if kind == "profile" else "warning", path, message, "keep one")


def volume_owners(model: Model, places: Places) -> Iterator[Diagnostic]:
    """A volume is its machine's own: a second machine that names it would write to the same data."""
    hint = "give each machine a volume of its own name; a folder for several is in shared_volumes"
    for domain in model.domains:
        owners: dict[str, list[tuple[Path, str, str]]] = {}
        for machine in domain.machines:
            for volume in machine.storage_volumes:
                path = (*_place(machine), "storage_volumes", volume.name)
                others = owners.setdefault(volume.name, [])
                same = [(place, name) for place, name, pool in others if pool == volume.pool]
                perhaps = [(place, name, pool) for place, name, pool in others if not pool or not volume.pool]
                if same:
                    place, name = same[0]
                    message = f"{name} names this volume too, {places.at(path, place)}: both would write to it"
                    yield places.told("error", path, message, hint, on_key=True)
                elif perhaps:
                    place, name, pool = perhaps[0]
                    where = f"where the machines' root disks are in pool {volume.pool or pool}"
                    message = f"is the volume of {name}, {places.at(path, place)}, {where}"
                    yield places.told("warning", path, message, hint, on_key=True)
                others.append((path, machine.name, volume.pool))


def published_names(model: Model, places: Places) -> Iterator[Diagnostic]:
    """`publish_name`: a name that no other machine has, for something that is published."""
    owners: dict[str, Machine] = {}
    for machine in model.machines:
        path = (*_place(machine), "publish_name")
        if not machine.publish_name:
            continue
        if not machine.publish and not places.has((*_place(machine), "publish", 0)):
            message = f"machine {machine.name} publishes nothing under that name"
            yield places.told("error", path, message, "add publish, like [443]", on_key=True)
        other = owners.setdefault(machine.publish_name, machine)
        if other is not machine:
            at = places.at(path, (*_place(other), "publish_name"))
            message = f"{machine.publish_name}.local already leads to machine {other.name}: {at}"
            yield places.told("error", path, message)


def mounts(model: Model, places: Places) -> Iterator[Diagnostic]:
    """Two things cannot be at one place of a machine, nor two devices have one name."""
    for domain in model.domains:
        profiles = {profile.name: profile.devices for profile in domain.profiles}
        for machine in domain.machines:
            yield from _mounts_of(model, domain, machine, profiles, places)


def _mounts_of(
    model: Model, domain: Domain, machine: Machine, profiles: Mapping[str, Mapping[str, Mapping[str, str]]], at: Places
) -> Iterator[Diagnostic]:
    here = _place(machine)
    inherited: dict[str, str] = {}
    for profile in machine.profiles:
        for device, keys in profiles.get(profile, {}).items():
            inherited.pop(device, None)
            if keys.get("type") == "disk" and "path" in keys and device not in machine.devices:
                inherited[device] = keys["path"]
    disks = list(machine_disks(model, domain, machine))
    if not (machine.devices or disks or inherited):
        return
    own: list[tuple[str, str, str, Path]] = []
    for device, keys in machine.devices.items():
        if keys.get("type") == "disk" and "path" in keys:
            own.append((device, keys["path"], f"device {device}", (*here, "devices", device, "path")))
    for one in disks:
        own.append((one.device, one.path, one.what, (*one.place, "path")))
    for device, path in inherited.items():
        own.append((device, path, f"device {device} of a profile", (*here, "profiles")))
    yield from _root_of(machine, profiles, at)
    own.sort(key=lambda entry: entry[3][0] == "shared_volumes")  # told where they are said, after the machine's own
    yield from _one_place_each(machine, own, at)
    taken = {"root", "eth0", *machine.devices} | ({"gpu"} if machine.gpu else set())
    for one in disks:
        if one.device in taken:
            message = f"machine {machine.name} has a device {one.device}, the name this needs: {one.what}"
            yield at.told("error", one.place, message, "rename one of the two", on_key=True)
        taken.add(one.device)


def _root_of(
    machine: Machine, profiles: Mapping[str, Mapping[str, Mapping[str, str]]], at: Places
) -> Iterator[Diagnostic]:
    """A device root that is something else would take the root disk away."""
    here = _place(machine)
    said: list[tuple[Path, Mapping[str, str]]] = [((*here, "devices", "root"), machine.devices.get("root", {}))]
    if not said[0][1]:
        inherited = [profiles.get(profile, {}).get("root", {}) for profile in machine.profiles]
        said = [((*here, "profiles"), keys) for keys in inherited if keys][-1:]
    for path, keys in said:
        if keys and (keys.get("type") != "disk" or _normal(keys.get("path", "")) != "/" or "path" not in keys):
            message = f"device root takes the place of the root disk of {machine.name}, and is none"
            yield at.told("error", path, message, "give it another name, or path: /", on_key=True)


def _one_place_each(machine: Machine, entries: list[tuple[str, str, str, Path]], at: Places) -> Iterator[Diagnostic]:
    filled: dict[str, str] = {}
    roots = [device for device, path, _what, _where in entries if _normal(path) == "/"]
    if "default" in machine.profiles or not roots:
        filled["/"] = "the root disk (device root)"
    for device, path, what, where in entries:
        place = _normal(path)
        if place == "/" and device == "root":
            filled["/"] = what
            continue
        if place == "/" and not what.startswith("device "):
            message = f"/ is the root of {machine.name} itself"
            yield at.told("error", where, message, "mount it at a folder of its own")
            continue
        other = filled.setdefault(place, what)
        if other != what:
            yield at.told("error", where, f"{place} of {machine.name} is already the place of {other}")


def _normal(path: str) -> str:
    return posixpath.normpath("/" + path.lstrip("/"))


def unknown_roles(model: Model, places: Places, own: frozenset[str]) -> Iterator[Diagnostic]:
    """Roles that are neither ours nor found in the project: a note, once per role."""
    seen: set[str] = set()
    for machine in model.machines:
        for index, role in enumerate(machine.roles):
            if role in seen or role in MACHINE_ROLES or role in own:
                continue
            seen.add(role)
            path = (*_place(machine), "roles", index)
            name = role.removeprefix(COLLECTION)
            if name != role and name not in MACHINE_ROLES:
                message = f'this collection has no role "{name}" for machines'
                yield places.told("error", path, message, "it has " + ", ".join(MACHINE_ROLES))
            elif "." not in role:
                near = nearest(role, (*MACHINE_ROLES, *own))
                hints = [f"did you mean {near}?"] if near else []
                message = f'role "{role}" is not of this collection and not in roles/, roles_custom/ or roles_vendor/'
                yield places.told("note", path, message, *hints, "apply will refuse it until it is there")


def _place(machine: Machine) -> Path:
    return ("domains", machine.domain, "machines", machine.name)


RULES = (*REMOTE_RULES, gpus, named_twice, volume_owners, mounts, published_names, incus_values)
