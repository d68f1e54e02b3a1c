# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the table that verify ends with."""

from __future__ import annotations

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._services.report import hop_table

GOOD = {
    "host": "demo-ai",
    "hop": "unit speaches",
    "ok": True,
    "detail": "active",
    "next_step": "journalctl -u speaches",
}
BAD = {
    "host": "demo-webui",
    "hop": "Open WebUI",
    "ok": False,
    "detail": "cannot reach its\nSTT server",
    "next_step": "make apply",
}


def test_all_green() -> None:
    assert hop_table([GOOD, {**GOOD, "hop": "port 8000"}]).splitlines() == [
        "demo-ai  unit speaches  ok      active",
        "demo-ai  port 8000      ok      active",
        "",
        "all 2 hops are ok",
    ]


def test_the_next_step_stands_under_what_failed_and_only_there() -> None:
    assert hop_table([GOOD, BAD]).splitlines() == [
        "demo-ai     unit speaches  ok      active",
        "demo-webui  Open WebUI     FAILED  cannot reach its STT server",
        "                                   next: make apply",
        "",
        "1 of 2 hops FAILED",
    ]


def test_long_details_are_wrapped_and_commands_stay_whole() -> None:
    command = "/opt/" + "x" * 150
    lines = hop_table([{**BAD, "detail": "word " * 60, "next_step": command}]).splitlines()
    assert all(len(line) <= 120 for line in lines if command not in line)
    assert sum(line.count("word") for line in lines) == 60
    assert any(line.endswith(command) for line in lines)


def test_colour_says_the_same() -> None:
    coloured = hop_table([GOOD, BAD], colour=True)
    assert "\033[32mok    \033[0m" in coloured and "\033[31mFAILED\033[0m" in coloured
    for code in ("\033[32m", "\033[31m", "\033[0m"):
        coloured = coloured.replace(code, "")
    assert coloured == hop_table([GOOD, BAD])


@pytest.mark.parametrize(
    ("hops", "words"),
    [
        ([], "no hop to show"),
        ([{"host": "h", "hop": "x", "ok": True}], "a hop without detail, next_step"),
        ([{**GOOD, "ok": "False"}], "ok is 'False' and has to be true or false"),
        ([{**GOOD, "ok": None}], "ok is None"),
    ],
)
def test_what_proves_nothing_is_no_success(hops: list[dict[str, object]], words: str) -> None:
    with pytest.raises(Error, match=words):
        hop_table(hops)
