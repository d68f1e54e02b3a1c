# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulation of how many servers it takes: its rules on a few requests, and the table of the page."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import simulate_capacity as simulation
from simulate_capacity import Balancer, Request

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/how-many-servers.md"


def waited(balancer: Balancer, *requests: Request) -> dict[str, list[float]]:
    return simulation.waits(balancer, iter(requests))


def test_one_after_the_other_waits_for_the_one_before() -> None:
    assert waited(Balancer(1, 1), Request(0, 6, 0.5), Request(0.1, 6, 0.5)) == {
        "short": [0, pytest.approx(0.4)],
        "long": [],
    }
    assert waited(Balancer(2, 1), Request(0, 6, 0.5), Request(0.1, 6, 0.5))["short"] == [0, 0]


def test_dictation_goes_between_the_steps_of_a_recording() -> None:
    found = waited(Balancer(1, 1), Request(0, 3600, 60), Request(10.5, 6, 0.5))
    assert found == {"short": [pytest.approx(0.5)], "long": [pytest.approx(0.5)]}


def test_a_recording_starves_nobody_and_is_not_starved() -> None:
    dictation = [Request(number * 0.5, 6, 0.5) for number in range(200)]
    found = waited(Balancer(1, 1), Request(0, 3600, 5), *dictation)
    assert found["long"][0] < 60


def test_the_long_lane_takes_one_more_than_there_are_workers() -> None:
    balancer = Balancer(1, 2)
    for number in range(6):
        balancer.come(Request(number / 100, 3600, 60))
    assert (balancer.servers[0].has["long"], len(balancer.queues["long"])) == (3, 3)


def test_the_table_of_the_page_is_what_the_script_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["simulate_capacity.py"])
    simulation.main()
    assert capsys.readouterr().out in PAGE.read_text()
