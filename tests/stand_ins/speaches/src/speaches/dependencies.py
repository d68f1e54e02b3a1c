# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: what its parts share."""

from __future__ import annotations

import secrets
from functools import lru_cache
from types import SimpleNamespace
from typing import Annotated, Any

import av.error
from fastapi import Depends, Form, Header, HTTPException, UploadFile
from faster_whisper.audio import decode_audio

from speaches.audio import Audio
from speaches.config import Config
from speaches.executors.piper import PiperModelManager, PiperModelRegistry
from speaches.executors.whisper import WhisperModelManager


class Registry:
    """Two executors, for Whisper and for Piper."""

    def __init__(self, config: Config) -> None:
        self.transcription = [SimpleNamespace(model_manager=WhisperModelManager(config))]
        manager = PiperModelManager(config)
        self.text_to_speech = [
            SimpleNamespace(name="piper", model_manager=manager, model_registry=PiperModelRegistry())
        ]

    def all_executors(self) -> list[Any]:
        """All that there are."""
        return self.transcription + self.text_to_speech


@lru_cache
def get_executor_registry() -> Registry:
    """The one registry."""
    return Registry(get_config())


def audio_file_dependency(file: Annotated[UploadFile, Form()]) -> Audio:
    """What was uploaded, decoded without bounds and in the service's own process, as Speaches does it."""
    try:
        return Audio(decode_audio(file.file, sampling_rate=16000), sample_rate=16000)
    except av.error.InvalidDataError as error:
        raise HTTPException(415, "no sound that can be decoded") from error


AudioFileDependency = Annotated[Audio, Depends(audio_file_dependency)]


@lru_cache
def get_config() -> Config:
    """The one set of settings."""
    return Config()


async def get_transcription_client_async() -> None:
    """A client of the server itself, without which a session comes to nothing."""


async def get_speech_client_async() -> None:
    """The same for speech."""


def verify_api_key(authorization: Annotated[str, Header()] = "") -> None:
    """Refuse requests without the key where there is one."""
    key = get_config().api_key
    if key and not secrets.compare_digest(authorization, f"Bearer {key.get_secret_value()}"):
        raise HTTPException(403, "the key is missing or wrong")
