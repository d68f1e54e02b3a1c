# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another engine is an upgrade like any other: proved by a sentence, with a way back, and no model is fetched twice."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from suite import long
from test_default import DATA, transcribe
from test_stt_faults import play

TEXT = "The quick brown fox jumps over the lazy dog."
PARAKEET = {
    "stt_server_engine": "parakeet",
    "stt_server_model": "anklume/parakeet-test",
    "stt_server_model_source": str(DATA / "parakeet-test.tar.xz"),
    "stt_server_quantization": "float16",  # the role's default, which leaves it to Parakeet
}
VOSK = {
    "stt_server_engine": "vosk",
    "stt_server_model": "anklume/vosk-test",
    "stt_server_model_source": str(DATA / "vosk-test.tar.xz"),
    "stt_server_quantization": "float16",
}
MODELS = "ls -l --time-style=full-iso /var/lib/speaches/hub/*/snapshots/*"


def test_whisper_parakeet_whisper(project: Path, machine: Any) -> None:
    host = machine("mdef-ai")
    clips = str(DATA / "clips")
    subprocess.run(["incus", "file", "push", "-r", "-q", clips, "mdef-ai/tmp/", "--project", "mdef"], check=True)
    there = play(project, "stt", **PARAKEET)
    assert there.status == 0 and there.changed("mdef-ai") > 0, there.why
    assert transcribe(host, "en-fox.wav", model="whisper-1")["text"] == TEXT
    refused = transcribe(host, "en-fox.wav", temperature="0.5")
    assert (refused["status"], refused["error"]["param"]) == (400, "temperature")
    settings = host.check_output("cat /etc/speaches/speaches.env")
    assert "STT_ENGINE=parakeet" in settings and "STT_COMPUTE_TYPE=int8" in settings
    assert play(project, "stt", **PARAKEET).changed() == 0

    models = host.check_output(MODELS)
    back = play(project, "stt")
    assert back.status == 0 and back.changed("mdef-ai") > 0, back.why
    assert host.check_output(MODELS) == models, "no model was fetched or packed out again"
    assert transcribe(host, "en-fox.wav", model="whisper-1")["text"] == TEXT
    assert play(project, "stt").changed() == 0


@long
def test_vosk_and_back(project: Path, machine: Any) -> None:
    """Long, for its installation and the way back take half a minute each."""
    host = machine("mdef-ai")
    clips = str(DATA / "clips")
    subprocess.run(["incus", "file", "push", "-r", "-q", clips, "mdef-ai/tmp/", "--project", "mdef"], check=True)
    there = play(project, "stt", **VOSK)
    assert there.status == 0 and there.changed("mdef-ai") > 0, there.why
    text = "the quick brown fox jumps over the lazy dog"
    assert transcribe(host, "en-fox.wav", model="whisper-1")["text"] == text
    refused = transcribe(host, "en-fox.wav", language="pl")
    assert (refused["status"], refused["error"]["param"]) == (400, "language")
    settings = host.check_output("cat /etc/speaches/speaches.env")
    assert "STT_ENGINE=vosk" in settings and "STT_COMPUTE_TYPE" not in settings
    assert play(project, "stt", **VOSK).changed() == 0

    models = host.check_output(MODELS)
    back = play(project, "stt")
    assert back.status == 0 and back.changed("mdef-ai") > 0, back.why
    assert host.check_output(MODELS) == models, "no model was fetched or packed out again"
    assert transcribe(host, "en-fox.wav", model="whisper-1")["text"] == TEXT
    assert play(project, "stt").changed() == 0


def test_owhisper_is_refused_with_the_reason(project: Path) -> None:
    result = play(project, "stt", stt_server_engine="owhisper")
    assert result.status != 0 and "its makers have given up" in result.said and result.changed() == 0
