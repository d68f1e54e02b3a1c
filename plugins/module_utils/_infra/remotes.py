# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold where machines are on several Incus servers, or on several members of a cluster.

A bridge ends at its machine, and so does a folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ansible_collections.anklume.stt.plugins.module_utils._infra.diagnostic import Diagnostic, nearest
from ansible_collections.anklume.stt.plugins.module_utils._infra.disks import machine_disks
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Domain, Endpoint, Model, is_member
from ansible_collections.anklume.stt.plugins.module_utils._infra.places import Path, Places
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import COLLECTION, SERVICES

Place = tuple[str, str]
"""A server, and the target there."""


def unknown_remotes(model: Model, places: Places) -> Iterator[Diagnostic]:
    """A domain can only be on a server that is there, and a server without a domain is forgotten."""
    known = list(places.names(("global", "remotes")))
    for domain in model.domains:
        if domain.remote and domain.remote not in known:
            near = nearest(domain.remote, known)
            hint = f"did you mean {near}?" if near else "name its address in global.remotes"
            yield places.told("error", _said(domain), f'there is no remote "{domain.remote}"', hint)
    for name in set(known) - {domain.remote for domain in model.domains}:
        yield places.told("warning", ("global", "remotes", name), "no domain is on this server", on_key=True)


def local_folders(model: Model, places: Places) -> Iterator[Diagnostic]:
    """Folders, and names that the host announces, are those of the machine that apply runs on."""
    for domain in model.domains if model.remotes else ():
        for machine in domain.machines if domain.remote else ():
            for disk in machine_disks(model, domain, machine):
                if disk.is_folder:
                    message = (
                        f"{disk.what} is a folder of this machine, and {machine.name} is on server {domain.remote}"
                    )
                    hint = "take storage_volumes, which lie in its Incus"
                    yield places.told("error", disk.place, message, hint, on_key=True)
            if machine.publish_name:
                path = ("domains", domain.name, "machines", machine.name, "publish_name")
                message = f"nothing announces a name on server {domain.remote}"
                yield places.told("error", path, message, "drop it, and name the server by its address")


def flows_between(model: Model, places: Places) -> Iterator[Diagnostic]:
    """A policy opens bridges of one machine to each other; from another one, only what is published is reached."""
    for index, _name in enumerate(places.items(("network_policies",))) if _is_spread(model) else ():
        ends = [places.find(("network_policies", index, side)) for side in ("from", "to")]
        names = [str(end.value) for end in ends if end is not None]
        homes = [_home(model, name) for name in names]
        if len(homes) == 2 and homes[0] and homes[1]:
            sides = [_at(home, name) for home, name in zip((homes[0], homes[1]), names, strict=True)]
            if all(_apart(one, other) for one in sides[0] for other in sides[1]):
                message = f"{homes[0].name} is on {_words(sides[0][0])}, {homes[1].name} on {_words(sides[1][0])}"
                hint = f"publish the port of the machine in {homes[1].name}: it is then reached at its server's address"
                yield places.told("error", ("network_policies", index, "to"), message, hint)


def services_between(model: Model, places: Places) -> Iterator[Diagnostic]:
    """A service that talks to one on another server, or member, has to be told its published address."""
    if not _is_spread(model):
        return
    homes = {domain.name: domain for domain in model.domains}
    for machine in model.machines:
        here = homes[machine.domain]
        place = (here.remote, machine.target)
        for index, role in enumerate(machine.roles):
            path: Path = ("domains", here.name, "machines", machine.name, "roles", index)
            for other in (one for name in _talks_to(role) for one in SERVICES if one.role == name and one.url_variable):
                having = [one for one in model.machines if other.role in map(_own, one.roles)]
                there = [(homes[one.domain].remote, one.target) for one in having]
                if not having or not all(_apart(place, other) for other in there):
                    continue
                words = _words(there[0])
                same = any(homes[one.domain] is here for one in having)
                file = f"host_vars/{machine.name}.yml" if same else f"group_vars/{here.name}.yml"
                message = f"{_own(role)} talks to {other.role}, which is on {words}: no bridge leads there"
                if all(one.publish for one in having):
                    hint = f"set {other.url_variable} in {file} to where it is published there"
                    yield places.told("note", path, message, hint)
                else:
                    names = ", ".join(one.name for one in having if not one.publish)
                    hint = f"publish its port on {names}, and set {other.url_variable} in {file}"
                    yield places.told("error", path, message, hint)


def _own(role: str) -> str:
    return role.removeprefix(COLLECTION)


def _talks_to(role: str) -> Iterable[str]:
    return next((service.talks_to for service in SERVICES if service.role == _own(role)), ())


def _home(model: Model, name: str) -> Domain | None:
    return model.homes.get(Endpoint("domain", name)) or model.homes.get(Endpoint("machine", name))


def _is_spread(model: Model) -> bool:
    return bool(model.remotes) or any(is_member(machine.target) for machine in model.machines)


def _at(home: Domain, name: str) -> list[Place]:
    """Where a domain's machines are, or one of them."""
    machines = [one for one in home.machines if name in (home.name, one.name)]
    return [(home.remote, one.target) for one in machines] or [(home.remote, "")]


def _apart(one: Place, other: Place) -> bool:
    """Whether two machines are on different servers, or on different members for sure."""
    return one[0] != other[0] or (is_member(one[1]) and is_member(other[1]) and one[1] != other[1])


def _words(place: Place) -> str:
    remote, target = place
    server = f"server {remote}" if remote else "this machine"
    return f"member {target}{f' of {server}' if remote else ''}" if is_member(target) else server


def _said(domain: Domain) -> Path:
    return ("domains", domain.name, "remote")


REMOTE_RULES = (unknown_remotes, local_folders, flows_between, services_between)
