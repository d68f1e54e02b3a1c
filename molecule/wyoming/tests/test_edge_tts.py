# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role edge_tts beside the STT server, which hears what was spoken; a stand-in speaks in Microsoft's place."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from suite import ROOT
from test_wyoming import NAME, SCENARIO, play

SERVICE, STT = "http://10.173.1.10:3002", "http://10.173.1.10:8000"
SENTENCE = "Ansible installed the speech server."
CLIP = ROOT / "tests/data/clips/en-ansible.mp3"
STAND_IN = "127.0.0.1:8990"
DROP_IN = f"[Service]\nEnvironment=PYTHONPATH=/srv/edge EDGE_STAND_IN={STAND_IN}\n"
KEY = 'k\\e"yelling'  # with what systemd's files have to write in another way
GIVEN = {"edge_tts_language": "pl", "edge_tts_api_key": KEY, "edge_tts_fallback_url": f"{STT}/v1"}


@pytest.fixture(scope="module")
def voice(machine: Any) -> Any:
    return machine(NAME)


def push(*files: object) -> None:
    subprocess.run(["incus", "file", "push", "-q", *files[:-1], f"{NAME}{files[-1]}", "--project", "mwyo"], check=True)


@pytest.fixture(scope="module")
def service(voice: Any, project: Path) -> Iterator[str]:
    """What the first run says; the service is led to the stand-in, and the machine is as it was afterwards."""
    group = project / "inventory/edge_tts.yml"
    voice.check_output("mkdir -p /srv/edge /srv/microsoft /etc/systemd/system/edge-tts.service.d")
    # not in one folder: beside a file of its name the library could not be imported
    push(ROOT / "tests/stand_ins/edge_tts_here/sitecustomize.py", "/srv/edge/")
    push(ROOT / "tests/stand_ins/edge_tts.py", CLIP, "/srv/microsoft/")
    voice.check_output(f"printf '{DROP_IN}' >/etc/systemd/system/edge-tts.service.d/stand-in.conf")
    try:
        status, said = play(project, SCENARIO / "edge_tts.yml", **GIVEN)
        assert status == 0, said
        command = f"/opt/edge-tts/current/bin/python /srv/microsoft/edge_tts.py {STAND_IN.split(':')[1]}"
        voice.check_output(f"systemd-run -q --unit microsoft {command} /srv/microsoft/{CLIP.name} '{SENTENCE}'")
        voice.check_output(f"timeout 20 sh -c 'until ss -Hltn src {STAND_IN} | grep -q .; do sleep 0.2; done'")
        group.write_text(json.dumps({"role_edge_tts": {"hosts": {NAME: {}}}}))
        yield said
    finally:
        group.unlink(missing_ok=True)
        voice.run("systemctl disable -q --now edge-tts microsoft; userdel edge-tts")
        voice.run("rm -rf /opt/edge-tts /etc/edge-tts /etc/systemd/system/edge-tts.service* /srv/edge /srv/microsoft")
        voice.run("systemctl daemon-reload")


def ask(url: str, body: bytes, kind: str, key: str = KEY) -> Any:
    headers = {"Content-Type": kind, "Authorization": f"Bearer {key}"}
    return urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60)


def speak(**fields: str) -> Any:
    return ask(f"{SERVICE}/v1/audio/speech", json.dumps(fields).encode(), "application/json")


def test_what_is_spoken_is_heard_by_the_stt_server(service: str, project: Path) -> None:
    sound = speak(input=f"**{SENTENCE}** 🎉").read()
    assert sound == CLIP.read_bytes()
    key = (project / "secrets/mwyo-voice-speaches-api-key").read_text()
    part = 'Content-Disposition: form-data; name="{}"'.format
    head = f'--b\r\n{part("model")}\r\n\r\nwhisper-1\r\n--b\r\n{part("file")}; filename="a.mp3"\r\n\r\n'
    form = head.encode() + sound + b"\r\n--b--\r\n"
    heard = json.load(ask(f"{STT}/v1/audio/transcriptions", form, "multipart/form-data; boundary=b", key))
    assert heard["text"] == SENTENCE


def test_the_unit_is_hardened_and_its_keys_are_for_itself_alone(service: str, voice: Any, project: Path) -> None:
    assert voice.service("edge-tts").is_running and voice.service("edge-tts").is_enabled
    exposure = re.search(r"level for .*: ([\d.]+)", voice.check_output("systemd-analyze security --no-pager edge-tts"))
    assert exposure and float(exposure[1]) < 2.0
    assert voice.check_output("ps -o user= -p $(systemctl show -P MainPID edge-tts)") == "edge-tts"
    settings = voice.file("/etc/edge-tts/edge-tts.env")
    assert (settings.user, settings.group, settings.mode) == ("root", "edge-tts", 0o640)
    fallback = (project / "secrets/mwyo-voice-speaches-api-key").read_text()
    assert f'EDGE_TTS_FALLBACK_API_KEY="{fallback}"' in settings.content_string
    assert "yelling" not in service and fallback not in service
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask(f"{SERVICE}/v1/audio/speech", b"{}", "application/json", "wrong")


def test_the_second_run_changes_nothing_and_a_bad_voice_is_refused(service: str, project: Path) -> None:
    assert play(project, SCENARIO / "edge_tts.yml", **GIVEN).changed() == 0
    run = play(project, SCENARIO / "edge_tts.yml", **GIVEN | {"edge_tts_language": "xx"})
    assert run.status and "no voice is known for edge_tts_language xx: name one in edge_tts_voice" in run.said
    assert run.changed() == 0


def test_verify_has_it_speak(service: str, project: Path) -> None:
    status, said = play(project, "anklume.stt.verify", edge_tts_api_key=KEY, verify_json=f"{project}/edge.json")
    assert status == 0, said
    hops = {hop["hop"]: hop for hop in json.loads((project / "edge.json").read_text())}
    assert hops["Edge TTS speaks"]["detail"].startswith("pl-PL-ZofiaNeural, ")
    assert {"unit edge-tts", "port 3002", "unit wyoming"} <= set(hops)
    assert "yelling" not in said
