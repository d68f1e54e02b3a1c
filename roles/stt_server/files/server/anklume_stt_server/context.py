# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Short context, for both engines: a voice command does not need the thirty seconds that Whisper is always fed."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

log = logging.getLogger(__name__)
# Frames of 10 ms that the encoder is fed for a short sound: 15 s, and 5 s behind the sound. With less it begins to err.
LEAST, MARGIN = 1500, 500
SHORT = 24.0  # seconds up to which that is less than thirty
MEASURED = ("en",)  # languages in which natural speech was heard as well (make bench-accuracy)

Hear = Callable[[Any, str | None], tuple[Any, Any]]


def heard(model: Any, language: str | None, seconds: float, mode: str, hear: Hear) -> tuple[Any, Any]:
    """What hear says of speech of so many seconds with that model or its short twin: its segments and its info."""
    if mode != "auto" or seconds > SHORT or language not in (*MEASURED, None):
        return hear(model, language)
    segments, info = hear(shortened(model), language)
    segments = list(segments)
    if info.language not in MEASURED or any(map(_looks_wrong, segments)):
        log.info("%.1f s of speech are heard again with thirty seconds", seconds)
        return hear(model, info.language)
    return segments, info


def shortened(model: Any) -> Any:
    """The same model, whose encoder is fed what the sound needs and a margin."""
    short = copy.copy(model)
    short.encode = lambda features: model.encode(_cut(features))
    return short


def _cut(features: Any) -> Any:
    """The features without most of the zeros behind them."""
    used = int(np.flatnonzero(features.any(axis=tuple(range(features.ndim - 1))))[-1:].sum()) + 1
    return features[..., : max(LEAST, (used + MARGIN) // 2 * 2)]


def _looks_wrong(segment: Any) -> bool:
    """By the bounds at which faster-whisper itself tries again."""
    return bool(segment.compression_ratio > 2.4 or segment.avg_logprob < -1)
