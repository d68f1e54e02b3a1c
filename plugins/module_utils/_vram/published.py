# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What others measured, beside what the model of memory says of the same: docs/data/published-memory.csv.

`calibration` figures are those that CONTEXT, DRIVER and FRAGMENTS were fitted on, `processor` figures those that
AUDIO was fitted on; only `independent` ones test anything. Figures of GPUs are of the whole card.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.anklume.stt.plugins.module_utils._vram.compute_types import parse_version
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import (
    AUDIO,
    DRIVER,
    SHORT_ANSWER,
    Serving,
    estimate,
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
    on_gpu = row["device"] == "cuda"
    parts = estimate(
        MODELS[row["model"]].dims, row["compute_type"], serving, "cuda" if on_gpu else "cpu", tokens=tokens
    )
    what = f"{row['model']} {row['compute_type']}, batch {serving.batch_size}"
    beside = DRIVER if on_gpu else AUDIO
    return Figure(row["group"], row["source"], row["machine"], what, float(row["reported_mib"]), parts.peak + beside)


def figures_table(figures: Iterable[Figure]) -> str:
    """The figures as a Markdown table."""
    lines = ["| group | source | machine | what | reported MiB | ours | error |", "|---|---|---|---|--:|--:|--:|"]
    lines += [
        f"| {each.group} | {each.source} | {each.machine} | {each.what} "
        f"| {each.reported:.0f} | {each.ours:.0f} | {each.error:+.1%} |"
        for each in figures
    ]
    return "\n".join(lines)
