# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with Speaches: what served before serves on, and the next apply repairs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import NAME, PROJECT, Ask, apply, thorough, wait
from suite import ROOT, long

sys.path.insert(0, str(ROOT / "tests/stand_ins"))

import pack_speaches

CURRENT = "readlink /opt/stt-server/current"
RELEASES = "find /opt/stt-server -mindepth 1 -maxdepth 1 -type d -name 'speaches-*' -printf '%f\\n' | sort"


@pytest.fixture(autouse=True)
def serves_before_and_after(ai: Any, ask: Ask) -> Iterator[None]:
    """Whatever happens: the same release goes on serving, with the same settings."""
    before = ai.check_output(f"{CURRENT}; cat /etc/speaches/speaches.env")
    wait(ask)
    yield
    wait(ask)
    assert ai.check_output(f"{CURRENT}; cat /etc/speaches/speaches.env") == before


def another_version(folder: Path, start: str = "") -> dict[str, str]:
    """The variables for the same source with another README, and a start of its own if one is given."""
    archive = os.environ.get("SPEACHES_ARCHIVE")
    source = pack_speaches.unpacked(Path(archive) if archive else pack_speaches.STAND_IN, folder / "source")
    source.joinpath("README.md").write_text("Another version.\n")
    if start:
        source.joinpath("src/speaches/__init__.py").write_text(start)
    tree = pack_speaches.pack(folder / "other.tar", source)
    return {"stt_server_speaches_source": str(folder / "other.tar"), "stt_server_speaches_tree": tree}


def test_killed_under_load_it_comes_back(ai: Any, key: str, ask: Ask) -> None:
    before = ai.check_output("systemctl show -P MainPID speaches")
    load = (
        f"curl -s -H 'Authorization: Bearer {key}' http://127.0.0.1:8000/v1/audio/transcriptions"
        " -F file=@/srv/clips/en-fox.wav -F model=whisper-1 >/dev/null"
    )
    ai.check_output(f"for i in 1 2 3 4; do ({load} &); done; sleep 0.3; systemctl kill -s KILL speaches")
    wait(ask)
    assert ai.check_output("systemctl show -P MainPID speaches") != before


@thorough
def test_it_comes_back_after_a_reboot(ask: Ask) -> None:
    subprocess.run(["incus", "restart", NAME, "--project", PROJECT], check=True)
    wait(ask, 180)


def test_a_new_version_can_be_planned(project: Path) -> None:
    status, output = apply(project, "--check", stt_server_speaches_tree="0" * 40)
    assert status == 0, output
    assert "Switch to the installed release" in output


@thorough
def test_another_source_is_refused(project: Path) -> None:
    status, output = apply(project, stt_server_speaches_tree="0" * 40)
    assert status
    assert "its git tree id is" in output


@thorough
@pytest.mark.timeout(900)
def test_a_broken_version_gives_way_to_the_old_one(project: Path, tmp_path: Path) -> None:
    """Installed, started, found broken, taken back with its settings."""
    broken = another_version(tmp_path, start="raise SystemExit('broken')\n")
    status, output = apply(project, **broken, stt_server_log_level="warning")
    assert status
    assert "the service ends as soon as it starts: broken" in output
    assert "serves again" in output


@thorough
def test_a_full_disk_stops_nothing(ai: Any, ask: Ask, project: Path) -> None:
    ai.check_output("mount -t tmpfs -o size=100m full /opt/stt-server")
    try:
        status, output = apply(project, stt_server_speaches_tree="1" * 40)
        wait(ask)
    finally:
        ai.check_output("umount /opt/stt-server")
    assert status
    assert "100 MiB are free under /opt" in output


@thorough
def test_the_next_apply_repairs(project: Path) -> None:
    """After all that, and nothing is left to do afterwards."""
    status, output = apply(project)
    assert status == 0, output
    assert apply(project).changed() == 0


@long
@pytest.mark.timeout(900)
def test_an_upgrade_keeps_one_release_to_go_back_to(ai: Any, ask: Ask, project: Path, tmp_path: Path) -> None:
    old = ai.check_output(CURRENT)
    ai.check_output("mkdir /opt/stt-server/speaches-cpu-older")
    status, output = apply(project, **another_version(tmp_path))
    assert status == 0, output
    wait(ask)
    new = ai.check_output(CURRENT)
    assert new != old
    assert ai.check_output(RELEASES).split() == sorted([old, new])
    began = time.monotonic()
    status, output = apply(project)
    assert status == 0, output
    assert time.monotonic() - began < 90, "going back installs nothing"
    assert ai.check_output(RELEASES).split() == sorted([old, new])
