# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is compared, shown and chosen before Open WebUI's settings are changed."""

from __future__ import annotations

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._services.open_webui import (
    MASK,
    changes,
    choose_model,
    choose_speaker,
    read_environment,
    shown,
)


def test_an_environment_file_reads_as_systemd_reads_it() -> None:
    text = '# comment\n; another\n\nA="x"\nB=plain\nC="say \\"hi\\" \\\\ bye"\nD="a=b"\nE=""\nnot a line\n'
    assert read_environment(text) == {"A": "x", "B": "plain", "C": 'say "hi" \\ bye', "D": "a=b", "E": ""}


@pytest.mark.parametrize(
    ("current", "wanted", "expected"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1, "b": 2}, {"a": 3}, {"a": 3}),
        ({}, {"a": ""}, {"a": ""}),
        ({"a": ["x"]}, {"a": ["x", "y"]}, {"a": ["x", "y"]}),
        ({"a": None}, {"a": ""}, {"a": ""}),
    ],
)
def test_only_what_differs_is_changed(current: dict, wanted: dict, expected: dict) -> None:
    assert changes(current, wanted) == expected


def test_a_secret_is_shown_as_there_or_empty_only() -> None:
    keys = {"a": 1, "key": 1, "gone": 1}
    assert shown({"a": 1, "key": "hush", "other": 2}, keys, {"key": "hush"}) == {"a": 1, "key": MASK}
    assert shown({"key": ""}, keys, {"key": "hush"}) == {"key": ""}


@pytest.mark.parametrize(
    ("wanted", "aliases", "listed", "model"),
    [
        ("", ["whisper-1"], ["Systran/faster-whisper-base"], "whisper-1"),
        ("", [], ["tts-1", "whisper-1"], "whisper-1"),
        ("", [], ["an-llm", "big-Whisper"], "big-Whisper"),
        ("", [], ["parakeet"], "parakeet"),
        ("parakeet", [], ["parakeet", "whisper-1"], "parakeet"),
        ("whisper-1", ["whisper-1"], [], "whisper-1"),
    ],
)
def test_the_model_is_chosen(wanted: str, aliases: list[str], listed: list[str], model: str) -> None:
    assert choose_model(wanted, aliases, listed) == model


@pytest.mark.parametrize(
    ("wanted", "listed", "message"),
    [
        ("large-v9", ["a", "b"], "the STT server has no model large-v9: it has a, b"),
        ("large-v9", [], "the STT server has no model large-v9: it has none"),
        ("", [], "is not clear, it has none: name one"),
        ("", ["whisper-a", "whisper-b"], "is not clear, it has whisper-a, whisper-b: name one"),
    ],
)
def test_a_model_that_is_not_there_or_not_clear_is_refused(wanted: str, listed: list[str], message: str) -> None:
    with pytest.raises(ServiceError, match=message):
        choose_model(wanted, [], listed)


@pytest.mark.parametrize(
    ("server", "models", "voices", "chosen"),
    [
        ({}, [], [], ("tts-1", "alloy")),
        ({"aliases": ["tts-1"]}, ["piper-gosia", "kokoro"], ["gosia", "af_sky"], ("tts-1", "gosia")),
        ({}, ["tts-1", "tts-1-hd"], [], ("tts-1", "alloy")),
        ({}, ["kokoro"], ["af_sky"], ("kokoro", "af_sky")),
        ({"model": "kokoro", "voice": "af_heart"}, ["piper-gosia"], ["gosia"], ("kokoro", "af_heart")),
    ],
)
def test_what_is_to_speak_is_chosen(
    server: dict, models: list[str], voices: list[str], chosen: tuple[str, str]
) -> None:
    assert choose_speaker({"model": None, "voice": None, "aliases": [], **server}, models, voices) == chosen


def test_which_of_several_models_is_to_speak_is_not_guessed() -> None:
    with pytest.raises(ServiceError, match="is not clear, the server has kokoro, piper-gosia: name one"):
        choose_speaker({"model": "", "voice": "", "aliases": []}, ["kokoro", "piper-gosia"], [])
