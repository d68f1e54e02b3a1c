# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An Open WebUI asks another STT server, by its API; a stand-in answers for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._services.open_webui_audio import moved
from ansible_collections.anklume.stt.plugins.modules import open_webui_stt
from module_runner import run_module
from stt_stand_in import Answer, SttStandIn

CONFIG = "/api/v1/audio/config"
SETTINGS = {
    "tts": {"ENGINE": "", "VOICE": "alloy"},
    "stt": {"ENGINE": "openai", "OPENAI_API_BASE_URL": "http://attic:8000/v1", "MODEL": "tiny", "OPENAI_API_KEY": "k"},
}
NEW = SETTINGS | {"stt": SETTINGS["stt"] | {"OPENAI_API_BASE_URL": "http://attic:8001/v1"}}


def answer(settings: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(settings))


def run(server: SttStandIn, *, check: bool = False, **params: Any) -> dict[str, Any]:
    return run_module(open_webui_stt, url=server.origin, api_key="sk-secret", check=check, **params)


def test_the_address_alone_is_changed_once() -> None:
    with SttStandIn() as server:
        server.answers = {CONFIG: [answer(SETTINGS), answer(NEW)], f"{CONFIG}/update": [answer(NEW)]}
        first = run(server, port=8001, instead_of=8000)
        again = run(server, port=8001, instead_of=8000)
        assert (first["changed"], first["address"], first["model"]) == (True, "http://attic:8001/v1", "tiny")
        assert first["diff"] == {"before": "http://attic:8000/v1\n", "after": "http://attic:8001/v1\n"}
        assert again["changed"] is False
        assert server.requests == [f"GET {CONFIG}", f"POST {CONFIG}/update", f"GET {CONFIG}"]
        assert "sk-secret" not in json.dumps([first, again])


def test_check_mode_and_a_question_change_nothing() -> None:
    with SttStandIn() as server:
        server.answers = {CONFIG: [answer(SETTINGS), answer(SETTINGS)]}
        assert run(server, check=True, port=8001, instead_of=8000)["changed"] is True
        assert run(server)["changed"] is False
        assert server.requests == [f"GET {CONFIG}"] * 2


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (answer({}, 401), "refuses the key: it has to be an administrator's"),
        (answer({}, 404), "HTTP 404: no Open WebUI answers there"),
        (answer({"stt": "on"}), "that is no Open WebUI"),
        (answer({"stt": {"OPENAI_API_BASE_URL": ""}}), "asks no STT server of OpenAI's kind"),
        (
            answer({"stt": {"OPENAI_API_BASE_URL": "https://api.test/v1"}}),
            "asks port 443 of api.test, and neither port",
        ),
    ],
)
def test_what_cannot_be_changed_is_left_alone(said: Answer, why: str) -> None:
    with SttStandIn() as server:
        server.answers = {CONFIG: [said]}
        assert why in run(server, port=8001, instead_of=8000)["msg"]
        assert server.requests == [f"GET {CONFIG}"]


@pytest.mark.parametrize(
    ("address", "after"),
    [
        ("http://attic:8000/v1", "http://attic:8001/v1"),
        ("http://attic:8001/v1", "http://attic:8001/v1"),
        ("http://[fd00::1]:8000/v1", "http://[fd00::1]:8001/v1"),
    ],
)
def test_the_port_alone_is_another(address: str, after: str) -> None:
    assert moved(address, 8001, 8000) == after


def test_no_address_at_all_is_refused() -> None:
    with pytest.raises(ServiceError, match="asks no STT server"):
        moved("http://[broken", 8001, 8000)
