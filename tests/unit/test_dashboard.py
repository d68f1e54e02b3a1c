# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard for Grafana: as the script writes it, in places of their own, of names that are told.

promtool parses each expression in tests/engine/test_monitoring.py.
"""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import dashboard
from test_metrics import OF_OTHERS, names

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = json.loads((ROOT / "data/monitoring/dashboard.json").read_text())


def test_it_is_as_the_script_writes_it() -> None:
    assert dashboard.main(check=True) == 0


def test_each_graph_has_a_number_and_a_place_of_its_own() -> None:
    panels = DASHBOARD["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    taken: list[tuple[int, int]] = []
    for place in (panel["gridPos"] for panel in panels):
        assert place["x"] + place["w"] <= 24
        rows, columns = range(place["y"], place["y"] + place["h"]), range(place["x"], place["x"] + place["w"])
        taken += itertools.product(columns, rows)
    assert len(taken) == len(set(taken))


def test_every_name_in_it_is_one_that_is_told() -> None:
    questions = [target for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    assert len(questions) > 15
    for question in questions:
        found = named(question)
        assert found, question["expr"]
        for name in found:
            base = re.sub(r"_(bucket|count|sum)$", "", name)
            assert {name, base} & (names() | {"ALERTS"}) or re.fullmatch(OF_OTHERS, name), name


def named(question: dict[str, Any]) -> list[str]:
    """The names of metrics in an expression."""
    plain = re.sub(r"\{.*?\}|\[.*?\]|sum by \(.*?\)|\w+\(", " ", question["expr"])
    return re.findall(r"[a-zA-Z][a-zA-Z_]+", plain)
