# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where remote-add keeps what it is given, and what it asks the `incus` client for; a stand-in is that client."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "remote-add"
CLIENT = """#!/bin/sh
echo "$@" >>"$INCUS_CONF/asked"
[ "$4" != old ] || { echo "Error: token expired" >&2; exit 1; }
mkdir -p "$INCUS_CONF/servercerts" && touch "$INCUS_CONF/client.key" "$INCUS_CONF/servercerts/$3.crt"
"""


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "incus").write_text(CLIENT)
    (folder / "incus").chmod(0o755)
    return folder


def add(project: Path, tools: Path, token: str = "t0k3n") -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "INCUS_CONF"}
    environment["PATH"] = f"{tools}:/usr/bin:/bin"
    command = [SCRIPT, project, "gpu-room", token]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_what_it_is_given_is_the_users_alone(tmp_path: Path, tools: Path) -> None:
    project = tmp_path / "my lab"
    done = add(project, tools)
    assert done.returncode == 0, done.stderr
    assert "global.remotes.gpu-room.address" in done.stdout
    folder = project / "secrets" / "incus"
    assert (folder / "asked").read_text() == "remote add gpu-room t0k3n\n"
    assert [path.stat().st_mode & 0o777 for path in (folder, folder / "client.key")] == [0o700, 0o600]


def test_a_server_that_was_installed_anew_is_added_anew(tmp_path: Path, tools: Path) -> None:
    add(tmp_path, tools)
    assert add(tmp_path, tools).returncode == 0
    asked = (tmp_path / "secrets" / "incus" / "asked").read_text().splitlines()
    assert asked[1:] == ["remote remove gpu-room", "remote add gpu-room t0k3n"]


def test_a_token_that_is_too_old(tmp_path: Path, tools: Path) -> None:
    done = add(tmp_path, tools, "old")
    assert (done.returncode, done.stderr) == (1, "Error: token expired\n")
