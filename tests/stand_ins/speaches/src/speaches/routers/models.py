# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: what speaks, for clients that offer a choice."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from speaches.dependencies import get_executor_registry

router = APIRouter()


def _speaking() -> list[Any]:
    executors = get_executor_registry().text_to_speech
    return [model for executor in executors for model in executor.model_registry.list_local_models()]


@router.get("/v1/audio/models")
def list_local_audio_models() -> dict[str, Any]:
    """The models that speak."""
    models = [{"id": model.id, "object": "model", "task": "text-to-speech"} for model in _speaking()]
    return {"models": models, "object": "list"}


@router.get("/v1/audio/voices")
def list_local_audio_voices() -> dict[str, Any]:
    """Their voices."""
    return {"voices": [vars(voice) for model in _speaking() for voice in model.voices], "object": "list"}
