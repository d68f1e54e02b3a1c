# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The models in an STT server's cache against those that there should be. Looks, and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.anklume.stt.plugins.module_utils._models.voices import VOICES
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import find_any, resolve_model

if TYPE_CHECKING:
    from ansible_collections.anklume.stt.plugins.module_utils._models.cache import Installed, ModelCache

OPTIONS: dict[str, Any] = {
    "cache": {"type": "path", "required": True},
    "wanted": {"type": "list", "elements": "str", "default": []},
    "group": {"type": "str"},
    "mode": {"type": "str", "default": "0644"},
    "precision": {"type": "str", "choices": ["int8", "float32"], "default": "int8"},
}
"""What a module asks for it."""


def model_id(name: str) -> str:
    """The hub id of a model, whether it hears or speaks: short names are looked up."""
    return VOICES[name].hub_id if name in VOICES else resolve_model(name)


def licence_of(model: str) -> str:
    """The licence of a model's weights, by its id; empty where it is not known here."""
    known = next((voice for voice in VOICES.values() if voice.hub_id == model), None) or find_any(model)
    return known.licence if known else ""


def as_left(cache: ModelCache, installed: Installed) -> bool:
    """Whether stt_model would find nothing to do."""
    asked_for = installed.source.get("requested", "main") == "main"
    return asked_for and not installed.problems and not cache.adjust(installed, dry=True)


def observe(params: Mapping[str, Any]) -> dict[str, Any]:
    """What is there, and what of it is not as wanted."""
    # who asks for none need not wait until all this is compiled
    from ansible_collections.anklume.stt.plugins.module_utils._models.cache import ModelCache, Ownership  # noqa: PLC0415

    cache = ModelCache(
        Path(params["cache"]), Ownership.named(None, params["group"], params["mode"]), params["precision"]
    )
    wanted = [model_id(name) for name in params["wanted"]]
    there = {installed.model: installed for installed in cache.all()}
    return {
        "models": [{**each.described(), "licence": licence_of(each.model)} for each in there.values()],
        "differing": [name for name in wanted if name not in there or not as_left(cache, there[name])],
        "unnamed": [name for name in there if name not in wanted],
        "unfinished": cache.unfinished(),
    }
