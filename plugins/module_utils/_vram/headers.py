# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of a model that is not in the table: read from its folder, or judged by the size of its file.

`model.bin` names every variable with its shape before its data (`ctranslate2/specs/model_spec.py`, `_serialize`),
so a few kilobytes of a file of gigabytes tell all.
"""

from __future__ import annotations

import json
import math
import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import MIB, file_bytes
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import MODELS, Dims
from ansible_collections.anklume.stt.plugins.module_utils._vram.verdict import Subject

_TYPES = {0: ("float32", 4), 1: ("int8", 1), 2: ("int16", 2), 3: ("int32", 4), 4: ("float16", 2), 5: ("bfloat16", 2)}
"""Types and their bytes by their numbers in model.bin (`include/ctranslate2/types.h`, DataType)."""

_FORMATS = range(4, 7)
"""Versions of the file whose variables carry a type and a length (4 came with CTranslate2 1.6, 6 is today's)."""

_HEAD = 64
"""Width of an attention head in every Whisper."""

_SIZE_TOLERANCE = 0.03


def find_folder(hub_id: str, models_dir: Path | None, marker: str = "model.bin") -> Path | None:
    """Where a model lies on disk: the folder that it names, the hub's cache, or a folder of its own in `models_dir`."""
    owner, name = hub_id.rsplit("/", 1)
    places = [Path(hub_id)] if hub_id.startswith("/") else []
    for root in (models_dir, models_dir / "hub") if models_dir and not places else ():
        places += sorted((root / f"models--{owner}--{name}" / "snapshots").glob("*"))
        places += [root / owner / name, root / f"{owner}--{name}", root / name]
    return next((place for place in places if (place / marker).is_file()), None)


def read_folder(folder: Path, name: str, hub_id: str) -> Subject:
    """A model's shapes from its model.bin, else from transformers' config.json, else from the size of its file."""
    path = folder / "model.bin"
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            shapes = _read_shapes(file, size)
    except OSError as error:
        raise FitError(f"{path} cannot be read: {error.strerror}") from error
    subject = _from_shapes(shapes, name, hub_id) if shapes else None
    if subject is None:
        dims = _from_config(folder / "config.json")
        subject = Subject(name, hub_id, dims, source="config.json") if dims else subject_of_size(size, name, hub_id)
    return replace(subject, file=size / MIB)


def subject_of_size(size: int, name: str, hub_id: str) -> Subject:
    """The known model whose file is nearest in size; where none is within 3 %, the next larger whole one in float16."""
    sizes = [(abs(file_bytes(model.dims, saved) / size - 1), model.dims, saved)
             for model in MODELS.values() for saved in ("float16", "int8_float16", "float32")]  # fmt: skip
    miss, dims, saved = min(sizes, key=lambda entry: entry[0])
    if miss > _SIZE_TOLERANCE:
        whole = [model.dims for model in MODELS.values() if model.dims.decoder_layers == model.dims.encoder_layers]
        larger = [each for each in whole if file_bytes(each, "float16") >= size]
        dims = min(larger or [MODELS["large-v3"].dims], key=lambda each: file_bytes(each, "float16"))
        saved = "float16"
    return Subject(name, hub_id, dims, saved, source="file size", file=size / MIB)


def _read_shapes(file: BinaryIO, size: int) -> dict[str, tuple[tuple[int, ...], str, int]]:
    """Shape, type and (for single numbers) value of every variable; {} for a damaged file or one of another format."""
    found: dict[str, tuple[tuple[int, ...], str, int]] = {}
    try:
        if _number(file, "<I") not in _FORMATS:
            return {}
        _string(file)
        _number(file, "<I")
        left = _number(file, "<I")
        while left:
            left -= 1
            name = _string(file)
            rank = _number(file, "<B")
            shape = struct.unpack(f"<{rank}I", file.read(4 * rank))
            kind, width = _TYPES.get(_number(file, "<B"), ("", 0))
            length = _number(file, "<I")
            if length != math.prod(shape) * width or file.tell() + length > size:
                return {}
            value = int.from_bytes(file.read(length), "little") if rank == 0 and length <= 8 else 0
            if rank or length > 8:
                file.seek(length, 1)
            found[name] = (shape, kind, value)
    except (struct.error, UnicodeDecodeError):
        return {}
    return found


def _number(file: BinaryIO, layout: str) -> int:
    (value,) = struct.unpack(layout, file.read(struct.calcsize(layout)))
    return int(value)


def _string(file: BinaryIO) -> str:
    return file.read(_number(file, "<H")).rstrip(b"\0").decode()


def _from_shapes(shapes: dict[str, tuple[tuple[int, ...], str, int]], name: str, hub_id: str) -> Subject | None:
    conv, embeddings = shapes.get("encoder/conv1/weight"), shapes.get("decoder/embeddings/weight")
    if conv is None or embeddings is None or len(conv[0]) != 3 or len(embeddings[0]) != 2:
        return None
    vocabulary, width = embeddings[0]
    heads = shapes.get("encoder/num_heads", ((), "", 0))[2] or max(1, width // _HEAD)
    encoder, decoder = (_layers(shapes, part) for part in ("encoder", "decoder"))
    if not (encoder and decoder):
        return None
    kind, other = embeddings[1], shapes.get("encoder/conv1/bias", ((), "float32", 0))[1]
    saved = f"int8_{other}" if kind == "int8" else kind
    dims = Dims(conv[0][1], width, heads, encoder, decoder, vocabulary)
    return Subject(name, hub_id, dims, saved, source="model.bin")


def _layers(shapes: dict[str, Any], part: str) -> int:
    return len({found[1] for name in shapes if (found := re.match(rf"{part}/layer_(\d+)/", name))})


def _from_config(path: Path) -> Dims | None:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        return Dims(
            *(
                int(config[key])
                for key in (
                    "num_mel_bins",
                    "d_model",
                    "encoder_attention_heads",
                    "encoder_layers",
                    "decoder_layers",
                    "vocab_size",
                )
            )
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
