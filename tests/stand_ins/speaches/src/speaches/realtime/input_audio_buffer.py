# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: the sound of one turn."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

SAMPLE_RATE, MS_SAMPLE_RATE = 16000, 16


class InputAudioBuffer:
    """Samples; nobody looks for speech in them."""

    def __init__(self, name: str) -> None:
        self.id, self.data = name, np.zeros(0, np.float32)
        self.vad_state = SimpleNamespace(audio_start_ms=None, audio_end_ms=None)

    @property
    def data_w_vad_applied(self) -> np.ndarray:
        """What was said."""
        return self.data
