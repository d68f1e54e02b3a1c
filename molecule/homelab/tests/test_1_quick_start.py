# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documented commands, literally, and what stands behind them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Run
from suite import ROOT

CLIPS = ROOT / "tests/data/clips"
SENTENCES = json.loads((ROOT / "tests/data/sentences.json").read_text())


def shell(line: str) -> str:
    """What a documented line prints; asked again when nothing came: Incus may lose what short commands print."""
    for _attempt in range(5):
        if printed := subprocess.run(shlex.split(line), check=True, capture_output=True, text=True).stdout:
            break
    return printed


def test_infra_yml_is_the_documented_one(project: Path) -> None:
    documented = yaml.safe_load((ROOT / "docs/examples/quickstart/infra.yml").read_text())
    ours = yaml.safe_load((project / "infra.yml").read_text())
    assert ours["global"].pop("default_os_image") == "images:debian/12"
    for machines in (documented, ours):
        homelab = machines["domains"]["homelab"]
        del homelab["profiles"]
        homelab["machines"]["homelab-ai"].pop("gpu", None)
        for machine in homelab["machines"].values():
            machine.pop("profiles", None)
    assert ours == documented


class TestDocumentedCommands:
    def test_status(self) -> None:
        assert "active (running)" in shell("incus exec homelab-ai --project homelab -- systemctl status speaches")

    def test_health(self) -> None:
        answer = shell("incus exec homelab-ai --project homelab -- curl -s http://localhost:8000/health")
        assert json.loads(answer)["status"] == "ok"

    def test_ffmpeg(self) -> None:
        assert "ffmpeg version" in shell("incus exec homelab-ai --project homelab -- ffmpeg -version")

    def test_journal(self) -> None:
        assert "speaches" in shell("incus exec homelab-ai --project homelab -- journalctl -u speaches")

    def test_transcription_by_name_and_without_a_key(self, webui: Any) -> None:
        clip = CLIPS / "en-ansible.wav"
        subprocess.run(
            ["incus", "file", "push", "-q", clip, "homelab-webui/root/audio.wav", "--project", "homelab"], check=True
        )
        answer = webui.check_output(
            "cd /root && curl -sS -X POST http://homelab-ai:8000/v1/audio/transcriptions "
            '-F "file=@audio.wav" -F "model=large-v3-turbo"'
        )
        spoken = next(sentence["text"] for sentence in SENTENCES if sentence["clip"] == "en-ansible.wav")
        assert words(json.loads(answer)["text"]) == words(spoken)


def words(text: str) -> list[str]:
    """A sentence without case and punctuation."""
    return re.findall(r"\w+", text.lower())


@pytest.mark.parametrize(
    ("name", "unit"), [("homelab-ai", "speaches"), ("homelab-ai", "ollama"), ("homelab-webui", "open-webui")]
)
def test_units_run_and_are_hardened(machine: Any, name: str, unit: str) -> None:
    host = machine(name)
    assert host.service(unit).is_running
    assert host.service(unit).is_enabled
    assert host.check_output(f"systemctl show -P User {unit}") == unit
    report = host.check_output(f"systemd-analyze security --no-pager {unit}")
    exposure = re.search(r"Overall exposure level for .*: ([\d.]+)", report)
    assert exposure, report
    assert float(exposure.group(1)) <= 2.0


def test_verify_is_green_changes_nothing_and_can_be_read_by_machines(make: Callable[..., Run], tmp_path: Path) -> None:
    report = tmp_path / "hops.json"
    run = make("verify", f"-e verify_json={report}")
    assert run.status == 0, run.why
    assert run.changed("homelab-ai") == run.changed("homelab-webui") == 0
    hops = {hop["hop"]: hop for hop in json.loads(report.read_text())}
    assert [name for name, hop in hops.items() if not hop["ok"]] == []
    wanted = ["unit speaches", "port 8000", "model", "STT server", "unit ollama", "port 11434", "language models"]
    assert {*wanted, "unit open-webui", "Open WebUI", "Open WebUI to Ollama"} <= set(hops)
    assert hops["Open WebUI"]["recognised"] == hops["Open WebUI"]["spoken"]
    assert hops["STT server"]["real_time_factor"] > 0
    assert "stand-in:1b" in hops["language models"]["detail"]


def test_verify_is_red_and_names_the_next_step(make: Callable[..., Run], ai: Any) -> None:
    ai.check_output("systemctl stop ollama")
    try:
        run = make("verify")
    finally:
        ai.check_output("systemctl start ollama")
    assert run.status != 0
    assert "journalctl -u ollama" in run.said
    assert "not running" in run.said
