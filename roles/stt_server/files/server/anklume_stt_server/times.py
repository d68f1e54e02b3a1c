# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times within the sound: Whisper hears thirty seconds at once, and may place words behind the end."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any


def within(segment: Any, seconds: float) -> Any:
    """The same segment, it and its words between the start and the end of the sound."""
    end = math.floor(seconds * 1000) / 1000  # what no rounding to milliseconds takes beyond the end
    words = segment.words and [_within(word, end) for word in segment.words]
    return replace(_within(segment, end), words=words)


def _within(part: Any, end: float) -> Any:
    last = min(max(part.start, part.end, 0.0), end)
    return replace(part, start=min(max(part.start, 0.0), last), end=last)
