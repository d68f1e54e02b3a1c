# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which compute type a model really runs in: CTranslate2's rules for GPUs and processors, as a table of functions.

Sources, all in CTranslate2: `src/types.cc` (resolve_compute_type), `src/cuda/utils.cc` (gpu_supports_int8,
gpu_has_fp16_tensor_cores), `src/cpu/backend.cc` (which matrix library does which type), and the tools that
build the published wheels.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import nearest

Version = tuple[int, ...]
Capability = tuple[int, int]

CTRANSLATE2: Version = (4, 8, 5)
"""The version that the roles install."""

WIDTHS: dict[str, tuple[int, int]] = {
    "float32": (4, 4),
    "float16": (2, 2),
    "bfloat16": (2, 2),
    "int16": (2, 4),
    "int8_float32": (1, 4),
    "int8_float16": (1, 2),
    "int8_bfloat16": (1, 2),
}
"""Every type a model can end up in: bytes of a matrix weight, bytes of every other number."""

REQUESTS = ("default", "auto", "int8", *WIDTHS)
"""What may be asked for. `int8` takes its other half from the saved model; only `default` falls back in silence."""

OLDEST_CAPABILITY: Capability = (5, 0)
"""CUDA 12, which the wheels are built with, has no code for anything older (CUDA 12.0 release notes)."""

OLDEST_DRIVER: Version = (525, 0)
"""The first driver branch for CUDA 12 (CUDA 12.0 release notes, table 3)."""


@dataclass(frozen=True)
class Support:
    """What a device computes in, beside float32. `broken_int8` says why int8 loads and then fails."""

    name: str
    int8: bool = False
    float16: bool = False
    bfloat16: bool = False
    int16: bool = False
    cuda: bool = False
    broken_int8: str = ""


@dataclass(frozen=True)
class Effective:
    """The type that a request ends in; None where CTranslate2 refuses. `note` says why, or what to know."""

    compute_type: str | None
    note: str = ""


def parse_version(text: str) -> Version:
    """Return "4.8.5" as (4, 8, 5)."""
    parts = text.strip().split(".")
    if len(parts) < 2 or not all(part.isdigit() for part in parts):
        raise FitError(f"{text!r} is not a version: give it as numbers with points, like 4.8.5")
    return tuple(int(part) for part in parts)


def parse_capability(text: str) -> Capability:
    """Return "8.6" as (8, 6)."""
    major, point, minor = text.strip().partition(".")
    if not (point and major.isdigit() and minor.isdigit()):
        raise FitError(f"{text!r} is not a compute capability: give it as major.minor, like 8.6")
    return int(major), int(minor)


def cuda_support(capability: Capability, ctranslate2: Version = CTRANSLATE2) -> Support:
    """What an NVIDIA GPU of this compute capability computes in."""
    major, minor = capability
    name = f"an NVIDIA GPU of compute capability {major}.{minor}"
    int8 = major > 6 or capability == (6, 1)
    broken = ""
    if capability == (12, 0) and ctranslate2 < (4, 7):
        # OpenNMT/CTranslate2#1865: until 4.6.1 int8 fails at first use, 4.6.2 and 4.6.3 refuse it, 4.7.0 works
        if ctranslate2 >= (4, 6, 2):
            int8 = False
        else:
            broken = "int8 loads and then fails at first use with CTranslate2 before 4.7.0 on this GPU"
    return Support(name, int8=int8, float16=major >= 7, bfloat16=major >= 8, cuda=True, broken_int8=broken)


def cpu_support(architecture: str = "x86_64", intel: bool = False) -> Support:
    """What a processor computes in: oneDNN, MKL (Intel only, adds int16) or Ruy do int8, nothing does float16."""
    if architecture not in ("x86_64", "aarch64"):
        raise FitError(f"CTranslate2 has no package for {architecture!r}: use x86_64 or aarch64")
    return Support(f"a processor ({architecture})", int8=True, int16=intel and architecture == "x86_64")


def check_request(requested: str) -> None:
    """Refuse a word that is no compute type."""
    if requested not in REQUESTS:
        raise FitError(
            f"{requested!r} is not a compute type{nearest(requested, REQUESTS)}: use one of {', '.join(REQUESTS)}"
        )


def effective(requested: str, support: Support, saved: str = "float16") -> Effective:
    """The type a model saved in `saved` runs in when `requested` is asked for."""
    check_request(requested)
    if requested == "auto":
        return _usable(_auto(support), support)
    if requested == "default":
        got = _fall_back(saved, support)
        note = ""
        if got == "float32" and saved != "float32":
            note = f"default becomes float32 on {support.name}, which takes twice the memory of {saved}: ask for int8"
        return _usable(got, support, note)
    wanted = requested
    if requested == "int8":  # keeps the float type the model was saved in, or falls back to int8_float32
        wanted = _fall_back("int8_" + _float_of(saved), support)
        if not wanted.startswith("int8"):
            return Effective(None, _refusal(requested, support))
    if _fall_back(wanted, support) != wanted:
        return Effective(None, _refusal(requested, support))
    return _usable(wanted, support)


def _usable(compute_type: str, support: Support, note: str = "") -> Effective:
    if support.broken_int8 and compute_type.startswith("int8"):
        return Effective(None, support.broken_int8)
    return Effective(compute_type, note)


def _refusal(requested: str, support: Support) -> str:
    instead = "int8" if support.int8 else "float16" if support.float16 else "float32"
    return f"{requested} is refused by CTranslate2 on {support.name}: use {instead}"


def _float_of(saved: str) -> str:
    floats = {"float16": "float16", "int8_float16": "float16", "bfloat16": "bfloat16", "int8_bfloat16": "bfloat16"}
    return floats.get(saved, "float32")


def _auto(support: Support) -> str:
    if support.int8:
        return "int8_float16" if support.cuda and support.float16 else "int8_float32"
    return "float16" if support.cuda and support.float16 else "int16" if support.int16 else "float32"


def _fall_back(wanted: str, support: Support) -> str:
    """Where CTranslate2 goes when falling back is allowed."""
    if wanted == "float16" and support.float16:
        return "float16"
    if wanted == "bfloat16" and support.bfloat16:
        return "bfloat16"
    if wanted == "int16":
        if support.int16:
            return "int16"
        if support.int8 and not support.cuda:
            return "int8_float32"
        return "float16" if support.float16 else "float32"
    if wanted.startswith("int8"):
        half = wanted.removeprefix("int8_")
        if support.int8:
            native = {"float16": support.float16, "bfloat16": support.bfloat16}.get(half, True)
            return wanted if native else "int8_float32"
        if half == "bfloat16":
            return "bfloat16" if support.bfloat16 else "float32"
        return "float16" if support.float16 else "int16" if support.int16 else "float32"
    return "float32"
