# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the collection is packed and installed anew: somebody may be reading what is there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pack_collections
import pytest


def test_only_another_file_is_another_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_collections, "CHECKOUT", tmp_path)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text(".work/\n")
    wheel = Path("ansible.whl")
    before = pack_collections.state(wheel)
    (tmp_path / ".work").mkdir()
    os.utime(tmp_path, (1, 1))
    assert pack_collections.state(wheel) == before
    (tmp_path / "new").write_text("")
    assert pack_collections.state(wheel) != before
