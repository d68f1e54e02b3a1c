# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ollama's reserve from the answers of stt_fit: one server, several on one GPU, a given number, none."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.anklume.stt.plugins.filter.ollama_reserve import FilterModule

ollama_reserve = FilterModule().filters()["ollama_reserve"]
stt_servers = FilterModule().filters()["stt_servers"]
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


def test_the_servers_have_their_own_variables_and_the_defaults() -> None:
    hostvars = {"a": {"stt_server_model": "small"}, "b": {"stt_server_enabled": "no"}}
    defaults = {"stt_server_enabled": True, "stt_server_model": "large-v3-turbo"}
    assert stt_servers(["a", "b"], hostvars, defaults) == [
        {"name": "a", "stt_server_enabled": True, "stt_server_model": "small"}
    ]
