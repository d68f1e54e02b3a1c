# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In an instance without any network: uv, packages, source and model come from where variables say."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import testinfra
from conftest import DATA, FOX, PROJECT, speaches_itself
from suite import ROOT, download, long, uv_wheel

pytestmark = [long, pytest.mark.timeout(900)]


def incus(*words: str) -> None:
    subprocess.run(["incus", *words, "--project", PROJECT], check=True, stdin=subprocess.DEVNULL)


class Closed:
    """An instance that gets what the distribution has, and then loses its network."""

    def __init__(self, name: str, image: str, wheels: Path | None, folder: Path) -> None:
        incus("launch", image, name)
        self.host = testinfra.get_host(f"incus://{name}", project=PROJECT)
        self.host.check_output(
            "until apt-get -q -o APT::Update::Error-Mode=any update; do sleep 1; done"
            " && apt-get -qy install --no-install-recommends python3 ffmpeg curl python3-pip-whl"
        )
        if wheels:
            disk = ["disk", f"source={wheels}", "path=/srv/wheels", "readonly=true", "shift=true"]
            incus("config", "device", "add", name, "wheels", *disk)
        incus("config", "device", "add", name, "eth0", "none")
        assert self.host.check_output("ip -o -4 addr show scope global") == ""
        self.folder = folder
        variables = {
            "ansible_connection": "community.general.incus",
            "ansible_shell_type": "anklume.stt.incus",
            "ansible_incus_project": PROJECT,
            "ansible_incus_host": name,
            "stt_server_model": "anklume/whisper-test",
            "stt_server_model_source": str(DATA / "whisper-test.tar.xz"),
            "stt_server_quantization": "int8",
        }
        play = {"name": "One", "hosts": "all", "gather_facts": False, "roles": ["anklume.stt.stt_server"]}
        (folder / "inventory").mkdir()
        (folder / "inventory/one.yml").write_text(json.dumps({"all": {"hosts": {name: variables}}}))
        (folder / "play.yml").write_text(json.dumps([play]))

    def apply(self, **variables: Any) -> tuple[int, str]:
        """Run the role; status and output."""
        command = ["ansible-playbook", "-i", f"{self.folder}/inventory", f"{self.folder}/play.yml"]
        run = subprocess.run([*command, "-e", json.dumps(variables)], capture_output=True, text=True, env=os.environ)
        return run.returncode, " ".join((run.stdout + run.stderr).split())

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
        return Closed(made[-1], f"debian/{release}", wheels, tmp_path)

    yield make
    for name in made:
        incus("delete", "--force", name)


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
    status, output = instance.apply(**variables)
    assert "changed=0" in output, output[-3000:]


def test_no_python_that_fits_is_said_clearly(closed: Callable[..., Closed]) -> None:
    """Debian 12 has 3.11 alone, and without a network uv finds no other."""
    instance = closed("12")
    status, output = instance.apply(stt_server_speaches_source=str(DATA / "whisper-test.tar.xz"), uv_wheel=uv_wheel())
    assert status
    assert "the engine speaches needs Python 3.12 or 3.13; this instance has none of them" in output, output[-3000:]
    assert "take Debian 13 or Ubuntu 24.04" in output
