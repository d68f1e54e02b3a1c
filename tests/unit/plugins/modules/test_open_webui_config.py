# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open WebUI's settings in a real SQLite database, of the shape that Open WebUI 0.11 and 0.12 have."""

from __future__ import annotations

import getpass
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._services.open_webui import MASK, TTS_OFF
from ansible_collections.anklume.stt.plugins.modules import open_webui_config
from module_runner import run_module
from stt_stand_in import Answer, SttStandIn

HAS = {
    "audio.stt.engine": "",
    "audio.stt.openai.api_key": "old-key",
    "audio.tts.voice": "alloy",
    "ollama.base_urls": [],
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with sqlite3.connect(tmp_path / "webui.db") as database:
        database.execute("create table config (key text primary key, value json not null, updated_at bigint)")
        database.executemany("insert into config values (?, ?, 1)", [(k, json.dumps(v)) for k, v in HAS.items()])
    database.close()
    (tmp_path / "service.env").write_text(f'DATA_DIR="{tmp_path}"\n')
    return tmp_path


def run(data: Path, *, check: bool = False, **params: Any) -> dict[str, Any]:
    files = {"environment_files": [str(data / "service.env")], "user": getpass.getuser(), "python": "/nowhere/python"}
    return run_module(open_webui_config, check=check, **{**files, **params})


def stored(data: Path) -> dict[str, Any]:
    with sqlite3.connect(data / "webui.db") as database:
        return {key: json.loads(value) for key, value in database.execute("select key, value from config")}


def test_what_differs_is_changed_and_nothing_else(data: Path) -> None:
    wanted = {"audio.stt.engine": "openai", "ollama.base_urls": ["http://a:1"], "new.key": True}
    result = run(data, settings=wanted)
    assert result["changed_settings"] == ["audio.stt.engine", "new.key", "ollama.base_urls"]
    assert stored(data) == {**HAS, **wanted}
    assert run(data, settings=wanted)["changed"] is False


def test_check_mode_tells_and_leaves(data: Path) -> None:
    result = run(data, check=True, settings={"audio.stt.engine": "openai"})
    assert result["diff"] == {"before": {"audio.stt.engine": ""}, "after": {"audio.stt.engine": "openai"}}
    assert stored(data) == HAS


def test_a_secret_is_set_and_not_shown(data: Path) -> None:
    result = run(data, settings={}, secret_settings={"audio.stt.openai.api_key": "new-key"})
    assert stored(data)["audio.stt.openai.api_key"] == "new-key"
    assert "new-key" not in json.dumps(result)
    assert "old-key" not in json.dumps(result)


def test_no_database_yet(data: Path) -> None:
    (data / "webui.db").unlink()
    result = run(data, settings={"a": 1})
    assert result["msg"] == f"there is no database {data}/webui.db: start Open WebUI once before"


def test_another_database_is_asked_through_open_webui_itself(data: Path) -> None:
    (data / "service.env").write_text(f'DATA_DIR="{data}"\nDATABASE_URL="postgresql://db/webui"\n')
    result = run(data, settings={"a": 1})
    assert result["msg"] == "there is no interpreter /nowhere/python: install Open WebUI first"


def test_the_reason_of_a_failure_is_told(data: Path) -> None:
    (data / "webui.db").write_bytes(b"not a database, but long enough to be looked at" * 50)
    assert "file is not a database" in run(data, settings={"a": 1})["msg"]


def test_an_unknown_user_is_told(data: Path) -> None:
    assert (
        run(data, settings={}, user="nobody-of-ours")["msg"]
        == "there is no user nobody-of-ours: install Open WebUI first"
    )


def stt(data: Path) -> dict[str, Any]:
    return {key: value for key, value in stored(data).items() if key.startswith("audio.stt.")}


def test_an_stt_server_is_asked_and_then_used(data: Path) -> None:
    with SttStandIn(key="the-key", models=("big-whisper", "an-llm")) as server:
        result = run(data, settings={}, stt_server={"url": f"{server.origin}/", "api_key": "the-key"})
    assert result["changed"], result
    assert "the-key" not in json.dumps(result)
    assert stt(data) == {
        "audio.stt.engine": "openai",
        "audio.stt.openai.api_base_url": f"{server.origin}/v1",
        "audio.stt.openai.api_key": "the-key",
        "audio.stt.model": "big-whisper",
    }


def test_an_alias_is_taken_unless_a_model_is_named(data: Path) -> None:
    with SttStandIn() as server:
        run(data, settings={}, stt_server={"url": server.origin, "aliases": ["whisper-1"]})
        assert stored(data)["audio.stt.model"] == "whisper-1"
        assert stored(data)["audio.stt.openai.api_key"] == ""
        run(data, settings={}, stt_server={"url": server.origin, "aliases": ["whisper-1"], "model": "tiny-test"})
    assert stored(data)["audio.stt.model"] == "tiny-test"


def test_a_server_that_does_not_answer_changes_nothing_and_is_a_warning_in_check_mode(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = {"settings": {"new.key": True}, "stt_server": {"url": "http://127.0.0.1:9"}}
    assert "connection refused" in run(data, **params)["msg"]
    assert stored(data) == HAS
    warned: list[str] = []
    # where a test before has loaded Ansible's controller, warnings are shown and not in the result
    monkeypatch.setattr(AnsibleModule, "warn", lambda _, text: warned.append(text))
    assert run(data, check=True, **params)["changed_settings"] == ["audio.stt.openai.api_key", "new.key"]
    assert "connection refused" in warned[0]


def test_no_address_turns_speech_to_text_off(data: Path) -> None:
    run(data, settings={}, stt_server={"url": "", "api_key": "unused"})
    assert set(stt(data).values()) == {""}


def tts(data: Path) -> dict[str, Any]:
    return {key: value for key, value in stored(data).items() if key.startswith("audio.tts.")}


class TestTtsServer:
    def test_it_speaks_a_word_and_is_then_used(self, data: Path) -> None:
        with SttStandIn(key="the-key") as server:
            server.speakers = {"models": ("piper-gosia",), "voices": ("gosia", "darkman")}
            wanted = {"settings": {}, "tts_server": {"url": server.origin, "api_key": "the-key"}}
            planned = run(data, check=True, **wanted)
            assert planned["diff"]["before"] == {"audio.tts.voice": "alloy"}
            assert planned["diff"]["after"]["audio.tts.openai.api_key"] == MASK
            assert stored(data) == HAS
            result = run(data, **wanted)
            assert "the-key" not in json.dumps([planned, result])
            said = {"model": "piper-gosia", "voice": "gosia", "input": open_webui_config.WORD}
            assert server.texts == [said, said]
            assert run(data, **wanted)["changed"] is False
            assert len(server.texts) == 2, "where nothing changes nothing is spoken"
        assert tts(data) == {
            "audio.tts.engine": "openai",
            "audio.tts.openai.api_base_url": f"{server.origin}/v1",
            "audio.tts.openai.api_key": "the-key",
            "audio.tts.model": "piper-gosia",
            "audio.tts.voice": "gosia",
        }

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            (Answer(401, "{}"), "the server wants an API key and none was given"),
            (Answer(404, '{"detail": "Not Found"}'), "this server does not speak, or has no model 'tts-1': Not Found"),
            (
                Answer(422, '{"detail": "no voice"}'),
                "does not speak with the model 'tts-1' and the voice 'sky': no voice",
            ),
            (Answer(200, ""), r"the answer (0 bytes, application/json) is no sound that a browser plays"),
            (Answer(503, "{}"), "the server is busy"),
        ],
    )
    def test_one_that_does_not_changes_nothing(self, data: Path, answer: Answer, message: str) -> None:
        with SttStandIn() as server:
            server.answers["/v1/audio/speech"] = [answer]
            result = run(data, settings={"a": 1}, tts_server={"url": server.origin, "voice": "sky"})
        assert message in result["msg"]
        assert stored(data) == HAS

    def test_in_check_mode_that_is_a_warning(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        warned: list[str] = []
        monkeypatch.setattr(AnsibleModule, "warn", lambda _, text: warned.append(text))
        result = run(data, check=True, settings={}, tts_server={"url": "http://127.0.0.1:9"})
        assert result["changed_settings"] == []
        assert "connection refused" in warned[0]

    def test_on_and_off_again_leaves_nothing_behind(self, data: Path) -> None:
        run(data, settings=TTS_OFF)
        before = stored(data)
        with SttStandIn() as server:
            run(data, settings={}, tts_server={"url": server.origin, "api_key": "k"})
        assert stored(data) != before
        run(data, settings={}, tts_server={"url": "", "api_key": "unused"})
        assert stored(data) == before

    def test_where_none_is_named_only_what_leads_to_ours_is_turned_off(self, data: Path) -> None:
        by_hand = {**TTS_OFF, "audio.tts.engine": "openai", "audio.tts.openai.api_base_url": "http://theirs:8880/v1"}
        run(data, settings=by_hand)
        nobody = {"settings": {}, "tts_server": {"url": "", "hosts": ["ai", "10.0.0.8"]}}
        assert run(data, **nobody)["changed"] is False
        run(data, settings={"audio.tts.openai.api_base_url": "http://10.0.0.8:8000/v1"})
        run(data, **nobody)
        assert tts(data) == TTS_OFF

    def test_nothing_is_done_where_it_is_off_and_was_never_on(self, data: Path) -> None:
        before = stored(data)
        assert run(data, check=True, settings={}, tts_server={"url": "", "hosts": ["ai"]})["diff"] == {
            "before": {},
            "after": {},
        }
        assert stored(data) == before
