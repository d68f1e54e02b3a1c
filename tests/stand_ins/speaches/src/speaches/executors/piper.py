# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: speaks with piper-tts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
from onnxruntime import InferenceSession
from piper.config import PiperConfig, SynthesisConfig
from piper.voice import PiperVoice

from speaches.audio import Audio
from speaches.config import Config
from speaches.executors.shared.loaded import Loaded


class PiperModelRegistry:
    """The voices in the cache: repositories whose README says so, with names of four parts."""

    def list_local_models(self) -> Iterator[Any]:
        """What speaks here."""
        for repo in huggingface_hub.scan_cache_dir().repos:
            revision = next(iter(repo.revisions))
            readme = next((file for file in revision.files if file.file_name == "README.md"), None)
            card = huggingface_hub.ModelCard.load(readme.file_path).data if readme else None
            if card is None or not {"speaches", "piper"} <= set(card.tags or []):
                continue
            _, _, name, _ = repo.repo_id.split("/")[-1].split("-")
            (language,) = card.language if isinstance(card.language, list) else [card.language]
            voice = {"id": name, "name": name, "language": language}
            yield SimpleNamespace(id=repo.repo_id, language=[language], voices=[SimpleNamespace(**voice)])


class PiperModelManager:
    """Loads voices and speaks with them."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.loaded_models: dict[str, Loaded] = {}

    def load_model(self, name: str) -> Loaded:
        """A voice by its name."""
        return self.loaded_models.setdefault(name, Loaded(lambda: self._load_fn(name), self.config.tts_model_ttl))

    def _load_fn(self, name: str) -> PiperVoice:
        folder = Path(huggingface_hub.snapshot_download(name, local_files_only=True))
        config = PiperConfig.from_dict(json.loads((folder / "config.json").read_text()))
        session = InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
        return PiperVoice(session=session, config=config)

    def handle_speech_request(self, request: Any) -> Iterator[Audio]:
        """Sentence by sentence, whatever voice was asked for; a bad speed is found when the answer has begun."""
        if not 0.25 <= request.speed <= 4:
            raise ValueError(f"Speed must be between 0.25 and 4.0, got {request.speed}")
        with self.load_model(request.model) as voice:
            for chunk in voice.synthesize(request.text, SynthesisConfig(length_scale=1 / request.speed)):
                yield Audio(chunk.audio_float_array, voice.config.sample_rate)
