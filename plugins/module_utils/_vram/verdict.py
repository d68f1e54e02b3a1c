# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a model in a compute type fits a place, what to choose instead, and what `auto` chooses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError
from ansible_collections.anklume.stt.plugins.module_utils._vram import parakeet, vosk
from ansible_collections.anklume.stt.plugins.module_utils._vram.compute_types import (
    OLDEST_CAPABILITY,
    OLDEST_DRIVER,
    Support,
    check_request,
    cpu_support,
    cuda_support,
    effective,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import (
    MARGIN,
    USUAL,
    Bounds,
    Device,
    Serving,
    bounds,
    overhead_on,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.gpus import Gpu, Other, others_total
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import MODELS, Dims, find_model, resolve_model
from ansible_collections.anklume.stt.plugins.module_utils._vram.parakeets import ParakeetModel, Precision
from ansible_collections.anklume.stt.plugins.module_utils._vram.vosks import VoskModel

Word = Literal["fits", "tight", "does_not_fit", "unsupported"]
Policy = Literal["fits", "tight"]
Source = Literal["table", "model.bin", "config.json", "file size", "assumed"]

WORDS: tuple[Word, ...] = ("fits", "tight", "does_not_fit", "unsupported")

ACCURATE = ("large-v3", "large-v3-turbo", "small", "base", "tiny")
"""Models to offer instead, the most accurate first. medium is left out: turbo hears better in less memory."""

ACCURATE_ENGLISH = ("distil-large-v3.5", "large-v3", "large-v3-turbo", "small.en", "base.en", "tiny.en")
"""The same for English alone (order of the Open ASR leaderboard, see `models`)."""

AUTOMATIC = ("large-v3-turbo", "small", "base", "tiny")
"""What `auto` tries on a GPU. large-v3 is not in it: four times the decoder for 0.4 points of word error rate."""

AUTOMATIC_ENGLISH = ("large-v3-turbo", "distil-large-v3.5", "small.en", "base.en", "tiny.en")

AUTOMATIC_CPU = ("small", "base", "tiny")
"""What `auto` tries on a processor: turbo's encoder takes seven times the arithmetic of small's."""

AUTOMATIC_CPU_ENGLISH = ("small.en", "base.en", "tiny.en")

MOST_ALTERNATIVES = 5


@dataclass(frozen=True)
class Subject:
    """A model whose shapes are known, and where from. `file` is the size of its model.bin in MiB where it is known."""

    name: str
    hub_id: str
    dims: Dims
    saved: str = "float16"
    english_only: bool = False
    source: Source = "table"
    file: float | None = None
    precision: Precision | None = None
    """Not a Whisper but a Parakeet, in that precision; its file is all that is known of its shape."""
    vosk: bool = False
    """Not a Whisper but a Vosk model, of which its files are all that is known, too."""


@dataclass(frozen=True)
class Host:
    """The machine around the GPU, in MiB; None for what is not judged. Models that are `here` need no more disk."""

    ram: float | None = None
    disk_free: float | None = None
    here: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Place:
    """Where a model is to run: on `gpu` beside `others`, or on the processor where `gpu` is None."""

    gpu: Gpu | None = None
    others: tuple[Other, ...] = ()
    host: Host = Host()
    architecture: str = "x86_64"
    intel: bool = False
    refusal: str = ""
    """Why the device asked for cannot be used at all."""
    why_cpu: str = ""
    """Why it is the processor, where a GPU would have been taken."""

    @property
    def device(self) -> Device:
        """CTranslate2's word for it."""
        return "cpu" if self.gpu is None and not self.refusal else "cuda"

    @property
    def available(self) -> float | None:
        """MiB that are ours to use; free memory plays no part, so that our own running service cannot refuse itself."""
        if self.gpu is None:
            return self.host.ram
        return self.gpu.usable - others_total(self.others, self.gpu)

    def support(self, serving: Serving) -> Support:
        """What the device computes in."""
        if self.gpu is None:
            return cpu_support(self.architecture, self.intel)
        return cuda_support(self.gpu.capability, serving.ctranslate2)


@dataclass(frozen=True)
class Candidate:
    """A way to run a model."""

    subject: Subject
    compute_type: str
    serving: Serving


@dataclass(frozen=True)
class Judgement:
    """The verdict on a candidate with everything that led to it."""

    candidate: Candidate
    verdict: Word
    effective: str | None = None
    bounds: Bounds | None = None
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def subject_of(name: str) -> Subject | None:
    """The table's entry as a subject; None for a model that the table does not know."""
    model = find_model(name)
    if model is None:
        resolve_model(name)  # refuses what cannot be a model at all
        return None
    hub_id = name if "/" in name else model.hub_id
    return Subject(model.name, hub_id, model.dims, model.saved, model.english_only)


def parakeet_subject(model: ParakeetModel, hub_id: str, precision: Precision) -> Subject:
    """A Parakeet of the table in one precision."""
    file = parakeet.file_mib(model, precision)
    dims, english = parakeet.DIMS, model.english_only
    return Subject(model.name, hub_id, dims, precision, english, file=file, precision=precision)


def vosk_subject(model: VoskModel, hub_id: str) -> Subject:
    """A Vosk model of the table."""
    return Subject(
        model.name, hub_id, vosk.DIMS, "float32", model.english_only, file=vosk.archive_mib(model), vosk=True
    )


def assumed_subject(name: str) -> Subject:
    """A model of which nothing is known is taken for the largest Whisper."""
    return Subject(name, name, MODELS["large-v3"].dims, source="assumed")


def accepted(verdict: Word, policy: Policy) -> bool:
    """Whether a verdict is good enough."""
    return verdict == "fits" or (verdict == "tight" and policy == "tight")


def judge(candidate: Candidate, place: Place) -> Judgement:
    """The verdict on one way to run a model in one place."""
    refused = place.refusal or _unusable_gpu(place)
    if refused:
        check_request(candidate.compute_type)
        return Judgement(candidate, "unsupported", reasons=(refused,))
    subject = candidate.subject
    if subject.precision:
        return _judged_parakeet(candidate, place, subject.precision)
    if subject.vosk:
        return _judged_by_files(candidate, place, "float32", vosk.bounds(subject.file or 0, candidate.serving))
    resolved = effective(candidate.compute_type, place.support(candidate.serving), subject.saved)
    if resolved.compute_type is None:
        return Judgement(candidate, "unsupported", reasons=(resolved.note,))
    warnings = [resolved.note] if resolved.note else []
    overhead = USUAL if place.gpu is None else overhead_on(place.gpu.capability)
    need = bounds(
        subject.dims, resolved.compute_type, candidate.serving, place.device, subject.saved, overhead=overhead
    )
    if subject.file is not None:
        need = replace(need, ram=need.ram - need.disk + subject.file, disk=subject.file)
    verdict, reasons = _device_verdict(need, place)
    short = _host_shortage(subject, need, place.host, place.device)
    if short:
        verdict, reasons = "does_not_fit", [*reasons, *short]
    if subject.source == "assumed" and verdict != "fits":
        warnings.append(
            f"the size of {subject.name} is not known here and it was taken for large-v3, the largest Whisper: "
            + "; ".join(reasons)
        )
        verdict, reasons = "tight", []
    gpu = place.gpu
    if gpu is not None and gpu.free is not None and gpu.free < need.idle and verdict in ("fits", "tight"):
        warnings.append(
            f"only {gpu.free:.0f} MiB of {gpu.name} are free at this moment; the verdict counts on "
            f"{place.available or 0:.0f} MiB"
        )
    return Judgement(candidate, verdict, resolved.compute_type, need, tuple(reasons), tuple(warnings))


def _judged_parakeet(candidate: Candidate, place: Place, precision: Precision) -> Judgement:
    overhead = USUAL if place.gpu is None else overhead_on(place.gpu.capability)
    need = parakeet.bounds(candidate.subject.file or 0, precision, candidate.serving, place.device, overhead)
    return _judged_by_files(candidate, place, precision, need)


def _judged_by_files(candidate: Candidate, place: Place, computed_in: str, need: Bounds) -> Judgement:
    verdict, reasons = _device_verdict(need, place)
    if short := _host_shortage(candidate.subject, need, place.host, place.device):
        verdict, reasons = "does_not_fit", [*reasons, *short]
    return Judgement(candidate, verdict, computed_in, need, tuple(reasons))


def _unusable_gpu(place: Place) -> str:
    gpu = place.gpu
    if gpu is None:
        return ""
    if place.architecture == "aarch64":
        return "CTranslate2's package for aarch64 has no CUDA: use device cpu with int8"
    if gpu.capability < OLDEST_CAPABILITY:
        return (
            f"{gpu.name} has compute capability {gpu.capability[0]}.{gpu.capability[1]}, CUDA 12 begins at "
            f"{OLDEST_CAPABILITY[0]}.{OLDEST_CAPABILITY[1]}: use device cpu with int8"
        )
    branch = gpu.driver.split(".")[0]
    if branch.isdigit() and int(branch) < OLDEST_DRIVER[0]:
        return f"the NVIDIA driver {gpu.driver} is too old for CUDA 12: install {OLDEST_DRIVER[0]} or newer"
    return ""


def _device_verdict(need: Bounds, place: Place) -> tuple[Word, list[str]]:
    available = place.available
    if available is None:
        return "fits", []
    if place.gpu is None:
        what, worst, usual = "the host's memory", need.ram, need.usual.peak
    else:
        what, worst, usual = f"{place.gpu.name}", need.worst.peak, need.usual.peak
    if worst * (1 + MARGIN) <= available:
        return "fits", []
    if usual * (1 + MARGIN) <= available:
        return "tight", [
            f"ordinary speech needs {usual:.0f} MiB, but the worst case needs {worst:.0f} MiB "
            f"and {what} leaves {available:.0f} MiB"
        ]
    return "does_not_fit", [
        f"it needs {usual:.0f} MiB on ordinary speech and {worst:.0f} MiB at worst, "
        f"and {what} leaves {available:.0f} MiB"
    ]


def _host_shortage(subject: Subject, need: Bounds, host: Host, device: Device) -> list[str]:
    short = []
    if device == "cuda" and host.ram is not None and need.ram > host.ram:
        short.append(
            f"loading it needs {need.ram:.0f} MiB of the host's memory, which has {host.ram:.0f} MiB: "
            "give the instance more memory"
        )
    if host.disk_free is not None and subject.hub_id not in host.here and need.disk > host.disk_free:
        short.append(
            f"its file needs {need.disk:.0f} MiB of disk and {host.disk_free:.0f} MiB are free: "
            "give the instance a larger disk"
        )
    return short


def preferred_types(support: Support) -> tuple[str, ...]:
    """The types worth choosing on a device, the fastest first.

    int8 costs hardly any accuracy (FLEURS, large-v2 in Hungarian: float16 20.92, int8_float16 20.96 % errors).
    """
    if not support.cuda:
        return ("int8",)
    lean = () if not support.int8 or support.broken_int8 else ("int8_float16",) if support.float16 else ("int8",)
    if support.float16:
        return ("float16", *lean)
    return lean or ("float32",)


def is_english(language: str) -> bool:
    """Whether a language setting allows models that know English alone."""
    return language.strip().lower() in ("en", "english")


def choose(
    model: Subject | None, compute_type: str, place: Place, serving: Serving, *, policy: Policy, language: str = ""
) -> Judgement:
    """The first of the automatic order that fits, or that is good enough; None as a model leaves it open."""
    tried = [judge(candidate, place) for candidate in _automatic(model, compute_type, place, serving, language)]
    return _best(tried, policy) or tried[-1]


def _best(judgements: list[Judgement], policy: Policy) -> Judgement | None:
    """The first that fits, else the first that is good enough."""
    good = [judgement for judgement in judgements if accepted(judgement.verdict, policy)]
    return next((judgement for judgement in good if judgement.verdict == "fits"), good[0] if good else None)


def _automatic(
    model: Subject | None, compute_type: str, place: Place, serving: Serving, language: str
) -> Iterator[Candidate]:
    english = is_english(language)
    types = preferred_types(place.support(serving)) if compute_type == "auto" else (compute_type,)
    if model is not None:
        yield from (Candidate(model, each, serving) for each in types)
        return
    names: tuple[str, ...]
    if place.gpu is None:
        names = AUTOMATIC_CPU_ENGLISH if english else AUTOMATIC_CPU
    else:
        names = AUTOMATIC_ENGLISH if english else AUTOMATIC
    for position, name in enumerate(names):
        # the first model in every type; smaller ones only in the leanest, a larger model in int8 hears better
        for each in types if position == 0 else types[-1:]:
            yield Candidate(_known(name), each, serving)


def alternatives(refused: Judgement, place: Place, policy: Policy, language: str = "") -> list[Judgement]:
    """What is good enough instead: the same model with a smaller batch, in a leaner type, then others by accuracy."""
    candidate = refused.candidate
    types = preferred_types(place.support(candidate.serving))
    found: list[Judgement] = []

    def offer(subject: Subject, compute_type: str) -> bool:
        options = (Candidate(subject, compute_type, serving) for serving in _servings(candidate.serving))
        best = _best([judge(option, place) for option in options if option != candidate], policy)
        if best is not None:
            found.append(best)
        return best is not None

    if refused.verdict != "unsupported":
        offer(candidate.subject, candidate.compute_type)
    if candidate.subject.precision or candidate.subject.vosk:  # no other model without another engine
        return found
    for each in types:
        if each != candidate.compute_type:
            offer(candidate.subject, each)
    for name in ACCURATE_ENGLISH if is_english(language) else ACCURATE:
        if name != candidate.subject.name:
            for each in types:
                if offer(_known(name), each):
                    break
    return found[:MOST_ALTERNATIVES]


def _servings(asked: Serving) -> Iterator[Serving]:
    """The settings asked for, then ever smaller batches, then one worker."""
    for workers in dict.fromkeys((asked.workers, 1)):
        batch = asked.batch_size
        while batch >= 1:
            yield replace(asked, batch_size=batch, workers=workers)
            batch //= 2


def _known(name: str) -> Subject:
    subject = subject_of(name)
    if subject is None:
        raise FitError(f"{name!r} is not in the table of models")
    return subject
