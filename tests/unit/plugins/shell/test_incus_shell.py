# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell plugin: its short command lasts, and still does what it should."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from ansible_collections.anklume.stt.plugins.shell.incus import ShellModule


def test_the_folder_is_made_and_named_and_the_command_lasts(tmp_path: Path) -> None:
    shell = ShellModule()
    command = shell.mkdtemp(basefile="made", tmpdir=str(tmp_path))
    start = time.monotonic()
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    assert time.monotonic() - start >= 0.1
    assert done.stdout == f"made={tmp_path}/made\n"
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700
