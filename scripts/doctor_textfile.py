# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has the doctor look, and writes what it found for the textfile collector of node-exporter.

usage: doctor_textfile.py FILE      as /var/lib/prometheus/node-exporter/doctor.prom; PROJECT as of make doctor

Its exit status is 0 where the doctor could look, whatever it found, and else the doctor's; then the file stays.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

DOCTOR = Path(__file__).resolve().parent / "doctor"
COULD_NOT_LOOK = 2


def text(findings: Iterable[Mapping[str, str]], now: float) -> str:
    """A line for each code on each machine, and when that was."""
    found = sorted({(one["code"], one["severity"], one["host"]) for one in findings})
    lines = [
        "# HELP anklume_doctor_time_seconds When the doctor looked the last time",
        "# TYPE anklume_doctor_time_seconds gauge",
        f"anklume_doctor_time_seconds {now:.0f}",
    ]
    if found:
        lines += [
            "# HELP anklume_finding What the doctor has found, by its code",
            "# TYPE anklume_finding gauge",
        ]
    lines += [f'anklume_finding{{code="{code}",severity="{how}",machine="{host}"}} 1' for code, how, host in found]
    return "\n".join(lines) + "\n"


def main(target: Path) -> int:
    """Look, and write it at once, so that nobody reads a half."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "doctor.json")
        status = subprocess.run([DOCTOR], env=os.environ | {"JSON": str(told)}, check=False).returncode
        if status == COULD_NOT_LOOK or not told.is_file():
            return status
        findings = json.loads(told.read_text(encoding="utf-8"))["findings"]
    with tempfile.NamedTemporaryFile("w", dir=target.parent, prefix=".doctor", delete=False, encoding="utf-8") as out:
        out.write(text(findings, time.time()))
    Path(out.name).chmod(0o644)
    Path(out.name).replace(target)
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))
