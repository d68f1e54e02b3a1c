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


def download(name: str, python: str, *what: str) -> Path:
    """A folder with wheels for a version of Python that need not be this one's."""
    folder = ROOT / ".cache/wheels" / name
    folder.mkdir(parents=True, exist_ok=True)
    platforms = [f"--platform=manylinux{tag}_x86_64" for tag in ("2014", "_2_27", "_2_28", "_2_31", "_2_34")]
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
    subprocess.run([*command, f"--python-version={python}", *platforms, *what], check=True)
    return folder


def uv_wheel() -> str:
    """The wheel of the version of uv that the role uv takes."""
    version = re.search(r'^uv_version: "(.*)"', (ROOT / "roles/uv/defaults/main.yml").read_text(), re.M)
    assert version
    return str(next(download("uv", "3.11", f"uv=={version[1]}").glob(f"uv-{version[1]}-*.whl")))
