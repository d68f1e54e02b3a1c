# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of /metrics and of the alerts: in base units, all on the page that describes them, all codes known."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.anklume.stt.plugins.module_utils._doctor.catalogue import RULES

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "roles/stt_server/files"
PAGE = (ROOT / "docs/how-to/monitor.md").read_text()
ALERTS = yaml.safe_load((ROOT / "data/monitoring/stt.rules.yml").read_text())
OF_OTHERS = r"(up|process_\w+|probe_\w+|node_\w+|incus_\w+|nvidia_gpu_\w+|anklume_\w+|haproxy_\w+)"
"""What Prometheus itself, HAProxy, the exporters of Debian and Incus, gpu_textfile.py and doctor_textfile.py tell."""
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


def alerts() -> dict[str, Any]:
    """The alerts by their names."""
    return {rule["alert"]: rule for group in ALERTS["groups"] for rule in group["rules"] if "alert" in rule}


def test_every_alert_is_on_the_page_and_tried() -> None:
    rows = re.findall(r"^\| ((?:`[A-Z]\w+`(?:, )?)+) \|", PAGE, re.M)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(alerts())
    tried = yaml.safe_load((ROOT / "tests/engine/rules_test.yml").read_text())["tests"]
    for name in alerts():
        cases = [case for one in tried for case in one["alert_rule_test"] if case["alertname"] == name]
        assert any(case["exp_alerts"] for case in cases), name


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    known = {rule.code for rule in RULES}
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in ("critical", "warning", "none")
        assert set(rule["annotations"]) == {"summary", "fix"}
        assert name == "Watchdog" or rule["labels"]["code"] in known | {"{{ $labels.code }}"}, name


def test_every_name_in_a_rule_is_one_that_is_told() -> None:
    told = names() | {"stt:real_time_factor:rate5m"}
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            plain = re.sub(r"\{.*?\}|\[.*?\]|(?:by|on) ?\(.*?\)", "", rule["expr"])
            for name in re.findall(r"[a-z][a-zA-Z_0-9]*(?:[_:][a-zA-Z0-9]+)+|\bup\b", plain):
                base = re.sub(r"_(bucket|count|sum)$", "", name)
                functions = ("avg_over_time", "predict_linear")
                assert name in functions or {name, base} & told or re.fullmatch(OF_OTHERS, name), name
