# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters that know the names of models."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.anklume.stt.plugins.filter.models import (
    hub_id,
    hub_ids,
    model_aliases,
    resident_models,
    served_aliases,
    speech_aliases,
    speech_models,
    speech_voice,
)
from ansible_collections.anklume.stt.plugins.module_utils._models.kinds import check_name
from ansible_collections.anklume.stt.plugins.module_utils._models.voices import BEST, VOICES

GOSIA, KOKORO = "speaches-ai/piper-pl_PL-gosia-medium", "speaches-ai/Kokoro-82M-v1.0-ONNX"


def test_short_names_and_hub_ids() -> None:
    assert hub_id("small") == "Systran/faster-whisper-small"
    assert hub_id("somebody/model") == "somebody/model"
    with pytest.raises(AnsibleFilterError, match="not a known model"):
        hub_id("smal")


def test_the_other_names_of_a_model() -> None:
    turbo = hub_id("turbo")
    aliases = model_aliases([turbo, "somebody/model"])
    assert {name: aliases[name] for name in ("turbo", "large-v3-turbo")} == {"turbo": turbo, "large-v3-turbo": turbo}
    assert turbo not in aliases
    assert "somebody/model" not in aliases.values()


def test_ones_own_names_come_first() -> None:
    assert model_aliases(["small"], {"small": "tiny", "fast": "base"}) == {
        "small": "Systran/faster-whisper-tiny",
        "fast": "Systran/faster-whisper-base",
    }


def test_a_server_has_its_first_model_under_openais_names() -> None:
    small, base = hub_id("small"), hub_id("base")
    aliases = served_aliases([small, base], {"gpt-4o-transcribe": "base", "whisper-1": "base", "fast": "base"})
    assert aliases["whisper-1"] == aliases["gpt-4o-mini-transcribe"] == aliases["small"] == small
    assert aliases["gpt-4o-transcribe"] == aliases["fast"] == aliases["base"] == base


def test_models_that_stay() -> None:
    assert hub_ids(["small", "Systran/faster-whisper-small", "tiny"]) == [hub_id("small"), hub_id("tiny")]
    assert resident_models(["tiny"], "small", -1) == [hub_id("small"), hub_id("tiny")]
    assert resident_models(["tiny"], "small", 300) == [hub_id("tiny")]


def test_every_known_voice_can_be_listed_and_has_its_language() -> None:
    for voice in VOICES.values():
        check_name(voice.hub_id)
        assert voice.licence and voice.source.startswith("https://")
    assert {"pl": "piper-gosia", "en": "piper-joe", "de": "piper-thorsten", "fr": "piper-siwis"}.items() <= BEST.items()
    assert "kokoro" not in BEST.values(), "it costs more than a second of a core for a second of sound"


def test_models_that_speak() -> None:
    assert speech_models(["piper-gosia", "kokoro", GOSIA, "me/piper-pl_PL-own-high"]) == [
        GOSIA,
        KOKORO,
        "me/piper-pl_PL-own-high",
    ]
    assert hub_ids(["piper-gosia", "small"]) == [GOSIA, hub_id("small")]
    assert speech_models([]) == []


@pytest.mark.parametrize(("language", "voice"), [("pl", "gosia"), ("pl-PL", "gosia"), ("", "joe"), ("de", "thorsten")])
def test_auto_is_the_best_voice_for_a_language(language: str, voice: str) -> None:
    assert speech_voice(speech_models(["auto"], language))["voice"] == voice


@pytest.mark.parametrize(
    ("name", "language", "said"),
    [
        ("auto", "sw", "no voice is known for the language sw, but for de, en, es"),
        ("piper-nobody", "", "no model that speaks: use auto, piper-gosia"),
        ("small", "", "no model that speaks"),
        ("rhasspy/piper-voices", "", "no name of a voice"),
    ],
)
def test_what_does_not_speak_is_refused(name: str, language: str, said: str) -> None:
    with pytest.raises(AnsibleFilterError, match=said):
        speech_models([name], language)


def test_the_voice_says_which_model_speaks_where_that_is_left_open() -> None:
    models = [GOSIA, KOKORO]
    assert speech_voice(models) == {"model": GOSIA, "voice": "gosia", "language": "pl"}
    assert speech_voice(models, "bf_emma") == {"model": KOKORO, "voice": "bf_emma", "language": "en"}
    assert speech_voice([KOKORO]) == {"model": KOKORO, "voice": "af_heart", "language": "en"}
    assert speech_voice([]) == {}
    with pytest.raises(AnsibleFilterError, match="has the voice joe: it is one of gosia, those of Kokoro"):
        speech_voice(models, "joe")


def test_speech_has_openais_names_and_its_own() -> None:
    aliases = speech_aliases([GOSIA, KOKORO], KOKORO)
    assert (aliases["piper-gosia"], aliases["kokoro"], aliases["tts-1"]) == (GOSIA, KOKORO, KOKORO)
    assert speech_aliases([]) == {}
