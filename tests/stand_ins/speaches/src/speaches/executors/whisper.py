# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: transcribes with faster-whisper, and answers in each format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from faster_whisper import BatchedInferencePipeline, WhisperModel
from openai.types.audio import Transcription, TranscriptionTextDeltaEvent, TranscriptionTextDoneEvent

from speaches.config import Config
from speaches.executors.shared.loaded import Loaded


class WhisperModelManager:
    """Loads models and transcribes with them."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.loaded_models: dict[str, Loaded] = {}

    def load_model(self, name: str) -> Loaded:
        """A model by its name."""
        return self.loaded_models.setdefault(name, Loaded(lambda: self._load_fn(name), self.config.stt_model_ttl))

    def _load_fn(self, name: str) -> WhisperModel:
        whisper = self.config.whisper
        return WhisperModel(
            name,
            device=whisper.inference_device,
            compute_type=whisper.compute_type,
            cpu_threads=whisper.cpu_threads,
            num_workers=whisper.num_workers,
            local_files_only=True,
        )

    def _decode(self, request: Any, **options: Any) -> tuple[list[Any], Any]:
        if not request.speech_segments:
            raise IndexError("as Speaches does with sound in which nobody speaks")
        with self.load_model(request.model) as model:
            pipeline = BatchedInferencePipeline(model=model)
            segments, info = pipeline.transcribe(request.audio.data, **options)
            return list(segments), info

    def handle_transcription_request(self, request: Any) -> Any:
        """The words in their own language."""
        options = {"language": request.language, "without_timestamps": request.without_timestamps}
        segments, info = self._decode(request, task="transcribe", **options)
        if request.stream:
            return _events(segments)
        return segments_to_transcription_response(segments, info, response_format=request.response_format)

    def handle_translation_request(self, request: Any) -> Any:
        """The words in English."""
        segments, info = self._decode(request, task="translate")
        return segments_to_translation_response(segments, info, response_format=request.response_format)


def _events(segments: list[Any]) -> Iterator[Any]:
    for segment in segments:
        yield TranscriptionTextDeltaEvent(type="transcript.text.delta", delta=segment.text)
    yield TranscriptionTextDoneEvent(type="transcript.text.done", text="")


def _time(seconds: float, point: str) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{int(seconds % 1 * 1000):03}"


def segments_to_transcription_response(segments: list[Any], info: Any, response_format: str) -> Any:
    """Text and its kind, or what becomes JSON."""
    text = "".join(segment.text for segment in segments).strip()
    point = "," if response_format == "srt" else "."
    cues = "".join(
        f"{number}\n{_time(segment.start, point)} --> {_time(segment.end, point)}\n{segment.text.strip()}\n\n"
        for number, segment in enumerate(segments, 1)
    )
    return {
        "json": Transcription(text=text),
        "verbose_json": {"text": text, "language": info.language, "duration": info.duration, "segments": []},
        "text": (text, "text/plain"),
        "srt": (cues, "text/plain"),
        "vtt": (f"WEBVTT\n\n{cues}", "text/vtt"),
    }[response_format]


segments_to_translation_response = segments_to_transcription_response
