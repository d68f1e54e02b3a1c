# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields of a request as clients send them, each in its own way, made a checked query: for both engines."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from starlette.datastructures import FormData, UploadFile

from . import languages
from .errors import ApiError

FORMATS = ("json", "text", "verbose_json", "srt", "vtt")
GRANULARITIES = ("word", "segment")
# What clients of OpenAI call their model when nobody has told them of ours.
NAMES = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")
TRUTH = dict.fromkeys(("true", "1", "yes", "on"), True) | dict.fromkeys(("false", "0", "no", "off"), False)
DETECT = ("auto", "detect")
# Where somebody speaks: what Speaches calls its detector, and its fields with their defaults and largest values.
DETECTOR = "silero_vad_v5"
DETECTION: dict[str, tuple[float | None, float]] = {
    "threshold": (0.75, 1),
    "neg_threshold": (None, math.inf),
    "min_speech_duration_ms": (0, math.inf),
    "max_speech_duration_s": (math.inf, math.inf),
    "min_silence_duration_ms": (1000, math.inf),
    "speech_pad_ms": (0, math.inf),
}


@dataclass(frozen=True)
class Query:
    """A checked request."""

    file: BinaryIO
    task: str
    model: str  # as the client calls it; empty for the default
    language: str | None  # none where it is to be detected
    prompt: str | None
    hotwords: str | None
    temperature: float
    format: str
    stream: bool
    granularities: tuple[str, ...]


@dataclass(frozen=True)
class Search:
    """A checked request that asks where somebody speaks."""

    file: BinaryIO
    options: dict[str, float | None]


def check_search(form: FormData) -> Search:
    """The form as a search; any fault is a 4xx that names the field."""
    if (model := _text(form, "model", DETECTOR)) != DETECTOR:
        raise ApiError(404, f"The model '{model}' does not exist", "model", "model_not_found")
    options = {name: _number(form, name, default, most) for name, (default, most) in DETECTION.items()}
    return Search(_file(form), options)


def check(form: FormData, task: str, language: str | None = None, strict: bool = True) -> Query:
    """The form as a query; any fault is a 4xx that names the field. language is that of requests that name none.

    strict refuses what has no effect with the format asked for, as OpenAI does; Speaches takes and ignores it.
    """
    file = _file(form)
    shape, stream = _text(form, "response_format", "json").lower(), TRUTH.get(_text(form, "stream", "false").lower())
    if shape not in FORMATS:
        raise ApiError(400, f"'{shape[:50]}' is not one of {', '.join(FORMATS)}", "response_format")
    if stream is None:
        raise ApiError(400, "stream must be true or false", "stream")
    if strict and stream and shape not in ("json", "text"):
        raise ApiError(400, f"a stream cannot be {shape}: use json", "response_format")
    if include := sorted(_list(form, "include")):
        raise ApiError(
            400, f"include: this server cannot give {', '.join(include)[:50]}: leave the field out", "include"
        )
    granularities = _list(form, "timestamp_granularities")
    without_words = strict and shape != "verbose_json"
    if not granularities <= set(GRANULARITIES) or ("word" in granularities and without_words):
        name = "timestamp_granularities"
        raise ApiError(400, f"{name} can be word and segment, and word needs response_format=verbose_json", name)
    return Query(
        file=file,
        task=task,
        model=_text(form, "model"),
        language=_language(_text(form, "language"), language),
        prompt=_text(form, "prompt") or None,
        hotwords=_text(form, "hotwords") or None,
        temperature=_number(form, "temperature", 0, 1) or 0,
        format=shape,
        stream=stream,
        granularities=tuple(name for name in GRANULARITIES if name in granularities) or ("segment",),
    )


def _language(name: str, default: str | None) -> str | None:
    if not name or name.lower() in DETECT:
        return None if name else default
    if code := languages.code(name):
        return code
    raise ApiError(400, f"'{name[:50]}' is not a language such as 'en', 'fr-FR', 'german', or 'auto'", "language")


def _file(form: FormData) -> BinaryIO:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise ApiError(400, "the part 'file' is missing: send the audio as a file", "file")
    return file.file


def _number(form: FormData, name: str, default: float | None, most: float) -> float | None:
    if not (text := _text(form, name)):
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= most:
        raise ApiError(400, f"{name} must be a number from 0 {'on' if most == math.inf else f'to {most:g}'}", name)
    return value


def _text(form: FormData, name: str, default: str = "") -> str:
    value = form.get(name, "")
    if not isinstance(value, str):
        raise ApiError(400, f"{name} must be text, not a file", name)
    return value.strip() or default


def _list(form: FormData, name: str) -> set[str]:
    """All values of a field that comes once or often, as name, name[] or name[0], with commas or as a JSON array."""
    values: set[str] = set()
    for key, text in form.multi_items():
        if re.fullmatch(rf"{name}(\[\d*\])?", key):
            if not isinstance(text, str):
                raise ApiError(400, f"{name} must be text, not a file", name)
            values.update(_split(text))
    return {value.strip().lower() for value in values} - {""}


def _split(text: str) -> Iterable[str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text.split(",")
    return map(str, found) if isinstance(found, list) else [str(found)]
