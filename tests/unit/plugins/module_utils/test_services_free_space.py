# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Free space as a quota sees it: on btrfs it is tried out. A quota of real btrfs: molecule/homelab."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._services import free_space


@pytest.fixture
def quota(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A file system of this kind with room for so many MiB, and how often it was tried."""
    state = {"mib": 1000, "tried": 0}

    def fallocate(_file: int, _offset: int, size: int) -> None:
        state["tried"] += 1
        if size > state["mib"] * 2**20:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(free_space, "file_system", lambda _folder: "btrfs")
    monkeypatch.setattr(os, "posix_fallocate", fallocate)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return state


def test_a_quota_is_found_out(tmp_path: Path, quota: dict[str, int]) -> None:
    found = free_space.within_quota(tmp_path / "not/there/yet", 21000)
    assert quota["mib"] - free_space.STEP <= found <= quota["mib"]
    assert quota["tried"] < 12
    assert list(tmp_path.iterdir()) == []


def test_a_quota_that_is_full_leaves_nothing(tmp_path: Path, quota: dict[str, int]) -> None:
    quota["mib"] = 0
    assert free_space.within_quota(tmp_path, 21000) == 0


def test_where_there_is_room_it_is_tried_once(tmp_path: Path, quota: dict[str, int]) -> None:
    quota["mib"] = 10**6
    assert free_space.within_quota(tmp_path, 21000) == 21000
    assert quota["tried"] == 1


@pytest.mark.parametrize(("kind", "user"), [("ext4", 0), ("btrfs", 1000)])
def test_other_file_systems_and_users_are_believed(
    tmp_path: Path, quota: dict[str, int], monkeypatch: pytest.MonkeyPatch, kind: str, user: int
) -> None:
    monkeypatch.setattr(free_space, "file_system", lambda _folder: kind)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert free_space.within_quota(tmp_path, 21000) == 21000
    assert quota["tried"] == 0


def test_the_kind_of_a_file_system_is_that_of_the_nearest_mount() -> None:
    assert free_space.file_system(Path("/proc/self")) == "proc"
    assert free_space.file_system(Path("/")) not in ("", "proc")
