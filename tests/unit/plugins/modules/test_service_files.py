# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several small files at once: content, mode, absence, secrets."""

from __future__ import annotations

import getpass
import grp
import json
import os
from pathlib import Path
from typing import Any

from ansible_collections.anklume.stt.plugins.modules import service_files
from module_runner import run_module

ME = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}


def run(files: list[dict[str, Any]], *, check: bool = False, **params: Any) -> dict[str, Any]:
    return run_module(service_files, check=check, files=[{**ME, **file} for file in files], **params)


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def test_files_are_written_with_their_modes_and_the_second_run_changes_nothing(tmp_path: Path) -> None:
    unit, settings = tmp_path / "deep/er/a.service", tmp_path / "b.env"
    files = [{"path": str(unit), "content": "[Unit]\n"}, {"path": str(settings), "content": "x", "mode": "0640"}]
    assert run(files)["changed_files"] == [str(unit), str(settings)]
    assert (unit.read_text(), mode(unit), settings.read_text(), mode(settings)) == ("[Unit]\n", "0o644", "x", "0o640")
    assert run(files)["changed"] is False


def test_check_mode_shows_and_leaves(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old\n")
    path.chmod(0o644)
    result = run([{"path": str(path), "content": "new\n"}, {"path": str(tmp_path / "b"), "content": "b\n"}], check=True)
    assert [(one["before"], one["after"]) for one in result["diff"]] == [("old\n", "new\n"), ("", "b\n")]
    assert path.read_text() == "old\n"
    assert not (tmp_path / "b").exists()


def test_of_a_long_text_the_diff_says_what_tells_it_from_others(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("y" * 70_000)
    shown = run([{"path": str(path), "content": "x" * 70_000}])["diff"][0]
    assert shown["after"].startswith("(70000 characters, sha256 ") and shown["after"] != shown["before"]
    assert path.read_text() == "x" * 70_000


def test_a_wrong_mode_alone_is_put_right(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("same")
    path.chmod(0o666)
    file = {"path": str(path), "content": "same", "mode": "0600"}
    assert run([file], check=True)["changed"] is True
    assert run([file])["changed"] is True
    assert mode(path) == "0o600"


def test_an_absent_file_goes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    file = {"path": str(path), "state": "absent", "content": "ignored"}
    assert run([file])["changed"] is True
    assert not path.exists()
    assert run([file])["changed"] is False


def test_a_secret_is_written_and_shown_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("old-secret")
    result = run([{"path": str(path), "mode": "0600"}], secret_contents={str(path): "new-secret"})
    assert (path.read_text(), mode(path)) == ("new-secret", "0o600")
    assert "new-secret" not in json.dumps(result)
    assert "old-secret" not in json.dumps(result)


def test_content_comes_from_one_place(tmp_path: Path) -> None:
    path = str(tmp_path / "a")
    assert "either" in run([{"path": path}])["msg"]
    assert "either" in run([{"path": path, "content": "x"}], secret_contents={path: "y"})["msg"]


def test_a_folder_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert run([{"path": str(tmp_path / "a"), "content": "x"}])["msg"] == f"{tmp_path}/a: Is a directory"


def test_a_folder_is_made_with_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "a/b"
    file = {"path": str(folder), "state": "directory", "mode": "2770"}
    assert run([file], check=True)["diff"][0]["after"] == {"state": "directory"}
    assert not folder.exists()
    assert run([file])["changed"] is True
    assert oct(folder.stat().st_mode & 0o7777) == "0o2770"
    assert run([file])["changed"] is False
    folder.chmod(0o755)
    assert run([file])["diff"] == [{"path": str(folder), "before": {"mode": "0755"}, "after": {"mode": "2770"}}]


def test_a_file_in_the_way_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    assert run([{"path": str(tmp_path / "a"), "state": "directory"}])["msg"] == f"{tmp_path}/a: File exists"


def test_an_owner_by_number_stays_one(tmp_path: Path) -> None:
    file = {"path": str(tmp_path / "a"), "content": "x", "owner": str(os.getuid()), "group": str(os.getgid())}
    assert run([file])["changed"] is True
    assert run([file])["changed"] is False
