# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The voices that are known by name: what they speak, where they are had, and under which licence.

Licences are those of the recordings that a voice was made from, as its MODEL_CARD in rhasspy/piper-voices gives them;
that of paola refers to its data set, which says it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._models.kinds import (
    KOKORO,
    PIPER,
    SPEAKING,
    check_name,
    kind_of,
    voice_of,
)


@dataclass(frozen=True)
class Voice:
    """A model that speaks. `languages` are those it was made for, Kokoro's by the first letter of its voices."""

    name: str
    hub_id: str
    languages: tuple[str, ...]
    licence: str
    source: str


def _piper(voice: str, licence: str, source: str) -> Voice:
    hub_id = f"speaches-ai/piper-{voice}"
    name, language = voice_of(hub_id)
    return Voice(f"piper-{name}", hub_id, (language,), licence, source)


KOKORO_LANGUAGES = {"a": "en", "b": "en", "e": "es", "f": "fr", "h": "hi", "i": "it", "j": "ja", "p": "pt", "z": "zh"}
"""What Kokoro's voices speak, by their first letter."""

_TABLE = (
    _piper("pl_PL-gosia-medium", "CC0", "https://github.com/NabuCasa/voice-datasets"),
    _piper("pl_PL-darkman-medium", "CC0", "https://github.com/NabuCasa/voice-datasets"),
    _piper("pl_PL-mc_speech-medium", "CC0", "https://github.com/NabuCasa/voice-datasets"),
    _piper("en_US-joe-medium", "CC0", "https://github.com/NabuCasa/voice-datasets"),
    _piper("en_GB-alba-medium", "CC BY 4.0", "https://datashare.ed.ac.uk/handle/10283/3270"),
    _piper("de_DE-thorsten-medium", "CC0", "https://github.com/thorstenMueller/Thorsten-Voice"),
    _piper("fr_FR-siwis-medium", "CC BY 4.0", "https://datashare.ed.ac.uk/handle/10283/2353"),
    _piper("es_ES-davefx-medium", "CC0", "https://github.com/NabuCasa/voice-datasets"),
    _piper("it_IT-paola-medium", "CC0", "https://huggingface.co/datasets/paolapersico1/Voice-Dataset-Italian"),
    Voice(
        "kokoro",
        "speaches-ai/Kokoro-82M-v1.0-ONNX",
        tuple(dict.fromkeys(KOKORO_LANGUAGES.values())),
        "Apache-2.0",
        "https://huggingface.co/hexgrad/Kokoro-82M",
    ),
)
VOICES: dict[str, Voice] = {voice.name: voice for voice in _TABLE}
"""Every voice of the table by its short name."""

BEST: dict[str, str] = {}
"""The best voice for each language, by its short name: Piper's first one. Kokoro costs ten times as much."""
for _voice in _TABLE:
    if kind_of(_voice.hub_id) is PIPER:
        BEST.setdefault(_voice.languages[0], _voice.name)

_KOKORO_VOICE = re.compile(rf"[{''.join(KOKORO_LANGUAGES)}][fm]_[a-z]+")


def speech_model(name: str, language: str = "") -> str:
    """The hub id of a model that speaks, by its short name, its id, or auto for the best one for a language."""
    if name == "auto":
        spoken = language.partition("-")[0].lower() or "en"
        if spoken not in BEST:
            known = ", ".join(sorted(BEST))
            raise Error(f"no voice is known for the language {language}, but for {known}: name one by its hub id")
        name = BEST[spoken]
    if name in VOICES:
        return VOICES[name].hub_id
    if "/" in name and kind_of(name) in SPEAKING:
        check_name(name)
        return name
    raise Error(
        f"{name!r} is no model that speaks: use auto, {', '.join(VOICES)}, or a hub id"
        " owner/piper-LANGUAGE_COUNTRY-VOICE-QUALITY"
    )


def speech_models(names: Iterable[str], language: str = "") -> list[str]:
    """The hub ids behind names of models that speak, each once, in order."""
    return list(dict.fromkeys(speech_model(name, language) for name in names))


def default_voice(models: list[str], voice: str) -> dict[str, str]:
    """What speaks where a client leaves it open: model, voice and language; empty without models.

    The first model, unless the voice is one of another.
    """
    if not models:
        return {}
    if not voice:
        return _spoken(models[0], "af_heart" if kind_of(models[0]) is KOKORO else voice_of(models[0])[0])
    for model in models:
        if _KOKORO_VOICE.fullmatch(voice) if kind_of(model) is KOKORO else voice_of(model)[0] == voice:
            return _spoken(model, voice)
    known = [voice_of(model)[0] or "those of Kokoro, as af_heart" for model in models]
    raise Error(f"no model of stt_server_tts_models has the voice {voice}: it is one of {', '.join(known)}")


def _spoken(model: str, voice: str) -> dict[str, str]:
    language = KOKORO_LANGUAGES[voice[0]] if kind_of(model) is KOKORO else voice_of(model)[1]
    return {"model": model, "voice": voice, "language": language}


def speech_aliases(models: list[str], default: str) -> dict[str, str]:
    """The other names of models that speak: their short names, and OpenAI's for the default one; empty without any."""
    short = {voice.name: voice.hub_id for voice in _TABLE if voice.hub_id in models}
    return short | dict.fromkeys(("tts-1", "tts-1-hd", "gpt-4o-mini-tts"), default) if models else {}
