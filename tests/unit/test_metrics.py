# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of /metrics: in base units, all on the page that describes them, and every code of an error known."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "roles/stt_server/files"
PAGE = (ROOT / "docs/how-to/monitor.md").read_text()
SOURCE = (FILES / "server/anklume_stt_server/metrics.py").read_text()


def names() -> set[str]:
    """The names as Prometheus has them."""
    counters = set(re.findall(r'Counter\(\s*"(stt_\w+)"', SOURCE)) | set(re.findall(r'"(stt_short\w+)"', SOURCE))
    return {name + "_total" * (name in counters) for name in re.findall(r'"(stt_\w+)"', SOURCE)}


def codes(source: str) -> Iterator[str]:
    """The codes that errors are made with: the fourth argument of ours, the third of the decoder's."""
    for call in ast.walk(ast.parse(source)):
        name = getattr(getattr(call, "func", None), "id", "")
        if isinstance(call, ast.Call) and name in ("ApiError", "MediaError"):
            place = 3 if name == "ApiError" else 2
            given = [*call.args[place : place + 1], *(word.value for word in call.keywords if word.arg == "code")]
            yield from (each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str))


def test_every_name_is_on_the_page_and_no_other() -> None:
    assert len(names()) > 10
    assert set(re.findall(r"^\| `(stt_\w+)`", PAGE, re.M)) == names()


def test_units_are_base_units() -> None:
    for name in names():
        assert re.search(r"_(seconds|total|factor|info|length|limit|loaded|progress)$", name), name


def test_every_code_of_an_error_is_known() -> None:
    sources = [*FILES.glob("server/anklume_stt_server/*.py"), *FILES.glob("speaches/*.py")]
    found = {code for source in sources for code in codes(source.read_text())}
    block = SOURCE.partition("CODES = frozenset(")[2].partition("\n)")[0]
    assert set(re.findall(r'"(\w+)"', block)) == found | {"stream_failed"}
