# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts in a real SQLite database of Open WebUI's shape; the scenario default writes them, in the real one."""

from __future__ import annotations

import getpass
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._services.open_webui_users import named_accounts
from ansible_collections.anklume.stt.plugins.modules import open_webui_users
from module_runner import run_module

ANNA = {"email": "anna@example.org", "name": "Anna", "role": "admin"}
BEN = {"email": "ben@localhost", "name": "Ben"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ben is there, an account of ours."""
    [ben] = named_accounts([BEN])
    with sqlite3.connect(tmp_path / "webui.db") as database:
        database.execute("create table user (id text primary key, email text unique, name text, role text)")
        database.execute("create table auth (id text primary key, active boolean)")
        database.execute("insert into user values (?, ?, ?, ?)", [ben.id, ben.email, ben.name, ben.role])
        database.execute("insert into auth values (?, 1)", [ben.id])
    database.close()
    (tmp_path / "service.env").write_text(f'DATA_DIR="{tmp_path}"\n')
    return tmp_path


def run(data: Path, *users: dict[str, str], check: bool = False, **params: Any) -> dict[str, Any]:
    place = {"environment_files": [str(data / "service.env")], "user": getpass.getuser(), "python": "/nowhere/python"}
    return run_module(open_webui_users, check=check, users=list(users), **{**place, **params})


def test_nothing_to_do_needs_no_interpreter(data: Path) -> None:
    result = run(data, BEN)
    assert (result["changed"], result["diff"]) == (False, {"before": {}, "after": {}})


def test_check_mode_tells_and_needs_no_password(data: Path) -> None:
    result = run(data, ANNA, check=True)
    assert (result["made"], result["changed_users"], result["taken_out"]) == ([ANNA["email"]], [], [BEN["email"]])
    ben = {"email": "ben@localhost", "name": "Ben"}
    assert result["diff"] == {
        "before": {"anna@example.org": {}, "ben@localhost": {**ben, "role": "user", "active": True}},
        "after": {
            "anna@example.org": {**ANNA, "active": True},
            "ben@localhost": {**ben, "role": "pending", "active": False},
        },
    }


def test_no_account_is_made_without_a_password(data: Path) -> None:
    assert run(data, ANNA)["msg"] == "there is no first password for anna@example.org: make one, then its account"


def test_passwords_are_not_shown(data: Path) -> None:
    result = run(data, ANNA, passwords={"anna@example.org": "hush-hush"})
    assert result["msg"] == "there is no interpreter /nowhere/python: install Open WebUI first"
    assert "hush-hush" not in json.dumps(result)


def test_who_cannot_be_named_is_refused(data: Path) -> None:
    assert "is the administrator" in run(data, BEN, administrator="ben@localhost")["msg"]
