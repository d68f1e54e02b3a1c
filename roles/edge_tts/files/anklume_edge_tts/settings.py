# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service's settings, read from environment variables that start with EDGE_TTS_."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from .errors import SettingsError


@dataclass(frozen=True)
class Settings:
    """One attribute per variable: EDGE_TTS_MAX_CHARS sets max_chars."""

    voice: str
    host: str = "127.0.0.1"
    port: int = 3002
    api_key: str = ""
    max_chars: int = 4096
    timeout: int = 10
    fallback_url: str = ""
    fallback_model: str = "tts-1"
    fallback_voice: str = "alloy"
    fallback_api_key: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read and check all of them."""
        values: dict[str, Any] = {}
        for each in fields(cls):
            name = f"EDGE_TTS_{each.name.upper()}"
            if text := environ.get(name, "").strip():  # an empty variable is as good as none
                values[each.name] = _number(name, text) if isinstance(each.default, int) else text
        if "voice" not in values:
            raise SettingsError("EDGE_TTS_VOICE: not set; give the name of a voice, as pl-PL-ZofiaNeural")
        return cls(**values)


def _number(name: str, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise SettingsError(f"{name}={text}: must be a whole number") from None
    if number < 1:
        raise SettingsError(f"{name}={text}: must be at least 1")
    return number
