# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that know the names of models."""

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import find_model, resolve_models


def hub_id(name: str) -> str:
    """The hub id behind a short name; a hub id stays as it is."""
    return hub_ids([name])[0]


def hub_ids(names: list[str]) -> list[str]:
    """The hub ids behind names of models, each once."""
    try:
        return resolve_models(names)
    except FitError as error:
        raise AnsibleFilterError(str(error)) from error


def resident_models(models: list[str], default: str, model_ttl: int) -> list[str]:
    """The models that are never unloaded: those named, and the default model where its time to live says so."""
    return hub_ids([default, *models] if model_ttl == -1 else models)


def model_aliases(names: list[str], own: dict[str, str] | None = None) -> dict[str, str]:
    """The other names of some models, each with its hub id; one's own names are added, and come first."""
    aliases = {}
    for model_id, model in ((hub_id(name), find_model(name)) for name in names):
        if model:
            aliases |= {name: model_id for name in (model.name, model.hub_id, *model.aliases) if name != model_id}
    return aliases | {name: hub_id(model) for name, model in (own or {}).items()}


def served_aliases(names: list[str], own: dict[str, str] | None = None) -> dict[str, str]:
    """The other names under which a server has its models: OpenAI's too, for the first, which is the default."""
    default = hub_id(names[0])
    openai = dict.fromkeys(("gpt-4o-transcribe", "gpt-4o-mini-transcribe"), default)
    return openai | model_aliases(names, own) | {"whisper-1": default}


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, object]:
        """Map names to functions."""
        return {
            "hub_id": hub_id,
            "hub_ids": hub_ids,
            "model_aliases": model_aliases,
            "resident_models": resident_models,
            "served_aliases": served_aliases,
        }
