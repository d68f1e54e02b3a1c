# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ollama must leave free, on both sides of its version 0.30.0."""

from __future__ import annotations

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import Serving, bounds
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import MODELS
from ansible_collections.anklume.stt.plugins.module_utils._vram.reserve import (
    Load,
    load_of,
    ollama_reserve,
    ollama_version,
    room_for_llm,
    tell_left,
)


@pytest.mark.parametrize("version", ["0.3.10", "0.9.2", "v0.24.1", "0.29.9"])
def test_before_0_30_bytes_of_overhead(version: str) -> None:
    reserve = ollama_reserve(version, [Load(3202, 2124)], 11919)
    assert reserve.line == f"OLLAMA_GPU_OVERHEAD={3202 * 1024 * 1024}"
    assert (reserve.mib, reserve.left) == (3202, 11919 - 3202)


@pytest.mark.parametrize("version", ["0.30.0", "v0.30.0-rc1", "0.31.4", "1.0.0"])
def test_from_0_30_mib_of_fit_target_on_top_of_its_own(version: str) -> None:
    reserve = ollama_reserve(version, [Load(3202, 2124)], 11919)
    assert reserve.line == "LLAMA_ARG_FIT_TARGET=4226"
    assert (reserve.mib, reserve.left) == (3202, 11919 - 3202 - 1024)


@pytest.mark.parametrize(("version", "expected"), [("0.24.0", 1078 * 2**20), ("0.30.0", 1024 + 1078)])
def test_a_model_that_never_unloads_is_not_free_anyway(version: str, expected: int) -> None:
    # Ollama sees less free memory already, by what the loaded model holds
    reserve = ollama_reserve(version, [Load(3202, 2124, resident=True)], 11919)
    assert (reserve.value, reserve.mib) == (expected, 1078)
    assert reserve.left <= 11919 - 3202


def test_several_servers_are_summed() -> None:
    loads = [Load(3000, 2000, resident=True), Load(1500, 900)]
    reserve = ollama_reserve("0.24.0", loads, 24000)
    assert (reserve.mib, reserve.left) == (1000 + 1500, 24000 - 4500)
    assert ollama_reserve("0.24.0", [], 24000).value == 0
    assert ollama_reserve("0.30.0", [], 24000).value == 1024


@pytest.mark.parametrize("version", ["0.24.0", "0.30.0"])
@pytest.mark.parametrize("resident", [False, True])
def test_more_than_the_gpu_is_refused_with_the_most_there_is(version: str, resident: bool) -> None:
    with pytest.raises(FitError, match="can be 3846 at most"):
        ollama_reserve(version, [Load(3847, 2000, resident)], 3846)
    assert ollama_reserve(version, [Load(3846, 2000, resident)], 3846).left == 0


@pytest.mark.parametrize(("text", "told"), [("0.3.9", "install 0.3.10 or newer"), ("new", "like 0.30.0")])
def test_a_version_without_a_knob(text: str, told: str) -> None:
    with pytest.raises(FitError, match=told):
        ollama_reserve(text, [], 8000)


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("ollama version is 0.9.2", (0, 9, 2)),
        ("Warning: client version is 0.30.0-rc1", (0, 30, 0)),
        ("v0.24.1", (0, 24, 1)),
    ],
)
def test_the_version_as_ollama_says_it(said: str, version: tuple[int, ...]) -> None:
    assert ollama_version(said) == version


@pytest.mark.parametrize(("peak", "idle"), [(100, -1), (100, 200)])
def test_a_load_that_cannot_be(peak: int, idle: int) -> None:
    with pytest.raises(FitError, match="0 <= rest <= most"):
        Load(peak, idle)


def test_the_load_of_an_estimate_carries_the_margin() -> None:
    need = bounds(MODELS["large-v3-turbo"].dims, "float16", Serving())
    load = load_of(need, resident=True)
    assert (load.peak, load.idle) == (3617, 2162)


@pytest.mark.parametrize(
    ("mib", "expected"),
    [
        (500, ""),
        (2000, "a 1B model in Q4_K_M with 8k context"),
        (7000, "an 8B model in Q4_K_M with 8k context"),
        (10342, "an 8B model in Q4_K_M with 32k context"),
        (22000, "a 32B model in Q4_K_M with 8k context"),
        (60000, "a 70B model in Q4_K_M with 32k context"),
    ],
)
def test_room_for_language_models(mib: float, expected: str) -> None:
    assert room_for_llm(mib) == expected


def test_what_is_left_in_words() -> None:
    assert tell_left(10342, 12288) == ("10.1 GiB left on this 12 GiB GPU: fits an 8B model in Q4_K_M with 32k context")
    assert tell_left(300, 4096) == "0.3 GiB left on this 4 GiB GPU: too little for any language model"
