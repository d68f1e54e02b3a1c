# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written of the GPUs for node-exporter; a stand-in takes nvidia-smi's place."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import gpu_textfile
import pytest

ROOT = Path(__file__).resolve().parents[2]
TWO = """\
0, GPU-aaaa, 12288, 2100, 37, 64, 121.50, 0x0000000000000000
1, GPU-bbbb, 24576, 24000, 100, 88, [N/A], 0x0000000000000068
"""


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin/nvidia-smi"


def written(smi: Path, script: str) -> str:
    smi.write_text(f"#!/bin/sh\n# a stand-in, not nvidia-smi\n{script}\n")
    smi.chmod(0o755)
    target = smi.parent.parent / "gpu.prom"
    gpu_textfile.main(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert [path.name for path in target.parent.iterdir() if path.is_file()] == ["gpu.prom"]
    return target.read_text()


def test_each_gpu_has_its_numbers_in_base_units(smi: Path) -> None:
    lines = written(smi, f"cat <<'END'\n{TWO}END").splitlines()
    for line in (
        "nvidia_gpu_readable 1",
        'nvidia_gpu_memory_total_bytes{gpu="0",uuid="GPU-aaaa"} 12884901888',
        'nvidia_gpu_memory_used_bytes{gpu="1",uuid="GPU-bbbb"} 25165824000',
        'nvidia_gpu_utilization_ratio{gpu="0",uuid="GPU-aaaa"} 0.37',
        'nvidia_gpu_temperature_celsius{gpu="1",uuid="GPU-bbbb"} 88',
        'nvidia_gpu_power_watts{gpu="0",uuid="GPU-aaaa"} 121.5',
        'nvidia_gpu_throttled{gpu="0",uuid="GPU-aaaa"} 0',
        'nvidia_gpu_throttled{gpu="1",uuid="GPU-bbbb"} 1',
    ):
        assert line in lines
    assert not [line for line in lines if "power" in line and "GPU-bbbb" in line]
    named = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert named == {re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")}


@pytest.mark.parametrize(
    "script",
    [
        "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18",
        "echo 'NVML: Unknown Error' >&2; exit 255",
        "echo 'No devices were found'",
        "exit 0",
    ],
)
def test_every_broken_state_is_one_number(smi: Path, script: str) -> None:
    lines = written(smi, script).splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["nvidia_gpu_readable 0"]


def test_without_the_program_there_is_a_number_too(smi: Path, tmp_path: Path) -> None:
    gpu_textfile.main(tmp_path / "gpu.prom")
    assert "nvidia_gpu_readable 0" in (tmp_path / "gpu.prom").read_text()


def test_the_page_names_each_of_them() -> None:
    page = (ROOT / "docs/how-to/monitor.md").read_text()
    for name in (*gpu_textfile.METRICS, "throttled", "readable"):
        assert f"`nvidia_gpu_{name}`" in page
