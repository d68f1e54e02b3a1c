# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The other engines on Debian 13, and what the bridge hears from them, which is told nothing of the change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from suite import engine, long
from test_wyoming import ADDRESS, CLIPS, NAME, SENTENCES, client, play

TEXT = SENTENCES["en-fox.wav"]


@pytest.mark.parametrize(
    ("variables", "text"),
    [pytest.param(engine("parakeet"), TEXT, marks=long), (engine("vosk"), TEXT.lower().rstrip(".")), ({}, TEXT)],
    ids=["parakeet", "vosk", "whisper"],
)
def test_another_engine_answers_through_the_bridge(
    machine: Any, project: Path, variables: dict[str, str], text: str
) -> None:
    there = play(project, "anklume.stt.stt", **variables)
    assert there.status == 0 and there.changed(NAME) > 0, there.why
    python = machine(NAME).check_output("readlink -f /opt/stt-server/current/bin/python")
    assert python.endswith("3.13"), "another Python than the one of Debian 13"
    assert client("ask_wyoming.py", ADDRESS, CLIPS / "en-fox.wav", "en")["text"] == text
