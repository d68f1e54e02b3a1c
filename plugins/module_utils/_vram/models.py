# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Whisper models that are known by name: where they are had, their shapes, and how well they hear.

Shapes are those of OpenAI's checkpoints (openai/whisper, `whisper/model.py`) and of distil-whisper's
`config.json` files; names and hub ids are those of faster-whisper 1.2.1 (`faster_whisper/utils.py`).
Everything about memory is computed from the shapes in `estimate`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError
from ansible_collections.anklume.stt.plugins.module_utils._vram.parakeets import (
    PARAKEETS,
    ParakeetModel,
    find_parakeet,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.vosks import VOSKS, VoskModel, find_vosk

AUDIO_POSITIONS = 1500
"""Encoder positions of one window of 30 s (`n_audio_ctx` of every Whisper model)."""

TEXT_POSITIONS = 448
"""Decoder positions, prompt included (`n_text_ctx` of every Whisper model)."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Dims:
    """The numbers that determine a Whisper model's size."""

    mels: int
    width: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    vocabulary: int


@dataclass(frozen=True)
class Quality:
    """Word error rate in percent and seconds of audio heard per second, as two public tables give them.

    `wer` and `speed`: Open ASR leaderboard, the original checkpoints under transformers on an A100.
    `wer_here` and `speed_here`: the same leaderboard's runs with faster-whisper.
    `wer_long`: its long recordings. All are English; None where a table has no figure.
    """

    wer: float | None = None
    speed: float | None = None
    wer_here: float | None = None
    speed_here: float | None = None
    wer_long: float | None = None


@dataclass(frozen=True)
class WhisperModel:
    """A model on CTranslate2. `saved` is the type its weights have on disk."""

    name: str
    hub_id: str
    dims: Dims
    english_only: bool = False
    saved: str = "float16"
    aliases: tuple[str, ...] = ()
    quality: Quality = Quality()
    licence: str = "MIT"

    @property
    def languages(self) -> int:
        """How many languages it knows: 99, with large-v3 also Cantonese."""
        if self.english_only:
            return 1
        return 100 if self.dims.vocabulary >= 51866 else 99


_TINY = (384, 6, 4, 4)
_BASE = (512, 8, 6, 6)
_SMALL = (768, 12, 12, 12)
_MEDIUM = (1024, 16, 24, 24)
_LARGE = (1280, 20, 32, 32)
_TURBO = (1280, 20, 32, 4)
_DISTIL_LARGE = (1280, 20, 32, 2)

_V3 = 51866  # large-v3 added a language token (yue); `.en` models lack the 99 of the others and keep one slot less
_V2 = 51865
_EN = 51864

_TABLE = (
    WhisperModel("tiny", "Systran/faster-whisper-tiny", Dims(80, *_TINY, _V2)),
    WhisperModel(
        "tiny.en",
        "Systran/faster-whisper-tiny.en",
        Dims(80, *_TINY, _EN),
        english_only=True,
        quality=Quality(12.81, 348, 11.65, 49),
    ),
    WhisperModel("base", "Systran/faster-whisper-base", Dims(80, *_BASE, _V2)),
    WhisperModel(
        "base.en",
        "Systran/faster-whisper-base.en",
        Dims(80, *_BASE, _EN),
        english_only=True,
        quality=Quality(10.32, 321, 10.12, 39),
    ),
    WhisperModel("small", "Systran/faster-whisper-small", Dims(80, *_SMALL, _V2)),
    WhisperModel(
        "small.en",
        "Systran/faster-whisper-small.en",
        Dims(80, *_SMALL, _EN),
        english_only=True,
        quality=Quality(8.59, 269, 8.26, 34),
    ),
    WhisperModel("medium", "Systran/faster-whisper-medium", Dims(80, *_MEDIUM, _V2)),
    WhisperModel(
        "medium.en",
        "Systran/faster-whisper-medium.en",
        Dims(80, *_MEDIUM, _EN),
        english_only=True,
        quality=Quality(8.09, 182, 7.81, 24),
    ),
    WhisperModel("large-v1", "Systran/faster-whisper-large-v1", Dims(80, *_LARGE, _V2)),
    WhisperModel("large-v2", "Systran/faster-whisper-large-v2", Dims(80, *_LARGE, _V2)),
    WhisperModel(
        "large-v3",
        "Systran/faster-whisper-large-v3",
        Dims(128, *_LARGE, _V3),
        aliases=("large",),
        quality=Quality(7.44, 146, 7.19, 19, 11.23),
    ),
    WhisperModel(
        "large-v3-turbo",
        "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
        Dims(128, *_TURBO, _V3),
        aliases=("turbo", "deepdml/faster-whisper-large-v3-turbo-ct2"),
        quality=Quality(7.83, 200, 7.12, 40, 11.01),
    ),
    WhisperModel(
        "distil-small.en", "Systran/faster-distil-whisper-small.en", Dims(80, 768, 12, 12, 4, _EN), english_only=True
    ),
    WhisperModel(
        "distil-medium.en", "Systran/faster-distil-whisper-medium.en", Dims(80, 1024, 16, 24, 2, _EN), english_only=True
    ),
    WhisperModel(
        "distil-large-v2",
        "Systran/faster-distil-whisper-large-v2",
        Dims(80, *_DISTIL_LARGE, _V2),
        english_only=True,
    ),
    WhisperModel(
        "distil-large-v3",
        "Systran/faster-distil-whisper-large-v3",
        Dims(128, *_DISTIL_LARGE, _V3),
        english_only=True,
        quality=Quality(7.52, 214, 7.41, 44, 12.16),
    ),
    WhisperModel(
        "distil-large-v3.5",
        "distil-whisper/distil-large-v3.5-ct2",
        Dims(128, *_DISTIL_LARGE, _V3),
        english_only=True,
        quality=Quality(7.21, 202, None, None, 11.69),
    ),
)

MODELS: dict[str, WhisperModel] = {model.name: model for model in _TABLE}
"""Every model of the table by its short name, in the order of the families."""

_BY_ANY_NAME: dict[str, WhisperModel] = {
    name: model for model in _TABLE for name in (model.name, model.hub_id, *model.aliases)
}


def find_model(name: str) -> WhisperModel | None:
    """The table's entry for a short name, an alias or a hub id; None for one that is not in the table."""
    return _BY_ANY_NAME.get(name)


def find_any(name: str) -> WhisperModel | ParakeetModel | VoskModel | None:
    """The entry of a model of any engine."""
    return find_model(name) or find_parakeet(name) or find_vosk(name)


def resolve_model(name: str) -> str:
    """The hub id of a model: short names and aliases are looked up, `owner/name` and absolute paths pass through."""
    model = find_any(name)
    if model is not None and "/" not in name:
        return model.hub_id
    if name.startswith("/") or _HUB_ID.fullmatch(name):
        return name
    if "/" in name:
        raise FitError(f"{name!r} is not a model: a hub id has the form owner/name, a folder starts with /")
    short = [*(known for known in _BY_ANY_NAME if "/" not in known), *PARAKEETS, *VOSKS]
    raise FitError(
        f"{name!r} is not a known model{nearest(name, short)}: use one of {', '.join(short)}, or a hub id owner/name"
    )


def resolve_models(names: Iterable[str]) -> list[str]:
    """The hub ids behind names of models, each once, in order."""
    return list(dict.fromkeys(map(resolve_model, names)))


def nearest(word: str, known: Collection[str]) -> str:
    """A part of a message that names the nearest known word, or "" when none is near."""
    near = difflib.get_close_matches(word.lower(), [name.lower() for name in known], n=1, cutoff=0.5)
    return next((f" (nearest: {name!r})" for name in known if near and name.lower() == near[0]), "")
