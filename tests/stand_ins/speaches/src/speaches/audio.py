# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: sound that is decoded."""

from __future__ import annotations

from typing import Any


class Audio:
    """Samples and their rate."""

    def __init__(self, data: Any, sample_rate: int, name: str | None = None) -> None:
        self.data, self.sample_rate, self.name = data, sample_rate, name

    @property
    def duration(self) -> float:
        """In seconds."""
        return len(self.data) / self.sample_rate
