# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CTranslate2's rules for compute types, cell by cell. tests/engine compares the processor's row with it."""

from __future__ import annotations

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError
from ansible_collections.anklume.stt.plugins.module_utils._vram.compute_types import (
    REQUESTS,
    cpu_support,
    cuda_support,
    effective,
    parse_capability,
    parse_version,
)

COLUMNS = [
    "default",
    "auto",
    "int8",
    "int8_float32",
    "int8_float16",
    "int8_bfloat16",
    "float16",
    "bfloat16",
    "int16",
    "float32",
]
F16, F32, I16, I32, IB, BF = "float16", "float32", "int8_float16", "int8_float32", "int8_bfloat16", "bfloat16"
NO = None

# a model saved in float16 under CTranslate2 4.8.5
TABLE = {
    (5, 0): (F32, F32, NO, NO, NO, NO, NO, NO, NO, F32),
    (6, 0): (F32, F32, NO, NO, NO, NO, NO, NO, NO, F32),
    (6, 2): (F32, F32, NO, NO, NO, NO, NO, NO, NO, F32),
    (6, 1): (F32, I32, I32, I32, NO, NO, NO, NO, NO, F32),
    (7, 0): (F16, I16, I16, I32, I16, NO, F16, NO, NO, F32),
    (7, 5): (F16, I16, I16, I32, I16, NO, F16, NO, NO, F32),
    (8, 0): (F16, I16, I16, I32, I16, IB, F16, BF, NO, F32),
    (8, 6): (F16, I16, I16, I32, I16, IB, F16, BF, NO, F32),
    (8, 9): (F16, I16, I16, I32, I16, IB, F16, BF, NO, F32),
    (9, 0): (F16, I16, I16, I32, I16, IB, F16, BF, NO, F32),
    (12, 0): (F16, I16, I16, I32, I16, IB, F16, BF, NO, F32),
}
CPU = (I32, I32, I32, I32, NO, NO, NO, NO, NO, F32)
CELLS = [
    (capability, column, cell) for capability, row in TABLE.items() for column, cell in zip(COLUMNS, row, strict=True)
]


def test_the_table_has_every_type() -> None:
    assert sorted(COLUMNS) == sorted(REQUESTS)


@pytest.mark.parametrize(("capability", "requested", "expected"), CELLS)
def test_on_a_gpu(capability: tuple[int, int], requested: str, expected: str | None) -> None:
    assert effective(requested, cuda_support(capability)).compute_type == expected


@pytest.mark.parametrize(("requested", "expected"), list(zip(COLUMNS, CPU, strict=True)))
@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
def test_on_a_processor(architecture: str, requested: str, expected: str | None) -> None:
    if requested == "default":
        expected = F32  # saved in float16, which no processor does
    assert effective(requested, cpu_support(architecture)).compute_type == expected


def test_int16_is_for_intel_alone() -> None:
    assert effective("int16", cpu_support(intel=True)).compute_type == "int16"
    assert effective("int16", cpu_support("aarch64", intel=True)).compute_type is None


@pytest.mark.parametrize(
    ("saved", "capability", "requested", "expected"),
    [
        ("float32", (8, 6), "int8", I32),
        ("bfloat16", (8, 6), "int8", IB),
        ("bfloat16", (7, 5), "int8", I32),
        ("int8_float16", (8, 6), "default", I16),
        ("int8_float16", (6, 1), "default", I32),
        ("int8_float16", (6, 0), "default", F32),
        ("int8_bfloat16", (7, 5), "default", I32),
        ("int8_bfloat16", (12, 0), "default", IB),
        ("bfloat16", (7, 5), "default", F32),
        ("int16", (7, 5), "default", F16),
        ("float32", (8, 6), "default", F32),
    ],
)
def test_what_the_model_was_saved_in_counts(
    saved: str, capability: tuple[int, int], requested: str, expected: str
) -> None:
    assert effective(requested, cuda_support(capability), saved).compute_type == expected


@pytest.mark.parametrize(
    ("version", "requested", "expected"),
    [
        ("4.5.0", "int8", None),
        ("4.6.1", "int8_float16", None),
        ("4.6.2", "int8", None),
        ("4.6.3", "auto", F16),
        ("4.6.3", "float16", F16),
        ("4.5.0", "float16", F16),
        ("4.7.0", "int8", I16),
    ],
)
def test_int8_on_blackwell_depends_on_the_version(version: str, requested: str, expected: str | None) -> None:
    resolved = effective(requested, cuda_support((12, 0), parse_version(version)))
    assert resolved.compute_type == expected
    assert bool(resolved.note) == (expected is None)


def test_a_silent_float32_is_told() -> None:
    note = effective("default", cuda_support((6, 1))).note
    assert "twice the memory" in note and "ask for int8" in note


def test_a_refusal_names_what_works() -> None:
    assert "use int8" in effective("float16", cpu_support()).note
    assert "use float16" in effective("int8", cuda_support((12, 0), (4, 6, 2))).note
    assert "use float32" in effective("int8", cuda_support((6, 0))).note


@pytest.mark.parametrize(
    ("wrong", "nearest"), [("int8_fp16", "int8_float16"), ("fp16", "float16"), ("INT8", "int8"), ("flaot16", "float16")]
)
def test_a_wrong_type_is_told_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(FitError, match=f"nearest: '{nearest}'"):
        effective(wrong, cpu_support())


@pytest.mark.parametrize("wrong", ["8", "8,6", "eight.six", ""])
def test_a_wrong_capability_is_refused(wrong: str) -> None:
    with pytest.raises(FitError, match=r"like 8\.6"):
        parse_capability(wrong)


@pytest.mark.parametrize("wrong", ["4", "four.8", "", "4.8.5rc1"])
def test_a_wrong_version_is_refused(wrong: str) -> None:
    with pytest.raises(FitError, match=r"like 4\.8\.5"):
        parse_version(wrong)


def test_another_architecture_is_refused() -> None:
    with pytest.raises(FitError, match="x86_64 or aarch64"):
        cpu_support("riscv64")
