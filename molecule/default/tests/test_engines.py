# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another engine is an upgrade like any other: proved by a sentence, with a way back, and no model is fetched twice."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from suite import DATA, LONG, engine
from test_default import transcribe
from test_stt_faults import play

TEXT = "The quick brown fox jumps over the lazy dog."
# engine, its variables, what it hears, a field that it refuses, and what stands in its settings
CHAIN: tuple[tuple[str, dict[str, str], str, dict[str, str], set[str]], ...] = (
    ("parakeet", engine("parakeet"), TEXT, {"temperature": "0.5"}, {"STT_ENGINE=parakeet", "STT_COMPUTE_TYPE=int8"}),
    ("vosk", engine("vosk"), "the quick brown fox jumps over the lazy dog", {"language": "pl"}, {"STT_ENGINE=vosk"}),
    ("faster_whisper", {}, TEXT, {}, {"STT_COMPUTE_TYPE=int8"}),
)
MODELS = "find /var/lib/speaches/hub -path '*/snapshots/*' -type f -printf '%i %T@ %p\\n'"


def test_from_whisper_by_others_to_whisper(project: Path, machine: Any) -> None:
    host = machine("mdef-ai")
    clips = str(DATA / "clips")
    subprocess.run(["incus", "file", "push", "-r", "-q", clips, "mdef-ai/tmp/", "--project", "mdef"], check=True)
    models = set(host.check_output(MODELS).splitlines())
    # Vosk is gone to and come from in the scenario wyoming, too
    chain = CHAIN if LONG else [link for link in CHAIN if link[0] != "vosk"]
    for name, variables, text, cannot, told in chain:
        there = play(project, "stt", **variables)
        assert there.status == 0 and there.changed("mdef-ai") > 0, f"{name}: {there.why}"
        assert transcribe(host, "en-fox.wav", model="whisper-1")["text"] == text
        for field, value in cannot.items():
            refused = transcribe(host, "en-fox.wav", **{field: value})
            assert (refused["status"], refused["error"]["param"]) == (400, field)
        assert told <= set(host.check_output("cat /etc/speaches/speaches.env").splitlines())
        now = set(host.check_output(MODELS).splitlines())
        assert models <= now, "a model was fetched or packed out again"
        assert bool(now - models) == bool(variables), "Whisper's was there already"
        models = now
        assert play(project, "stt", **variables).changed() == 0, name


def test_owhisper_is_refused_with_the_reason(project: Path) -> None:
    result = play(project, "stt", stt_server_engine="owhisper")
    assert result.status != 0 and "its makers have given up" in result.said and result.changed() == 0
