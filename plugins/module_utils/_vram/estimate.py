# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory a Whisper model takes under CTranslate2, part by part, computed from its shapes.

    process = context + (1 + pool) * (weights + workers * (projection pad + max(encoder, decoder, alignment)))

The second factor is a sum of products of shapes read from CTranslate2's source. What no shape tells is fitted: an
:class:`Overhead`, and DRIVER beside it. What that was fitted on is in `published`. Sizes are bytes inside this module
and MiB in an :class:`Estimate`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError
from ansible_collections.anklume.stt.plugins.module_utils._vram.compute_types import (
    CTRANSLATE2,
    WIDTHS,
    Capability,
    Version,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import AUDIO_POSITIONS, TEXT_POSITIONS, Dims

Device = Literal["cuda", "cpu"]

MIB = 1 << 20

DRIVER = 250
"""MiB that the driver keeps for itself on a consumer card of 8 to 12 GB. Fitted, together with PUBLISHED."""


@dataclass(frozen=True)
class Overhead:
    """What a GPU adds to what CTranslate2 asks for.

    `context`: MiB of CUDA's context and cuBLAS; `pool`: the share that CUDA's memory pool takes beyond, in blocks that
    are partly empty.
    """

    context: float
    pool: float


PUBLISHED = Overhead(context=280, pool=0.08)
"""Fitted on the published figures, of consumer cards and drivers of 2024. What stays after unloading a model is
reported as 200-300 MiB (SYSTRAN/faster-whisper#680) and 312 MiB (#992)."""

MEASURED = Overhead(context=600, pool=0.22)
"""Fitted on docs/data/memory-nvidia-h100.csv: driver 580, a chip of 132 multiprocessors."""

USUAL = Overhead(PUBLISHED.context, MEASURED.pool)
"""What verdicts count on: the card's context, and the pool of the driver that was measured last and wastes most."""

_LARGE_CHIPS = ((8, 0), (9, 0), (10, 0), (10, 3))


def overhead_on(capability: Capability) -> Overhead:
    """What a GPU is taken to add: chips of data centres have the H100's context."""
    return MEASURED if capability in _LARGE_CHIPS else USUAL


MARGIN = 0.06
"""The most by which a figure that something was fitted on is above ours, in the worst case; every verdict adds it."""

PROCESS = 340
"""MiB of the server process itself on the host: Speaches 0.9 at rest with its page is 337 MB."""

AUDIO = 550
"""MiB on the host while a recording of a quarter of an hour is decoded and heard. Fitted on the processor figures."""

KEPT = 0.5
"""On a processor: the share of the encoder's or decoder's memory, whichever is less, that the C library keeps while
the other works. Fitted on the processor figures."""

VOCABULARY = 96
"""Bytes per token that CTranslate2 keeps on the host in its two look-up tables. Measured, see docs/data."""

SHORT_ANSWER = 75
"""Tokens, prompt included, of an ordinary 30 s window in the batched pipeline (about 2.5 a second)."""

LONG_ANSWER = TEXT_POSITIONS // 2 + 4
"""Tokens at most in a batched window: faster-whisper stops at half the positions; 4 open the prompt."""

HYPOTHESES = 5
"""`best_of` of faster-whisper's transcribe() when it falls back to sampling."""


@dataclass(frozen=True)
class Serving:
    """How the server is run. A batch of 1 is faster-whisper's plain transcribe(), which may fall back to sampling."""

    batch_size: int = 8
    beam_size: int = 5
    workers: int = 1
    ctranslate2: Version = CTRANSLATE2

    def __post_init__(self) -> None:
        for name, value, most in (
            ("batch_size", self.batch_size, 256),
            ("beam_size", self.beam_size, 100),
            ("workers", self.workers, 64),
        ):
            if not 1 <= value <= most:
                raise FitError(f"{name} cannot be {value}: use {min(max(value, 1), most)} (1 to {most})")


@dataclass(frozen=True)
class Estimate:
    """Memory of the serving process in MiB; `encoder`, `decoder` and `alignment` are one worker's."""

    context: float
    weights: float
    projection: float
    encoder: float
    decoder: float
    alignment: float
    workers: int = 1
    kept: float = 0.0

    @property
    def activations(self) -> float:
        """What all workers need on top while they transcribe."""
        less, more = sorted((self.encoder, max(self.decoder, self.alignment)))
        return self.workers * (more + self.kept * less)

    @property
    def idle(self) -> float:
        """With the model loaded and nothing heard yet."""
        return self.context + self.weights

    @property
    def peak(self) -> float:
        """While every worker transcribes."""
        return self.idle + self.projection + self.activations


@dataclass(frozen=True)
class Bounds:
    """What to expect: at rest, on ordinary speech, and at worst."""

    usual: Estimate
    worst: Estimate
    ram: float
    """MiB of the host's memory while loading and serving."""
    disk: float
    """MiB of the model's file."""

    @property
    def idle(self) -> float:
        """With the model loaded and nothing heard yet."""
        return self.usual.idle


@dataclass(frozen=True)
class _Counts:
    """Numbers in a model by kind. Every row of a matrix has one float32 scale in int8."""

    matrix: int
    rows: int
    conv: int
    other: int


def _counts(dims: Dims) -> _Counts:
    width, enc, dec = dims.width, dims.encoder_layers, dims.decoder_layers
    return _Counts(
        matrix=(enc * 12 + dec * 16) * width * width + dims.vocabulary * width,
        rows=(enc * 9 + dec * 12) * width + dims.vocabulary,
        conv=3 * width * (dims.mels + width),
        # per layer: biases (CTranslate2 fuses query, key and value and gives the key a zero bias) and layer norms;
        # then the biases of two convolutions, both position tables, two final norms
        other=(enc * 13 + dec * 19) * width + (2 + AUDIO_POSITIONS + TEXT_POSITIONS + 4) * width,
    )


def parameters(dims: Dims) -> int:
    """The number of parameters as a model's authors count them: no bias on keys, one embedding."""
    count = _counts(dims)
    return count.matrix + count.conv + count.other - (dims.encoder_layers + 2 * dims.decoder_layers) * dims.width


def weight_bytes(dims: Dims, compute_type: str) -> int:
    """Bytes of the weights once loaded; convolutions are never quantized in memory."""
    count = _counts(dims)
    matrix, number = WIDTHS[compute_type]
    return count.matrix * matrix + (count.rows * 4 if matrix == 1 else 0) + (count.conv + count.other) * number


def file_bytes(dims: Dims, saved: str) -> int:
    """Bytes of model.bin, without the 0.1 to 0.3 MB of its names; convolutions are quantized there."""
    count = _counts(dims)
    matrix, number = WIDTHS[saved]
    scales = (count.rows + 2 * dims.width) * 4 if matrix == 1 else 0
    return (count.matrix + count.conv) * matrix + scales + count.other * number


def _projection(dims: Dims, compute_type: str, version: Version) -> int:
    """The copy of the output projection that is padded for tensor cores (get_preferred_size_multiple in types.cc)."""
    matrix = WIDTHS[compute_type][0]
    multiple = 8 if compute_type in ("float16", "bfloat16") else 16 if matrix == 1 and version >= (4, 7) else 1
    pad = -dims.vocabulary % multiple
    row = dims.width * matrix + (4 if matrix == 1 else 0)
    return (dims.vocabulary + pad) * row if pad else 0


def _encoder(dims: Dims, number: int, batch: int, version: Version) -> int:
    """One layer's self-attention: seven hidden states and the scores, of which releases before 4.8.1 keep two."""
    scores = dims.heads * AUDIO_POSITIONS * (1 if version >= (4, 8, 1) else 2)
    spectrogram = 2 * dims.mels
    return batch * number * AUDIO_POSITIONS * (7 * dims.width + scores + spectrogram)


def _decoder(dims: Dims, compute_type: str, batch: int, *, hypotheses: int, tokens: int, copies: int) -> int:
    """Both caches and the larger of the first step (which makes the cross cache) and the last (the longest)."""
    matrix, number = WIDTHS[compute_type]
    layers, width = dims.decoder_layers, dims.width
    cross = batch * copies * 2 * layers * AUDIO_POSITIONS * width * number
    first = batch * width * AUDIO_POSITIONS * (3 * number + (9 if matrix == 1 else 0))
    row = 2 * layers * tokens * width * number + (4 * width * tokens + 3 * dims.vocabulary) * number
    return cross + max(first, batch * hypotheses * row)


def _alignment(dims: Dims, number: int, batch: int) -> int:
    """Word timestamps: one pass over the found tokens with all their logits and one layer's attention."""
    tokens = TEXT_POSITIONS // 2
    attention = 2 * dims.heads * tokens * AUDIO_POSITIONS
    return batch * number * (tokens * dims.vocabulary + attention + 5 * dims.width * AUDIO_POSITIONS)


def estimate(
    dims: Dims,
    compute_type: str,
    serving: Serving,
    device: Device = "cuda",
    *,
    tokens: int = SHORT_ANSWER,
    fallback: bool = False,
    word_timestamps: bool = False,
    overhead: Overhead = USUAL,
) -> Estimate:
    """The parts for windows of `tokens` tokens in an EFFECTIVE compute type; `overhead` is a GPU's.

    `fallback`: sampling after a failed window keeps five copies of the cross cache, one for each hypothesis.
    """
    number = WIDTHS[compute_type][1]
    batch, version = serving.batch_size, serving.ctranslate2
    on_gpu = device == "cuda"
    hypotheses, copies = (HYPOTHESES, HYPOTHESES) if fallback else (serving.beam_size, 1)
    taken = (1 + overhead.pool if on_gpu else 1) / MIB
    decoder = _decoder(dims, compute_type, batch, hypotheses=hypotheses, tokens=tokens, copies=copies)
    return Estimate(
        context=overhead.context if on_gpu else PROCESS + dims.vocabulary * VOCABULARY / MIB,
        weights=weight_bytes(dims, compute_type) * taken,
        projection=serving.workers * _projection(dims, compute_type, version) * taken if on_gpu else 0.0,
        encoder=_encoder(dims, number, batch, version) * taken,
        decoder=decoder * taken,
        alignment=_alignment(dims, number, batch) * taken if word_timestamps else 0.0,
        workers=serving.workers,
        kept=0.0 if on_gpu else KEPT,
    )


def bounds(
    dims: Dims,
    compute_type: str,
    serving: Serving,
    device: Device = "cuda",
    saved: str = "float16",
    *,
    overhead: Overhead = USUAL,
) -> Bounds:
    """The ordinary and the worst case of a server, and what it takes of the host's memory and disk."""
    parts = partial(estimate, dims, compute_type, device=device, overhead=overhead)
    alone = replace(serving, batch_size=1)
    # a batch server hears short clips one by one too, so a larger batch never needs less
    usual = [parts(alone, tokens=TEXT_POSITIONS)]
    worst = [*usual, parts(alone, tokens=TEXT_POSITIONS, fallback=True, word_timestamps=True)]
    if serving.batch_size > 1:
        usual.append(parts(serving, tokens=SHORT_ANSWER))
        worst.append(parts(serving, tokens=LONG_ANSWER, word_timestamps=True))
    disk = file_bytes(dims, saved) / MIB
    # loading holds the file's variables and, where the type changes, the float32 copy of the largest one
    loading = PROCESS + disk + (dims.vocabulary * dims.width * 4 / MIB if compute_type != saved else 0.0)
    highest, ordinary = max(worst, key=_peak), max(usual, key=_peak)
    ram = loading if device == "cuda" else max(loading, highest.peak + AUDIO)
    return Bounds(usual=ordinary, worst=highest, ram=ram, disk=disk)


def _peak(parts: Estimate) -> float:
    return parts.peak
