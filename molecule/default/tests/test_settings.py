# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live settings follow host_vars without a restart, drift is seen and put right, and each fault has its message."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import CLIPS, Api, OtherServer, Run

Role = Callable[..., Run]
SETTINGS = ("-t", "open_webui_verify")


def process_of(webui: Any) -> str:
    return webui.run_expect([0], "systemctl show --value -p MainPID open-webui").stdout.strip()


def test_another_server_is_used_at_once_and_without_a_restart(
    role: Role, api: Api, webui: Any, other_server: OtherServer
) -> None:
    before = process_of(webui)
    other = {"open_webui_stt_url": f"{other_server.url}/v1/", "open_webui_stt_api_key": "other-key"}
    planned = role(*SETTINGS, "--check", "--diff", **other)
    assert planned.status == 0, planned.said
    assert other_server.url in planned.said
    assert "other-key" not in planned.said
    assert other_server.uploads(0) == []

    applied = role(*SETTINGS, **other)
    assert applied.status == 0, applied.said
    api.transcribe((CLIPS / "en-fox.wav").read_bytes())
    assert [fields["model"] for fields in other_server.uploads(1)] == ["big-whisper"]
    assert process_of(webui) == before

    back = role(*SETTINGS)
    assert back.status == 0, back.said
    assert "speech server" in api.transcribe((CLIPS / "en-ansible.wav").read_bytes())
    assert process_of(webui) == before


def test_drift_is_shown_and_put_right_and_other_settings_stay(role: Role, api: Api) -> None:
    audio = api.call("GET", "/api/v1/audio/config")
    changed = {**audio, "stt": {**audio["stt"], "MODEL": "by-hand"}, "tts": {**audio["tts"], "VOICE": "by-hand"}}
    api.call("POST", "/api/v1/audio/config/update", changed)
    planned = role(*SETTINGS, "--check", "--diff")
    assert planned.changed()
    assert re.search(r"audio\.stt\.model: by-hand", planned.said)
    assert "audio.tts" not in planned.said
    assert role(*SETTINGS).status == 0
    now = api.call("GET", "/api/v1/audio/config")
    assert (now["stt"]["MODEL"], now["tts"]["VOICE"]) == ("whisper-1", "by-hand")
    assert not role(*SETTINGS).changed()


def test_an_empty_address_turns_speech_to_text_off(role: Role, api: Api) -> None:
    assert role(*SETTINGS, open_webui_stt_url="").status == 0
    stt = api.call("GET", "/api/v1/audio/config")["stt"]
    assert (stt["ENGINE"], stt["OPENAI_API_BASE_URL"], stt["OPENAI_API_KEY"], stt["MODEL"]) == ("", "", "", "")
    assert role(*SETTINGS).status == 0
    assert api.call("GET", "/api/v1/audio/config")["stt"]["ENGINE"] == "openai"


FAULTS = {
    "down": (
        {"open_webui_stt_url": "http://10.176.1.10:8001"},
        "connection refused: nothing listens on 10.176.1.10 port 8001",
    ),
    "no such name": ({"open_webui_stt_url": "http://no-such-host:8000"}, "the name no-such-host cannot be resolved"),
    "wrong path": (
        {"open_webui_stt_url": "http://10.176.1.10:8000/api"},
        "no OpenAI-compatible API at this address",
    ),
    "wrong key": ({"open_webui_stt_api_key": "wrong-key-of-mine"}, "the server refuses this API key"),
    "wrong model": ({"open_webui_stt_model": "large-v9"}, "the STT server has no model large-v9: it has"),
}


@pytest.fixture(scope="module")
def refusals(role: Role, api: Api) -> dict[str, Run]:
    """A run for each fault, several at a time, since none changes anything."""
    before = api.call("GET", "/api/v1/audio/config")["stt"]
    with ThreadPoolExecutor(3) as pool:
        runs = pool.map(lambda fault: role(*SETTINGS, "-vvv", **fault[0]), FAULTS.values())
        seen = dict(zip(FAULTS, runs, strict=True))
    assert api.call("GET", "/api/v1/audio/config")["stt"] == before
    return seen


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_with_the_server_is_said(refusals: dict[str, Run], fault: str) -> None:
    assert refusals[fault].status != 0
    assert FAULTS[fault][1] in refusals[fault].said
    assert "wrong-key-of-mine" not in refusals[fault].said
