# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role stt_server computes from its variables: what a release is made of, and what cannot be had."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._models.voices import (
    default_voice,
    speech_model,
    speech_models,
)
from ansible_collections.anklume.stt.plugins.module_utils._services.ollama_release import address_of
from ansible_collections.anklume.stt.plugins.module_utils._services.openai_audio import normalise_origin
from ansible_collections.anklume.stt.plugins.module_utils._services.speech_models import model_id

Variables = Mapping[str, Any]

GONE = {
    "owhisper": (
        "its makers have given up: they removed its server in December 2025, and its last release, which nobody"
        " maintains, has another API and no keys. What it promised, several engines behind one API, is"
        " stt_server_engine itself: set it to faster_whisper, parakeet, vosk or speaches"
    )
}
"""Engines that people know by name and that cannot be installed, and why."""


def lock_of(folder: Path, patterns: Iterable[str], source: str = "") -> str:
    """The digest of all that a release is made of: files of the role, by name and content, and an engine's source."""
    digest = hashlib.sha256(source.encode())
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}):
        digest.update(f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def source_is_remote(source: str) -> bool:
    """Whether an engine's source comes from an archive's or a repository's address, and not from a file."""
    return source.startswith(("http://", "https://")) or source.endswith(".git")


def chat_url(given: str, ollama_host: str = "") -> str:
    """Where the language model of Realtime sessions is asked: as given, or the machine's own Ollama, or nowhere."""
    if given:
        return normalise_origin(given)[0]
    return f"{address_of(ollama_host)['url']}/v1" if ollama_host else ""


def unbuilt(machine: str, device: str) -> str:
    """Why the engines cannot run on a processor, or not on its GPU; empty when they can.

    The wheels of CTranslate2 for aarch64 hold no CUDA.
    """
    if machine not in ("x86_64", "aarch64"):
        return f"CTranslate2 is built for x86_64 and aarch64, and this instance is {machine}"
    if machine == "aarch64" and device == "cuda":
        return (
            "CTranslate2 is built without CUDA for aarch64, and stt_server_device asks for a GPU: set stt_server_device"
            " to cpu and stt_server_quantization to int8, and take a smaller model"
        )
    return ""


def refusals(variables: Variables, engines: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Why what the role's variables ask for cannot be had, each with what to do."""
    name = variables["stt_server_engine"]
    if gone := GONE.get(str(name).lower()):
        return [f"stt_server_engine is {name}, which {gone}"]
    if name not in engines:
        known = ", ".join(engines)
        return [
            f"stt_server_engine is {name}, and this version can install {known}: set stt_server_engine to one of them"
        ]
    return [*_in_vain(name, engines[name]["cannot"], variables), *_contradictions(variables)]


def _in_vain(engine: str, cannot: Variables, variables: Variables) -> Iterable[str]:
    for name, nothing in cannot.items():
        if variables[name] != nothing:
            yield (
                f"the engine {engine} cannot do what {name} asks for: leave it at {json.dumps(nothing)}, or choose the"
                " engine speaches"
            )


def _contradictions(variables: Variables) -> Iterable[str]:
    heard = [name for name in [*variables["stt_server_extra_models"], variables["stt_server_model"]] if name != "auto"]
    speaking, refused = _speech(variables)
    yield from refused
    if set(map(model_id, variables["stt_server_resident_models"])) - {*map(model_id, heard), *speaking}:
        yield (
            "every model of stt_server_resident_models must be stt_server_model, or one of stt_server_extra_models or"
            " stt_server_tts_models"
        )
    wheels = variables["stt_server_wheels"]
    if wheels and not wheels.startswith("/"):
        yield f"stt_server_wheels is a folder on the instance, as an absolute path; {wheels} is not"
    yield from _keys(variables["stt_server_api_key"], variables["stt_server_api_keys"])
    source = variables["stt_server_speaches_source"]
    if variables["stt_server_engine"] == "speaches" and not source_is_remote(source) and not Path(source).is_file():
        yield (
            f"stt_server_speaches_source names {source}, which is no file on the controller: give an archive there, or"
            " the address of an archive (http, https) or of a git repository (ending in .git)"
        )


def _speech(variables: Variables) -> tuple[list[str], list[str]]:
    """The models that speak, and why they cannot be had as asked for."""
    names, voice = variables["stt_server_tts_models"], variables["stt_server_tts_voice"]
    language = variables["stt_server_tts_language"] or variables["stt_server_language"]
    try:
        models = speech_models(names, language)
        default_voice(models, voice)
        strange = [name for name in variables["stt_server_tts_sources"] if speech_model(name, language) not in models]
    except Error as exc:
        return [], [str(exc)]
    refused = [f"stt_server_tts_sources names {name}, and stt_server_tts_models does not" for name in strange]
    if voice and not names:
        refused.append("stt_server_tts_voice is a voice of stt_server_tts_models, which is empty: set it too")
    return models, refused


def _keys(first: str, named: Mapping[str, str]) -> Iterable[str]:
    if named and not first:
        yield "stt_server_api_keys are keys beside stt_server_api_key, which is empty: set it too, to auto for example"
    for name, key in named.items():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
            yield f"stt_server_api_keys has a name {name}: names have letters, digits, - and _"
        elif not key or re.search(r"[\s,]", key):
            yield f"the key {name} of stt_server_api_keys is empty, or holds a space or a comma: give another, or auto"
