# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Short context, for both engines: a voice command does not need the thirty seconds that Whisper is always fed."""

from __future__ import annotations

import copy
import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .languages import LANGUAGES

log = logging.getLogger(__name__)
# Frames of 10 ms that the encoder is fed for a short sound: 15 s, and 5 s behind the sound. With less it begins to err.
LEAST, MARGIN = 1500, 500
SHORT = 24.0  # seconds up to which that is less than thirty
# Languages in which natural speech was heard as well (make bench-accuracy), by checkpoint of OpenAI's. Each has its own
# heads of the decoder that follow the sound; config.json of CTranslate2 names them, whoever converted it to what type.
MEASURED: dict[tuple[tuple[int, ...], ...], Collection[str]] = {
    ((3, 1), (4, 2), (4, 3), (4, 7), (5, 1), (5, 2), (5, 4), (5, 6)): frozenset({"en", "it", "ru"}),  # base
}
MOST_TOKENS = 224  # that a window brings, as Whisper's makers bound it; more is a repeat without an end
# How often since the start: speech heard with short context, and that part of it which was heard again with all.
counts: Counter[str] = Counter(short=0, again=0)
_counting = threading.Lock()

Hear = Callable[[Any, str | None], tuple[Any, Any]]


def languages_for(folder: Path, mode: str) -> Collection[str]:
    """The languages in which a model is fed less: with auto those measured, so that one that is not known has none."""
    if mode != "auto":
        return LANGUAGES if mode == "short" else ()
    heads = json.loads((folder / "config.json").read_bytes()).get("alignment_heads") or ()
    return MEASURED.get(tuple(map(tuple, heads)), ())


def heard(model: Any, language: str | None, seconds: float, shorts: Collection[str], hear: Hear) -> tuple[Any, Any]:
    """What hear says of speech of so many seconds with that model or its short twin: its segments and its info."""
    if seconds > SHORT or not is_short(language, shorts):
        return hear(model, language)
    segments, info = hear(shortened(model), language)
    segments = list(segments)
    again = info.language not in shorts or _look_wrong(segments)
    with _counting:
        counts.update(short=1, again=again)
    if again:
        so_far = counts["again"], counts["short"]
        log.info("%.1f s of speech are heard again with thirty seconds: %d of %d so far", seconds, *so_far)
        return hear(model, info.language)
    return segments, info


def is_short(language: str | None, shorts: Collection[str]) -> bool:
    """Whether a short sound in that language, if it is known, is heard with short context."""
    return language in shorts if language else bool(shorts)


def shortened(model: Any) -> Any:
    """The same model, whose encoder is fed what the sound needs and a margin."""
    short = copy.copy(model)
    short.encode = lambda features: model.encode(_cut(features))
    return short


def _cut(features: Any) -> Any:
    """The features without most of the zeros behind them."""
    used = int(np.flatnonzero(features.any(axis=tuple(range(features.ndim - 1))))[-1:].sum()) + 1
    return features[..., : max(LEAST, (used + MARGIN) // 2 * 2)]


def _look_wrong(segments: Sequence[Any]) -> bool:
    """By the bounds at which faster-whisper itself tries again, or since a window repeats itself."""
    tokens: Counter[int] = Counter()
    for segment in segments:
        tokens[segment.seek] += len(segment.tokens)
    repeats = max(tokens.values(), default=0) > MOST_TOKENS
    return repeats or any(s.compression_ratio > 2.4 or s.avg_logprob < -1 for s in segments)
