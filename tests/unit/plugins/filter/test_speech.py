# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles are told of an STT server: a sentence to say into it, and its key."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from ansible_collections.anklume.stt.plugins.filter import spoken_clip as clips
from ansible_collections.anklume.stt.plugins.filter import stt_api_key as keys
from ansible_collections.anklume.stt.plugins.module_utils._services.speech import stt_machine

spoken_clip = clips.FilterModule().filters()["spoken_clip"]
found = keys.FilterModule().filters()
stt_api_key, stt_api_keys, stt_key_files = (found[f"stt_{name}"] for name in ("api_key", "api_keys", "key_files"))
stt_server_at = found["stt_server_at"]


@pytest.mark.parametrize(
    ("language", "found"), [("fr", "fr"), ("en", "en"), ("", "en"), (None, "en"), ("de", "en")], ids=str
)
def test_a_sentence_in_the_language_or_in_english(language: str | None, found: str) -> None:
    clip = spoken_clip(language)
    assert clip["language"] == found
    assert hashlib.sha256(Path(clip["path"]).read_bytes()).hexdigest() == clip["sha256"]
    assert (
        clip["text"]
        == {
            "en": "The quick brown fox jumps over the lazy dog.",
            "fr": "Bonjour, la reconnaissance vocale fonctionne.",
        }[found]
    )


def test_a_key_is_given_made_or_not_asked_for(tmp_path: Path) -> None:
    assert stt_api_key("given", "ai", str(tmp_path)) == "given"
    assert stt_api_key("", "ai", str(tmp_path)) == stt_api_key(None, "ai", str(tmp_path)) == ""
    assert stt_api_key("auto", "ai", str(tmp_path)) == ""
    (file,) = map(Path, stt_key_files("auto", {}, "ai", str(tmp_path)))
    assert file == tmp_path / "secrets/ai-speaches-api-key"
    file.parent.mkdir()
    file.write_text("made\n")
    assert stt_api_key("auto", "ai", str(tmp_path)) == "made"


def test_each_of_several_keys_is_given_or_made(tmp_path: Path) -> None:
    named = {"phone": "auto", "tablet": "given"}
    (file,) = map(Path, stt_key_files("given", named, "ai", str(tmp_path)))
    assert file == tmp_path / "secrets/ai-stt-key-phone"
    assert stt_api_keys(named, "ai", str(tmp_path)) == ["", "given"]
    file.parent.mkdir()
    file.write_text("made\n")
    assert stt_api_keys(named, "ai", str(tmp_path)) == ["made", "given"]
    assert len(stt_key_files("auto", named, "ai", str(tmp_path))) == 2


@pytest.mark.parametrize(
    ("url", "machine"),
    [
        ("http://ai:8000/v1", "ai"),
        ("http://10.0.0.9:8000", "other"),
        ("10.0.0.9:8000/v1", "other"),
        ("http://10.0.0.99:8000", ""),
        ("", ""),
    ],
)
def test_a_machine_of_ours_is_known_by_its_name_or_its_address(url: str, machine: str) -> None:
    hostvars = {"ai": {"ansible_host": "10.0.0.8"}, "other": {"ansible_host": "10.0.0.9"}, "bare": {}}
    assert stt_machine(url, ["bare", "ai", "other"], hostvars) == machine


def test_of_our_own_server_the_key_and_an_alias_are_known(tmp_path: Path) -> None:
    hostvars = {"ai": {"stt_server_api_key": "its"}}
    ours = stt_server_at("http://ai:8000/v1", "", ["ai"], hostvars, str(tmp_path))
    assert ours == {"url": "http://ai:8000/v1", "api_key": "its", "aliases": ["whisper-1"]}
    assert stt_server_at("http://ai:8000/v1", "given", ["ai"], hostvars, str(tmp_path))["api_key"] == "given"
    other = stt_server_at("http://elsewhere/v1", "", ["ai"], hostvars, str(tmp_path))
    assert (other["api_key"], other["aliases"]) == ("", [])


def test_a_model_of_vosk_is_asked_for_its_own_language() -> None:
    assert spoken_clip("", "alphacep/vosk-model-small-fr-0.22") == spoken_clip("fr")
    assert spoken_clip("", "anklume/vosk-test") == spoken_clip("en") == spoken_clip("", "Systran/faster-whisper-base")
    polish = spoken_clip("", "alphacep/vosk-model-small-pl-0.22")
    assert (polish["language"], polish["text"], polish["path"]) == ("pl", "", spoken_clip("en")["path"])
    assert spoken_clip("pl", "alphacep/vosk-model-small-pl-0.22") == polish
    assert spoken_clip("pl", "auto", "vosk") == spoken_clip("pl-PL", "auto", "vosk") == polish
    assert spoken_clip("fr", "auto", "vosk") == spoken_clip("fr")
    assert spoken_clip("pl", "auto", "speaches") == spoken_clip("en")
