# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role wyoming says of Whisper and of its packages is what they say themselves."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
FILES = ROOT / "roles/wyoming/files"
VARS = yaml.safe_load((ROOT / "roles/wyoming/vars/main.yml").read_text())


def test_the_languages_are_those_that_the_stt_server_knows() -> None:
    source = (ROOT / "roles/stt_server/files/server/anklume_stt_server/languages.py").read_text()
    table = source.split('TABLE = """')[1].split('"""')[0]
    assert VARS["__wyoming_whisper_languages"].split() == [names.split()[0] for names in table.split(";")]


def test_there_is_a_lock_of_the_wanted_version_for_each_python() -> None:
    wanted = re.search(r"^wyoming-openai==\S+", (FILES / "requirements.in").read_text(), re.M)
    assert wanted
    pythons = {version.replace(".", "") for version in VARS["__wyoming_python_versions"]}
    locks = {path.stem.removeprefix("requirements-py"): path.read_text() for path in FILES.glob("requirements-py*.txt")}
    assert set(locks) == pythons
    assert all(f"\n{wanted[0]} \\\n" in lock for lock in locks.values())
    assert wanted[0] in (ROOT / "requirements-clients-test.txt").read_text(), "the tests' bridge is another one"
