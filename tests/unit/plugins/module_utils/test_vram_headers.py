# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models that are not in the table: read from their folder, or judged by the size of a file."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import MIB, file_bytes
from ansible_collections.anklume.stt.plugins.module_utils._vram.headers import (
    find_folder,
    read_folder,
    subject_of_size,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import MODELS, Dims

TINY = Dims(mels=80, width=48, heads=2, encoder_layers=3, decoder_layers=2, vocabulary=500)
NUMBERS = {"float32": (0, 4), "int8": (1, 1), "int16": (2, 2), "float16": (4, 2), "bfloat16": (5, 2)}


def model_bin(dims: Dims, kind: str = "float16", other: str = "", heads: bool = True, version: int = 6) -> bytes:
    """The file as CTranslate2 writes it, with the variables that tell the shapes."""
    other = other or kind
    variables: list[tuple[str, tuple[int, ...], str]] = [
        ("encoder/conv1/weight", (dims.width, dims.mels, 3), kind),
        ("encoder/conv1/bias", (dims.width,), other),
        ("decoder/embeddings/weight", (dims.vocabulary, dims.width), kind),
    ]
    for part, layers in (("encoder", dims.encoder_layers), ("decoder", dims.decoder_layers)):
        for layer in range(layers):
            variables.append((f"{part}/layer_{layer}/self_attention/layer_norm/gamma", (dims.width,), other))

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    data = struct.pack("<I", version) + text("WhisperSpec") + struct.pack("<II", 3, len(variables) + heads)
    if heads:
        data += text("encoder/num_heads") + struct.pack("<BBIh", 0, 2, 2, dims.heads)
    for name, shape, type_name in variables:
        number, width = NUMBERS[type_name]
        length = width
        for size in shape:
            length *= size
        data += text(name) + struct.pack(f"<B{len(shape)}IBI", len(shape), *shape, number, length) + bytes(length)
    return data + struct.pack("<I", 0)


def folder(tmp_path: Path, data: bytes, config: object = None) -> Path:
    place = tmp_path / "model"
    place.mkdir(exist_ok=True)
    (place / "model.bin").write_bytes(data)
    if config is not None:
        (place / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return place


@pytest.mark.parametrize(
    ("kind", "other", "saved"),
    [
        ("float16", "", "float16"),
        ("float32", "", "float32"),
        ("int8", "float16", "int8_float16"),
        ("int8", "float32", "int8_float32"),
        ("bfloat16", "", "bfloat16"),
        ("int16", "float32", "int16"),
    ],
)
def test_the_header_tells_shapes_and_type(tmp_path: Path, kind: str, other: str, saved: str) -> None:
    data = model_bin(TINY, kind, other)
    subject = read_folder(folder(tmp_path, data), "me/mine", "me/mine")
    assert (subject.dims, subject.saved, subject.source) == (TINY, saved, "model.bin")
    assert subject.file == len(data) / MIB


def test_without_a_number_of_heads_they_are_64_wide(tmp_path: Path) -> None:
    dims = Dims(80, 384, 6, 4, 4, 100)
    assert read_folder(folder(tmp_path, model_bin(dims, heads=False)), "x", "x").dims == dims


def test_a_file_of_another_format_falls_back_to_config_json(tmp_path: Path) -> None:
    config = {
        "num_mel_bins": 80,
        "d_model": 48,
        "encoder_attention_heads": 2,
        "encoder_layers": 3,
        "decoder_layers": 2,
        "vocab_size": 500,
    }
    subject = read_folder(folder(tmp_path, b"not this format" * 100, config), "x", "x")
    assert (subject.dims, subject.source) == (TINY, "config.json")


@pytest.mark.parametrize("config", [None, {"alignment_heads": [[1, 1]]}, {"d_model": "many"}, [1]])
def test_and_then_to_the_size_of_the_file(tmp_path: Path, config: object) -> None:
    subject = read_folder(folder(tmp_path, b"\x63" * 1000, config), "x", "x")
    assert (subject.source, subject.dims) == ("file size", MODELS["tiny.en"].dims)


def test_a_file_that_was_cut_off_is_not_believed(tmp_path: Path) -> None:
    assert read_folder(folder(tmp_path, model_bin(TINY)[:-20]), "x", "x").source == "file size"


def test_of_a_damaged_file_only_what_fits_its_bytes_is_believed(tmp_path: Path) -> None:
    whole = model_bin(TINY)
    chance = random.Random(4)
    believed = 0
    for _ in range(300):
        cut = chance.random() < 0.5
        data = bytearray(whole[: chance.randrange(1, len(whole) - 4)] if cut else whole)
        for _ in range(chance.randrange(1, 8)):
            data[chance.randrange(min(len(data), 400))] = chance.randrange(256)
        subject = read_folder(folder(tmp_path, bytes(data)), "x", "x")
        if cut or subject.source != "model.bin":
            assert (subject.source, subject.dims) == ("file size", MODELS["tiny.en"].dims)
        else:
            believed += 1
            assert (subject.dims.mels, subject.dims.width, subject.dims.vocabulary) == (80, 48, 500)
            assert subject.saved == "float16"
    assert believed > 20, "some damage is in what nobody reads"


@pytest.mark.parametrize("name", ["tiny", "small", "medium", "large-v3", "large-v3-turbo", "distil-medium.en"])
@pytest.mark.parametrize("saved", ["float16", "int8_float16", "float32"])
def test_the_size_of_a_known_file_finds_its_shapes(name: str, saved: str) -> None:
    dims = MODELS[name].dims
    subject = subject_of_size(file_bytes(dims, saved) + 200_000, "x", "x")
    assert (subject.source, subject.saved) == ("file size", saved)
    assert (subject.dims.width, subject.dims.encoder_layers) == (dims.width, dims.encoder_layers)


def test_a_size_between_known_ones_is_taken_for_the_next_larger() -> None:
    subject = subject_of_size(1_000_000_000, "x", "x")
    assert (subject.dims, subject.saved) == (MODELS["medium.en"].dims, "float16")
    assert subject_of_size(20_000_000_000, "x", "x").dims == MODELS["large-v3"].dims


@pytest.mark.parametrize(
    "place",
    [
        "hub/models--me--mine/snapshots/0123abcd",
        "models--me--mine/snapshots/0123abcd",
        "me/mine",
        "me--mine",
        "mine",
    ],
)
def test_a_model_is_found_where_servers_keep_it(tmp_path: Path, place: str) -> None:
    assert find_folder("me/mine", tmp_path) is None
    (tmp_path / place).mkdir(parents=True)
    assert find_folder("me/mine", tmp_path) is None
    (tmp_path / place / "model.bin").touch()
    assert find_folder("me/mine", tmp_path) == tmp_path / place
    assert find_folder("me/other", tmp_path) is None


def test_a_folder_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "model.bin").touch()
    assert find_folder(str(tmp_path), None) == tmp_path


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(FitError, match=r"model\.bin cannot be read"):
        read_folder(tmp_path, "x", "x")
