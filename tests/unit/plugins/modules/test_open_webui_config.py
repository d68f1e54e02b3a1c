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
from ansible_collections.anklume.stt.plugins.modules import open_webui_config
from module_runner import run_module

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
    assert result["msg"] == f"there is no database {data}/webui.db: start Open WebUI once, then converge its settings"


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
