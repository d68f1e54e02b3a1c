# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server in Docker, out of a compose file, an env file or what `docker inspect` says: one service, as it is run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import Node, parse
from ansible_collections.anklume.stt.plugins.module_utils._migration import env_file
from ansible_collections.anklume.stt.plugins.module_utils._migration.env_file import Variables

Reader = Callable[[str], "str | None"]
"""The text of a file, by its path from the folder of the one that names it; None where it is not there."""
Service = dict[str, Any]

_IMAGE = re.compile(r"(?:^|/)(?:faster-whisper-server|speaches)(?:[:@]|$)")
_PORT = re.compile(
    r"(?:(?P<host>\[[^\]]*\]|[^:\[\]]*):)?(?:(?P<published>\d+):)?(?P<target>\d+)(?:/(?P<protocol>tcp|udp))?"
)
_SECRETS = "/run/secrets/"
LARGEST = 20_000
"""Nodes of a compose file after its aliases are followed."""
MOST_EXTENDED = 8
_DEFAULT_NAME = re.compile(r"((?:docker-)?compose)\.(?:yaml|yml)")
_HOW_IT_RAN = """
annotations attach build cap_add cap_drop command container_name cpu_count cpus depends_on deploy develop devices dns
entrypoint expose extra_hosts gpus group_add healthcheck hostname init ipc labels logging mem_limit mem_reservation
network_mode networks pids_limit platform privileged profiles pull_policy read_only restart runtime scale security_opt
shm_size stdin_open stop_grace_period tmpfs tty ulimits user working_dir
"""
IGNORED = frozenset(_HOW_IT_RAN.split())
"""What a service may say that is not taken over: where and how it ran, and not what it did."""
READ = frozenset({"environment", "env_file", "extends", "image", "ports", "secrets", "volumes"})


@dataclass(frozen=True)
class Port:
    """A port that Docker publishes. The host is an address, or empty for all."""

    host: str
    published: int
    target: int


@dataclass(frozen=True)
class Old:
    """The server as it is run."""

    image: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    mounts: tuple[tuple[str, str], ...] = ()
    """Where from, and where to."""
    notes: tuple[str, ...] = ()
    """What could not be read, a sentence each; never a value."""


def read(text: str, name: str, files: Reader, service: str = "") -> Old:
    """Whatever the file is. `files` gives those that it names; `service` is which of several is meant."""
    begin = text.lstrip("\ufeff \t\r\n")[:1]
    if begin in ("[", "{") and '"services"' not in text:
        return of_inspect(text, name)
    if (
        begin == "{"
        or PurePosixPath(name).suffix in (".yml", ".yaml")
        or re.search(r"^services[ \t]*:", text, re.MULTILINE)
    ):
        return of_compose(text, name, files, service)
    notes, environment = [], {}
    for variable, value in env_file.parse(text, name).items():
        if value is None:
            notes.append(f"{variable} was taken from the shell: set what it stands for yourself")
        else:
            environment[variable] = value
    return Old(environment=environment, notes=tuple(notes))


def of_inspect(text: str, name: str) -> Old:
    """A container, as `docker inspect` shows it."""
    try:
        found = json.loads(text.removeprefix("\ufeff"))
        containers = found if isinstance(found, list) else [found]
        if len(containers) != 1:
            raise Error(f"{name} holds {len(containers)} containers: inspect one, as in docker inspect NAME > {name}")
        container = containers[0]
        config, host = container["Config"], container.get("HostConfig") or {}
        pairs = [each.partition("=") for each in config.get("Env") or []]
        bindings = (host.get("PortBindings") or {}).items()
        ports = [
            Port(bound.get("HostIp") or "", int(bound["HostPort"]), int(target.partition("/")[0]))
            for target, all_bound in bindings
            for bound in all_bound or []
            if bound.get("HostPort")
        ]
        mounts = [
            (str(each.get("Name") or each.get("Source") or ""), str(each["Destination"]))
            for each in container.get("Mounts") or []
        ]
        image = str(config.get("Image") or "")
        return Old(image, {one: two for one, _is, two in pairs}, tuple(ports), tuple(mounts))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Error(f"{name} is not what docker inspect NAME shows of a container") from error


def of_compose(text: str, name: str, files: Reader, service: str = "") -> Old:
    """A service of a compose file."""
    variables = Variables(_given(files))
    document = _document(text, name)
    if "include" in document:
        raise Error(f"{name} has include, which only Compose itself follows: {_RESOLVED}")
    services = document.get("services")
    if not isinstance(services, dict) or not services:
        raise Error(f"{name} has no services: is it a compose file?")
    chosen = _chosen(services, variables, service, name)
    found = _extended(services, chosen, name, files, 0)
    if over := override(name, files):
        theirs = _document(files(over) or "", over).get("services") or {}
        found = _merged(found, _extended(theirs, chosen, over, files, 0)) if chosen in theirs else found
    notes = [
        f"{chosen} has {key}, which is not understood: see whether it matters"
        for key in found
        if key not in IGNORED | READ and not key.startswith("x-")
    ]
    environment = _environment(found, files, variables, notes)
    _secrets_by_file(document, found, environment, files, notes)
    mounts = [mount for each in _list(found, "volumes") if (mount := _mount(each, variables))]
    ports = [port for each in _list(found, "ports") for port in _ports(each, variables, notes)]
    notes += [f"{each} is set neither in .env nor in the file: taken as empty" for each in variables.missing]
    image = variables.put_in(str(found.get("image") or ""))
    return Old(image, environment, tuple(ports), tuple(mounts), tuple(notes))


def override(name: str, files: Reader) -> str:
    """The file beside one of the usual name that Compose reads after it; empty for none."""
    match = _DEFAULT_NAME.fullmatch(name)
    usual = [f"{match[1]}.override.{suffix}" for suffix in ("yml", "yaml")] if match else []
    return next((each for each in usual if files(each) is not None), "")


_RESOLVED = "give what docker compose config prints, or docker inspect NAME"


def _given(files: Reader) -> dict[str, str]:
    text = files(".env")
    found = env_file.parse(text, ".env") if text else {}
    return {name: value for name, value in found.items() if value is not None}


def _document(text: str, name: str) -> dict[str, Any]:
    root, faults = parse(text.encode(), name)
    if faults:
        first = faults[0]  # and never its line, which may hold a key
        raise Error(f"{first.where}: {first.message}: mend it, or {_RESOLVED}")
    if root is None or root.kind != "map":
        raise Error(f"{name} is no compose file: there is nothing in it")
    if root.size > LARGEST:
        raise Error(f"{name} has too many values to be a compose file of a person")
    plain: dict[str, Any] = _plain(root)
    return plain


def _plain(node: Node) -> Any:
    """Values as they were typed: Compose takes yes and 0123 for text where it wants text."""
    if node.kind == "map":
        return {key: _plain(value) for key, value in node.value.items()}
    if node.kind == "list":
        return [_plain(item) for item in node.items]
    return None if node.kind == "null" else node.text


def _chosen(services: Mapping[str, Any], variables: Variables, service: str, name: str) -> str:
    """The service that is meant, or the only one that can be."""
    if service:
        if service not in services:
            raise Error(f"{name} has no service {service}: it has {', '.join(services)}")
        return service
    candidates = [each for each, said in services.items() if isinstance(said, dict) and _is_server(said, variables)]
    if not candidates:
        candidates = list(services) if len(services) == 1 else []
    if len(candidates) != 1:
        many = (
            f"{len(candidates)} servers"
            if candidates
            else "no service with an image of faster-whisper-server or Speaches"
        )
        raise Error(f"{name} has {many}: say which is meant with SERVICE=, one of {', '.join(candidates or services)}")
    return candidates[0]


def _is_server(said: Mapping[str, Any], variables: Variables) -> bool:
    image = said.get("image")
    return isinstance(image, str) and bool(_IMAGE.search(Variables(variables.known).put_in(image)))


def _extended(services: Mapping[str, Any], chosen: str, name: str, files: Reader, depth: int) -> Service:
    """A service with what it extends."""
    said = services.get(chosen)
    if not isinstance(said, dict):
        raise Error(f"{name} has no service {chosen}, or nothing in it")
    extends = said.get("extends")
    if extends is None:
        return dict(said)
    if depth == MOST_EXTENDED:
        raise Error(f"{name}: {chosen} extends itself, or too many others: {_RESOLVED}")
    other = {"service": extends} if isinstance(extends, str) else extends
    path = other.get("file") if isinstance(other, dict) else None
    if not isinstance(other, dict) or not isinstance(other.get("service"), str) or isinstance(path, list | dict):
        raise Error(f"{name}: {chosen} extends something that is no service: {_RESOLVED}")
    theirs: Any = services
    folder = PurePosixPath(path or "").parent
    if path:
        text = files(path)
        if text is None:
            raise Error(f"{name}: {chosen} extends a service of {path}, which is not there")
        theirs = _document(text, path).get("services") or {}
    base = _extended(theirs, other["service"], path or name, lambda each: files(str(folder / each)), depth + 1)
    base["env_file"] = [_in_folder(each, folder) for each in _env_files(base)]
    return _merged(base, said)


def _in_folder(entry: Any, folder: PurePosixPath) -> Any:
    """An env_file of a file that lies elsewhere."""
    if isinstance(entry, dict):
        return entry | {"path": str(folder / str(entry.get("path") or ""))}
    return str(folder / str(entry))


def _merged(base: Service, said: Service) -> Service:
    """A service with more said of it, as Compose puts the two together."""
    merged = base | said
    for key in ("ports", "volumes", "secrets"):
        merged[key] = [*_list(base, key), *_list(said, key)]
    merged["environment"] = _pairs(base.get("environment")) | _pairs(said.get("environment"))
    merged["env_file"] = [*_env_files(base), *_env_files(said)]
    return merged


def _list(said: Service, key: str) -> list[Any]:
    value = said.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Error(f"{key} is no list: mend the file, or {_RESOLVED}")
    return value


def _pairs(environment: Any) -> dict[str, str | None]:
    """Both ways of writing it; None for what is taken from the shell."""
    if environment is None:
        return {}
    if isinstance(environment, list) and all(isinstance(each, str) for each in environment):
        split = [each.partition("=") for each in environment]
        return {name: value if sign else None for name, sign, value in split}
    if not isinstance(environment, dict) or any(isinstance(each, dict | list) for each in environment.values()):
        raise Error(f"environment is neither a list nor a map of texts: mend the file, or {_RESOLVED}")
    return dict(environment)


def _env_files(said: Service) -> list[Any]:
    value = said.get("env_file")
    return [] if value is None else value if isinstance(value, list) else [value]


def _environment(said: Service, files: Reader, variables: Variables, notes: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in _env_files(said):
        entry = each if isinstance(each, dict) else {"path": each}
        path = variables.put_in(str(entry.get("path") or ""))
        text = files(path)
        if text is None:
            if entry.get("required") != "false":
                raise Error(f"the env_file {path} is not there: give a copy of it, or take the line out")
            continue
        read_values = env_file.parse(text, path, variables.known, raw=entry.get("format") == "raw")
        found |= {name: value for name, value in read_values.items() if value is not None}
    for name, value in _pairs(said.get("environment")).items():
        if value is not None:
            found[name] = variables.put_in(value)
        elif name in variables.known:
            found[name] = variables.known[name]
        elif name not in found:
            notes.append(f"{name} was taken from the shell: set what it stands for yourself")
    return found


def _secrets_by_file(
    document: Mapping[str, Any], said: Service, environment: dict[str, str], files: Reader, notes: list[str]
) -> None:
    """NAME_FILE=/run/secrets/x, in place of NAME."""
    named = {
        name: value for name, value in environment.items() if name.endswith("_FILE") and value.startswith(_SECRETS)
    }
    known = document.get("secrets")
    for name, value in named.items():
        del environment[name]
        entry = known.get(value.removeprefix(_SECRETS)) if isinstance(known, dict) else None
        path = entry.get("file") if isinstance(entry, dict) else None
        text = files(str(path)) if path else None
        if text is None:
            notes.append(f"{name} names a secret that is in no file here: set what it stands for yourself")
        else:
            environment[name.removesuffix("_FILE")] = text.strip()
    if said.get("secrets") and not named:
        notes.append("it has secrets that no variable names: what they are for cannot be seen here")


def _mount(each: Any, variables: Variables) -> tuple[str, str] | None:
    if isinstance(each, dict):
        source, target = str(each.get("source") or ""), str(each.get("target") or "")
    else:
        source, _colon, rest = variables.put_in(str(each)).partition(":")
        target = rest.partition(":")[0]
    return (variables.put_in(source), variables.put_in(target)) if source and target else None


def _ports(each: Any, variables: Variables, notes: list[str]) -> Iterable[Port]:
    if isinstance(each, dict):
        host, published, target = (
            variables.put_in(str(each.get(key) or "")) for key in ("host_ip", "published", "target")
        )
        if published.isdecimal() and target.isdecimal():
            yield Port(host, int(published), int(target))
            return
    else:
        text = variables.put_in(str(each))
        match = _PORT.fullmatch(text)
        if match and match["published"] is None and match["host"] and match["host"].isdecimal():
            yield Port("", int(match["host"]), int(match["target"]))
            return
        if match and match["published"]:
            yield Port((match["host"] or "").strip("[]"), int(match["published"]), int(match["target"]))
            return
    notes.append(
        "one of its ports is a range, or is published at a port that Docker chooses: set stt_server_port yourself"
    )
