# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which precision a Parakeet runs, and what memory it takes.

Under onnxruntime a model takes its files, which grow where the processor's kernels want them in another order, and what
a batch needs while it is heard. Both were measured on the processor, by `make bench-parakeet` with a model of random
numbers and the true shape; on a GPU nothing has been measured, and room is added.
"""

from __future__ import annotations

from pathlib import Path

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import (
    AUDIO,
    MIB,
    Bounds,
    Device,
    Estimate,
    Overhead,
    Serving,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import Dims
from ansible_collections.anklume.stt.plugins.module_utils._vram.parakeets import ParakeetModel, Precision

MOST_AT_ONCE = 4
"""Windows that the server hears at once, whatever the batch size."""

WEIGHTS: dict[Precision, float] = {"int8": 1.56, "float32": 1.015}
"""How many times its files a model takes on a processor."""

BATCH: dict[Precision, tuple[float, float]] = {"int8": (155, 540), "float32": (146, 680)}
"""MiB beside it for one window of 20 s, and for four at once."""

PROCESS = 140
"""MiB of the server process itself at rest."""

WORKSPACE = 500
"""MiB that cuDNN and cuFFT may take on a GPU beside the batch: not measured."""

PARAMETERS = 600_000_000
"""About; the file says no number."""

DIMS = Dims(128, 1024, 8, 24, 2, 8193)
"""The shape as far as it has the same words as Whisper's; nothing is computed from it."""


def precision(asked: str, device: Device) -> Precision:
    """The precision to run in; float16, the role's default and Whisper's on a GPU, leaves it open as auto does."""
    own: Precision = "float32" if device == "cuda" else "int8"
    if asked in ("auto", "default", "float16"):
        return own
    if asked == "int8" and device == "cuda":
        raise FitError("Parakeet in int8 cannot run on a GPU, which has no kernels for it: set auto, or the device cpu")
    if asked in ("int8", "float32"):
        return "int8" if asked == "int8" else "float32"
    raise FitError(f"Parakeet has no {asked}: set auto, int8 (on a processor) or float32")


def bounds(file: float, wanted: Precision, serving: Serving, device: Device, overhead: Overhead) -> Bounds:
    """What a model takes whose files have so many MiB."""
    batch = min(serving.batch_size, MOST_AT_ONCE)
    one, four = BATCH[wanted]
    most = one + (four - one) * (batch - 1) / (MOST_AT_ONCE - 1)
    context = overhead.context + WORKSPACE if device == "cuda" else PROCESS
    weights = file if device == "cuda" else file * WEIGHTS[wanted]
    usual, worst = (Estimate(context, weights, 0.0, heard, 0.0, 0.0, workers=serving.workers) for heard in (one, most))
    ram = PROCESS + file if device == "cuda" else worst.peak + AUDIO
    return Bounds(usual=usual, worst=worst, ram=ram, disk=file)


def file_mib(model: ParakeetModel, wanted: Precision) -> float:
    """MiB of its files."""
    return model.files[wanted] / MIB


def folder_mib(folder: Path, wanted: Precision) -> float:
    """MiB of the files of a model in a folder, in one precision."""
    infix = ".int8" if wanted == "int8" else ""
    names = [f"encoder-model{infix}.onnx", f"decoder_joint-model{infix}.onnx", f"encoder-model{infix}.onnx.data"]
    return sum((folder / name).stat().st_size for name in names if (folder / name).is_file()) / MIB
