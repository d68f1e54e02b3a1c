# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold where domains are on several Incus servers: bridges end at their server, folders at their machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ansible_collections.anklume.stt.plugins.module_utils._infra.diagnostic import Diagnostic, nearest
from ansible_collections.anklume.stt.plugins.module_utils._infra.disks import machine_disks
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Domain, Endpoint, Model
from ansible_collections.anklume.stt.plugins.module_utils._infra.places import Path, Places
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import COLLECTION, SERVICES


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
    """A policy opens bridges of one server to each other; from another one, only what is published is reached."""
    for index, _name in enumerate(places.items(("network_policies",))) if model.remotes else ():
        ends = [places.find(("network_policies", index, side)) for side in ("from", "to")]
        homes = [_home(model, str(end.value)) for end in ends if end is not None]
        if len(homes) == 2 and homes[0] and homes[1] and homes[0].remote != homes[1].remote:
            message = f"{homes[0].name} is on {_words(homes[0])}, {homes[1].name} on {_words(homes[1])}"
            hint = f"publish the port of the machine in {homes[1].name}: it is then reached at its server's address"
            yield places.told("error", ("network_policies", index, "to"), message, hint)


def services_between(model: Model, places: Places) -> Iterator[Diagnostic]:
    """A service that talks to one on another server has to be told its published address."""
    if not model.remotes:
        return
    homes = {domain.name: domain for domain in model.domains}
    for machine in model.machines:
        here = homes[machine.domain]
        for index, role in enumerate(machine.roles):
            path: Path = ("domains", here.name, "machines", machine.name, "roles", index)
            for other in (one for name in _talks_to(role) for one in SERVICES if one.role == name and one.url_variable):
                having = [one for one in model.machines if other.role in map(_own, one.roles)]
                if not having or any(homes[one.domain].remote == here.remote for one in having):
                    continue
                words = _words(homes[having[0].domain])
                message = f"{_own(role)} talks to {other.role}, which is on {words}: no bridge leads there"
                if all(one.publish for one in having):
                    hint = f"set {other.url_variable} in group_vars/{here.name}.yml to where it is published there"
                    yield places.told("note", path, message, hint)
                else:
                    names = ", ".join(one.name for one in having if not one.publish)
                    hint = f"publish its port on {names}, and set {other.url_variable} in group_vars/{here.name}.yml"
                    yield places.told("error", path, message, hint)


def _own(role: str) -> str:
    return role.removeprefix(COLLECTION)


def _talks_to(role: str) -> Iterable[str]:
    return next((service.talks_to for service in SERVICES if service.role == _own(role)), ())


def _home(model: Model, name: str) -> Domain | None:
    return model.homes.get(Endpoint("domain", name)) or model.homes.get(Endpoint("machine", name))


def _words(domain: Domain) -> str:
    return f"server {domain.remote}" if domain.remote else "this machine"


def _said(domain: Domain) -> Path:
    return ("domains", domain.name, "remote")


REMOTE_RULES = (unknown_remotes, local_folders, flows_between, services_between)
