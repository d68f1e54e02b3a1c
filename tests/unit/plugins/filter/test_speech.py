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

spoken_clip = clips.FilterModule().filters()["spoken_clip"]
stt_api_key, stt_api_keys, stt_key_files = keys.FilterModule().filters().values()


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
