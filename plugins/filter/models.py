# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that know the names of models."""

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._models import voices
from ansible_collections.anklume.stt.plugins.module_utils._services.speech import sentence_to_say
from ansible_collections.anklume.stt.plugins.module_utils._services.speech_models import model_id
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import find_model


def hub_id(name: str) -> str:
    """The hub id behind a short name; a hub id stays as it is."""
    return hub_ids([name])[0]


def hub_ids(names: list[str]) -> list[str]:
    """The hub ids behind names of models, each once."""
    try:
        return list(dict.fromkeys(map(model_id, names)))
    except Error as error:
        raise AnsibleFilterError(str(error)) from error


def resident_models(models: list[str], default: str, model_ttl: int) -> list[str]:
    """The models that are never unloaded: those named, and the default model where its time to live says so."""
    return hub_ids([default, *models] if model_ttl == -1 else models)


def model_aliases(names: list[str], own: dict[str, str] | None = None) -> dict[str, str]:
    """The other names of some models, each with its hub id; one's own names are added, and come first."""
    aliases = {}
    for own_name, model in ((hub_id(name), find_model(name)) for name in names):
        if model:
            aliases |= {name: own_name for name in (model.name, model.hub_id, *model.aliases) if name != own_name}
    return aliases | {name: hub_id(model) for name, model in (own or {}).items()}


def served_aliases(names: list[str], own: dict[str, str] | None = None) -> dict[str, str]:
    """The other names under which a server has its models: OpenAI's too, for the first, which is the default."""
    default = hub_id(names[0])
    openai = dict.fromkeys(("gpt-4o-transcribe", "gpt-4o-mini-transcribe"), default)
    return openai | model_aliases(names, own) | {"whisper-1": default}


def speech_models(names: list[str], language: str = "") -> list[str]:
    """The hub ids behind names of models that speak; auto is the best voice for a language."""
    try:
        return voices.speech_models(names, language)
    except Error as error:
        raise AnsibleFilterError(str(error)) from error


def speech_voice(models: list[str], voice: str = "") -> dict[str, str]:
    """What speaks where a client leaves it open: model, voice and language."""
    try:
        return voices.default_voice(models, voice)
    except Error as error:
        raise AnsibleFilterError(str(error)) from error


def speech_aliases(models: list[str], default: str = "") -> dict[str, str]:
    """The other names under which a server has its models that speak."""
    return voices.speech_aliases(models, default)


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, object]:
        """Map names to functions."""
        return {
            "hub_id": hub_id,
            "hub_ids": hub_ids,
            "model_aliases": model_aliases,
            "resident_models": resident_models,
            "sentence_to_say": sentence_to_say,
            "served_aliases": served_aliases,
            "speech_aliases": speech_aliases,
            "speech_models": speech_models,
            "speech_voice": speech_voice,
        }
