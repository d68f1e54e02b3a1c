# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of memory against what others measured, and against its own figures for well-known cases."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from statistics import mean

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._errors import FitError
from ansible_collections.anklume.stt.plugins.module_utils._vram.compute_types import WIDTHS, parse_version
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import (
    Device,
    Serving,
    bounds,
    estimate,
    weight_bytes,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import MODELS
from ansible_collections.anklume.stt.plugins.module_utils._vram.published import Figure, figures_table, read_figures

PUBLISHED = Path(__file__).resolve().parents[4] / "docs" / "data" / "published-memory.csv"

# idle, usual, worst of the process in MiB: served in batches of 8, and one by one
KNOWN = {
    ("small", "float16"): (883, 1440, 1691, 883, 1029, 1240),
    ("small", "int8_float16"): (597, 1154, 1405, 597, 743, 954),
    ("medium", "float16"): (2004, 3446, 4067, 2004, 2374, 2936),
    ("medium", "int8_float16"): (1161, 2603, 3224, 1161, 1531, 2093),
    ("large-v3", "float16"): (3665, 6050, 7066, 3665, 4273, 5211),
    ("large-v3", "int8_float16"): (1996, 4381, 5397, 1996, 2604, 3542),
    ("large-v3-turbo", "float16"): (2124, 3021, 3021, 2124, 2236, 2337),
    ("large-v3-turbo", "int8_float16"): (1223, 2121, 2121, 1223, 1335, 1437),
}


def figures(group: str) -> list[Figure]:
    found = [each for each in read_figures(PUBLISHED.open(encoding="utf-8")) if each.group == group]
    assert found, f"no figure of group {group} in {PUBLISHED}"
    return found


def errors(group: str, capsys: pytest.CaptureFixture[str]) -> list[float]:
    found = figures(group)
    size = [abs(each.error) for each in found]
    with capsys.disabled():
        print(f"\n\n{figures_table(found)}\n{group}: largest {max(size):.1%}, mean {mean(size):.1%}")
    return size


def test_the_published_figures_of_gpus(capsys: pytest.CaptureFixture[str]) -> None:
    size = errors("calibration", capsys)
    assert len(size) == 10
    assert max(size) <= 0.06
    assert mean(size) <= 0.03


def test_the_published_figures_of_a_processor(capsys: pytest.CaptureFixture[str]) -> None:
    size = errors("processor", capsys)
    assert max(size) <= 0.06
    assert mean(size) <= 0.03


def test_the_independent_figures(capsys: pytest.CaptureFixture[str]) -> None:
    # a data-centre card under CUDA 11, on which nothing was fitted
    assert max(errors("independent", capsys)) <= 0.10


@pytest.mark.parametrize(("case", "expected"), KNOWN.items())
def test_known_cases(case: tuple[str, str], expected: tuple[int, ...]) -> None:
    dims = MODELS[case[0]].dims
    batched, single = (bounds(dims, case[1], Serving(batch)) for batch in (8, 1))
    got = [round(value) for b in (batched, single) for value in (b.idle, b.usual.peak, b.worst.peak)]
    assert got == list(expected)


def test_int8_is_no_third_size() -> None:
    # on a GPU of capability 7 or more int8 is int8_float16, so that there is no figure of its own for it
    assert "int8" not in WIDTHS


def test_the_version_of_ctranslate2_counts() -> None:
    dims = MODELS["large-v3"].dims

    def at(version: str) -> tuple[float, float]:
        parts = estimate(dims, "int8_float16", Serving(ctranslate2=parse_version(version)))
        return parts.encoder, parts.projection

    encoder, projection = zip(*(at(version) for version in ("4.6.3", "4.7.0", "4.8.0", "4.8.1")), strict=True)
    assert encoder[0] == encoder[1] == encoder[2] > encoder[3]  # 4.8.1 keeps one copy of the scores
    assert projection[0] == 0 < projection[1] == projection[3]  # 4.7.0 pads the int8 projection


def test_a_fallback_copies_the_cross_cache_five_times() -> None:
    dims = MODELS["large-v3"].dims
    plain, fallback = (estimate(dims, "float16", Serving(1), tokens=100, fallback=each) for each in (False, True))
    assert fallback.decoder - plain.decoder == pytest.approx(4 * 2 * 32 * 1500 * 1280 * 2 / 2**20, rel=0.01)


def test_workers_share_the_weights() -> None:
    dims = MODELS["medium"].dims
    one, three = (estimate(dims, "float16", Serving(workers=workers)) for workers in (1, 3))
    assert three.weights == one.weights
    assert three.activations == 3 * one.activations
    assert three.projection == 3 * one.projection


BATCHES, BEAMS, WORKERS = (1, 2, 3, 8, 16), (1, 5, 10), (1, 2)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_more_never_needs_less(name: str, device: Device) -> None:
    for compute_type in WIDTHS:
        need = {
            (batch, beam, workers): bounds(MODELS[name].dims, compute_type, Serving(batch, beam, workers), device)
            for batch, beam, workers in product(BATCHES, BEAMS, WORKERS)
        }
        assert all(each.idle <= each.usual.peak <= each.worst.peak for each in need.values())
        for (batch, beam, workers), less in need.items():
            for larger in ((batch + 1, beam, workers), (16, beam, workers), (batch, 10, workers), (batch, beam, 2)):
                if larger in need:
                    more = need[larger]
                    assert more.worst.peak >= less.worst.peak, (compute_type, larger)
                    assert more.usual.peak >= less.usual.peak, (compute_type, larger)
                    assert more.ram >= less.ram, (compute_type, larger)


def test_types_are_in_order_of_size() -> None:
    for model in MODELS.values():
        sizes = [weight_bytes(model.dims, each) for each in ("float32", "float16", "int8_float32", "int8_float16")]
        assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"batch_size": 0}, "use 1"),
        ({"batch_size": 1000}, "use 256"),
        ({"beam_size": -5}, "use 1"),
        ({"workers": 0}, "use 1"),
    ],
)
def test_wrong_settings_are_told_the_nearest(wrong: dict[str, int], told: str) -> None:
    with pytest.raises(FitError, match=told):
        Serving(**wrong)
