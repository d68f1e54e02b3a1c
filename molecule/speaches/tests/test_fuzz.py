# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutated files and broken requests against Speaches, with the packages of its release; see tests/fuzz/README.md."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from conftest import NAME, PORT, PROJECT, Ask, wait
from suite import LONG, ROOT

PYTHON = "/opt/stt-server/current/bin/python"
CURSOR = "/run/fuzz-cursor"


@pytest.fixture(scope="module")
def fuzz(ai: Any) -> str:
    """The command that runs the suite inside the instance, where the clips lie already."""
    push = ["incus", "file", "push", "--recursive", "--quiet", "--project", PROJECT]
    subprocess.run([*push, str(ROOT / "tests/fuzz"), f"{NAME}/srv/"], check=True)
    return f"{PYTHON} /srv/fuzz"


def test_mutated_files_neither_crash_nor_stop_nor_fill_the_decoder(ai: Any, fuzz: str) -> None:
    done = ai.run(f"{fuzz} decoder --data /srv --output /srv/bad --count {10_000 if LONG else 300}")
    assert done.rc == 0, done.stdout + done.stderr
    assert " sound" in done.stdout, "the mutations are all alike"


def test_broken_requests_are_answered_or_closed(ai: Any, ask: Ask, key: str, fuzz: str) -> None:
    ai.check_output(f"journalctl -u speaches -n 0 --cursor-file={CURSOR} --no-pager")
    ai.check_output(f"umask 077; cat > /run/fuzz-key <<'END'\nexport STT_KEY={key}\nEND")
    address = f"--address http://127.0.0.1:{PORT}"
    count = 3_000 if LONG else 200
    done = ai.run(f". /run/fuzz-key; {fuzz} wire --openai-errors {address} --output /srv/bad --count {count}")
    assert done.rc == 0, done.stdout + done.stderr
    assert " 200" in done.stdout, "the broken requests are all alike"
    wait(ask)
    assert "Traceback" not in ai.check_output(f"journalctl -u speaches --cursor-file={CURSOR} --no-pager")
