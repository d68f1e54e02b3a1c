# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A question about memory and its whole answer, as data that a module returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import Estimate, Serving, parameters
from ansible_collections.anklume.stt.plugins.module_utils._vram.explain import explanation, variables
from ansible_collections.anklume.stt.plugins.module_utils._vram.parakeet import PARAMETERS
from ansible_collections.anklume.stt.plugins.module_utils._vram.reserve import load_of, ollama_reserve, tell_left
from ansible_collections.anklume.stt.plugins.module_utils._vram.verdict import (
    Candidate,
    Judgement,
    Place,
    Policy,
    Subject,
    accepted,
    alternatives,
    choose,
    is_english,
    judge,
)


@dataclass(frozen=True)
class Question:
    """What is asked. `subject` is None where the model is left to be chosen; `compute_type` may be "auto"."""

    subject: Subject | None
    compute_type: str
    serving: Serving
    policy: Policy = "tight"
    language: str = ""
    ollama: str = ""
    resident: bool = True


def answer(question: Question, place: Place) -> dict[str, Any]:
    """The verdict and everything that goes with it."""
    judgement = judged(question, place)
    good = accepted(judgement.verdict, question.policy)
    subject, gpu, available = judgement.candidate.subject, place.gpu, place.available
    language = question.language or ("en" if subject.english_only else "")
    options = alternatives(judgement, place, question.policy, language) if judgement.verdict != "fits" else []
    notes = list(judgement.warnings)
    if subject.english_only and not is_english(language):
        notes.append(f"{subject.name} knows English alone, and the language is {language}")
    try:
        reserve = reserve_data(question, judgement, place) if question.ollama and good else None
    except FitError as error:
        reserve = None
        notes.append(f"nothing is left for Ollama: {error}")
    return {
        "verdict": judgement.verdict,
        "accepted": good,
        "device": place.device,
        "model": {
            "name": subject.name,
            "hub_id": subject.hub_id,
            "known_from": subject.source,
            "parameters": PARAMETERS if subject.precision else 0 if subject.vosk else parameters(subject.dims),
            "english_only": subject.english_only,
        },
        "compute_type": judgement.candidate.compute_type,
        "effective_compute_type": judgement.effective or "",
        "estimate": estimate_data(judgement),
        "available_mib": None if available is None else round(available),
        "gpu": None
        if gpu is None
        else {
            "name": gpu.name,
            "memory_total_mib": round(gpu.total),
            "memory_reserved_mib": round(gpu.reserved),
            "memory_free_mib": None if gpu.free is None else round(gpu.free),
            "others_mib": round(sum(other.memory for other in place.others)),
            "compute_capability": ".".join(str(part) for part in gpu.capability),
        },
        "reasons": list(judgement.reasons),
        "notes": notes,
        "alternatives": [alternative_data(option, judgement.candidate) for option in options],
        "variables": variables(judgement),
        "ollama_reserve": reserve,
        "explanation": explanation(judgement, place, options),
    }


def judged(question: Question, place: Place) -> Judgement:
    """The verdict on what is asked for, or on what is chosen where that is left open."""
    if question.subject is None or question.compute_type == "auto":
        return choose(
            question.subject,
            question.compute_type,
            place,
            question.serving,
            policy=question.policy,
            language=question.language,
        )
    return judge(Candidate(question.subject, question.compute_type, question.serving), place)


def estimate_data(judgement: Judgement) -> dict[str, int] | None:
    """The parts in whole MiB."""
    need = judgement.bounds
    if need is None:
        return None
    return {
        **_parts(need.worst),
        "idle": round(need.idle),
        "usual": round(need.usual.peak),
        "worst": round(need.worst.peak),
        "ram": round(need.ram),
        "disk": round(need.disk),
    }


def _parts(parts: Estimate) -> dict[str, int]:
    names = ("context", "weights", "projection", "encoder", "decoder", "alignment", "activations")
    return {name: round(getattr(parts, name)) for name in names}


def alternative_data(option: Judgement, asked: Candidate) -> dict[str, Any]:
    """One way out."""
    candidate = option.candidate
    return {
        "verdict": option.verdict,
        "model": candidate.subject.name,
        "compute_type": candidate.compute_type,
        "batch_size": candidate.serving.batch_size,
        "beam_size": candidate.serving.beam_size,
        "workers": candidate.serving.workers,
        "worst_mib": 0 if option.bounds is None else round(option.bounds.worst.peak),
        "variables": variables(option, asked),
    }


def reserve_data(question: Question, judgement: Judgement, place: Place) -> dict[str, Any] | None:
    """What Ollama must leave free on the same GPU; None on a processor."""
    gpu = place.gpu
    if gpu is None or judgement.bounds is None:
        return None
    load = load_of(judgement.bounds, question.resident)
    reserve = ollama_reserve(question.ollama, [load], gpu.usable)
    return {
        "variable": reserve.variable,
        "value": reserve.value,
        "line": reserve.line,
        "reserved_mib": reserve.mib,
        "left_mib": reserve.left,
        "left": tell_left(reserve.left, gpu.total),
    }
