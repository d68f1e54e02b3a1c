# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a model that cannot be loaded: the file at fault and what mends it, for all engines."""

from __future__ import annotations

import json
import re
from pathlib import Path

from .errors import ApiError

NEEDED = ("model.bin", "config.json", "tokenizer.json")  # of a Whisper
OF_THE_WEIGHTS = re.compile(r"model\.bin|model binary|variable ", re.IGNORECASE)  # in what CTranslate2 says


def not_loaded(folder: Path, error: Exception, needed: tuple[str, ...] = NEEDED) -> ApiError:
    """The error for whoever needs the model."""
    said = " ".join(str(error).split())[:300] or type(error).__name__
    if name := _at_fault(folder, error, needed):
        what = f"is damaged ({said})" if (folder / name).is_file() else "is missing"
        said = f"{folder / name} {what}; {cure(folder)}"
    return ApiError(503, f"the model cannot be loaded: {said}", code="model_not_loaded")


def cure(folder: Path) -> str:
    """What mends a model in a folder."""
    whole = folder.parent.parent if folder.parent.name == "snapshots" else folder
    return f"remove {whole} and install the model again (make apply-stt does it)"


def _at_fault(folder: Path, error: Exception, needed: tuple[str, ...]) -> str:
    """The file that the model fails for; none where it is not for a file."""
    for name in needed:
        if not (folder / name).is_file():
            return name
    for path in sorted(folder.glob("*.json")):
        try:
            json.loads(path.read_bytes())
        except ValueError:
            return path.name
    if named := [name for name in needed if f"/{name}" in str(error)]:
        return named[0]
    if needed != NEEDED:
        return ""
    if type(error) is Exception:  # so raises the library that reads it, and no other
        return "tokenizer.json"
    return "model.bin" if OF_THE_WEIGHTS.search(str(error)) or isinstance(error, UnicodeDecodeError) else ""
