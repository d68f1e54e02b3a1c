# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what nvidia-smi says of the GPUs for the textfile collector of node-exporter. It needs nothing but Python.

usage: gpu_textfile.py FILE      as /var/lib/prometheus/node-exporter/gpu.prom, from a timer
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

SLOWED = 0x8 | 0x20 | 0x40 | 0x80  # for heat, by the driver or the card itself, or for power
METRICS = {
    # name: the field of nvidia-smi, by what it is multiplied, and what it says
    "memory_total_bytes": ("memory.total", 2**20, "Memory of the GPU"),
    "memory_used_bytes": ("memory.used", 2**20, "Memory that programs hold"),
    "utilization_ratio": ("utilization.gpu", 0.01, "Part of the time in which it computed"),
    "temperature_celsius": ("temperature.gpu", 1, "Its temperature"),
    "power_watts": ("power.draw", 1, "What it takes"),
}
THROTTLE = "clocks_throttle_reasons.active"
FIELDS = ["index", "uuid", *(field for field, _, _ in METRICS.values()), THROTTLE]


def rows() -> list[dict[str, str]] | None:
    """What nvidia-smi says of each GPU; None where it does not answer, whatever the reason."""
    query = ["nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        run = subprocess.run(
            query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return [
        dict(zip(FIELDS, row, strict=True))
        for row in csv.reader(run.stdout.splitlines(), skipinitialspace=True)
        if len(row) == len(FIELDS)
    ]


def number(text: str) -> float | None:
    """A number, also in hexadecimal; None for [N/A] and the like."""
    try:
        return float(int(text, 16)) if text.startswith("0x") else float(text)
    except ValueError:
        return None


def family(name: str, said: str, values: list[tuple[str, float]]) -> Iterator[str]:
    """One metric with its values."""
    if values:
        yield f"# HELP nvidia_gpu_{name} {said}"
        yield f"# TYPE nvidia_gpu_{name} gauge"
        yield from (f"nvidia_gpu_{name}{labels} {value:.12g}" for labels, value in values)


def text(found: list[dict[str, str]] | None) -> str:
    """All of them."""
    lines = list(family("readable", "Whether nvidia-smi answers", [("", float(bool(found)))]))
    gpus = [(f'{{gpu="{row["index"]}",uuid="{row["uuid"]}"}}', row) for row in found or ()]
    for name, (field, times, said) in METRICS.items():
        known = [(labels, number(row[field])) for labels, row in gpus]
        lines += family(name, said, [(labels, value * times) for labels, value in known if value is not None])
    masks = [(labels, number(row[THROTTLE])) for labels, row in gpus]
    slowed = [(labels, float(bool(int(mask) & SLOWED))) for labels, mask in masks if mask is not None]
    lines += family("throttled", "Whether it is slowed down for heat or power", slowed)
    return "\n".join(lines) + "\n"


def main(target: Path) -> None:
    """Write it at once, so that nobody reads a half."""
    with tempfile.NamedTemporaryFile("w", dir=target.parent, prefix=".gpu", delete=False, encoding="utf-8") as out:
        out.write(text(rows()))
    written = Path(out.name)
    written.chmod(0o644)
    written.replace(target)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
