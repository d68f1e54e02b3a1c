# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of `_vram` against the real CTranslate2 and faster-whisper: compute types, names of models, memory."""

from __future__ import annotations

import csv
import os
import platform
import subprocess
import sys
from pathlib import Path

import ctranslate2
import faster_whisper.utils
import pytest
from ctranslate2.specs import WhisperSpec

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / ".cache" / "collections"), str(ROOT / "tests" / "bench")]

import random_model  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._vram.compute_types import (  # noqa: E402
    CTRANSLATE2,
    REQUESTS,
    WIDTHS,
    cpu_support,
    effective,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import PROCESS, Serving, estimate  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._vram.headers import read_folder  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import MODELS, Dims, resolve_model  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._vram.probe import machine  # noqa: E402

HERE = cpu_support(platform.machine(), machine().intel)
SAVED = ("float16", "float32", "int8_float16")
MEASURE = ROOT / "scripts" / "measure_memory.py"
LONG = bool(os.environ.get("ANKLUME_TEST_LONG"))


DIMS = Dims(80, 64, 1, 2, 1, 51865)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A very small Whisper by the type it was saved in."""
    made = {}
    for saved in SAVED:
        spec = WhisperSpec(DIMS.encoder_layers, DIMS.heads, DIMS.decoder_layers, DIMS.heads)
        random_model.fill(spec, DIMS)
        spec.register_vocabulary(random_model.tokens_of(DIMS.vocabulary))
        spec.validate()
        spec.optimize(quantization=saved)
        made[saved] = tmp_path_factory.mktemp(saved)
        spec.save(str(made[saved]))
    return made


def test_the_version_is_the_one_that_the_rules_are_for() -> None:
    assert ctranslate2.__version__ == ".".join(map(str, CTRANSLATE2))


def test_the_types_of_this_processor() -> None:
    ours = {kind for kind in (*WIDTHS, "int8") if effective(kind, HERE).compute_type}
    assert ctranslate2.get_supported_compute_types("cpu") == ours


@pytest.mark.parametrize("saved", SAVED)
@pytest.mark.parametrize("requested", REQUESTS)
def test_every_request_ends_in_our_type_or_is_refused(models: dict[str, Path], requested: str, saved: str) -> None:
    ours = effective(requested, HERE, saved)
    if ours.compute_type is None:
        with pytest.raises(ValueError, match=f"Requested {requested} compute type"):
            ctranslate2.models.Whisper(str(models[saved]), device="cpu", compute_type=requested)
    else:
        model = ctranslate2.models.Whisper(str(models[saved]), device="cpu", compute_type=requested)
        assert model.compute_type == ours.compute_type


@pytest.mark.parametrize("saved", SAVED)
def test_shapes_are_read_from_a_real_file(models: dict[str, Path], saved: str) -> None:
    subject = read_folder(models[saved], "me/mine", "me/mine")
    assert (subject.dims, subject.saved, subject.source) == (DIMS, saved, "model.bin")


def test_names_are_those_of_faster_whisper() -> None:
    theirs = faster_whisper.utils._MODELS
    assert {name: resolve_model(name) for name in theirs} == theirs
    assert set(MODELS) <= set(theirs)


@pytest.mark.skipif(not LONG, reason="a minute of work: part of `make test-long`")
def test_the_measuring_script_in_dry_run() -> None:
    done = subprocess.run(
        [sys.executable, str(MEASURE), "--dry-run"], capture_output=True, text=True, check=True, timeout=240
    )
    for phase in ("load", "idle", "beam 1", "beam 5", "fallback", "batch 2", "unload", "efficient float16 computation"):
        assert phase in done.stdout


def test_the_heap_holds_the_weights(tmp_path: Path) -> None:
    out = tmp_path / "memory.csv"
    names, kinds = ("tiny,base,small", "float32,int8") if LONG else ("tiny", "int8")
    command = [sys.executable, str(MEASURE), "--device", "cpu", "--models", names, "--types", kinds, "--load-only"]
    subprocess.run([*command, "--out", str(out)], check=True, timeout=600)
    with out.open(encoding="utf-8") as lines:
        idle = [row for row in csv.DictReader(lines) if row["phase"] == "idle"]
    assert len(idle) == (6 if LONG else 1)
    for row in idle:
        ours = estimate(MODELS[row["model"]].dims, row["effective"], Serving(), "cpu").idle - PROCESS
        assert float(row["measured"]) == pytest.approx(ours, rel=0.03), row
        assert float(row["note"].removeprefix("heap ")) == pytest.approx(ours, rel=0.03), row
