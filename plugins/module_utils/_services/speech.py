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

from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import BY_ROLE

WORST_WER = 0.2
"""Word error rate up to which a sentence counts as recognised."""

_COLLECTION = Path(__file__).resolve().parents[3]
CLIPS = _COLLECTION / "data" / "clips"
"""Spoken sentences, and sentences.json, which says what is spoken."""


def role_folder(role: str) -> Path:
    """Where a role of this collection lies, on the controller."""
    return _COLLECTION / "roles" / BY_ROLE[role].role


def spoken_clip(language: str | None = None) -> dict[str, str]:
    """A spoken sentence, the English one if there is none in this language: its recording (path, sha256) and text."""
    return dict(_clips().get(language or "", _clips()["en"]))


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


def stt_machine(url: str, machines: Iterable[str], hostvars: Mapping[str, Any]) -> str:
    """The machine of ours that an STT server's address names, by its name or its address; empty when it is none."""
    host = urlsplit("//" + url.rpartition("//")[2]).hostname if url else ""
    known = list(machines)
    if host in known:
        return str(host)
    return next((name for name in known if host and hostvars[name].get("ansible_host") == host), "")


def server_at(
    url: str, key: str, machines: Iterable[str], hostvars: Mapping[str, Any], project_dir: str
) -> dict[str, Any]:
    """An STT server as its clients need it (url, api_key, aliases): of ours we know the key, and the name whisper-1.

    `machines` are those with an STT server, `hostvars` their variables; `key` is one that was given.
    """
    machine = stt_machine(url, machines, hostvars)
    made = api_key(hostvars[machine].get("stt_server_api_key"), machine, project_dir) if machine else ""
    return {"url": url, "api_key": key or made, "aliases": ["whisper-1"] if machine else []}


def speaking_machine(url: str, machines: Iterable[str], hostvars: Mapping[str, Any]) -> str:
    """The machine of ours whose STT server speaks at this address; empty for another program there, or elsewhere."""
    machine = stt_machine(url, machines, hostvars)
    if not machine or not hostvars[machine].get("stt_server_tts_models"):
        return ""
    port = urlsplit("//" + url.rpartition("//")[2]).port
    return machine if port == int(hostvars[machine].get("stt_server_port") or BY_ROLE["stt_server"].port) else ""


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
