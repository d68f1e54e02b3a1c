# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Home Assistant's way, with the client that it is made of: found, asked, understood; and what goes wrong is said."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ansible_runs
import pytest
import wire
from suite import PLAIN, ROOT, download

SCENARIO = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".cache/venv-clients/bin/python"
CLIPS = ROOT / "tests/data/clips"
SENTENCES = {entry["clip"]: entry["text"] for entry in json.loads((ROOT / "tests/data/sentences.json").read_text())}
NAME = "mwyo-voice"
ADDRESS = "10.173.1.10:10300"
NETWORK = ipaddress.ip_network("10.173.1.0/24")
SETTINGS = "/etc/wyoming/wyoming.env"
ANNOUNCEMENT = "/etc/avahi/services/wyoming.service"


def client(name: str, *arguments: object) -> dict[str, Any]:
    """What one of the programs of tests/clients prints, run on this machine: outside the instance."""
    command = [PYTHON, ROOT / "tests/clients" / name, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def play(project: Path, playbook: object, *options: str, **variables: Any) -> ansible_runs.Run:
    """A run of a playbook with other variables."""
    command = ["ansible-playbook", "-i", project / "inventory", playbook, *options, "-e", json.dumps(variables)]
    return ansible_runs.run(command, environment=os.environ | PLAIN, timeout=600)


def wait_for_port(voice: Any) -> None:
    voice.check_output("timeout 30 sh -c 'until ss -Hltn sport = :10300 | grep -q .; do sleep 0.3; done'")


def until_there(file: Path) -> None:
    """Return once a watch has begun to write its file."""
    deadline = time.monotonic() + 20
    while not (file.exists() and file.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="session")
def voice(machine: Callable[[str], Any]) -> Any:
    return machine(NAME)


@pytest.fixture
def serves_afterwards(voice: Any) -> Iterator[None]:
    """The same release, with the same settings, understands a client after what was tried."""
    look = f"readlink /opt/wyoming/current; cat {SETTINGS} /etc/systemd/system/wyoming.service"
    before = voice.check_output(look)
    yield
    assert voice.check_output(look) == before
    wait_for_port(voice)
    assert client("ask_wyoming.py", ADDRESS, CLIPS / "en-fox.wav", "en")["text"] == SENTENCES["en-fox.wav"]


def test_the_unit_runs_starts_at_boot_and_is_hardened(voice: Any) -> None:
    service = voice.service("wyoming")
    assert service.is_running and service.is_enabled
    report = voice.check_output("systemd-analyze security --no-pager wyoming")
    exposure = re.search(r"Overall exposure level for .*: ([\d.]+)", report)
    assert exposure and float(exposure[1]) < 2.0, report
    assert voice.check_output("ps -o user= -p $(systemctl show -P MainPID wyoming)") == "wyoming"


def test_the_key_is_for_the_service_alone(voice: Any, project: Path) -> None:
    settings = voice.file(SETTINGS)
    assert (settings.user, settings.group, settings.mode) == ("root", "wyoming", 0o640)
    key = (project / "secrets/mwyo-voice-speaches-api-key").read_text()
    assert key in settings.content_string
    assert key not in voice.check_output("ps -eo args; cat /etc/systemd/system/wyoming.service")


def test_a_client_learns_what_there_is(voice: Any) -> None:
    offered = client("ask_wyoming.py", ADDRESS)
    assert offered["models"] == ["whisper-1"]
    assert {"en", "fr", "de", "nl"} <= set(offered["languages"])


def test_the_documented_question_is_answered() -> None:
    page = (ROOT / "docs/how-to/home-assistant.md").read_text()
    (line,) = re.findall(r"^echo .* \| curl .*$", page, re.M)
    host, port = ADDRESS.split(":")
    assert f"homelab-voice:{port}" in line
    asked = subprocess.run(line.replace("homelab-voice", host), shell=True, capture_output=True, text=True, check=False)
    assert '"whisper-1"' in asked.stdout, asked


@pytest.mark.parametrize(("name", "language"), [("en-fox.wav", "en"), ("fr-serveur.wav", "fr"), ("en-fox.wav", "")])
def test_a_sentence_comes_back(name: str, language: str) -> None:
    assert client("ask_wyoming.py", ADDRESS, CLIPS / name, language)["text"] == SENTENCES[name]


def test_what_was_said_stays_out_of_the_log(voice: Any) -> None:
    assert "fox" not in voice.check_output("journalctl -u wyoming -o cat --no-pager")


def test_nothing_leaves(voice: Any, tmp_path: Path) -> None:
    """A start, a question, a sentence and some idle seconds, with every packet that the machine hands to the host."""
    seen = tmp_path / "wire.pcap"
    watch = subprocess.Popen([sys.executable, ROOT / "molecule/wire.py", "net-mwyo", seen])
    try:
        until_there(seen)
        voice.check_output("systemctl restart wyoming")
        wait_for_port(voice)
        assert client("ask_wyoming.py", ADDRESS, CLIPS / "en-fox.wav", "en")["text"] == SENTENCES["en-fox.wav"]
        time.sleep(5)
    finally:
        watch.terminate()
        watch.wait(10)
    packets = wire.sent(seen)
    addresses = [ipaddress.ip_address(packet.destination) for packet in packets]
    assert any(address in NETWORK for address in addresses), "the watch saw nothing of the client"
    assert [one for one in addresses if not (one in NETWORK or one.is_multicast or one.is_link_local)] == []
    assert {packet.question for packet in packets} == {""}


def test_it_is_found_by_its_announcement() -> None:
    found = client("find_wyoming.py", NAME, 15)
    assert found["port"] == 10300
    assert "10.173.1.10" in found["addresses"]


def test_verify_is_green_and_changes_nothing(project: Path) -> None:
    run = play(project, "anklume.stt.verify", verify_json=f"{project}/verify.json")
    assert run.status == 0, run.said
    assert run.changed() == 0
    hops = {hop["hop"]: hop for hop in json.loads((project / "verify.json").read_text())}
    assert {"unit wyoming", "port 10300", "Wyoming to STT server", "Wyoming"} <= set(hops)
    assert hops["Wyoming"]["recognised"] == "The quick brown fox jumps over the lazy dog."


@pytest.mark.usefixtures("serves_afterwards")
class TestFaults:
    def test_a_wrong_key_is_refused_before_anything_is_changed(self, project: Path) -> None:
        run = play(project, SCENARIO / "role.yml", wyoming_stt_api_key="wrong")
        assert run.status
        assert "the server refuses this API key" in run.said
        assert run.changed() == 0

    def test_a_taken_port_is_refused_and_its_owner_named(self, voice: Any, project: Path) -> None:
        run = play(project, SCENARIO / "role.yml", wyoming_port=8000)
        assert run.status
        assert "port 8000 is taken by python" in run.said
        assert run.changed() == 0

    def test_a_broken_release_gives_way_to_the_old_one(self, project: Path, tmp_path: Path) -> None:
        """The same packages but one: installed beside, started, found broken, taken back with its settings."""
        lock = (ROOT / "roles/wyoming/files/requirements-py313.txt").read_text()  # of Debian 13
        broken = tmp_path / "requirements.txt"
        broken.write_text(re.sub(r"^openai==.*\n(    --hash.*\n)+", "", lock, flags=re.M))
        other = {"__wyoming_requirements": str(broken), "__wyoming_lock": "b" * 64}
        status, output = play(project, SCENARIO / "role.yml", **other, wyoming_log_level="info")
        assert status
        assert "the log says ModuleNotFoundError: No module named 'openai'" in output
        assert "-bbbbbbbbbbbb was taken back" in output and "serves again" in output


def test_another_release_from_wheels_alone(voice: Any, project: Path) -> None:
    """Without an index and without uv's cache; it serves, and the one before it stays to go back to."""
    wheels = download(ROOT / "roles/wyoming/files/requirements-py313.txt", "3.13")
    voice.check_output("rm -rf /srv/wheels && mkdir -p /srv/wheels")
    files = [str(path) for path in wheels.glob("*.whl")]
    subprocess.run(["incus", "file", "push", "-q", *files, f"{NAME}/srv/wheels/", "--project", "mwyo"], check=True)
    before = voice.check_output("readlink /opt/wyoming/current")
    voice.check_output("mount -t tmpfs tmpfs /var/cache/uv")
    try:
        given = {"wyoming_wheels": "/srv/wheels", "uv_index_url": "http://127.0.0.1:9/simple"}
        status, output = play(project, SCENARIO / "role.yml", **given, __wyoming_lock="c" * 64)
    finally:
        voice.check_output("umount /var/cache/uv")
    assert status == 0, output
    assert voice.check_output("readlink /opt/wyoming/current") == "0.8.0-cccccccccccc"
    assert set(voice.check_output("ls /opt/wyoming").split()) == {"0.8.0-cccccccccccc", before, "current"}


def test_a_key_that_changed_behind_it_is_told_by_the_hops(voice: Any, project: Path) -> None:
    voice.check_output(f"sed -i 's/^STT_OPENAI_KEY=.*/STT_OPENAI_KEY=wrong/' {SETTINGS} && systemctl restart wyoming")
    status, output = play(project, "anklume.stt.verify", wyoming_stt_api_key="wrong")
    assert status
    assert "2 of 8 hops FAILED" in output
    assert "the server refuses this API key" in output
    assert "Speech-to-text transcription failed" in output


def test_turned_off_it_is_silent(voice: Any, project: Path) -> None:
    status, output = play(project, SCENARIO / "role.yml", wyoming_enabled=False)
    assert status == 0, output
    assert not voice.service("wyoming").is_running
    assert not voice.file(ANNOUNCEMENT).exists


def test_the_next_apply_repairs_and_then_nothing_is_left_to_do(project: Path) -> None:
    status, output = play(project, SCENARIO / "role.yml")
    assert status == 0, output
    assert client("ask_wyoming.py", ADDRESS, CLIPS / "en-fox.wav", "en")["text"] == SENTENCES["en-fox.wav"]
    assert client("find_wyoming.py", NAME, 15)["port"] == 10300
    assert play(project, SCENARIO / "role.yml").changed() == 0
