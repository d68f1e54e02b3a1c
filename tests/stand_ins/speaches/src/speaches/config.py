# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: the settings that it reads."""

from __future__ import annotations

from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class WhisperConfig(BaseModel):
    """How the decoder is set up."""

    inference_device: str = "auto"
    compute_type: str = "default"
    cpu_threads: int = 0
    num_workers: int = 1


class Config(BaseSettings):
    """What the environment says."""

    model_config = SettingsConfigDict(env_nested_delimiter="__")

    host: str = Field(alias="UVICORN_HOST", default="0.0.0.0")
    port: int = Field(alias="UVICORN_PORT", default=8000)
    loopback_host_url: str | None = None
    api_key: SecretStr | None = None
    allow_origins: list[str] = []
    log_level: str = "debug"
    stt_model_ttl: int = 300
    tts_model_ttl: int = 300
    whisper: WhisperConfig = WhisperConfig()
