# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What others and we measured, beside what the model of memory says of the same.

Published figures are in docs/data/published-memory.csv: PUBLISHED and DRIVER were fitted on the `calibration` figures,
AUDIO on the `processor` figures; only `independent` ones test anything. Figures of GPUs are of the whole card. Ours,
`measured`, are written by scripts/measure_memory.py, and are of the process.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.anklume.stt.plugins.module_utils._vram.compute_types import (
    parse_capability,
    parse_version,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import (
    AUDIO,
    DRIVER,
    PUBLISHED,
    SHORT_ANSWER,
    Device,
    Overhead,
    Serving,
    estimate,
    overhead_on,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import MODELS, TEXT_POSITIONS


@dataclass(frozen=True)
class Figure:
    """One published figure and our own for it, in MiB."""

    group: str
    source: str
    machine: str
    what: str
    reported: float
    ours: float

    @property
    def error(self) -> float:
        """How much ours is above it, as a share."""
        return self.ours / self.reported - 1


def read_figures(lines: Iterable[str]) -> list[Figure]:
    """The figures of a CSV file."""
    return [_figure(row) for row in csv.DictReader(lines)]


def _figure(row: dict[str, str]) -> Figure:
    serving = Serving(int(row["batch_size"]), int(row["beam_size"]), 1, parse_version(row["ctranslate2"]))
    tokens = TEXT_POSITIONS if serving.batch_size == 1 else SHORT_ANSWER
    device: Device = "cuda" if row["device"] == "cuda" else "cpu"
    dims = MODELS[row["model"]].dims
    parts = estimate(dims, row["compute_type"], serving, device, tokens=tokens, overhead=PUBLISHED)
    what = f"{row['model']} {row['compute_type']}, batch {serving.batch_size}"
    beside = DRIVER if device == "cuda" else AUDIO
    return Figure(row["group"], row["source"], row["machine"], what, float(row["reported_mib"]), parts.peak + beside)


@dataclass(frozen=True)
class Measured:
    """A phase of one model in one compute type on a GPU, in MiB.

    `figure` is of the process; `asked` is what CTranslate2 asked the pool for, `shapes` the same from shapes alone.
    """

    model: str
    compute_type: str
    phase: str
    figure: Figure
    asked: float
    shapes: float

    @property
    def busy(self) -> bool:
        """Whether it transcribed, and not for the first time."""
        return self.phase not in ("idle", "first run")

    @property
    def worst(self) -> bool:
        """Whether it is a worst case."""
        return self.phase in ("fallback", "batch 8, long", "batch 16")


def read_measured(lines: Iterable[str]) -> list[Measured]:
    """What scripts/measure_memory.py wrote on a GPU, but for loading and unloading."""
    return [_measured(row) for row in csv.DictReader(lines) if row["batch_size"] or row["phase"] == "idle"]


def _measured(row: dict[str, str]) -> Measured:
    serving = Serving(int(row["batch_size"] or 1), int(row["beam_size"] or 1), 1, parse_version(row["ctranslate2"]))
    tokens, fallback = int(row["tokens"] or 0), row["phase"] == "fallback"

    def ours(overhead: Overhead) -> float:
        dims, kind = MODELS[row["model"]].dims, row["effective"]
        parts = estimate(dims, kind, serving, tokens=tokens, fallback=fallback, overhead=overhead)
        return parts.idle if row["phase"] == "idle" else parts.peak

    what = f"{row['model']} {row['effective']}, {row['phase']}"
    whole = ours(overhead_on(parse_capability(row["capability"])))
    figure = Figure("measured", "scripts/measure_memory.py", row["machine"], what, float(row["measured"]), whole)
    asked, shapes = float(row["pool_used"]), ours(Overhead(0, 0))
    return Measured(row["model"], row["effective"], row["phase"], figure, asked, shapes)


def figures_table(figures: Iterable[Figure]) -> str:
    """The figures as a Markdown table."""
    lines = ["| group | source | machine | what | reported MiB | ours | error |", "|---|---|---|---|--:|--:|--:|"]
    lines += [
        f"| {each.group} | {each.source} | {each.machine} | {each.what} "
        f"| {each.reported:.0f} | {each.ours:.0f} | {each.error:+.1%} |"
        for each in figures
    ]
    return "\n".join(lines)
