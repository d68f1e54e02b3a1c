# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: what its parts share."""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from speaches.config import Config
from speaches.executors.whisper import WhisperModelManager


class Registry:
    """One executor, for Whisper."""

    def __init__(self, config: Config) -> None:
        self.transcription = [SimpleNamespace(model_manager=WhisperModelManager(config))]

    def all_executors(self) -> list[Any]:
        """All that there are."""
        return self.transcription


@lru_cache
def get_executor_registry() -> Registry:
    """The one registry."""
    return Registry(Config())
