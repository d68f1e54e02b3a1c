# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of memory against what others measured, and against its own figures for well-known cases."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from statistics import mean

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError
from ansible_collections.anklume.stt.plugins.module_utils._vram.compute_types import WIDTHS, parse_version
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import (
    MARGIN,
    MEASURED,
    PUBLISHED,
    USUAL,
    Device,
    Overhead,
    Serving,
    bounds,
    estimate,
    overhead_on,
    weight_bytes,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import MODELS
from ansible_collections.anklume.stt.plugins.module_utils._vram.published import (
    Figure,
    Measured,
    figures_table,
    read_figures,
    read_measured,
)

DATA = Path(__file__).resolve().parents[4] / "docs" / "data"
FIGURES = DATA / "published-memory.csv"


def figures(group: str) -> list[Figure]:
    found = [each for each in read_figures(FIGURES.open(encoding="utf-8")) if each.group == group]
    assert found, f"no figure of group {group} in {FIGURES}"
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


@pytest.fixture(scope="module")
def busy() -> list[Measured]:
    """What was measured on an H100 while it transcribed, after the first run."""
    with (DATA / "memory-nvidia-h100.csv").open(encoding="utf-8") as lines:
        found = [each for each in read_measured(lines) if each.busy]
    assert len(found) == 6 * 5 * 8  # models, types, phases
    return found


def test_shapes_tell_what_ctranslate2_asks_for(busy: list[Measured]) -> None:
    size = [abs(each.shapes / each.asked - 1) for each in busy]
    assert max(size) <= 0.035
    assert mean(size) <= 0.005


def test_the_measured_figures(busy: list[Measured], capsys: pytest.CaptureFixture[str]) -> None:
    size = [abs(each.figure.error) for each in busy]
    with capsys.disabled():
        print(f"\nmeasured on an H100: largest {max(size):.1%}, mean {mean(size):.1%}")
    assert mean(size) <= 0.03
    worst = [each for each in busy if each.worst]
    assert len(worst) == 6 * 5 * 3
    assert [each for each in worst if each.figure.reported > each.figure.ours * (1 + MARGIN)] == []


def test_a_verdict_counts_on_no_less_than_any_figure_showed() -> None:
    assert USUAL.pool == max(PUBLISHED.pool, MEASURED.pool)
    assert overhead_on((9, 0)).context == max(PUBLISHED.context, MEASURED.context)


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
    plain, fallback = (
        estimate(dims, "float16", Serving(1), tokens=100, fallback=each, overhead=Overhead(0, 0))
        for each in (False, True)
    )
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
