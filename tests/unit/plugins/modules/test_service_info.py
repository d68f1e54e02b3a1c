# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look: the release, files, units and ports; and what differs from what is wanted."""

from __future__ import annotations

import getpass
import grp
import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._services.release_files import move
from ansible_collections.anklume.stt.plugins.modules import service_info
from module_runner import run_module
from stt_stand_in import SttStandIn

ME = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path whose systemctl and ss print the files that lie beside them."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("systemctl", "ss"):
        (programs / name).write_text(f"#!/bin/sh\ncat {programs}/{name}.out\n")
        (programs / name).chmod(0o755)
        (programs / f"{name}.out").write_text("")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return programs


def runs(machine: Path, *states: str, started: float = 0.0) -> None:
    """Let systemctl say this of the units; they began to run so many seconds ago."""
    start = int((time.monotonic() - started) * 1e6)
    blocks = [
        f"LoadState=loaded\nActiveState={state}\nUnitFileState={'enabled' if state == 'active' else 'disabled'}\n"
        f"ExecMainStartTimestampMonotonic={start}\n"
        for state in states
    ]
    (machine / "systemctl.out").write_text("\n".join(blocks))


def look(tmp_path: Path, **params: Any) -> dict[str, Any]:
    given = {"service": "made-up", "user": "nobody", "port": 1, "release": str(tmp_path / "home/2"), **params}
    return run_module(service_info, **given)


def release(tmp_path: Path, lock: str = "abc") -> None:
    (tmp_path / "home/2").mkdir(parents=True)
    (tmp_path / "home/2/lock.sha256").write_text(f"{lock}\n")
    (tmp_path / "home/current").symlink_to("2")


def test_nothing_is_there(tmp_path: Path) -> None:
    seen = look(tmp_path, files=[{"path": str(tmp_path / "a"), "content": "x"}], user="nobody-of-that-name", lock="abc")
    assert seen["changed"] is False
    assert (seen["installed"], seen["configured"], seen["started"]) == (False, False, False)
    assert (seen["current"], seen["user_exists"], seen["unit_exists"], seen["active"]) == ("", False, False, False)


def test_all_is_as_it_should_be(tmp_path: Path, machine: Path) -> None:
    release(tmp_path)
    runs(machine, "active")
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").chmod(0o644)
    seen = look(tmp_path, lock="abc", files=[{"path": str(tmp_path / "a"), "content": "x", **ME}])
    assert (seen["installed"], seen["configured"], seen["started"], seen["differing"]) == (True, True, True, [])
    assert (seen["current"], seen["unit_exists"], seen["active"], seen["enabled"]) == ("2", True, True, True)


def test_a_release_is_installed_and_another_serves_or_is_on_its_way(tmp_path: Path) -> None:
    release(tmp_path)
    assert look(tmp_path, lock="other")["installed"] is False
    (tmp_path / "home/kept").mkdir()
    (tmp_path / "home/kept/release.json").write_text("{}")
    seen = look(tmp_path, lock="abc")
    assert (seen["under_way"], seen["configured"]) == (True, False)
    (tmp_path / "home/kept/release.json").unlink()
    assert look(tmp_path)["configured"] is True
    (tmp_path / "home/current").unlink()
    (tmp_path / "home/current").symlink_to("1")
    assert look(tmp_path)["configured"] is False


def test_a_release_that_serves_and_is_damaged_is_to_be_filled_beside(tmp_path: Path) -> None:
    release(tmp_path, lock="damaged")
    seen = look(tmp_path, lock="abc")
    assert (seen["release"], seen["installed"], seen["configured"]) == ("2-2", False, False)
    (tmp_path / "home/2-2").mkdir()
    (tmp_path / "home/2-2/lock.sha256").write_bytes(b"\xff")
    assert look(tmp_path, lock="abc")["release"] == "2-2"
    (tmp_path / "home/2-2/lock.sha256").write_text("abc\n")
    seen = look(tmp_path, lock="abc")
    assert (seen["release"], seen["installed"], seen["configured"]) == ("2-2", True, False)
    (tmp_path / "home/current").unlink()
    (tmp_path / "home/current").symlink_to("2-2")
    assert look(tmp_path, lock="abc")["configured"] is True
    assert look(tmp_path)["release"] == "2", "nobody said what it is made of"


def test_releases_that_lie_in_a_folder_of_another_name(tmp_path: Path) -> None:
    release(tmp_path)
    former = tmp_path / "former"
    (tmp_path / "home").rename(former)
    seen = look(tmp_path, lock="abc", former_home=str(former))
    assert (seen["moves"], seen["installed"], seen["current"]) == (True, True, "2")
    move(former, tmp_path / "home")
    seen = look(tmp_path, lock="abc", former_home=str(former))
    assert (seen["moves"], seen["installed"], seen["current"]) == (False, True, "2")


def test_a_service_out_of_packages_has_no_release(tmp_path: Path, machine: Path) -> None:
    runs(machine, "active")
    seen = look(tmp_path, release=None)
    assert (seen["release"], seen["current"], seen["installed"], seen["configured"]) == ("", "", False, True)
    missing = look(tmp_path, release=None, files=[{"path": str(tmp_path / "a"), "content": "x"}])
    assert (missing["configured"], missing["differing"]) == (False, [str(tmp_path / "a")])


def test_speech_models_that_are_not_there_and_that_nobody_asks_for(tmp_path: Path) -> None:
    (tmp_path / "cache/hub/models--a--b/refs").mkdir(parents=True)
    models = {"cache": str(tmp_path / "cache"), "wanted": ["c/d"]}
    me = {"user": getpass.getuser(), "speech_models": models}
    assert look(tmp_path, **me)["speech_models"] == {"differing": ["c/d"], "unnamed": ["a/b"]}
    assert look(tmp_path, **me | {"user": "nobody-of-that-name"})["speech_models"] == {
        "differing": ["c/d"],
        "unnamed": [],
    }
    assert "speech_models" not in look(tmp_path)
    wrong = me | {"speech_models": models | {"group": "no-such-group"}}
    assert "no-such-group" in look(tmp_path, **wrong)["msg"]


class TestFiles:
    @pytest.mark.parametrize(
        "wish",
        [
            {"content": "y"},
            {"content": "x", "mode": "0640"},
            {"content": "x", "owner": "nobody"},
            {"state": "absent"},
            {"state": "directory"},
            {"sha256": "0" * 64},
        ],
        ids=" ".join,
    )
    def test_what_differs_is_named_and_left(self, tmp_path: Path, wish: dict[str, str]) -> None:
        path = tmp_path / "a"
        path.write_text("x")
        path.chmod(0o644)
        seen = look(tmp_path, files=[{"path": str(path), **ME, **wish}])
        assert (seen["differing"], path.read_text(), path.stat().st_mode & 0o777) == ([str(path)], "x", 0o644)

    def test_what_is_right_is_not_named(self, tmp_path: Path) -> None:
        path, folder = tmp_path / "a", tmp_path / "folder"
        path.write_bytes(b"\xff")
        path.chmod(0o644)
        folder.mkdir()
        folder.chmod(0o2770)
        files = [
            {"path": str(path), "sha256": hashlib.sha256(b"\xff").hexdigest(), **ME},
            {"path": str(folder), "state": "directory", "mode": "2770", **ME},
            {"path": str(tmp_path / "gone"), "state": "absent"},
        ]
        assert look(tmp_path, files=files)["differing"] == []

    def test_what_stands_in_the_way_differs(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").write_text("")
        files = [{"path": str(tmp_path / name), "content": "x"} for name in ("a", "b/c")]
        assert look(tmp_path, files=files)["differing"] == [str(tmp_path / "a"), str(tmp_path / "b/c")]

    def test_a_secret_is_compared_and_shown_nowhere(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        path.write_text("old-secret")
        file = {"path": str(path), "mode": "0600", **ME}
        seen = look(tmp_path, files=[file], secret_contents={str(path): "new-secret"})
        assert seen["differing"] == [str(path)]
        assert "new-secret" not in json.dumps(seen["differing"]) and "old-secret" not in json.dumps(seen)

    @pytest.mark.parametrize(
        ("file", "said"),
        [({}, "either"), ({"content": "x", "sha256": "y"}, "either"), ({"content": "x", "mode": "rw"}, "no mode")],
    )
    def test_what_cannot_be_meant_is_refused(self, tmp_path: Path, file: dict[str, str], said: str) -> None:
        assert said in look(tmp_path, files=[{"path": "/a", **file}])["msg"]


class TestUnits:
    def test_one_that_should_be_off(self, tmp_path: Path, machine: Path) -> None:
        runs(machine, "active")
        assert look(tmp_path, enabled=False)["started"] is False
        runs(machine, "inactive")
        assert look(tmp_path, enabled=False)["started"] is True
        assert look(tmp_path)["started"] is False

    def test_one_that_runs_with_older_settings(self, tmp_path: Path, machine: Path) -> None:
        (tmp_path / "a").write_text("x")
        runs(machine, "active", started=60)
        seen = look(tmp_path, reads=[str(tmp_path / "a"), "/nowhere"])
        assert (seen["needs_restart"], seen["started"]) == (True, False)
        os.utime(tmp_path / "a", (0, time.time() - 90))
        assert look(tmp_path, reads=[str(tmp_path / "a")])["needs_restart"] is False

    def test_others_are_told_by_name(self, tmp_path: Path, machine: Path) -> None:
        runs(machine, "active", "active", "inactive")
        (machine / "ss.out").write_text(f'LISTEN 0 1 *:443 *:* users:(("nginx",pid={os.getpid()},fd=3))\n')
        units = [{"name": "caddy", "ports": [80, 443]}, {"name": "made-up.timer", "enabled": False}]
        seen = look(tmp_path, units=units)
        assert seen["started"] is True
        assert seen["units"]["caddy"]["port_owner"] == f"nginx, pid {os.getpid()}"
        assert seen["units"]["caddy"]["port_taken"] == 443
        assert (seen["units"]["caddy"]["started"], seen["units"]["made-up.timer"]["started"]) == (True, True)

    def test_a_port_of_another_program_is_told(self, tmp_path: Path, machine: Path) -> None:
        (machine / "ss.out").write_text("LISTEN 0 1 0.0.0.0:9 0.0.0.0:*\n")
        assert look(tmp_path, port=8, more_ports=[9])["port_taken"] == 9
        assert look(tmp_path, port=8)["port_owner"] == ""


def test_an_interpreter_is_found(tmp_path: Path) -> None:
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert look(tmp_path, python=sys.executable, python_versions=[version])["python_version"] == version
    assert look(tmp_path, python_versions=["2.7"])["python"] == ""


def test_the_release_before_a_change_that_is_under_way(tmp_path: Path) -> None:
    release(tmp_path)
    assert look(tmp_path)["before"] == ""
    (tmp_path / "home/kept").mkdir()
    (tmp_path / "home/kept/release.json").write_text('{"before": "1", "after": "2", "files": {}}')
    assert (look(tmp_path)["before"], look(tmp_path)["under_way"]) == ("1", True)
    (tmp_path / "home/kept/release.json").write_text("[")
    assert (look(tmp_path)["before"], look(tmp_path)["under_way"]) == ("", True)


def test_an_address_is_asked_once_under_a_name(tmp_path: Path) -> None:
    assert "answer" not in look(tmp_path)
    with SttStandIn() as server:
        assert look(tmp_path, url=f"{server.origin}/health", host="chat.example.org")["answer"] == {
            "status": 200,
            "msg": "",
        }
        assert look(tmp_path, url=f"{server.origin}/nowhere")["answer"]["msg"].endswith("answers with status 404")
    answer = look(tmp_path, url=server.origin)["answer"]
    assert (answer["status"], "connection refused" in answer["msg"]) == (0, True)
