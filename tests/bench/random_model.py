# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Whisper model of true size with random weights, for benches: it hears nothing, but costs what the real one costs.

usage: random_model.py NAME FOLDER [LENGTH]

With a LENGTH the model says that many tokens for each window of sound, so that each run does the same work.

Needs numpy, ctranslate2 and tokenizers. The folder is one that faster-whisper loads; weights are saved in float16, as
the hub's models are.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from ctranslate2.specs import WhisperSpec

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".cache" / "collections"))

from ansible_collections.anklume.stt.plugins.module_utils._vram.models import (  # noqa: E402
    AUDIO_POSITIONS,
    MODELS,
    TEXT_POSITIONS,
    Dims,
)

TIMESTAMPS = 1501
CODES = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi ml "
    "cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu am "
    "yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue"
)
LANGUAGES = CODES.split()
TASKS = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")


def tokens_of(vocabulary: int) -> list[str]:
    """A vocabulary with Whisper's special tokens at their places and stand-ins for ordinary ones."""
    multilingual = vocabulary > 51864
    languages = LANGUAGES[: 100 if vocabulary > 51865 else 99]
    special = [f"<|{name}|>" for name in ("endoftext", "startoftranscript", *languages, *TASKS)]
    ordinary = [f"t{number}" for number in range(vocabulary - TIMESTAMPS - len(special))]
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    ordinary[: len(alphabet)] = alphabet  # lets any text be encoded
    if multilingual:
        ordinary[-1] = ""  # by this CTranslate2 knows a multilingual vocabulary
    return [*ordinary, *special, *(f"<|{number * 0.02:.2f}|>" for number in range(TIMESTAMPS))]


def fill(spec: WhisperSpec, dims: Dims) -> None:
    """Put random weights of the right shapes everywhere."""
    chance = np.random.default_rng(0)
    width = dims.width

    def random(*shape: int) -> Any:
        return (chance.standard_normal(shape, dtype=np.float32) * 0.02).astype(np.float16)

    def linear(part: Any, rows: int, columns: int) -> None:
        part.weight, part.bias = random(rows, columns), random(rows)

    def norm(part: Any) -> None:
        part.gamma, part.beta = 1 + random(width), random(width)

    def layer(part: Any, cross: bool) -> None:
        norm(part.self_attention.layer_norm)
        linear(part.self_attention.linear[0], 3 * width, width)
        linear(part.self_attention.linear[1], width, width)
        if cross:
            norm(part.attention.layer_norm)
            for number, rows in enumerate((width, 2 * width, width)):
                linear(part.attention.linear[number], rows, width)
        norm(part.ffn.layer_norm)
        linear(part.ffn.linear_0, 4 * width, width)
        linear(part.ffn.linear_1, width, 4 * width)

    encoder, decoder = spec.encoder, spec.decoder
    for conv, inputs in ((encoder.conv1, dims.mels), (encoder.conv2, width)):
        conv.weight, conv.bias = random(width, inputs, 3), random(width)
    encoder.position_encodings.encodings = random(AUDIO_POSITIONS, width)
    decoder.position_encodings.encodings = random(TEXT_POSITIONS, width)
    decoder.embeddings.weight = random(dims.vocabulary, width)
    decoder.projection.weight = decoder.embeddings.weight
    for part, cross in ((encoder, False), (decoder, True)):
        norm(part.layer_norm)
        for each in part.layer:
            layer(each, cross)


def end_after(spec: WhisperSpec, length: int, end: int) -> None:
    """Let one coordinate of the text positions say when to end, and the end token listen to that one only."""
    table, positions = spec.decoder.embeddings.weight, spec.decoder.position_encodings.encodings
    table[:, 0] = 0
    table[end] = 0
    table[end, 0] = 100
    prompt = 4  # start, language, task, no timestamps
    positions[:, 0] = np.where(np.arange(len(positions)) < prompt - 1 + length, -100, 100)


def build(name: str, folder: Path, length: int | None = None) -> Path:
    """Write the model into a folder."""
    dims = MODELS[name].dims
    spec = WhisperSpec(dims.encoder_layers, dims.heads, dims.decoder_layers, dims.heads)
    fill(spec, dims)
    tokens = tokens_of(dims.vocabulary)
    if length:
        end_after(spec, length, tokens.index("<|endoftext|>"))
    spec.register_vocabulary(tokens)
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [tokens.index("<|endoftext|>")]
    spec.config.lang_ids = [tokens.index(f"<|{each}|>") for each in LANGUAGES if f"<|{each}|>" in tokens]
    spec.config.alignment_heads = [[dims.decoder_layers - 1, head] for head in range(dims.heads)][:10]
    spec.validate()
    spec.optimize(quantization="float16")
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=[])
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    features = {"feature_size": dims.mels, "hop_length": 160, "n_fft": 400, "sampling_rate": 16000, "chunk_length": 30}
    (folder / "preprocessor_config.json").write_text(json.dumps(features), encoding="utf-8")
    return folder


if __name__ == "__main__":
    build(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
