# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What memory a Vosk model takes: always the machine's, since no package of libvosk computes on a GPU."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import AUDIO, MIB, Bounds, Estimate, Serving
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import Dims
from ansible_collections.anklume.stt.plugins.module_utils._vram.vosks import VoskModel

PROCESS = 100
"""MiB of the server process itself at rest."""

MEMORY = 2.0
"""How many times its files a model takes of the memory: 1.97 of a small Korean one, the only real one measured."""

UNPACKED = 3.0
"""How many times its archive the files of a model are, at most: 2.9 of that one."""

DECODER = 90
"""MiB that one request takes beside the model: 85 were seen of that one, of half a minute of sound."""

ASSUMED = 250
"""MiB of the files of a model of which nothing is known: those of that one."""

DIMS = Dims(40, 0, 0, 0, 0, 0)
"""Nothing of it has the same words as Whisper's; nothing is computed from it."""


def compute_type(asked: str) -> str:
    """The one there is; float16, the role's default and Whisper's on a GPU, leaves it open as auto does."""
    if asked in ("auto", "default", "float16", "float32"):
        return "float32"
    raise FitError(f"Vosk has no {asked}: set auto")


def bounds(files: float, serving: Serving) -> Bounds:
    """What a model takes whose files have so many MiB; its memory is the machine's."""
    weights = files * MEMORY
    usual, worst = (
        Estimate(PROCESS, weights, 0.0, 0.0, decoder, 0.0, workers=serving.workers)
        for decoder in (DECODER / 2, DECODER)
    )
    return Bounds(usual=usual, worst=worst, ram=worst.peak + AUDIO, disk=files)


def archive_mib(model: VoskModel) -> float:
    """MiB of its files, by its archive."""
    return model.size * UNPACKED / MIB


def folder_mib(folder: Path) -> float:
    """MiB of the files of a model in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MIB
