# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""README's "For real", literally, in a fresh clone: from nothing to a sentence in Open WebUI; the time of each step.

It is spoken at another computer at home: a network namespace behind a bridge that is one of the host's networks, since
it has a default route.
Where the model hub cannot be reached make init takes the test model by itself, as it does for people.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import ansible_runs
import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "molecule"))

import browser  # noqa: E402
import lan  # noqa: E402

GIVEN = ("ARGS", "MAKEFLAGS", "MAKEOVERRIDES", "PROJECT", "VENV", "PYTHON")
NAME = "homelab"
"""What make init calls a project that nobody named."""
LAN, HOME, PHONE = "fh-lan", "172.30.101.1", "172.30.101.50"


def documented() -> list[str]:
    """The commands of the README, without their comments."""
    _before, _title, rest = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## For real\n")
    (block,) = re.findall(r"```sh\n(.*?)```", rest.partition("\n## ")[0], re.DOTALL)
    return [line.partition("#")[0].strip() for line in block.splitlines()]


def run(clone: Path, command: str) -> ansible_runs.Run:
    """A line in a shell of its own, as somebody types it in the clone, but without a terminal."""
    environment = {name: value for name, value in os.environ.items() if name not in GIVEN}
    environment = {name: value for name, value in environment.items() if not name.startswith("ANSIBLE")}
    return ansible_runs.run(["bash", "-c", command], cwd=clone, environment=environment)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fresh clone; what it makes in Incus is removed at the end."""
    there = json.loads(subprocess.run(["incus", "project", "list", "-f", "json"], capture_output=True).stdout or "[]")
    assert NAME not in [project["name"] for project in there], f"somebody's project {NAME} is in the way"
    folder = tmp_path_factory.mktemp("first") / "stt"
    subprocess.run(["git", "clone", "-q", ROOT, folder], check=True)
    yield folder
    removed = run(folder, f'make destroy BACKUP=0 ARGS="-e infra_destroy={NAME}"')
    assert removed.status == 0, removed.output


@pytest.fixture(scope="module")
def phone() -> Iterator[str]:
    """Another computer at home."""
    with lan.network(LAN, f"{HOME}/24"), lan.computer("fh-phone", LAN, f"{PHONE}/24", gateway=HOME) as name:
        lan.ip("route", "add", "default", "via", "172.30.101.254", "dev", LAN, "metric", "9999")
        yield name


@pytest.mark.timeout(1800)
def test_the_readme_ends_in_speech(clone: Path, phone: str, tmp_path: Path) -> None:
    times = {}
    for command in ["make venv", *documented()]:  # the first step of all makes Ansible's venv
        start = time.monotonic()
        done = run(clone, command)
        times[command] = time.monotonic() - start
        assert done.status == 0, f"{command}\n{done.output[-4000:]}"
    start = time.monotonic()
    again = run(clone, "make apply")
    times["make apply, again"] = time.monotonic() - start
    assert again.changed() == 0, again.output

    verified = run(clone, f"make verify ARGS='-e verify_json={clone}/hops.json'")
    assert verified.status == 0, verified.output
    hops = {hop["hop"]: hop for hop in json.loads((clone / "hops.json").read_text(encoding="utf-8"))}
    assert hops["Open WebUI"]["ok"] and hops["Open WebUI"]["recognised"]

    profile = browser.trust(tmp_path / "home", clone / "secrets/ca/ca.crt")
    own = {"password": clone / f"secrets/{NAME}-webui-open-webui-admin-password", "folder": tmp_path}
    spoken = ROOT / "tests/data/clips/en-fox.wav"
    seen = browser.speak(phone, profile, f"https://{HOME}", spoken, shots="first-hour", **own)
    assert seen["chat_input"] == "The quick brown fox jumps over the lazy dog."
    assert not lan.answers(phone, HOME, 8000)

    # what AnKLuMe's users know: one machine alone, one role alone
    one = run(clone, f"make apply-limit G={NAME}-webui")
    assert {name for counts in one.counts for name in counts} == {f"{NAME}-webui", "localhost"}, one.output
    base = run(clone, 'make apply ARGS="--tags base_system"')
    assert base.status == 0, base.output
    assert base.changed(f"{NAME}-webui") == base.changed() == one.changed() == 0, one.output + base.output
    held = [sys.executable, ROOT / "scripts" / "footprint.py", NAME, clone, "/var/lib/incus/images"]
    print(subprocess.run(held, check=True, capture_output=True, text=True).stdout)
    for command, seconds in times.items():
        print(f"| `{command}` | {seconds:.0f} |")
