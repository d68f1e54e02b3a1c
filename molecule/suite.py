# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of several scenarios import: the mark of the long series, and wheels for places without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONG = bool(os.environ.get("ANKLUME_TEST_LONG"))
long = pytest.mark.skipif(not LONG, reason="part of make test-long")


def download(lock: Path, python: str) -> Path:
    """A folder with the wheels of a lock file for an instance's version of Python."""
    folder = ROOT / ".cache/wheels" / f"{lock.stem}-{lock.parent.name}-{python}"
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, ROOT / "scripts/download_wheels.py", lock, python, folder], check=True)
    return folder


def uv_wheel() -> str:
    """The wheel of the version of uv that the role uv takes; it runs on any Python."""
    version = re.search(r'^uv_version: "(.*)"', (ROOT / "roles/uv/defaults/main.yml").read_text(), re.M)
    assert version
    folder = ROOT / ".cache/wheels/uv"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, f"uv=={version[1]}"]
    subprocess.run(command, check=True)
    return str(next(folder.glob(f"uv-{version[1]}-*.whl")))
