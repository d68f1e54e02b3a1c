# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that were proved are kept, and come back after a change that fails."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.modules import kept_files
from module_runner import run_module

NAMES = ["compose.yaml", "secrets.json", "factory"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "factory/deep").mkdir(parents=True)
    for name in ("compose.yaml", "secrets.json", "factory/a.py", "factory/deep/b.py", "other"):
        (tmp_path / name).write_text(f"first {name}\n")
    (tmp_path / "secrets.json").chmod(0o400)
    return tmp_path


def run(folder: Path, state: str = "kept", *, check: bool = False) -> dict[str, Any]:
    return run_module(kept_files, folder=str(folder), names=NAMES, state=state, check=check)


def test_they_are_kept_once(folder: Path) -> None:
    every = ["compose.yaml", "factory/a.py", "factory/deep/b.py", "secrets.json"]
    asked = run(folder, check=True)
    assert (asked["changed"], asked["differing"], asked["kept_before"]) == (True, every, False)
    assert not (folder / "proved").exists()
    assert run(folder)["differing"] == every
    again = run(folder)
    assert (again["changed"], again["differing"], again["kept_before"]) == (False, [], True)
    assert stat.S_IMODE((folder / "proved").stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "proved/secrets.json").stat().st_mode) == 0o400
    assert not (folder / "proved/other").exists()


def test_what_is_changed_new_or_gone_comes_back(folder: Path) -> None:
    run(folder)
    (folder / "secrets.json").unlink()
    (folder / "compose.yaml").write_text("second\n")
    (folder / "factory/new.py").write_text("new\n")
    (folder / "factory/a.py").unlink()
    (folder / "factory/__pycache__").mkdir()
    (folder / "factory/__pycache__/a.pyc").write_text("made by Python")
    (folder / "other").write_text("second\n")
    wrong = ["compose.yaml", "factory/a.py", "factory/new.py", "secrets.json"]
    assert run(folder, check=True)["differing"] == wrong
    back = run(folder, "put_back")
    assert (back["changed"], back["differing"]) == (True, wrong)
    assert (folder / "compose.yaml").read_text() == "first compose.yaml\n"
    assert stat.S_IMODE((folder / "secrets.json").stat().st_mode) == 0o400
    assert (folder / "factory/a.py").exists() and not (folder / "factory/new.py").exists()
    assert (folder / "other").read_text() == "second\n"
    assert run(folder, "put_back")["changed"] is False


def test_without_anything_kept_nothing_is_put_back(folder: Path) -> None:
    back = run(folder, "put_back")
    assert (back["changed"], back["kept_before"]) == (False, False)
    assert (folder / "compose.yaml").exists()


def test_what_a_kill_left_is_no_hindrance(folder: Path) -> None:
    run(folder)
    for name in (".proved-new", ".proved-old"):
        (folder / name / "factory").mkdir(parents=True)
    (folder / "compose.yaml").write_text("second\n")
    run(folder)
    assert (folder / "proved/compose.yaml").read_text() == "second\n"
    assert [path.name for path in folder.glob(".proved*")] == []


def test_a_kill_while_others_take_their_place_loses_nothing(folder: Path) -> None:
    run(folder)
    (folder / "proved").rename(folder / ".proved-old")
    (folder / "compose.yaml").write_text("second\n")
    assert run(folder, check=True)["differing"] == ["compose.yaml"]
    assert run(folder, "put_back")["changed"] is True
    assert (folder / "compose.yaml").read_text() == "first compose.yaml\n"
    (folder / "compose.yaml").write_text("third\n")
    run(folder)
    assert (folder / "proved/compose.yaml").read_text() == "third\n" and not (folder / ".proved-old").exists()


def test_what_stands_in_the_way_is_named(folder: Path) -> None:
    (folder / ".proved-new").write_text("")
    assert run(folder)["msg"] == f"{folder}/.proved-new: file exists"


def test_where_nothing_is_yet_there_is_nothing_to_say(tmp_path: Path) -> None:
    asked = run(tmp_path / "not/there", check=True)
    assert (asked["changed"], asked["differing"], asked["kept_before"]) == (False, [], False)
