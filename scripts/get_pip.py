# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the get-pip script of ansible-test where it can't be downloaded: uses Python's bundled pip."""

from __future__ import annotations

import ensurepip
import os
import subprocess
import sys

ensurepip.bootstrap(default_pip=True)
os.environ.pop("PIP_CONFIG_FILE", None)  # ensurepip has just pointed it at nothing
arguments = [arg for arg in sys.argv[1:] if arg not in ("--no-setuptools", "--no-wheel")]
sys.exit(
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *arguments], check=False
    ).returncode
)
