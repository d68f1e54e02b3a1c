# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The STT servers behind a balancer: which they are, how much each takes at once, and whose key opens what. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._services.speech import (
    behind,
    clip_of,
    server_keys,
    spoken_clip,
)

Variables = Mapping[str, Any]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
MODEL = re.compile(r"[\w.:/@-]+")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Server:
    """An STT server, as the balancer reaches it."""

    name: str
    host: str
    port: int
    workers: int
    queue: int
    keys: Sequence[str] = ()
    """What opens it; the first is the balancer's own."""
    tls: bool = False
    extra: bool = False
    """Whether it is none of this inventory: no key of a client goes there."""
    models: Sequence[str] = ()
    """All names of the models that it has, the first one's first; empty where nobody knows."""
    spoken: Mapping[str, str] = field(default_factory=spoken_clip)
    """The sentence that proves it, in a language that it hears."""

    @property
    def authority(self) -> str:
        """Host and port, as in an address."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def balancer_plan(
    given: Variables,
    machine: str,
    machines: Iterable[str],
    hostvars: Mapping[str, Any],
    *,
    defaults: Variables,
    models: Mapping[str, Sequence[str]],
    project_dir: str,
) -> dict[str, Any]:
    """All that the configuration is made of; `refused` says why it cannot be had, each with what to do.

    `given` are the role's variables, `machines` those with an STT server, `defaults` the variables of the role
    stt_server where nobody sets them, `models` by machine the names of those that its server has. `servers` are told
    apart by `own`: to these the balancer goes by an entry of its own, which gives them their key, and goes to those in
    `instead` where one cannot be reached. `client_keys` are the digests that `asks_key` compares with.
    """
    try:
        servers = [
            *_own(behind(hostvars[machine], machines), hostvars, defaults, models, project_dir),
            *map(_extra, given["stt_balancer_extra_servers"]),
        ]
    except Error as error:
        nothing: dict[str, Any] = {"asks_key": False, "resolves": False, "client_keys": [], "server_keys": {}}
        return nothing | {"servers": [], "routes": [], "refused": [str(error)]}
    keys = client_keys(given["stt_balancer_api_key"], servers)
    # those that let in whoever the balancer lets in, and nobody else, look at the client's key themselves
    own = [server.name for server in servers if server.extra or not set(keys) <= set(server.keys)]
    found = routes(servers)
    return {
        "servers": [_told(server, own, found) for server in servers],
        "routes": found,
        "asks_key": bool(keys and own),
        "resolves": any(_is_name(server.host) for server in servers),
        "client_keys": [hashlib.sha256(key.encode()).hexdigest().upper() for key in keys],
        "server_keys": {server.name: server.keys[0] for server in servers if server.keys},
        "refused": list(_refusals(given, machine, servers, keys)),
    }


def client_keys(given: str, servers: Iterable[Server]) -> list[str]:
    """What opens the balancer: the key that was given, or any key of the inventory's own servers."""
    if given:
        return [given]
    return list(dict.fromkeys(key for server in servers if not server.extra for key in server.keys))


def routes(servers: Sequence[Server]) -> list[dict[str, Any]]:
    """Where requests go by the model that they name: each with `name`, `models` and `servers`.

    The first, without models, is for all that name none or one that nobody has: the servers with the first one's
    model. It is the only one where all have the same models.
    """
    first = servers[0].models[:1] if servers else ()
    usual = tuple(server.name for server in servers if not server.models or server.models[:1] == first)
    found: dict[tuple[str, ...], list[str]] = {}
    for model in sorted({model for server in servers for model in server.models}):
        having = tuple(server.name for server in servers if model in server.models)
        if having != usual and MODEL.fullmatch(model):
            found.setdefault(having, []).append(model)
    named = [
        {"name": f"-{number}", "models": models, "servers": list(having)}
        for number, (having, models) in enumerate(found.items(), 2)
    ]
    return [{"name": "", "models": [], "servers": list(usual)}, *named]


def _own(
    names: Iterable[str],
    hostvars: Mapping[str, Any],
    defaults: Variables,
    models: Mapping[str, Sequence[str]],
    project_dir: str,
) -> Iterator[Server]:
    for name in names:
        if name not in hostvars:
            raise Error(f"stt_balancer_machines names {name}, which is no machine of this inventory")
        found = {key: hostvars[name].get(key, defaults[key]) for key in defaults}
        if not boolean(found["stt_server_enabled"]):
            continue
        yield Server(
            name,
            hostvars[name].get("ansible_host") or name,
            int(found["stt_server_port"]),
            int(found["stt_server_workers"]),
            int(found["stt_server_queue"]),
            server_keys(hostvars[name], name, project_dir),
            models=models.get(name, ()),
            spoken=clip_of(hostvars[name]),
        )


def _extra(server: Variables) -> Server:
    url = urlsplit(server["url"])
    try:
        port = url.port or (443 if url.scheme == "https" else 80)
    except ValueError:
        port = 0
    if url.scheme not in ("http", "https") or not url.hostname or not port or url.path.rstrip("/") not in ("", "/v1"):
        raise Error(
            f"the url of {server['name']} in stt_balancer_extra_servers is {server['url']}: give it as"
            " http://office:8000/v1"
        )
    key = server.get("api_key") or ""
    workers, queue = int(server.get("workers") or 1), int(server.get("queue") or 16)
    keys, tls, models = [key] if key else [], url.scheme == "https", server.get("models") or ()
    spoken = spoken_clip(model=models[0] if models else "")
    return Server(server["name"], url.hostname, port, workers, queue, keys, tls, True, models, spoken)


def _told(server: Server, own: Sequence[str], found: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A server in the words of the configuration: how many requests each of its entries sends there at once.

    One recording more than there are workers waits at the server, so that it need not wait for the next. The short
    ones may fill what is left of the server's queue: its own lane has them go first.
    """
    long = server.workers + 1
    having = [route["servers"] for route in found if server.name in route["servers"]]
    return {
        "name": server.name,
        "address": server.authority,
        "url": f"{'https' if server.tls else 'http'}://{server.authority}/v1",
        "host": server.host,
        "tls": server.tls,
        "own": server.name in own,
        "extra": server.extra,
        "instead": [name for name in own if name != server.name and all(name in names for names in having)],
        "has_key": bool(server.keys),
        "models": list(server.models),
        "spoken": dict(server.spoken),
        "checked_in": next((f"short{route['name']}" for route in found if server.name in route["servers"]), ""),
        "short": max(1, server.workers + server.queue - long),
        "long": long,
    }


def _is_name(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False


def _refusals(given: Variables, machine: str, servers: Sequence[Server], keys: Sequence[str]) -> Iterator[str]:
    if not servers:
        yield (
            "there is no STT server to send requests to: give a machine of infra.yml the role stt_server, or name one"
            " in stt_balancer_extra_servers"
        )
    for name, times in Counter(server.name for server in servers).items():
        if times > 1:
            yield f"two STT servers are called {name}: give the one in stt_balancer_extra_servers another name"
        if not NAME.fullmatch(name):
            yield f"stt_balancer_extra_servers has a name {name}: names have letters, digits, -, _ and ."
    for server in servers:
        if server.host in LOOPBACK and not server.extra and server.name != machine:
            yield f"{server.name} is reached at {server.host} alone: the balancer is on another machine"
        if server.extra and server.keys and not keys:
            yield (
                f"{server.name} wants a key, and clients of the balancer would need none: set stt_balancer_api_key, or"
                " stt_server_api_key of the STT servers"
            )
    for variable, key in (
        ("stt_balancer_api_key", given["stt_balancer_api_key"]),
        *((f"the api_key of {server.name}", key) for server in servers for key in server.keys),
    ):
        if re.search(r"\s", key):
            yield f"{variable} holds a space or a line break: give another key"
    for variable, least in (
        ("stt_balancer_short_kib", 64),
        ("stt_balancer_queue_seconds", 1),
        ("stt_balancer_connections", 10),
    ):
        if given[variable] < least:
            yield f"{variable} is {given[variable]}, and {least} is the least"
