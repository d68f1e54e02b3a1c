# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A verdict in words: the paragraph of an error message, the lines to paste, the table of a whole GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ansible_collections.anklume.stt.plugins.module_utils._vram import parakeet
from ansible_collections.anklume.stt.plugins.module_utils._vram.compute_types import WIDTHS
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import MARGIN, Estimate, Serving
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import MODELS
from ansible_collections.anklume.stt.plugins.module_utils._vram.parakeets import PARAKEETS
from ansible_collections.anklume.stt.plugins.module_utils._vram.verdict import (
    Candidate,
    Judgement,
    Place,
    Word,
    judge,
    parakeet_subject,
    subject_of,
    vosk_subject,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.vosks import VOSKS

SAID: dict[Word, str] = {
    "fits": "fits",
    "tight": "is tight",
    "does_not_fit": "does not fit",
    "unsupported": "is not supported",
}
MARKS: dict[Word, str] = {"fits": "✔", "tight": "~", "does_not_fit": "✘", "unsupported": "–"}
"""One column wide, and printable in the YAML that ansible-playbook shows."""


def place_in_words(place: Place) -> str:
    """Where it is to run and what there is: "RTX 3060 12GB (12288 MiB, 369 kept by the driver, …)"."""
    gpu = place.gpu
    if gpu is None:
        memory = "" if place.host.ram is None else f" with {place.host.ram:.0f} MiB of memory"
        reason = f" ({place.why_cpu})" if place.why_cpu else ""
        return f"the processor ({place.architecture}){memory}{reason}"
    parts = [f"{gpu.total:.0f} MiB, {gpu.reserved:.0f} kept by the driver"]
    parts += [f"{other.memory:.0f} for {other.name}" for other in place.others]
    if gpu.free is not None:
        parts.append(f"{gpu.free:.0f} free now")
    return f"{gpu.name} ({', '.join(parts)})"


def parts_in_words(parts: Estimate) -> str:
    """The parts of an estimate that are not nothing."""
    activity = "encoder" if parts.encoder > max(parts.decoder, parts.alignment) else "decoder"
    named = (
        (parts.weights, "weights"),
        (parts.projection, "projection copy"),
        (parts.context, "process"),
        (parts.activations, activity + (f" of {parts.workers} workers" if parts.workers > 1 else "")),
    )
    return ", ".join(f"{mib:.0f} {name}" for mib, name in named if mib)


def settings_in_words(serving: Serving) -> str:
    """The settings that memory depends on."""
    return f"batch {serving.batch_size}, beam {serving.beam_size}, {serving.workers} worker{'s'[: serving.workers - 1]}"


def variables(judgement: Judgement, asked: Candidate | None = None) -> dict[str, str | int]:
    """The role's variables for a candidate; with `asked` only those that differ from it."""
    candidate = judgement.candidate
    values: dict[str, str | int] = {
        "stt_server_model": candidate.subject.name,
        "stt_server_quantization": candidate.compute_type,
        "stt_server_batch_size": candidate.serving.batch_size,
        "stt_server_workers": candidate.serving.workers,
    }
    if asked is None:
        del values["stt_server_workers"]
        return values
    before = {
        "stt_server_model": asked.subject.name,
        "stt_server_quantization": asked.compute_type,
        "stt_server_batch_size": asked.serving.batch_size,
        "stt_server_workers": asked.serving.workers,
    }
    return {name: value for name, value in values.items() if before[name] != value}


def option_in_words(option: Judgement, asked: Candidate) -> str:
    """An alternative as the change it takes: "stt_server_batch_size: 1 (4054 MiB, fits)"."""
    change = ", ".join(f"{name}: {value}" for name, value in variables(option, asked).items())
    need = "" if option.bounds is None else f"{option.bounds.worst.peak:.0f} MiB, "
    return f"{change} ({need}{SAID[option.verdict]})"


def explanation(judgement: Judgement, place: Place, options: Sequence[Judgement]) -> str:
    """One paragraph: the verdict, why, and what to choose instead."""
    candidate = judgement.candidate
    said = list(judgement.reasons)
    if judgement.bounds is not None:
        worst = judgement.bounds.worst
        said.append(f"worst case {worst.peak:.0f} MiB ({parts_in_words(worst)}), judged with {MARGIN:.0%} more")
    if options:
        said.append("what fits: " + ", or ".join(option_in_words(option, candidate) for option in options))
    elif judgement.verdict == "does_not_fit":
        said.append("no model of the table fits here")
    return (
        f"{candidate.subject.name} in {_type_in_words(judgement)} ({settings_in_words(candidate.serving)}) "
        f"{SAID[judgement.verdict]} on {place_in_words(place)}: {'; '.join([*said, *judgement.warnings])}"
    )


def _type_in_words(judgement: Judgement) -> str:
    asked, effective = judgement.candidate.compute_type, judgement.effective
    return asked if effective in (None, asked) else f"{asked} ({effective})"


def matrix(place: Place, serving: Serving) -> list[tuple[str, list[Judgement]]]:
    """Every model of the table in every compute type."""
    rows = []
    for name in MODELS:
        subject = subject_of(name)
        if subject is not None:
            rows.append((name, [judge(Candidate(subject, each, serving), place) for each in WIDTHS]))
    return rows


def table(place: Place, serving: Serving) -> str:
    """The matrix as text: a mark and the MiB of the worst case in every cell."""
    rows = [["model", *WIDTHS]]
    rows += [[name, *(cell(judgement) for judgement in row)] for name, row in matrix(place, serving)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    legend = ", ".join(f"{MARKS[word]} {word.replace('_', ' ')}" for word in MARKS)
    settings = f"MiB in the worst case, {settings_in_words(serving)}"
    return "\n".join([f"{place_in_words(place)}: {settings}", *lines, legend])


def other_engines(place: Place, serving: Serving, language: str) -> list[str]:
    """The same of each Parakeet and each Vosk model that knows the language, and what it takes to have it."""
    wanted = parakeet.precision("auto", place.device)
    models = [model for model in PARAKEETS.values() if not language or language in model.languages]
    lines = ["another engine, for languages of Europe: stt_server_engine: parakeet"] if models else []
    for model in models:
        judgement = judge(Candidate(parakeet_subject(model, model.hub_id, wanted), wanted, serving), place)
        known = "English" if model.english_only else f"{len(model.languages)} languages"
        lines.append(f"{model.name}  {wanted}  {cell(judgement)}  {known}, fewer wrong words in English than any above")
    small = [model for model in VOSKS.values() if model.language == (language or "en")]
    if small:
        lines.append("another one, for small machines and old processors: stt_server_engine: vosk")
    processor = replace(place, gpu=None, others=(), refusal="")
    for vosk in small:
        judgement = judge(Candidate(vosk_subject(vosk, vosk.hub_id), "float32", serving), processor)
        lines.append(f"{vosk.name}  {cell(judgement)}  {vosk.language}, lower case and no punctuation")
    return lines


def cell(judgement: Judgement) -> str:
    """A verdict in a few characters: "✔ 3412"."""
    need = "" if judgement.bounds is None else f" {judgement.bounds.worst.peak:.0f}"
    return MARKS[judgement.verdict] + need
