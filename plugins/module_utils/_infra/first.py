# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A first infra.yml and its host_vars: what was asked for and what was seen of this machine → files. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import InfraError
from ansible_collections.anklume.stt.plugins.module_utils._infra.check import check
from ansible_collections.anklume.stt.plugins.module_utils._infra.diagnostic import render_all, shorten
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import parse

SUBNET_ID = 3
HTTPS = 443
PORTS = (HTTPS, 8443, 9443, 10443)
"""Of the host, in the order in which they are tried."""

RANGES = (
    "10.100",
    *(f"10.{number}" for number in (*range(101, 200), *range(20, 77), *range(200, 256))),
    *(f"172.{number}" for number in range(20, 32)),
    "192.168",
)
"""Of addresses, in the order in which they are tried; the first ones are what others take least."""


_LANGUAGE = re.compile("[a-z]{2}|haw|yue")


@dataclass(frozen=True)
class Wishes:
    """What somebody asked for; None and "" where this machine is to say."""

    name: str = "homelab"
    gpu: bool | None = None
    ollama: bool | None = None
    port: int | None = None
    """Of the host, that leads to the page; 0 for none."""
    base_subnet: str = ""
    engine: str = ""
    model: str = ""
    model_source: str = ""
    language: str = ""


@dataclass(frozen=True)
class Seen:
    """What was seen of this machine."""

    gpu: str = ""
    """The GPU that a container can have, in words."""
    no_gpu: str = "this machine has no NVIDIA GPU"
    """Why there is none."""
    choice: str = ""
    """What `auto` makes of it, in words."""
    short: str = ""
    """Why no model fits at all."""
    networks: tuple[tuple[str, IPv4Network], ...] = ()
    """(interface or bridge, network) that the host has a route to."""
    lan: tuple[str, ...] = ()
    """The host's addresses in its local network."""
    taken: Mapping[int, str] = field(default_factory=dict)
    """Who has which TCP port at these addresses."""
    hub: str = ""
    """A hub of models that was named in place of the public one."""
    no_hub: str = ""
    """Why the hub could not be reached."""
    stand_in: str = ""
    """An archive of the test model, where there is one."""


@dataclass(frozen=True)
class First:
    """The files of a project by their paths in it, and what to say of them."""

    files: Mapping[str, str]
    summary: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def compose(wishes: Wishes, seen: Seen, schema: str) -> First:
    """A project that ends in speech on this machine; `schema` is where editors find infra.yml's. Raises InfraError."""
    if wishes.language and not _LANGUAGE.fullmatch(wishes.language):
        raise InfraError(f"language {shorten(wishes.language)}: write its code of two letters, like en, fr or pl")
    gpu = _gpu(wishes, seen)
    ollama = gpu if wishes.ollama is None else wishes.ollama
    base, port = _base_subnet(wishes, seen), _port(wishes, seen)
    ai, web = f"{wishes.name}-ai", f"{wishes.name}-webui"
    model = _model(wishes, seen)
    engine = wishes.engine or ("speaches" if gpu and not seen.no_hub else "faster_whisper")
    files = {
        "infra.yml": _infra(wishes.name, schema, base, port, gpu=gpu, ollama=ollama, no_gpu=seen.no_gpu),
        f"host_vars/{ai}.yml": "".join(_ai_vars(ai, wishes, seen, engine, model, ollama=ollama)),
        f"host_vars/{web}.yml": "".join(_web_vars(web, wishes, ollama=ollama)),
    }
    _refuse_faults(files["infra.yml"])
    return First(
        files, tuple(_summary(wishes, seen, base, port, gpu=gpu, ollama=ollama)), tuple(_warnings(seen, model))
    )


def _refuse_faults(text: str) -> None:
    """A name or a range that somebody asked for may not be one."""
    root, faults = parse(text.encode(), "infra.yml")
    if root is not None:
        faults += check(root)[1]
    errors = [fault for fault in faults if fault.level == "error"]
    if errors:
        raise InfraError(f"infra.yml would have faults, nothing was written\n{render_all(errors)}")


def _gpu(wishes: Wishes, seen: Seen) -> bool:
    if wishes.gpu and not seen.gpu:
        raise InfraError(f"gpu: {seen.no_gpu}: mend that, or leave gpu out for speech on the processor")
    return bool(seen.gpu) if wishes.gpu is None else wishes.gpu


def _base_subnet(wishes: Wishes, seen: Seen) -> str:
    """Two numbers whose whole range is free on this host, or where none is, our part of it."""
    if wishes.base_subnet:
        asked = _subnet(wishes.base_subnet)
        for interface, network in seen.networks:
            if network.overlaps(asked):
                raise InfraError(
                    f"base_subnet {wishes.base_subnet}: {asked} overlaps {network} of this host's {interface}: "
                    "choose another one, or leave it out"
                )
        return wishes.base_subnet
    for whole in (True, False):
        for base in RANGES:
            wanted = IPv4Network(f"{base}.0.0/16") if whole else _subnet(base)
            if not any(network.overlaps(wanted) for _interface, network in seen.networks):
                return base
    raise InfraError(
        "this host has routes to every private network: give base_subnet, the first two numbers of a free one"
    )


def _subnet(base: str) -> IPv4Network:
    try:
        return IPv4Network(f"{base}.{SUBNET_ID}.0/24")
    except ValueError:
        raise InfraError(f'base_subnet {base}: write two numbers, as "10.100"') from None


def _port(wishes: Wishes, seen: Seen) -> int:
    """The host's port that leads to the page, 0 for none."""
    if wishes.port is not None:
        if not 0 <= wishes.port <= 65535:
            raise InfraError(f"port {wishes.port}: ports are 1 to 65535, and 0 is none")
        if wishes.port in seen.taken:
            owner = seen.taken[wishes.port]
            raise InfraError(f"port {wishes.port} of this host is taken by {owner}: choose another one, or stop that")
        return wishes.port
    if not seen.lan:
        return 0
    return next((port for port in (*PORTS, *range(20443, 65536)) if port not in seen.taken), 0)


def _model(wishes: Wishes, seen: Seen) -> tuple[str, str]:
    """The model and where it comes from; "" for the hub."""
    if wishes.model_source and wishes.model in ("", "auto"):
        raise InfraError("model_source: say which model that is, with model")
    if wishes.model or not (seen.no_hub and seen.stand_in):
        return wishes.model or "auto", wishes.model_source
    return "anklume/whisper-test", seen.stand_in


def _infra(name: str, schema: str, base: str, port: int, *, gpu: bool, ollama: bool, no_gpu: str) -> str:
    publish = str(HTTPS) if port == HTTPS else f'"{port}:{HTTPS}"'
    ai_roles = ["base_system", *(["ollama_server"] if ollama else []), "stt_server"]
    lines = [
        f"# yaml-language-server: $schema={schema}",
        "---",
        "# Everything about your machines stands in this file. `make init` wrote it for this one. Change it, then:",
        "#   make check    says every fault, with its line",
        "#   make sync     writes inventory/, host_vars/ and group_vars/",
        "#   make plan     shows what would change",
        "#   make apply    changes it",
        "# Every key: docs/reference/infra.md. Settings of the services stand in host_vars/.",
        f"project_name: {name}",
        "",
        "global:",
        "  # The first two numbers of all addresses; nothing else on this host used them.",
        f'  base_subnet: "{base}"',
        *(["  # exclusive: one machine has the GPU. shared: several may.", "  gpu_policy: exclusive"] if gpu else []),
        "",
        "domains:",
        "  # A domain is a network of its own, an Incus project and a group of machines. At most 11 characters.",
        f"  {name}:",
        '    description: "Speech to text at home"',
        f"    # The network is {_subnet(base)}; .254 is the gateway, .1 to .99 are yours.",
        f"    subnet_id: {SUBNET_ID}",
        "    machines:",
        f"      {name}-ai:",
        f'        description: "Speech to text{" and Ollama" if ollama else ""}"',
        f'        ip: "{base}.{SUBNET_ID}.10"',
        "        gpu: true" if gpu else "        # gpu: true    once a container here can have an NVIDIA GPU",
        f"        roles: [{', '.join(ai_roles)}]",
        "",
        f"      {name}-webui:",
        '        description: "Open WebUI"',
        "        # Open WebUI needs Python 3.11 or 3.12, and Debian 12 has it.",
        "        os_image: images:debian/12",
        f'        ip: "{base}.{SUBNET_ID}.30"',
        "        roles: [base_system, open_webui]",
        *(_published(port, publish)),
    ]
    return "\n".join(lines) + "\n"


def _published(port: int, publish: str) -> Iterator[str]:
    if port:
        yield f"        # Port {port} of this host leads to the page, for those in its own local network:"
        yield "        # docs/how-to/reach-it-from-the-phone.md"
        yield f"        publish: [{publish}]"
    else:
        yield "        # Nothing but this host reaches the page: docs/how-to/reach-it-from-the-phone.md"
        yield f"        # publish: [{HTTPS}]"


def _ai_vars(
    machine: str, wishes: Wishes, seen: Seen, engine: str, model: tuple[str, str], *, ollama: bool
) -> Iterator[str]:
    yield _head(machine, "docs/reference/stt_server.md")
    yield "\n# speaches, or the collection's own smaller server, faster_whisper.\n"
    yield f"stt_server_engine: {engine}\n"
    name, source = model
    if source and source == seen.stand_in:
        yield "\n# The model hub could not be reached. This test model knows only the sentences of tests/data: where\n"
        yield "# a real one can be fetched, write `stt_server_model: auto` and take the next line away.\n"
    else:
        yield "\n# auto: the best model that fits this machine, in the compute type that suits it; see `make fit`.\n"
    yield f"stt_server_model: {_text(name)}\n"
    if source:
        yield f"stt_server_model_source: {_text(source)}\n"
    yield "stt_server_quantization: auto\n"
    if wishes.gpu is False:
        yield "stt_server_device: cpu\n"
    if seen.hub:
        yield f"\nstt_server_hub_endpoint: {_text(seen.hub)}\n"
    yield "\n# The language that people speak, as a two-letter code; empty: it is recognised.\n"
    yield f"stt_server_language: {_text(wishes.language)}\n"
    if ollama:
        yield "\n# A language model that Ollama fetches: docs/reference/ollama_server.md\n"
        yield "# ollama_default_model: llama3.2:3b\n"


def _web_vars(machine: str, wishes: Wishes, *, ollama: bool) -> Iterator[str]:
    yield _head(machine, "docs/reference/open_webui.md")
    yield "\n# Wired to the machine with the STT server"
    yield ", and to Ollama.\n" if ollama else ". There is no Ollama.\n"
    yield 'open_webui_stt_url: "{{ infra_stt_url }}"\n'
    if wishes.language:
        yield f"open_webui_stt_language: {_text(wishes.language)}\n"
    yield f'open_webui_ollama_url: "{"{{ infra_ollama_url }}" if ollama else ""}"\n'


def _head(machine: str, page: str) -> str:
    return (
        f"---\n# Settings of the services on {machine}. `make sync` writes a block above these lines of yours.\n"
        f"# All of them: {page}\n"
    )


def _text(value: str) -> str:
    """A string that every YAML reader takes for a string, `no` too."""
    return json.dumps(value, ensure_ascii=False)


def _summary(wishes: Wishes, seen: Seen, base: str, port: int, *, gpu: bool, ollama: bool) -> Iterator[str]:
    if gpu:
        yield f"GPU: {seen.gpu or 'as asked for'}"
    else:
        yield f"GPU: none, speech runs on the processor ({'as asked for' if wishes.gpu is False else seen.no_gpu})"
    name, source = _model(wishes, seen)
    if name != "auto":
        yield f"model: {name}{', the test model' if source and source == seen.stand_in else ''}"
    elif seen.choice:
        yield f"model: {seen.choice}"
    yield f"Ollama: {'yes' if ollama else 'no'}"
    yield f"network: {_subnet(base)}"
    if port:
        why = f", because {HTTPS} is taken by {seen.taken[HTTPS]}" if port != HTTPS and HTTPS in seen.taken else ""
        yield f"port of this host that leads to the page: {port}{why}"
        yield from (f"page: https://{address}{'' if port == HTTPS else f':{port}'}" for address in seen.lan)
    elif wishes.port is None:
        yield "port: none, because this host has no private network behind a default route (global.lan can name one)"
    yield "next: make sync, make plan to see what would change, make apply"


def _warnings(seen: Seen, model: tuple[str, str]) -> Iterator[str]:
    name, source = model
    if seen.no_hub and not source:
        yield (
            f"the model hub cannot be reached from here ({seen.no_hub}): apply cannot fetch the model {name} unless "
            "stt_server_model_source or stt_server_hub_endpoint says from where"
        )
    elif seen.no_hub and source == seen.stand_in:
        yield (
            f"the model hub cannot be reached from here ({seen.no_hub}): a test model stands in for a real one, and it "
            "knows only the sentences of tests/data; host_vars say how to leave it"
        )
    if seen.short:
        yield f"no model may fit this machine: {seen.short}"
