# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of models and of GPUs: names as people write them, and the nearest one where a name is wrong."""

from __future__ import annotations

import re

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import file_bytes, parameters
from ansible_collections.anklume.stt.plugins.module_utils._vram.gpus import (
    KNOWN_GPUS,
    Other,
    find_gpu,
    gpu_from,
    other_from,
    others_total,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import MODELS, find_model, resolve_model

PARAMETERS = {
    "tiny": 37_760_640,
    "base": 72_593_920,
    "small": 241_734_912,
    "medium": 763_857_920,
    "large-v2": 1_543_304_960,
    "large-v3": 1_543_490_560,
    "large-v3-turbo": 808_878_080,
    "distil-small.en": 166_132_224,
    "distil-medium.en": 394_375_168,
    "distil-large-v2": 756_220_160,
    "distil-large-v3": 756_405_760,
}

# bytes of model.bin as CTranslate2 4.8.5 writes it, and of the published turbo
FILES = {
    "tiny": 75_538_345,
    "base": 145_217_607,
    "small": 483_546_977,
    "medium": 1_527_906_453,
    "large-v3-turbo": 1_617_884_929,
    "distil-small.en": 332_308_257,
}


@pytest.mark.parametrize(
    ("name", "hub_id"),
    [
        ("large-v3-turbo", "mobiuslabsgmbh/faster-whisper-large-v3-turbo"),
        ("turbo", "mobiuslabsgmbh/faster-whisper-large-v3-turbo"),
        ("large", "Systran/faster-whisper-large-v3"),
        ("small.en", "Systran/faster-whisper-small.en"),
        ("distil-large-v3.5", "distil-whisper/distil-large-v3.5-ct2"),
        ("deepdml/faster-whisper-large-v3-turbo-ct2", "deepdml/faster-whisper-large-v3-turbo-ct2"),
        ("someone/a-fine.tune_2", "someone/a-fine.tune_2"),
        ("/srv/models/mine", "/srv/models/mine"),
    ],
)
def test_a_name_becomes_a_hub_id(name: str, hub_id: str) -> None:
    assert resolve_model(name) == hub_id


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("turb", "turbo"), ("large-v4", "large-v3"), ("Large-V3", "large-v3"), ("distil-large-3", "distil-large-v3")],
)
def test_a_wrong_name_is_told_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(FitError, match=re.escape(f"nearest: '{nearest}'")):
        resolve_model(name)


@pytest.mark.parametrize("name", ["", "a/b/c", "../x/y", "a b/c", "https://hub/a/b"])
def test_what_is_no_name_at_all_is_refused(name: str) -> None:
    with pytest.raises(FitError):
        resolve_model(name)


def test_another_conversion_of_a_known_model_is_known() -> None:
    assert find_model("deepdml/faster-whisper-large-v3-turbo-ct2") is MODELS["large-v3-turbo"]


@pytest.mark.parametrize(("name", "expected"), PARAMETERS.items())
def test_parameters(name: str, expected: int) -> None:
    assert parameters(MODELS[name].dims) == expected


@pytest.mark.parametrize(("name", "expected"), FILES.items())
def test_file_sizes(name: str, expected: int) -> None:
    # names and headers of the variables come on top of what is computed
    assert 0 < expected - file_bytes(MODELS[name].dims, "float16") < 300_000


def test_languages() -> None:
    assert {name: MODELS[name].languages for name in ("tiny", "tiny.en", "large-v3", "distil-large-v3")} == {
        "tiny": 99,
        "tiny.en": 1,
        "large-v3": 100,
        "distil-large-v3": 1,
    }
    assert all(model.english_only for name, model in MODELS.items() if name.endswith(".en") or "distil" in name)


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("RTX 3060", "RTX 3060 12GB"),
        ("rtx3090 24gb", "RTX 3090"),
        ("NVIDIA GeForce RTX 4060 Ti 16 GB", "RTX 4060 Ti 16GB"),
        ("gtx-1080ti", "GTX 1080 Ti"),
        ("Tesla T4", "T4"),
    ],
)
def test_gpu_names_as_people_write_them(written: str, known: str) -> None:
    assert find_gpu(written).name == known


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("RTX 3050", "sold in several sizes: use one of RTX 3050 4GB, RTX 3050 6GB, RTX 3050 8GB"),
        ("RTX 3061", "nearest: 'RTX 3060 12GB'"),
        ("4090", "nearest: 'RTX 4090'"),
        ("", "is not a known GPU"),
        ("Radeon RX 7900", "is not a known GPU"),
    ],
)
def test_a_wrong_gpu_name_is_told_what_there_is(written: str, told: str) -> None:
    with pytest.raises(FitError, match=re.escape(told)):
        find_gpu(written)


def test_the_driver_keeps_250_mib_or_3_percent() -> None:
    assert {name: round(find_gpu(name).reserved) for name in ("RTX 3050 4GB", "RTX 3060", "RTX 3090", "A100 80GB")} == {
        "RTX 3050 4GB": 250,
        "RTX 3060": 369,
        "RTX 3090": 737,
        "A100 80GB": 2458,
    }
    assert len(KNOWN_GPUS) > 50


def test_a_gpu_from_facts_keeps_what_the_driver_said() -> None:
    facts = {
        "name": "NVIDIA A100",
        "memory_total_mib": 81920,
        "memory_reserved_mib": 904,
        "memory_free_mib": 7,
        "compute_capability": "8.0",
        "driver": "550.54.14",
        "uuid": "GPU-1",
    }
    gpu = gpu_from(facts)
    assert (gpu.usable, gpu.free, gpu.capability, gpu.driver) == (81016, 7, (8, 0), "550.54.14")
    assert gpu_from({**facts, "memory_reserved_mib": None}).reserved == pytest.approx(2457.6)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"memory_mib": -4, "capability": "8.6"}, "cannot have -4 MiB of memory: use 1 or more"),
        ({"memory_mib": 4096}, "needs memory_mib (in MiB) and capability"),
        ({"memory_mib": "4 GB", "capability": 8.6}, "not a number of MiB"),
        ({"memory_mib": 4096, "capability": "86"}, "like 8.6"),
        ([1], "is not a GPU"),
    ],
)
def test_a_gpu_that_cannot_be_is_refused(value: object, told: str) -> None:
    with pytest.raises(FitError, match=re.escape(told)):
        gpu_from(value)


def test_others_on_the_gpu() -> None:
    gpu = find_gpu("RTX 3060")
    assert others_total([Other("a", 1000), Other("b", 500.5)], gpu) == 1500.5
    assert other_from({"name": "llama", "mib": "5600"}) == Other("llama", 5600)
    with pytest.raises(FitError, match="llama cannot take -1 MiB: use 0 or more"):
        others_total([Other("llama", -1)], gpu)
    with pytest.raises(FitError, match="more than the 11919 MiB it has to share out: use at most 11919"):
        others_total([Other("llama", 12000)], gpu)
    with pytest.raises(FitError, match="give a name and mib"):
        other_from({"name": "llama", "memory": 1})
