# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ollama must leave free for speech-to-text on a shared GPU, in the words its version understands.

Ollama looks at *free* memory each time it loads a model. What speech-to-text holds already is therefore not
free anyway, and only what it may still come to need has to be reserved.

Sources: ollama `envconfig/config.go` and `server/sched.go` (OLLAMA_GPU_OVERHEAD, bytes, read since 0.3.10);
from 0.30.0 on placement is llama.cpp's `--fit`, whose margin is LLAMA_ARG_FIT_TARGET (MiB per device, 1024 unless set).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError
from ansible_collections.anklume.stt.plugins.module_utils._vram.compute_types import Version
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import MARGIN, MIB, Bounds

FIRST_OVERHEAD: Version = (0, 3, 10)
FIRST_FIT_TARGET: Version = (0, 30, 0)
FIT_TARGET_DEFAULT = 1024
"""MiB that llama.cpp leaves free by itself."""


@dataclass(frozen=True)
class Load:
    """What one speech-to-text server takes in MiB. `resident`: its model is loaded at start and never unloaded."""

    peak: int
    idle: int
    resident: bool = False

    def __post_init__(self) -> None:
        if self.idle < 0 or self.peak < self.idle:
            raise FitError(
                f"a server cannot take {self.idle} MiB at rest and {self.peak} MiB at most: use 0 <= rest <= most"
            )

    @property
    def still_to_come(self) -> int:
        """What it may take beyond what it holds when Ollama loads a model."""
        return self.peak - self.idle if self.resident else self.peak


@dataclass(frozen=True)
class Reserve:
    """A variable for Ollama's unit; `mib` is what it keeps free for speech-to-text, `left` what language models get."""

    variable: str
    value: int
    mib: int
    left: int

    @property
    def line(self) -> str:
        """The line of an EnvironmentFile."""
        return f"{self.variable}={self.value}"


def load_of(need: Bounds, resident: bool) -> Load:
    """A server's load from its estimate. The peak carries the verdict's margin; what it holds does not."""
    return Load(peak=math.ceil(need.worst.peak * (1 + MARGIN)), idle=math.floor(need.idle), resident=resident)


def ollama_version(text: str) -> Version:
    """The version in "0.24.1", "v0.30.0-rc1" or "ollama version is 0.9.2"."""
    found = re.search(r"(?<![\d.])v?(\d+)\.(\d+)\.(\d+)", text)
    if found is None:
        raise FitError(f"{text!r} is not a version of Ollama: give it as numbers with points, like 0.30.0")
    return tuple(int(part) for part in found.groups())


def ollama_reserve(version: str, loads: Iterable[Load], usable: float) -> Reserve:
    """The reserve on a GPU with `usable` MiB for everything on it; of several servers the loads are summed."""
    number = ollama_version(version)
    if number < FIRST_OVERHEAD:
        raise FitError(f"Ollama {version} cannot leave GPU memory free: install 0.3.10 or newer")
    servers = tuple(loads)
    mib = sum(load.still_to_come for load in servers)
    taken = sum(load.peak for load in servers)
    if taken > usable:
        # an overhead larger than the GPU wraps around in Ollama's unsigned arithmetic and reserves nothing
        raise FitError(
            f"speech-to-text takes up to {taken} MiB, more than the {usable:.0f} MiB of this GPU: "
            f"the reserve can be {usable:.0f} at most; choose a smaller model or batch"
        )
    left = math.floor(usable) - taken
    if number < FIRST_FIT_TARGET:
        return Reserve("OLLAMA_GPU_OVERHEAD", mib * MIB, mib, left)
    return Reserve("LLAMA_ARG_FIT_TARGET", FIT_TARGET_DEFAULT + mib, mib, max(0, left - FIT_TARGET_DEFAULT))


@dataclass(frozen=True)
class _Llm:
    """A size of language model: parameters in billions, layers, and numbers of keys and values per layer and token."""

    name: str
    parameters: float
    layers: int
    cache: int


# parameters and shapes from the config.json of Llama 3.2 (1B, 3B), Llama 3.1 (8B, 70B) and Qwen 2.5 (14B, 32B)
_LLMS = (
    _Llm("70B", 70.6, 80, 2048),
    _Llm("32B", 32.8, 64, 2048),
    _Llm("14B", 14.8, 48, 2048),
    _Llm("8B", 8.03, 32, 2048),
    _Llm("3B", 3.21, 28, 2048),
    _Llm("1B", 1.24, 16, 1024),
)
_BITS = 4.89
"""Bits per weight of Q4_K_M (llama.cpp, tools/quantize/README.md)."""
_CONTEXTS = (32768, 8192, 2048)
_COMPUTE = 800
"""MiB taken for llama.cpp's CUDA context and compute buffers."""


def room_for_llm(mib: float) -> str:
    """What a memory is enough for, in words: "an 8B model in Q4_K_M with 8k context"."""
    for context in _CONTEXTS[1:]:
        for llm in _LLMS:
            if _llm_mib(llm, context) <= mib:
                longest = next(length for length in _CONTEXTS if _llm_mib(llm, length) <= mib)
                article = "an" if llm.name == "8B" else "a"
                return f"{article} {llm.name} model in Q4_K_M with {longest // 1024}k context"
    return ""


def _llm_mib(llm: _Llm, context: int) -> float:
    cache = llm.layers * llm.cache * 2 * context  # float16
    return llm.parameters * 1e9 * _BITS / 8 / MIB + cache / MIB + _COMPUTE


def tell_left(left: float, total: float) -> str:
    """A sentence on what is left for language models."""
    room = room_for_llm(left)
    fits = f"fits {room}" if room else "too little for any language model"
    return f"{left / 1024:.1f} GiB left on this {total / 1024:.0f} GiB GPU: {fits}"
