# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's settings, read from environment variables that start with STT_."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from .errors import SettingsError


def _number(default: float, low: int, high: int = 2**40) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


def _choice(*choices: str) -> Any:
    return field(default=choices[0], metadata={"choices": choices})


@dataclass(frozen=True)
class Settings:
    """One attribute per variable: STT_MAX_AUDIO_SECONDS sets max_audio_seconds."""

    engine: str = _choice("faster_whisper", "parakeet", "vosk")
    model: str = ""
    model_aliases: tuple[str, ...] = ()
    model_ttl: int = _number(-1, -1)
    device: str = _choice("cpu", "cuda")
    compute_type: str = "default"
    gpu_memory_bytes: int = _number(0, 0)  # the most that an engine with an arena of its own may take
    cpu_threads: int = _number(0, 0)
    workers: int = _number(1, 1, 64)
    batch_size: int = _number(8, 1, 256)
    beam_size: int = _number(5, 1, 20)
    language: str = ""
    audio_context: str = _choice("auto", "full", "short")
    host: str = "127.0.0.1"
    port: int = _number(8000, 0, 65535)
    api_key: str = ""
    api_keys: tuple[str, ...] = ()  # others beside it
    cors_origins: tuple[str, ...] = ()
    queue_length: int = _number(32, 0)
    max_upload_bytes: int = _number(200_000_000, 1)
    max_audio_seconds: float = _number(7200.0, 1)
    stop_timeout: int = _number(30, 1)
    log_level: str = _choice("info", "debug", "warning", "error")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read and check all of them; one that does not exist is an error too."""
        known = {"STT_" + f.name.upper(): f for f in fields(cls)}
        values: dict[str, Any] = {}
        for name, text in environ.items():
            if name in known and text.strip():  # an empty variable is as good as none
                values[known[name].name] = _parse(name, text.strip(), known[name].default, known[name].metadata)
            elif name not in known and name.startswith("STT_"):
                near = difflib.get_close_matches(name, known, 1)
                raise SettingsError(f"{name}: no such setting" + (f"; did you mean {near[0]}?" if near else ""))
        if not values.get("model"):
            raise SettingsError("STT_MODEL: not set; give the id of a model in the hub cache, or a folder")
        if values.get("api_keys") and not values.get("api_key"):
            raise SettingsError("STT_API_KEYS: keys beside STT_API_KEY, which is not set: set it too")
        return cls(**values)


def _parse(name: str, text: str, default: Any, limits: Mapping[str, Any]) -> Any:
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if "choices" in limits and text not in limits["choices"]:
        raise SettingsError(f"{name}={text}: must be one of {', '.join(limits['choices'])}")
    if "low" not in limits:
        return text
    try:
        value = type(default)(text)
    except ValueError:
        raise SettingsError(f"{name}={text}: must be a number") from None
    if not limits["low"] <= value <= limits["high"]:
        raise SettingsError(f"{name}={text}: must be from {limits['low']} to {limits['high']}")
    return value
