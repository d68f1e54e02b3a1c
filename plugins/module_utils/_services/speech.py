# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What whoever talks to an STT server has to know of it: a sentence to say, when it was understood, and the key."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.anklume.stt.plugins.module_utils._models.kinds import VOSK, kind_of, vosk_language
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import BY_ROLE

WORST_WER = 0.2
"""Word error rate up to which a sentence counts as recognised."""

_COLLECTION = Path(__file__).resolve().parents[3]
CLIPS = _COLLECTION / "data" / "clips"
"""Spoken sentences, and sentences.json, which says what is spoken."""


def role_folder(role: str) -> Path:
    """Where a role of this collection lies, on the controller."""
    return _COLLECTION / "roles" / role


def spoken_clip(language: str | None = None, model: str = "", engine: str = "") -> dict[str, str]:
    """A spoken sentence, the English one if there is none in this language: its recording (path, sha256) and text.

    A model of Vosk is asked for its own language alone; where none of the sentences is in that, no text is expected.
    With the engine vosk the model "auto" is the one of the language.
    """
    alone = vosk_language(model) if kind_of(model) is VOSK else ""
    if (engine, model) == ("vosk", "auto"):
        alone = (language or "").partition("-")[0].lower()
    clip = dict(_clips().get(language or alone, _clips()["en"]))
    return clip if alone in ("", clip["language"]) else {**clip, "language": alone, "text": ""}


@functools.cache
def _clips() -> dict[str, dict[str, str]]:
    return {
        each["language"]: {
            "language": each["language"],
            "path": str(CLIPS / each["clip"]),
            "sha256": hashlib.sha256((CLIPS / each["clip"]).read_bytes()).hexdigest(),
            "text": each["text"],
        }
        for each in json.loads((CLIPS / "sentences.json").read_text(encoding="utf-8"))
    }


_SAID = {
    "de": "Guten Tag, heute scheint die Sonne.",
    "es": "Buenos días, hoy hace buen tiempo.",
    "it": "Buongiorno, oggi il tempo è bello.",
    "pl": "Dzień dobry, dzisiaj świeci słońce.",
}


def clip_of(variables: Mapping[str, Any]) -> dict[str, str]:
    """The spoken sentence for the STT server of a machine, by its variables."""
    language, model, engine = (
        str(variables.get(f"stt_server_{name}") or "") for name in ("language", "model", "engine")
    )
    return spoken_clip(language, model, engine)


def sentence_to_say(language: str) -> dict[str, str]:
    """A sentence for a voice of this language to say (text, language); a voice of any other says the English one."""
    if language in _SAID:
        return {"text": _SAID[language], "language": language}
    clip = spoken_clip(language)
    return {"text": clip["text"], "language": clip["language"]}


def api_key_file(machine: str, project_dir: str, name: str = "") -> Path:
    """Where the key lies that was made for a machine's STT server, on the controller; or the one of this name."""
    return Path(project_dir) / "secrets" / (f"{machine}-stt-key-{name}" if name else f"{machine}-speaches-api-key")


def api_key(given: str | None, machine: str, project_dir: str, name: str = "") -> str:
    """The key of a machine's STT server, from its stt_server_api_key; with "auto" the one that was made.

    `name` is that of another key, of stt_server_api_keys, where it is not the first.

    Empty where none is asked for, and where none was made yet.
    """
    if given != "auto":
        return given or ""
    try:
        return api_key_file(machine, project_dir, name).read_text(encoding="utf-8").rstrip()
    except FileNotFoundError:
        return ""


def api_keys(named: Mapping[str, str], machine: str, project_dir: str) -> list[str]:
    """The other keys of a machine's STT server, from its stt_server_api_keys."""
    return [api_key(given, machine, project_dir, name) for name, given in named.items()]


def key_files(given: str, named: Mapping[str, str], machine: str, project_dir: str) -> list[str]:
    """Where the keys lie, on the controller, that are to be made ("auto") and not given."""
    return [
        str(api_key_file(machine, project_dir, name)) for name, key in {"": given, **named}.items() if key == "auto"
    ]


def stt_machines(groups: Mapping[str, Iterable[str]]) -> list[str]:
    """The machines at whose address an STT server may be found: those that have one, and those with a balancer."""
    return list(dict.fromkeys([*groups.get("role_stt_server", ()), *groups.get("role_stt_balancer", ())]))


def stt_behind(groups: Mapping[str, Iterable[str]]) -> list[str]:
    """The machines whose STT server is changed while others serve, as a balancer is there; none without one."""
    return list(groups.get("role_stt_server", ())) if groups.get("role_stt_balancer") else []


def stt_machine(url: str, machines: Iterable[str], hostvars: Mapping[str, Any]) -> str:
    """The machine of ours that an STT server's address names, by its name or its address; empty when it is none."""
    host = urlsplit("//" + url.rpartition("//")[2]).hostname if url else ""
    known = list(machines)
    if host in known:
        return str(host)
    return next((name for name in known if host and hostvars[name].get("ansible_host") == host), "")


def _balancer_at(url: str, machine: str, hostvars: Mapping[str, Any]) -> bool:
    """Whether it is a balancer of ours that answers at an address of a machine."""
    variables = hostvars[machine] if machine else {}
    port = int(variables.get("stt_balancer_port") or BY_ROLE["stt_balancer"].port)
    return "role_stt_balancer" in variables.get("group_names", ()) and port_of(url) == port


def port_of(url: str) -> int | None:
    """The port in an address, with or without a scheme."""
    return urlsplit("//" + url.rpartition("//")[2]).port


def behind(balancer: Mapping[str, Any], machines: Iterable[str]) -> list[str]:
    """The machines whose STT servers a balancer sends requests to, by its variables; all where it names none."""
    return list(balancer.get("stt_balancer_machines") or machines)


def server_keys(variables: Mapping[str, Any], machine: str, project_dir: str) -> list[str]:
    """All keys of a machine's STT server, the first one first."""
    first = api_key(variables.get("stt_server_api_key"), machine, project_dir)
    named = api_keys(variables.get("stt_server_api_keys") or {}, machine, project_dir)
    return list(dict.fromkeys(filter(None, [first, *named]))) if first else []


def _servers_of(balancer: str, machines: Iterable[str], hostvars: Mapping[str, Any]) -> list[str]:
    """The machines behind one of our balancers, of those that may have an STT server."""
    own = [name for name in machines if "role_stt_server" in hostvars[name].get("group_names", ())]
    return behind(hostvars[balancer], own)


def server_at(
    url: str, key: str, machines: Iterable[str], hostvars: Mapping[str, Any], project_dir: str
) -> dict[str, Any]:
    """An STT server as its clients need it (url, api_key, aliases): of ours we know the key, and the name whisper-1.

    `machines` are those with an STT server or a balancer, `hostvars` their variables; `key` is one that was given. A
    balancer takes its own key, or any of the servers behind it.
    """
    known = list(machines)
    machine = stt_machine(url, known, hostvars)
    servers, keys, others = [machine] if machine else [], [key], ()
    if _balancer_at(url, machine, hostvars):
        servers = _servers_of(machine, known, hostvars)
        keys.append(hostvars[machine].get("stt_balancer_api_key"))
        others = hostvars[machine].get("stt_balancer_extra_servers")
    keys += [api_key(hostvars[name].get("stt_server_api_key"), name, project_dir) for name in servers]
    return {
        "url": url,
        "api_key": next(filter(None, keys), ""),
        "aliases": ["whisper-1"] if machine and not others else [],
    }


def speaking_machine(url: str, machines: Iterable[str], hostvars: Mapping[str, Any]) -> str:
    """The machine of ours whose STT server speaks at this address; empty for another program there, or elsewhere.

    Of a balancer it is the first one behind it, where all of them speak.
    """
    known = list(machines)
    machine = stt_machine(url, known, hostvars)
    if _balancer_at(url, machine, hostvars):
        servers = _servers_of(machine, known, hostvars)
        return servers[0] if all(hostvars[name].get("stt_server_tts_models") for name in servers) else ""
    if not machine or not hostvars[machine].get("stt_server_tts_models"):
        return ""
    own = int(hostvars[machine].get("stt_server_port") or BY_ROLE["stt_server"].port)
    return machine if port_of(url) == own else ""


SENTENCES = {
    "de": "Der schnelle braune Fuchs springt über den faulen Hund.",
    "en": "The quick brown fox jumps over the lazy dog.",
    "es": "El veloz zorro marrón salta sobre el perro perezoso.",
    "fr": "Bonjour, la reconnaissance vocale fonctionne.",
    "it": "La volpe marrone salta sopra il cane pigro.",
    "nl": "De snelle bruine vos springt over de luie hond.",
    "pl": "Szybki brązowy lis skacze nad leniwym psem.",
    "pt": "A rápida raposa marrom salta sobre o cão preguiçoso.",
}
"""What a server is asked to speak, by language."""
