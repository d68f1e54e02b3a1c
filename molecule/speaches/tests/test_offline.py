# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In an instance without any network: uv, packages, source and model come from where variables say."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import DATA, FOX, PROJECT, speaches_itself
from suite import ROOT, Instance, download, long, uv_wheel

pytestmark = [long, pytest.mark.timeout(900)]


class Closed(Instance):
    """An instance that gets what the distribution has, and then loses its network."""

    def __init__(self, release: str, wheels: Path | None, folder: Path) -> None:
        super().__init__(f"mspc-closed-{release}", f"debian/{release}", PROJECT, folder)
        self.install("python3", "ffmpeg", "curl", "python3-pip-whl")
        if wheels:
            disk = ["disk", f"source={wheels}", "path=/srv/wheels", "readonly=true", "shift=true"]
            self.incus("config", "device", "add", self.name, "wheels", *disk)
        self.close()
        model = {"model": "anklume/whisper-test", "model_source": str(DATA / "whisper-test.tar.xz")}
        model["quantization"] = "int8"
        self.write("stt_server", **{f"stt_server_{name}": value for name, value in model.items()})

    def hears(self) -> str:
        """What it recognises."""
        clip = "-F file=@/var/lib/speaches/clips/en.wav -F model=whisper-1 -F response_format=text"
        return self.host.check_output(f"curl -sf http://127.0.0.1:8000/v1/audio/transcriptions {clip}").strip()


@pytest.fixture
def closed(infra: dict[str, Any], tmp_path: Path) -> Iterator[Callable[..., Closed]]:
    """A function that makes an instance; it goes at the end."""
    made: list[str] = []

    def make(release: str, wheels: Path | None = None) -> Closed:
        made.append(f"mspc-closed-{release}")
        return Closed(release, wheels, tmp_path)

    yield make
    for name in made:
        subprocess.run(["incus", "delete", "--force", name, "--project", PROJECT], check=True)


@pytest.mark.parametrize(
    ("engine", "release", "python"),
    [
        ("faster_whisper", "12", "3.11.2"),
        ("faster_whisper", "13", "3.13.5"),
        pytest.param("speaches", "13", "3.13.5", marks=speaches_itself),
    ],
)
def test_installs_without_a_network(closed: Callable[..., Closed], engine: str, release: str, python: str) -> None:
    major, minor, _ = python.split(".")
    pins = ROOT / f"roles/stt_server/files/{engine}/requirements-py{major}{minor}.txt"
    instance = closed(release, download(pins, python))
    variables = {"stt_server_engine": engine, "uv_wheel": uv_wheel(), "stt_server_wheels": "/srv/wheels"}
    if engine == "speaches":
        variables["stt_server_speaches_source"] = os.environ["SPEACHES_ARCHIVE"]
    status, output = instance.apply(**variables)
    assert status == 0, output[-3000:]
    assert instance.hears() == FOX
    assert instance.apply(**variables).changed() == 0


def test_no_python_that_fits_is_said_clearly(closed: Callable[..., Closed]) -> None:
    """Debian 12 has 3.11 alone, and without a network uv finds no other."""
    instance = closed("12")
    status, output = instance.apply(stt_server_speaches_source=str(DATA / "whisper-test.tar.xz"), uv_wheel=uv_wheel())
    assert status
    assert "the engine speaches needs Python 3.12 or 3.13; this instance has none of them" in output, output[-3000:]
    assert "take Debian 13 or Ubuntu 24.04" in output
