# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written of the doctor's findings for node-exporter; a stand-in takes the doctor's place."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import doctor_textfile
import pytest

TWICE = {"code": "SVC-01", "severity": "error", "host": "ai", "title": 'a "service" is stopped'}
OLD = {"code": "BAK-01", "severity": "warning", "host": "webui", "title": "no backup"}


def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, status: int) -> tuple[int, Path]:
    doctor, target = tmp_path / "doctor", tmp_path / "doctor.prom"
    doctor.write_text(f"#!/bin/sh\n# a stand-in, not the doctor\n{told}\nexit {status}\n")
    doctor.chmod(0o755)
    monkeypatch.setattr(doctor_textfile, "DOCTOR", doctor)
    return doctor_textfile.main(target), target


def test_each_code_on_each_machine_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.dumps({"findings": [TWICE, TWICE, OLD]})
    status, target = written(tmp_path, monkeypatch, f"cat >\"$JSON\" <<'END'\n{found}\nEND", 1)
    assert status == 0
    lines = [line for line in target.read_text().splitlines() if not line.startswith("#")]
    assert lines[1:] == [
        'anklume_finding{code="BAK-01",severity="warning",machine="webui"} 1',
        'anklume_finding{code="SVC-01",severity="error",machine="ai"} 1',
    ]
    when = re.fullmatch(r"anklume_doctor_time_seconds (\d+)", lines[0])
    assert when and abs(int(when[1]) - time.time()) < 60
    assert target.stat().st_mode & 0o777 == 0o644


def test_nothing_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, target = written(tmp_path, monkeypatch, 'echo \'{"findings": []}\' >"$JSON"', 0)
    assert status == 0 and "anklume_finding" not in target.read_text()


def test_where_the_doctor_could_not_look_the_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "doctor.prom").write_text("as it was")
    status, target = written(tmp_path, monkeypatch, "true", 2)
    assert (status, target.read_text()) == (2, "as it was")
