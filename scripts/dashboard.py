# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the dashboard for a Grafana of one's own, data/monitoring/dashboard.json.

usage: dashboard.py [--check]     (--check writes nothing and fails when the file is not what it should be)
"""

from __future__ import annotations

import json
import sys
from typing import Any

import generated

Panel = dict[str, Any]
WIDTH, HEIGHT = 8, 7
ACROSS = 24 // WIDTH
OF = 'instance=~"$machine"'
SOUND = f'route=~"transcriptions|translations", {OF}'
DURATION = f"sum by (instance, le) (rate(stt_request_duration_seconds_bucket{{{SOUND}}}[$__rate_interval]))"
EACH = "{{instance}}"
WORKED, HEARD = (f"rate(stt_{name}_seconds_total{{{OF}}}[$__rate_interval])" for name in ("processing", "audio"))
FIRING = 'sum by (alertname, instance) (ALERTS{alertstate="firing", alertname!="Watchdog"})'
REQUESTS = f"sum by (instance, status) (rate(stt_request_duration_seconds_count{{{SOUND}}}[$__rate_interval]))"
ERRORS = f"sum by (instance, code) (increase(stt_errors_total{{{OF}}}[$__rate_interval])) > 0"
FREE = 'node_filesystem_avail_bytes{fstype!~"tmpfs|overlay|squashfs"} / node_filesystem_size_bytes'

# title, unit of Grafana's, and the expressions, each with what its line is called
ROWS: dict[str, list[tuple[str, str, dict[str, str]]]] = {
    "Is it well": [
        ("STT server answers", "bool_yes_no", {f'up{{job="stt", {OF}}}': EACH}),
        ("Spoken sentence is heard", "bool_yes_no", {f'probe_success{{job="stt-sentence", {OF}}}': EACH}),
        ("Alerts", "short", {FIRING: "{{alertname}} {{instance}}"}),
    ],
    "How fast": [
        ("The spoken sentence takes", "s", {f'probe_duration_seconds{{job="stt-sentence", {OF}}}': EACH}),
        (
            "A request takes",
            "s",
            {
                f"histogram_quantile(0.5, {DURATION})": "half at most, {{instance}}",
                f"histogram_quantile(0.95, {DURATION})": "19 of 20 at most, {{instance}}",
            },
        ),
        ("Work for each second of sound", "short", {f"{WORKED} / ({HEARD} > 0)": EACH}),
    ],
    "How much": [
        ("Requests by status", "reqps", {REQUESTS: "{{status}} {{instance}}"}),
        ("Sound worked on, in a day", "s", {f"increase(stt_audio_seconds_total{{{OF}}}[1d])": EACH}),
        (
            "Waiting, and worked on",
            "short",
            {
                f"stt_queue_length{{{OF}}}": "waiting, {{instance}}",
                f"stt_requests_in_progress{{{OF}}}": "worked on, {{instance}}",
            },
        ),
        ("Errors by code", "short", {ERRORS: "{{code}} {{instance}}"}),
        ("Models in memory", "short", {f"stt_models_loaded{{{OF}}}": EACH}),
        ("Memory of the server", "bytes", {f'process_resident_memory_bytes{{job="stt", {OF}}}': EACH}),
    ],
    "The Incus host": [
        (
            "Memory of the GPU",
            "bytes",
            {"nvidia_gpu_memory_used_bytes": "used, GPU {{gpu}}", "nvidia_gpu_memory_total_bytes": "all, GPU {{gpu}}"},
        ),
        ("The GPU computes", "percentunit", {"nvidia_gpu_utilization_ratio": "GPU {{gpu}}"}),
        ("Temperature of the GPU", "celsius", {"nvidia_gpu_temperature_celsius": "GPU {{gpu}}"}),
        ("Free on its disks", "percentunit", {FREE: "{{instance}} {{mountpoint}}"}),
        ("Free memory", "bytes", {"node_memory_MemAvailable_bytes": EACH}),
        ("Memory of each instance, as Incus counts", "bytes", {"incus_memory_RSS_bytes": "{{name}}"}),
        ("What the doctor has found", "short", {"anklume_finding": "{{code}} {{machine}}"}),
    ],
}
SOURCE = {"type": "prometheus", "uid": "${source}"}


def panel(number: int, place: tuple[int, int], title: str, unit: str, questions: dict[str, str]) -> Panel:
    """One graph."""
    return {
        "id": number,
        "type": "stat" if unit == "bool_yes_no" else "timeseries",
        "title": title,
        "datasource": SOURCE,
        "gridPos": {"x": place[0], "y": place[1], "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": question, "legendFormat": called}
            for index, (question, called) in enumerate(questions.items())
        ],
    }


def panels() -> list[Panel]:
    """All graphs, three beside each other, under the title of their row."""
    found: list[Panel] = []
    y = 0
    for row, graphs in ROWS.items():
        place = {"x": 0, "y": y, "w": 24, "h": 1}
        found.append(
            {"id": len(found) + 1, "type": "row", "title": row, "collapsed": False, "gridPos": place, "panels": []}
        )
        y += 1
        for index, graph in enumerate(graphs):
            at = (index % ACROSS * WIDTH, y + index // ACROSS * HEIGHT)
            found.append(panel(len(found) + 1, at, *graph))
        y += -(-len(graphs) // ACROSS) * HEIGHT
    return found


def dashboard() -> dict[str, Any]:
    """As Grafana imports it; the Prometheus to ask and the machine are chosen at its top."""
    choices = [
        {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        {
            "name": "machine",
            "label": "Machine",
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": 'label_values(up{job="stt"}, instance)', "refId": "machine"},
            "refresh": 2,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        },
    ]
    return {
        "uid": "anklume-stt",
        "title": "Speech to text",
        "tags": ["anklume"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": choices},
        "panels": panels(),
    }


def main(check: bool) -> int:
    """Write it, or say that it is not up to date."""
    content = json.dumps(dashboard(), indent=1) + "\n"
    return generated.write({"data/monitoring/dashboard.json": content}, "dashboard.py", check)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
