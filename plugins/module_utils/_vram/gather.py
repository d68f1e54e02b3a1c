# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of stt_fit and what this machine has → a question and a place → the answer."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError
from ansible_collections.anklume.stt.plugins.module_utils._vram import parakeet, probe, vosk
from ansible_collections.anklume.stt.plugins.module_utils._vram.answer import Question, answer
from ansible_collections.anklume.stt.plugins.module_utils._vram.compute_types import parse_capability, parse_version
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import MIB, Device, Serving
from ansible_collections.anklume.stt.plugins.module_utils._vram.explain import other_engines, table
from ansible_collections.anklume.stt.plugins.module_utils._vram.gpus import Gpu, gpu_from, other_from, planned_gpu
from ansible_collections.anklume.stt.plugins.module_utils._vram.headers import (
    find_folder,
    read_folder,
    subject_of_size,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import MODELS, WhisperModel, resolve_model
from ansible_collections.anklume.stt.plugins.module_utils._vram.parakeets import (
    EUROPEAN,
    PARAKEETS,
    ParakeetModel,
    automatic,
    find_parakeet,
    is_parakeet,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.reserve import ollama_version
from ansible_collections.anklume.stt.plugins.module_utils._vram.verdict import (
    Host,
    Place,
    Source,
    Subject,
    assumed_subject,
    is_english,
    parakeet_subject,
    subject_of,
    vosk_subject,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.vosks import (
    VOSKS,
    VoskModel,
    find_vosk,
    is_vosk,
    vosk_for,
)

VARIABLES = {
    "stt_server_engine": "engine",
    "stt_server_model": "model",
    "stt_server_quantization": "compute_type",
    "stt_server_device": "device",
    "stt_server_gpu": "gpu",
    "stt_server_vram_others": "others",
    "stt_server_batch_size": "batch_size",
    "stt_server_beam_size": "beam_size",
    "stt_server_workers": "workers",
    "stt_server_vram_policy": "policy",
    "stt_server_language": "language",
    "stt_server_tts_models": "speech_models",
}
"""The variables of the role stt_server that a verdict goes by, and the options of stt_fit that they stand for."""

SPEECH_MIB = {"kokoro": 800, "": 320}
"""What a model that speaks takes of the machine's memory: 313 MiB were seen of a voice of Piper at work."""


def speech_mib(models: Iterable[str]) -> int:
    """MiB for all models that speak, for each may be loaded."""
    return sum(next(mib for part, mib in SPEECH_MIB.items() if part in name.lower()) for name in models)


def asked(params: dict[str, Any]) -> dict[str, Any]:
    """The options, with those that are given as variables of the role in their places."""
    given = params["variables"] or {}
    return params | {option: given[name] for name, option in VARIABLES.items() if given.get(name) is not None}


def own_gpu(facts: probe.GpuFacts, notes: list[str]) -> Gpu | None:
    """The first GPU of this machine, or its first MIG slice; what else there is goes to the notes."""
    if not facts.gpus:
        return None
    first = facts.gpus[0]
    if first.mig and facts.mig_slices:
        cut = facts.mig_slices[0]
        name = f"{first.name} MIG {cut.profile}"
        return planned_gpu(name, cut.memory_mib, parse_capability(first.compute_capability))
    if len(facts.gpus) > 1:
        notes.append(f"of {len(facts.gpus)} GPUs the first is judged, {first.name}; name another one with gpu")
    return gpu_from(asdict(first))


def find_models(params: dict[str, Any]) -> dict[str, Path]:
    """The folders of the models that lie here, of those known and the one asked for, by hub id."""
    models = Path(params["models_dir"]) if params["models_dir"] else None
    asked = [] if params["model"] == "auto" else [resolve_model(params["model"])]
    known: Iterable[WhisperModel | ParakeetModel | VoskModel] = MODELS.values()
    marker = "model.bin"
    if params["engine"] == "parakeet":
        known, marker = PARAKEETS.values(), "vocab.txt"
    if params["engine"] == "vosk":
        known, marker = VOSKS.values(), "am/final.mdl"
    places = {hub_id: find_folder(hub_id, models, marker) for hub_id in (*asked, *(each.hub_id for each in known))}
    return {hub_id: place for hub_id, place in places.items() if place is not None}


def find_place(params: dict[str, Any], here: Collection[str], notes: list[str]) -> Place:
    """Where the model is to run; the models that lie here need no disk."""
    machine = probe.machine()
    gpu, refusal, why_cpu = None, "", ""
    if params["device"] != "cpu":
        if params["gpu"]:
            gpu = gpu_from(params["gpu"])
        else:
            facts = probe.gpu_facts(params["nvidia_smi"] or "", params["timeout"])
            gpu = own_gpu(facts, notes)
            why_cpu = "; ".join(["no NVIDIA GPU may be used here", *facts.unusable])
        if gpu is None and params["device"] == "cuda":
            refusal = "the device is to be cuda and there is none: use the device cpu with int8"
    host = Host()
    if params["check_host"]:
        disk = probe.disk_free(params["models_dir"]) if params["models_dir"] else None
        host = Host(machine.ram_total - speech_mib(params["speech_models"]), disk, frozenset(here))
    others = tuple(other_from(other) for other in params["others"])
    return Place(gpu, others if gpu else (), host, machine.architecture, machine.intel, refusal, why_cpu)


def find_subject(params: dict[str, Any], here: Mapping[str, Path]) -> Subject | None:
    """The model's shapes; None for auto."""
    name = params["model"]
    if name == "auto":
        return None
    known = subject_of(name)
    if known is not None:
        return known
    if name in here:
        return read_folder(here[name], name, name)
    if params["model_file_mib"]:
        return subject_of_size(int(params["model_file_mib"] * MIB), name, name)
    return assumed_subject(name)


def check_engine(params: Mapping[str, Any]) -> None:
    """Refuse a model of another engine: none is ever changed for the other."""
    name, engine = params["model"], params["engine"]
    if engine == "parakeet" and name != "auto" and not is_parakeet(name):
        raise FitError(
            f"{name} is no Parakeet, and the engine parakeet loads nothing else: set stt_server_model to"
            f" {', '.join(PARAKEETS)}, auto, or a hub id of the form owner/parakeet-NAME"
        )
    language, known = params["language"], find_parakeet(name)
    knows = EUROPEAN if name == "auto" else known.languages if known else (language,)
    if engine == "parakeet" and language and language not in knows:
        raise FitError(
            f"{name if known else 'Parakeet'} does not know the language {language} of stt_server_language: set"
            " stt_server_engine to faster_whisper or speaches, with a Whisper model"
        )
    if engine != "parakeet" and is_parakeet(name):
        raise FitError(
            f"{name} is a Parakeet, which the engine {engine} cannot load: set stt_server_engine to parakeet"
        )
    if engine == "vosk":
        _check_vosk(name, language, params["device"])
    elif is_vosk(name):
        raise FitError(
            f"{name} is a model of Vosk, which the engine {engine} cannot load: set stt_server_engine to vosk"
        )


def _check_vosk(name: str, language: str, device: str) -> None:
    if name != "auto" and not is_vosk(name):
        raise FitError(
            f"{name} is no model of Vosk, and the engine vosk loads nothing else: set stt_server_model to"
            f" {', '.join(VOSKS)}, auto, or an id of the form owner/vosk-LANGUAGE-NAME"
        )
    known = find_vosk(name)
    if known and language and language != known.language:
        raise FitError(
            f"{name} knows {known.language} alone, and stt_server_language is {language}: set it to {known.language},"
            " or stt_server_model to auto"
        )
    if device == "cuda":
        raise FitError("Vosk computes on the processor alone: set stt_server_device to auto or cpu")


def find_parakeet_subject(params: dict[str, Any], here: Mapping[str, Path], device: Device) -> Subject:
    """A Parakeet in the precision that it will run in."""
    wanted = parakeet.precision(params["compute_type"], device)
    name = params["model"]
    known = automatic(is_english(params["language"])) if name == "auto" else find_parakeet(name)
    if known:
        return parakeet_subject(known, name if "/" in name else known.hub_id, wanted)
    size = parakeet.file_mib(next(iter(PARAKEETS.values())), wanted)
    if name in here:
        size = parakeet.folder_mib(here[name], wanted)
    elif params["model_file_mib"]:
        size = params["model_file_mib"]
    return Subject(name, name, parakeet.DIMS, wanted, source="file size", file=size, precision=wanted)


def find_vosk_subject(params: dict[str, Any], here: Mapping[str, Path]) -> Subject:
    """A Vosk model by its files."""
    name = params["model"]
    known = vosk_for(params["language"]) if name == "auto" else find_vosk(name)
    if known:
        return vosk_subject(known, name if "/" in name else known.hub_id)
    size = vosk.folder_mib(here[name]) if name in here else params["model_file_mib"]
    source: Source = "file size" if size else "assumed"
    return Subject(name, name, vosk.DIMS, "float32", source=source, file=size or vosk.ASSUMED, vosk=True)


def ask(options: dict[str, Any]) -> dict[str, Any]:
    """The answer to what the options of stt_fit ask."""
    params = asked(options)
    notes: list[str] = []
    check_engine(params)
    if params["engine"] == "vosk":  # whatever GPU there is
        params |= {"device": "cpu"}
    here = find_models(params)
    place = find_place(params, here, notes)
    if params["engine"] == "parakeet":
        subject: Subject | None = find_parakeet_subject(params, here, place.device)
        compute_type = str(subject and subject.precision)
    elif params["engine"] == "vosk":
        subject, compute_type = find_vosk_subject(params, here), vosk.compute_type(params["compute_type"])
    else:
        subject, compute_type = find_subject(params, here), params["compute_type"]
    serving = Serving(
        params["batch_size"], params["beam_size"], params["workers"], parse_version(params["ctranslate2"])
    )
    if params["speech_models"]:
        mib = speech_mib(params["speech_models"])
        notes.append(f"speech takes {mib} MiB of the machine's memory and 0 of a GPU's: it runs on the processor")
    if params["ollama_version"]:
        ollama_version(params["ollama_version"])
    question = Question(
        subject,
        compute_type,
        serving,
        params["policy"],
        params["language"],
        params["ollama_version"],
        params["keeps_model"],
    )
    result = answer(question, place)
    result["model"]["here"] = result["model"]["hub_id"] in here
    result["notes"] = [*notes, *result["notes"]]
    result["cores"] = len(os.sched_getaffinity(0))
    if params["table"]:
        result["table"] = "\n".join([table(place, serving), *other_engines(place, serving, params["language"])])
    return result
