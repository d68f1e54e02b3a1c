# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a first infra.yml has to know of this machine: the GPU, memory, networks, taken ports, the hub of models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error, FitError, WriteError
from ansible_collections.anklume.stt.plugins.module_utils._base.http import Server
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import Client
from ansible_collections.anklume.stt.plugins.module_utils._incus.host import Host
from ansible_collections.anklume.stt.plugins.module_utils._incus.host_reader import LocalHost, routed
from ansible_collections.anklume.stt.plugins.module_utils._incus.listeners import ANY, Listener, read_listeners
from ansible_collections.anklume.stt.plugins.module_utils._incus.observe import Observed, observe
from ansible_collections.anklume.stt.plugins.module_utils._incus.published import takes
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import (
    IncusUnreachableError,
    UnixTransport,
    default_socket,
)
from ansible_collections.anklume.stt.plugins.module_utils._infra.first import PORTS, Seen
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import Serving
from ansible_collections.anklume.stt.plugins.module_utils._vram.explain import place_in_words
from ansible_collections.anklume.stt.plugins.module_utils._vram.gather import find_place
from ansible_collections.anklume.stt.plugins.module_utils._vram.verdict import Judgement, Place, accepted, choose

HUB = "https://huggingface.co"
PROBE = "/Systran/faster-whisper-base/resolve/main/config.json"
"""A small file that every mirror of the hub has."""

PATIENCE = 10.0
ASKED: dict[str, Any] = {
    "gpu": None,
    "nvidia_smi": "",
    "timeout": 20,
    "check_host": True,
    "models_dir": None,
    "speech_models": [],
    "others": [],
}


@dataclass(frozen=True)
class _Judged:
    """Whether the GPU is one for speech, and what `auto` makes of this machine."""

    gpu: str
    no_gpu: str
    choice: str
    short: str


def look(*, gpu: bool | None, port: int | None, language: str, hub: str, stand_in: str) -> Seen:
    """Look at this machine for what somebody asked for; `hub` is a mirror of the public hub, "" for that itself."""
    observed, host = _incus()
    addresses = tuple(dict.fromkeys(str(one.ip) for one in host.lan))
    judged = _judge(host.gpu_faults, language, use=gpu is not False)
    return Seen(
        gpu=judged.gpu,
        no_gpu=judged.no_gpu,
        choice=judged.choice,
        short=judged.short,
        networks=(*routed(), *_networks(observed)),
        lan=addresses,
        taken=taken(addresses, read_listeners(), _listens(observed), (*PORTS, port or 0)),
        hub=hub if hub.rstrip("/") != HUB else "",
        no_hub=_why_no_hub(hub or HUB),
        stand_in=stand_in if Path(stand_in).is_file() else "",
    )


def what_is_there(project: Path, name: str) -> str:
    """Why there is nothing to begin, "" where there is; WriteError where only a part of a project is there."""
    for own in ("infra.yml", "infra"):
        if (project / own).exists():
            return f"{project / own} is there already: nothing was changed (make check says whether it is right)"
    for machine in (f"{name}-ai", f"{name}-webui"):
        for place in sorted((project / "host_vars").glob(f"{machine}*")):
            if place.name in (machine, *(machine + ending for ending in (".yml", ".yaml", ".json"))):
                raise WriteError(
                    f"{place} is there already, but no infra.yml: nothing was changed; move it away, or take another "
                    f"name than {name} (make: NAME=)"
                )
    return ""


def taken(
    addresses: Iterable[str], listeners: Iterable[Listener], devices: Mapping[str, str], ports: Iterable[int]
) -> dict[int, str]:
    """Who has which TCP port at these addresses: processes, and of some ports devices of Incus (who → `listen`)."""
    places = (*addresses, ANY)
    found = {one.port: one.owner for one in listeners if one.protocol == "tcp" and one.address in places}
    for port in ports:
        for device, listen in devices.items():
            if any(takes(listen, "tcp", address, port) for address in places):
                found.setdefault(port, device)
    return found


def _incus() -> tuple[Observed, Host]:
    """What Incus says; without it, the interfaces alone."""
    try:
        with Client(UnixTransport(default_socket())).closing() as client:
            return observe(client, LocalHost())
    except IncusUnreachableError:
        here = LocalHost()
        return Observed(), here.interfaces((), before=here.addresses())


def _networks(observed: Observed) -> list[tuple[str, IPv4Network]]:
    return [
        (f"network {key.name}", IPv4Interface(one.fields["config/ipv4.address"]).network)
        for key, one in observed.found.items()
        if key.kind == "network" and "/" in one.fields.get("config/ipv4.address", "")
    ]


def _listens(observed: Observed) -> dict[str, str]:
    """What each proxy device of Incus listens to."""
    return {
        f"the Incus device {found[1]} of {key.name}": one.fields[name]
        for key, one in observed.found.items()
        for name in one.fields
        if (found := re.fullmatch(r"devices/([^/]+)/listen", name))
    }


def _judge(faults: Iterable[str], language: str, *, use: bool) -> _Judged:
    """The GPU, unless something stands in its way; else the processor."""
    no_gpu = "; ".join(faults)
    if use and not no_gpu:
        try:
            place = find_place({**ASKED, "device": "auto"}, (), [])
            if place.gpu is None:
                no_gpu = place.why_cpu
            elif (made := _chosen(place, language)).verdict == "unsupported":
                no_gpu = "; ".join(made.reasons)
            else:
                return _Judged(f"{place.gpu.name}, {place.gpu.total:.0f} MiB", "", *_in_words(made, place))
        except FitError as error:
            no_gpu = str(error)
    place = find_place({**ASKED, "device": "cpu"}, (), [])
    return _Judged("", no_gpu, *_in_words(_chosen(place, language), place))


def _chosen(place: Place, language: str) -> Judgement:
    return choose(None, "auto", place, Serving(), policy="tight", language=language)


def _in_words(made: Judgement, place: Place) -> tuple[str, str]:
    """What `auto` chooses, and why it is too much, where it is."""
    words = (
        f"{made.candidate.subject.name} in {made.effective or made.candidate.compute_type} on {place_in_words(place)}"
    )
    return words, "" if accepted(made.verdict, "tight") else "; ".join(made.reasons)


def _why_no_hub(address: str) -> str:
    try:
        answer = Server(address, timeout=PATIENCE, connect_timeout=PATIENCE).request("GET", PROBE)
    except Error as error:
        return str(error)
    return "" if answer.status == 200 else f"{answer.url}: HTTP {answer.status}"
