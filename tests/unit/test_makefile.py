# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PROJECT of the Makefile: any folder that a user may have, as it is, or one clear refusal."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOW = """show: ; @printf '%s\\n' "$$PROJECT" $(INVENTORY) "$$ANSIBLE_ROLES_PATH\""""


def make(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PROJECT"))}
    command = ["make", "-s", "--eval", SHOW, "show", *arguments]
    return subprocess.run(command, cwd=cwd, env=kept | environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("how", ["argument", "environment"])
@pytest.mark.parametrize(
    "path",
    ["/srv/lab", "/home/me/my  lab", "/a/it's", '/a/"b"', "/a/(b);c&d|e", "/a/b\\c", "/a/é #1", "/a/*?[x]", "/a/,b"],
)
def test_a_folder_of_any_name_is_one_folder(path: str, how: str) -> None:
    done = make(f"PROJECT={path}") if how == "argument" else make(PROJECT=path)
    roles = ":".join(f"{path}/{name}" for name in ("roles", "roles_custom", "roles_vendor"))
    assert done.stdout.split("\n") == [path, f"{path}/inventory", roles, ""], done.stderr


def test_what_other_servers_know_a_project_by_is_told_to_the_connection(tmp_path: Path) -> None:
    show = 'show-conf: ; @printf %s "$${INCUS_CONF:-}"'
    project = tmp_path / "my  lab"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PROJECT", "INCUS"))}
    command = ["make", "-s", "--eval", show, "show-conf", f"PROJECT={project}"]

    def told(**more: str) -> str:
        return subprocess.run(command, cwd=ROOT, env=kept | more, capture_output=True, text=True, check=True).stdout

    assert told() == ""
    (project / "secrets" / "incus").mkdir(parents=True)
    (project / "secrets" / "incus" / "client.crt").touch()
    assert told() == f"{project}/secrets/incus"
    assert told(INCUS_CONF="/mine") == "/mine"


def test_a_tilde_is_the_home_that_a_shell_left_unexpanded() -> None:
    assert make("PROJECT=~/my infra", HOME="/home/me").stdout.startswith("/home/me/my infra\n")
    assert make("PROJECT=~", HOME="/home/me").stdout.startswith("/home/me\n")


def test_a_relative_folder_is_beside_where_make_is_called() -> None:
    assert make("PROJECT=a/../b c").stdout.startswith(f"{ROOT}/b c\n")
    assert make().stdout.startswith(f"{ROOT}\n")


@pytest.mark.parametrize("path", ["/a/$b", "/a/$(b)", "/a/{{ b }}", "/a/b:c"])
def test_what_ansible_would_read_as_something_else_is_refused(path: str) -> None:
    done = make(f"PROJECT={path}")
    assert done.returncode != 0
    assert f"PROJECT={path} has a $, a colon or a brace in its path" in done.stderr, done.stderr


def test_a_clone_in_a_folder_with_a_space_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "my clone"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    for done in (make(cwd=folder), make("-f", str(folder / "Makefile"))):
        assert done.returncode != 0
        assert "this folder has a space in its path" in done.stderr
