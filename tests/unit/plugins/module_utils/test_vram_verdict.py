# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts: every known GPU with every model and type, what is offered instead, and what auto chooses."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError
from ansible_collections.anklume.stt.plugins.module_utils._vram.compute_types import REQUESTS
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import Serving
from ansible_collections.anklume.stt.plugins.module_utils._vram.explain import explanation, table, variables
from ansible_collections.anklume.stt.plugins.module_utils._vram.gpus import (
    KNOWN_GPUS,
    Gpu,
    Other,
    find_gpu,
    planned_gpu,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import MODELS
from ansible_collections.anklume.stt.plugins.module_utils._vram.verdict import (
    WORDS,
    Candidate,
    Host,
    Judgement,
    Place,
    Subject,
    accepted,
    alternatives,
    assumed_subject,
    choose,
    judge,
    subject_of,
)

NO_HOST = Host()
ORDER = {word: rank for rank, word in enumerate(WORDS)}


def known(name: str) -> Subject:
    subject = subject_of(name)
    assert subject is not None
    return subject


def ask(model: str, compute_type: str, place: Place, batch: int = 8) -> Judgement:
    return judge(Candidate(known(model), compute_type, Serving(batch)), place)


def card(memory: float, capability: tuple[int, int] = (8, 6), host: Host = NO_HOST) -> Place:
    return Place(planned_gpu(f"{memory} MiB", memory, capability), host=host)


@pytest.mark.parametrize("gpu", KNOWN_GPUS)
def test_every_gpu_model_and_type_has_a_verdict(gpu: str) -> None:
    place = Place(find_gpu(gpu))
    for model in MODELS:
        for compute_type in REQUESTS:
            judgement = ask(model, compute_type, place)
            assert judgement.verdict in WORDS
            assert (judgement.bounds is None) == (judgement.verdict == "unsupported")
            assert (judgement.verdict == "fits") == (not judgement.reasons)
            smaller = ask(model, compute_type, place, batch=4)
            assert ORDER[smaller.verdict] <= ORDER[judgement.verdict], (model, compute_type)


@pytest.mark.parametrize("capability", [(6, 1), (7, 5), (8, 6), (12, 0)])
def test_a_bigger_gpu_never_fits_less(capability: tuple[int, int]) -> None:
    sizes = [1024 * size for size in (1, 2, 3, 4, 6, 8, 11, 12, 16, 24, 32, 48)]
    for model in MODELS:
        for compute_type in ("float16", "int8", "float32"):
            ranks = [ORDER[ask(model, compute_type, card(size, capability)).verdict] for size in sizes]
            assert all(before >= after for before, after in pairwise(ranks)), (model, compute_type, ranks)


def test_the_three_verdicts_of_one_model() -> None:
    def verdict(memory: float) -> str:
        return ask("large-v3", "float16", Place(Gpu("a card", memory, 0, (8, 6)))).verdict

    # large-v3 in float16 with batches of 8: 6936 MiB usually, 8176 at worst, each with 6 % more
    assert verdict(8176 * 1.06 + 2) == "fits"
    assert verdict(8176 * 1.06 - 2) == "tight"
    assert verdict(6936 * 1.06 + 2) == "tight"
    assert verdict(6936 * 1.06 - 2) == "does_not_fit"


def test_free_memory_is_told_and_never_judged_by() -> None:
    gpu = find_gpu("RTX 3060")
    idle, busy = (ask("large-v3", "float16", Place(replace(gpu, free=free))) for free in (11900, 200))
    assert idle.verdict == busy.verdict == "fits"
    assert not idle.warnings
    assert "only 200 MiB" in busy.warnings[0]


def test_others_take_their_share() -> None:
    gpu = find_gpu("RTX 3060")
    assert ask("large-v3", "float16", Place(gpu, (Other("ollama", 3000),))).verdict == "fits"
    assert ask("large-v3", "float16", Place(gpu, (Other("ollama", 3000), Other("tts", 1000)))).verdict == "tight"
    with pytest.raises(FitError, match="use at most"):
        ask("large-v3", "float16", Place(gpu, (Other("ollama", 13000),)))


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (card(8192, (3, 5)), "CUDA 12 begins at 5.0"),
        (Place(find_gpu("RTX 3060"), architecture="aarch64"), "aarch64 has no CUDA"),
        (Place(Gpu("x", 8192, 0, (8, 6), driver="470.82")), "too old for CUDA 12"),
        (Place(refusal="no GPU"), "no GPU"),
    ],
)
def test_a_gpu_that_cannot_be_used_at_all(place: Place, told: str) -> None:
    judgement = ask("tiny", "default", place)
    assert judgement.verdict == "unsupported"
    assert told in judgement.reasons[0]
    with pytest.raises(FitError, match="not a compute type"):
        ask("tiny", "half", place)


def test_on_a_processor_float16_names_int8() -> None:
    judgement = ask("large-v3-turbo", "float16", Place(host=Host(ram=16000)))
    assert judgement.verdict == "unsupported"
    assert "use int8" in judgement.reasons[0]
    first = alternatives(judgement, Place(host=Host(ram=16000)), "tight")[0]
    assert variables(first, judgement.candidate) == {"stt_server_quantization": "int8"}


def test_memory_and_disk_of_the_host() -> None:
    fits = card(24576, host=Host(ram=8000, disk_free=4000))
    assert ask("large-v3", "float16", fits).verdict == "fits"
    no_ram = ask("large-v3", "float16", card(24576, host=Host(ram=2000, disk_free=4000)))
    assert no_ram.verdict == "does_not_fit"
    assert "2000 MiB: give the instance more memory" in no_ram.reasons[0]
    no_disk = ask("large-v3", "float16", card(24576, host=Host(ram=8000, disk_free=2900)))
    assert no_disk.verdict == "does_not_fit"
    assert "2900 MiB are free" in no_disk.reasons[0]
    here = Host(ram=8000, disk_free=10, here=frozenset({"Systran/faster-whisper-large-v3"}))
    assert ask("large-v3", "float16", card(24576, host=here)).verdict == "fits"


def test_a_processor_is_judged_by_the_memory_of_the_host() -> None:
    verdicts = [ask("small", "int8", Place(host=Host(ram=ram))).verdict for ram in (1500, 2900, 6000)]
    assert verdicts == ["does_not_fit", "tight", "fits"]
    assert ask("small", "int8", Place()).verdict == "fits"


def test_a_model_of_unknown_size_is_never_refused() -> None:
    judgement = judge(Candidate(assumed_subject("me/mine"), "float16", Serving()), card(4096))
    assert judgement.verdict == "tight"
    assert "was taken for large-v3" in judgement.warnings[0]


def test_a_smaller_batch_is_offered_before_a_smaller_model() -> None:
    place = card(6144)
    refused = ask("large-v3", "float16", place)
    assert refused.verdict == "does_not_fit"
    offered = [variables(option, refused.candidate) for option in alternatives(refused, place, "tight")]
    assert offered[:3] == [
        {"stt_server_batch_size": 4},
        {"stt_server_quantization": "int8_float16", "stt_server_batch_size": 4},
        {"stt_server_model": "large-v3-turbo"},
    ]


def test_workers_go_when_a_batch_of_one_is_still_too_much() -> None:
    place = card(6144)
    refused = judge(Candidate(known("large-v3"), "float16", Serving(8, workers=8)), place)
    offered = variables(alternatives(refused, place, "tight")[0], refused.candidate)
    assert offered == {"stt_server_batch_size": 4, "stt_server_workers": 1}


def test_every_alternative_is_good_enough() -> None:
    for gpu in KNOWN_GPUS:
        place = Place(find_gpu(gpu), host=Host(ram=3000))
        refused = ask("large-v3", "float16", place)
        for policy in ("fits", "tight"):
            for option in alternatives(refused, place, policy):  # type: ignore[arg-type]
                assert accepted(judge(option.candidate, place).verdict, policy)  # type: ignore[arg-type]
                assert option.candidate != refused.candidate


def test_english_models_are_offered_for_english_alone() -> None:
    place = card(4096)
    refused = ask("large-v3", "float16", place)

    def offered(language: str) -> list[str]:
        return [option.candidate.subject.name for option in alternatives(refused, place, "tight", language)]

    assert offered("en")[1] == "distil-large-v3.5"
    for language in ("", "fr"):
        assert not any(MODELS[name].english_only for name in offered(language))


@pytest.mark.parametrize(
    ("place", "language", "expected"),
    [
        (Place(find_gpu("RTX 3060")), "", ("large-v3-turbo", "float16")),
        (Place(find_gpu("RTX 3050 4GB")), "fr", ("large-v3-turbo", "float16")),
        (card(3 * 1024), "", ("large-v3-turbo", "int8_float16")),
        (card(2 * 1024), "", ("small", "int8_float16")),
        (card(2770), "en", ("distil-large-v3.5", "int8_float16")),
        (card(1200), "", ("base", "int8_float16")),
        (card(1000), "", ("tiny", "int8_float16")),
        (Place(find_gpu("GTX 1080")), "", ("large-v3-turbo", "int8")),
        (Place(find_gpu("P100 16GB")), "", ("large-v3-turbo", "float32")),
        (Place(host=Host(ram=16000)), "", ("small", "int8")),
        (Place(host=Host(ram=16000)), "en", ("small.en", "int8")),
        (Place(host=Host(ram=2500)), "", ("base", "int8")),
    ],
)
def test_what_auto_chooses(place: Place, language: str, expected: tuple[str, str]) -> None:
    chosen = choose(None, "auto", place, Serving(), policy="tight", language=language)
    assert (chosen.candidate.subject.name, chosen.candidate.compute_type) == expected
    assert chosen.verdict == "fits"


def test_auto_of_one_half_keeps_the_other() -> None:
    place = card(4608)
    typed = choose(None, "int8_float16", place, Serving(), policy="tight")
    assert (typed.candidate.subject.name, typed.candidate.compute_type) == ("large-v3-turbo", "int8_float16")
    named = choose(known("medium"), "auto", place, Serving(), policy="tight")
    assert (named.candidate.compute_type, named.verdict) == ("int8_float16", "fits")


def test_auto_takes_tight_only_when_nothing_fits() -> None:
    place = card(4608)
    assert ask("medium", "int8_float16", place).verdict == "fits"
    tight = choose(known("large-v3"), "auto", card(6000), Serving(), policy="tight")
    assert (tight.candidate.compute_type, tight.verdict) == ("int8_float16", "tight")
    strict = choose(known("large-v3"), "auto", card(6000), Serving(), policy="fits")
    assert not accepted(strict.verdict, "fits")


def test_the_explanation_is_one_paragraph_with_numbers_and_a_way_out() -> None:
    place = Place(find_gpu("RTX 3050 4GB"), (Other("tts", 100),))
    refused = ask("large-v3", "float16", place)
    said = explanation(refused, place, alternatives(refused, place, "tight"))
    assert "\n" not in said
    for part in (
        "large-v3 in float16",
        "does not fit",
        "RTX 3050 4GB",
        "8176 MiB",
        "100 for tts",
        "what fits: stt_server_",
    ):
        assert part in said


def test_the_table_has_every_model_and_type() -> None:
    lines = table(Place(find_gpu("RTX 3050 4GB")), Serving()).splitlines()
    assert len(lines) == len(MODELS) + 3
    row = next(line for line in lines if line.startswith("large-v3 ")).split()
    assert row == ["large-v3", "✘", "15762", "✘", "8176", "✘", "8176", "–", "✘", "10488", "✘", "6318", "✘", "6318"]
