# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An STT server is asked before Open WebUI is told of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.anklume.stt.plugins.modules import stt_server_info
from module_runner import run_module
from stt_stand_in import SttStandIn


@pytest.fixture
def server() -> Iterator[SttStandIn]:
    with SttStandIn(key="right", models=("big-whisper", "an-llm")) as server:
        yield server


def test_the_address_is_brought_into_form_and_the_model_chosen(server: SttStandIn) -> None:
    result = run_module(stt_server_info, url=f"{server.origin}/", api_key="right")
    assert (result["base_url"], result["model"], result["models"]) == (
        f"{server.origin}/v1",
        "big-whisper",
        ["big-whisper", "an-llm"],
    )
    assert result["notes"] == ["a slash too many was removed", "/v1 was added"]
    assert result["changed"] is False


def test_a_known_alias_is_taken(server: SttStandIn) -> None:
    assert (
        run_module(stt_server_info, url=server.origin, api_key="right", aliases=["whisper-1"])["model"] == "whisper-1"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"api_key": "wrong"}, "the server refuses this API key"),
        ({}, "the server wants an API key and none was given"),
        ({"api_key": "right", "model": "other"}, "has no model other: it has big-whisper, an-llm"),
    ],
)
def test_the_one_thing_that_is_wrong_is_named(server: SttStandIn, options: dict[str, str], message: str) -> None:
    result = run_module(stt_server_info, url=server.origin, **options)
    assert message in result["msg"]
    assert result["base_url"] == f"{server.origin}/v1"


def test_a_server_that_is_down_is_named() -> None:
    assert "connection refused" in run_module(stt_server_info, url="http://127.0.0.1:9")["msg"]
