# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ollama's reserve from the answers of stt_fit: one server, several on one GPU, a given number, none."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.anklume.stt.plugins.filter.ollama_reserve import FilterModule
from ansible_collections.anklume.stt.plugins.module_utils._services.gpu_neighbours import on_same_gpu
from ansible_collections.anklume.stt.plugins.module_utils._vram.gather import VARIABLES

ollama_reserve = FilterModule().filters()["ollama_reserve"]
ollama_questions = FilterModule().filters()["ollama_questions"]
GPU = {"memory_total_mib": 12288, "memory_reserved_mib": 250}
FIT = {"gpu": GPU, "estimate": {"worst": 2000, "idle": 1200}}


def test_before_0_30_in_bytes_and_after_in_mib() -> None:
    unloads = {**FIT, "item": {"stt_server_model_ttl": 300}}
    assert ollama_reserve([unloads], "0.24.0")["line"] == f"OLLAMA_GPU_OVERHEAD={2120 * 2**20}"
    assert ollama_reserve([unloads], "0.30.0")["line"] == f"LLAMA_ARG_FIT_TARGET={1024 + 2120}"


def test_a_model_that_never_unloads_is_reserved_only_what_it_does_not_hold() -> None:
    assert ollama_reserve([FIT], "0.30.0")["reserved_mib"] == 2120 - 1200
    assert ollama_reserve([FIT], "0.30.0")["left"].startswith("8.7 GiB left on this 12 GiB GPU: fits an 8B model")


def test_the_servers_of_one_gpu_are_summed() -> None:
    reserve = ollama_reserve([FIT, {**FIT, "item": {"stt_server_model_ttl": 300}}], "0.24.0")
    assert reserve["reserved_mib"] == 2120 - 1200 + 2120
    assert reserve["left_mib"] == 12288 - 250 - 2 * 2120


def test_more_than_the_gpu_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="more than the 12038 MiB of this GPU"):
        ollama_reserve([FIT] * 6, "0.24.0")
    with pytest.raises(AnsibleFilterError, match="ollama_gpu_reserve is 12039 MiB and the GPU has 12038"):
        ollama_reserve([FIT], "0.24.0", mib=12039)


def test_a_given_number_takes_the_place_of_the_sum() -> None:
    assert ollama_reserve([FIT], "0.24.0", mib=3000)["line"] == f"OLLAMA_GPU_OVERHEAD={3000 * 2**20}"


@pytest.mark.parametrize("fits", [[], [{"gpu": None, "estimate": {"worst": 1, "idle": 1}}]])
def test_nothing_where_there_is_no_gpu(fits: list[dict[str, Any]]) -> None:
    assert ollama_reserve(fits, "0.30.0") == {}


GROUPS = {"role_stt_server": ["ai", "ai2", "ai3"], "role_ollama_server": ["ai"], "role_open_webui": ["ai2"]}


def asked(reserve: object, machine: str = "ai", **hostvars: dict[str, Any]) -> list[dict[str, Any]]:
    everywhere = {name: hostvars.get(name, {}) for name in ("ai", "ai2", "ai3")}
    return list(ollama_questions(reserve, machine, GROUPS, everywhere))


@pytest.mark.parametrize(
    ("first", "second", "beside"),
    [
        ({}, {}, ["ai", "ai2"]),
        ({}, {"ansible_incus_remote": "attic"}, ["ai"]),
        ({"ansible_incus_remote": "attic"}, {"ansible_incus_remote": "attic"}, ["ai", "ai2"]),
        ({"instance_target": "n1"}, {"instance_target": "n2"}, ["ai"]),
        ({"instance_target": "n1"}, {"instance_target": "@gpu"}, ["ai", "ai2"]),
        ({"instance_target": "n1"}, {"instance_target": "n1"}, ["ai", "ai2"]),
    ],
)
def test_a_machine_elsewhere_has_another_gpu(first: dict[str, Any], second: dict[str, Any], beside: list[str]) -> None:
    given = {"ai": {"instance_gpu": True, **first}, "ai2": {"instance_gpu": True, **second}}
    assert [one["name"] for one in asked("auto", **given)] == beside


def test_the_servers_have_their_own_variables_and_the_defaults() -> None:
    (question,) = asked("auto", ai={"stt_server_model": "small", "stt_server_model_ttl": 60})
    assert (question["name"], question["stt_server_model_ttl"]) == ("ai", 60)
    assert question["variables"]["stt_server_model"] == "small"
    assert question["variables"]["stt_server_quantization"] == "float16"
    assert set(question["variables"]) == set(VARIABLES)
    assert question["models_dir"] == "/var/lib/speaches"


def test_a_server_that_is_off_needs_nothing() -> None:
    assert asked("auto", ai={"stt_server_enabled": "no"}) == []


def test_servers_of_other_machines_count_where_both_have_the_gpu() -> None:
    gpu = {"instance_gpu": True}
    assert [each["name"] for each in asked("auto", ai=gpu, ai2=gpu)] == ["ai", "ai2"]
    assert [each["name"] for each in asked("auto", ai2=gpu, ai3=gpu)] == ["ai"]
    assert on_same_gpu("stt_server", "ai", GROUPS, {"ai": {}}) == [{"role": "ollama_server", "name": "ai"}]
    assert on_same_gpu("ollama_server", "ai", {}, {"ai": gpu}) == []


def test_a_reserve_that_is_given_needs_the_gpu_alone_and_one_that_is_off_nothing() -> None:
    (question,) = asked(3000, ai={"stt_server_model": "small"})
    assert question["name"] == "the GPU"
    assert question["variables"]["stt_server_model"] == "tiny"
    assert asked("off") == asked(False) == []
    assert ollama_reserve([], "0.24.0", mib="off") == {}
    assert ollama_reserve([FIT], "0.24.0", mib="auto") == ollama_reserve([FIT], "0.24.0")
