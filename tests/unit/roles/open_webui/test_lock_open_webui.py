# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lock files of Open WebUI: PyTorch comes for the processor or not at all."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import lock_open_webui as lock
import pytest

ROOT = Path(__file__).resolve().parents[4]
INDEX = "https://index.example.org"


def package(name: str, version: str) -> dict:
    tags = ("cp311-cp311-manylinux_2_28_x86_64", "cp312-cp312-manylinux_2_28_aarch64", "cp312-cp312-win_amd64")
    wheels = [
        {"url": f"{INDEX}/{name}-{version.replace('+', '%2B')}-{tag}.whl", "hashes": {"sha256": tag}} for tag in tags
    ]
    return {"name": name, "version": version, "wheels": wheels}


def write(monkeypatch: pytest.MonkeyPatch, target: Path, *packages: dict) -> None:
    monkeypatch.setattr(lock, "resolve", lambda *_args: list(packages))
    monkeypatch.setattr(sys, "argv", ["lock_open_webui.py", "0.12.4", "full", str(target)])
    lock.main()


def test_pytorch_is_named_and_what_it_needs_of_nvidia_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = ("torch", "nvidia-cublas", "nvidia-cudnn-cu13", "cuda-toolkit", "triton", "sympy")
    write(monkeypatch, tmp_path / "full.txt", *(package(name, "9.9.0") for name in names))
    assert (tmp_path / "full.txt").read_text().splitlines()[1:] == [
        "# torch==9.9.0 comes from an index of builds for the processor",
        "sympy==9.9.0 \\",
        "    --hash=sha256:cp311-cp311-manylinux_2_28_x86_64 \\",
        "    --hash=sha256:cp312-cp312-manylinux_2_28_aarch64",
    ]


@pytest.mark.parametrize("path", sorted((ROOT / "roles/open_webui/files/locks").iterdir()), ids=lambda path: path.name)
def test_our_own_lock_files_have_none(path: Path) -> None:
    names = re.findall(r"^([\w.-]+)==", path.read_text(), re.MULTILINE)
    assert "open-webui" in names
    assert [name for name in names if lock.CUDA.match(name)] == []
    assert bool(re.search(r"^# torch==[\d.]+ ", path.read_text(), re.MULTILINE)) == path.name.endswith("-full.txt")
