# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smallest whole service: what runs, as whom, how hardened, and what it recognises, also through Open WebUI."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import ansible_runs
import pytest
from suite import long

DATA = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / "tests" / "data"
PROJECT = Path(os.environ["PROJECT"])
UNITS = [("mdef-ai", "speaches"), ("mdef-webui", "open-webui")]
STT = "http://127.0.0.1:8000"


def authorization() -> str:
    """The header with the key that apply has made."""
    return f"Authorization: Bearer {(PROJECT / 'secrets/mdef-ai-speaches-api-key').read_text()}"


def transcribe(host: Any, clip: str, **fields: str) -> dict[str, Any]:
    """What the server answers to a clip of tests/data, sent from inside the instance as users do with curl."""
    form = "".join(f" -F {name}={value}" for name, value in fields.items())
    url = f"{STT}/v1/audio/transcriptions"
    answer = host.run(f"curl -s -w '\\n%{{http_code}}' -H '{authorization()}' {url} -F file=@/tmp/clips/{clip}{form}")
    body, status = answer.stdout.rsplit("\n", 1)
    return {"status": int(status), **json.loads(body)}


@pytest.fixture(scope="module")
def ai(machine: Any) -> Any:
    """The instance of the STT server, with the clips of tests/data and two without speech."""
    subprocess.run(
        ["incus", "file", "push", "-r", "-q", str(DATA / "clips"), "mdef-ai/tmp/", "--project", "mdef"], check=True
    )
    host = machine("mdef-ai")
    for name, source in (("silence", "anullsrc=r=16000:cl=mono"), ("noise", "anoisesrc=r=16000:a=0.1")):
        host.check_output(f"ffmpeg -y -loglevel error -f lavfi -i {source} -t 5 /tmp/clips/{name}.wav")
    return host


@pytest.mark.parametrize(("name", "unit"), UNITS)
class TestUnit:
    def test_runs_and_starts_at_boot(self, machine: Any, name: str, unit: str) -> None:
        service = machine(name).service(unit)
        assert service.is_running
        assert service.is_enabled

    def test_is_hardened(self, machine: Any, name: str, unit: str) -> None:
        report = machine(name).check_output(f"systemd-analyze security --no-pager {unit}")
        exposure = re.search(r"Overall exposure level for .*: ([\d.]+)", report)
        assert exposure, report
        assert float(exposure.group(1)) <= 2.0

    def test_does_not_run_as_root(self, machine: Any, name: str, unit: str) -> None:
        group = machine(name).check_output(f"systemctl show -P ControlGroup {unit}")
        pids = (
            machine(name)
            .check_output(f"find /sys/fs/cgroup -path '*{group}/cgroup.procs' -exec cat {{}} + | sort -u")
            .split()
        )
        assert pids
        assert "root" not in machine(name).check_output(f"ps -o user= -p {','.join(pids)}").split()


def test_english_is_recognised(ai: Any) -> None:
    assert transcribe(ai, "en-fox.wav", model="whisper-1")["text"] == "The quick brown fox jumps over the lazy dog."


def test_french_is_recognised(ai: Any) -> None:
    assert (
        transcribe(ai, "fr-bonjour.wav", model="whisper-1")["text"] == "Bonjour, la reconnaissance vocale fonctionne."
    )


def test_a_clip_in_one_language_gives_no_sentence_of_the_other(ai: Any) -> None:
    assert "reconnaissance" not in transcribe(ai, "en-fox.wav", model="whisper-1")["text"]


@pytest.mark.parametrize("clip", ["silence.wav", "noise.wav"])
def test_no_speech_gives_no_sentence(ai: Any, clip: str) -> None:
    answer = transcribe(ai, clip, model="whisper-1")
    assert answer["status"] == 200
    assert answer["text"] == ""


def test_a_model_that_is_not_configured_is_refused(ai: Any) -> None:
    answer = transcribe(ai, "en-fox.wav", model="large-v3")
    assert answer["status"] == 404
    assert "large-v3" in answer["error"]["message"]


def test_settings_are_not_for_everybody(ai: Any) -> None:
    settings = ai.file("/etc/speaches/speaches.env")
    assert settings.user == "root"
    assert settings.group == "speaches"
    assert settings.mode == 0o640


def test_secrets_of_the_project_are_for_its_owner_alone(project: Path) -> None:
    secrets = [path for path in (project / "secrets").rglob("*") if path.is_file() and path.stat().st_size]
    assert secrets
    assert {path.stat().st_mode & 0o077 for path in secrets if path.suffix != ".crt"} == {0}
    assert (project / "secrets").stat().st_mode & 0o077 == 0


def run(*command: str) -> ansible_runs.Run:
    """A run of a tool of Ansible; it must not fail."""
    done = ansible_runs.run(command)
    assert done.status == 0, done.output
    return done


def test_what_runs_is_the_archive_with_what_it_declares_and_nothing_else() -> None:
    (there,) = json.loads(run("ansible-galaxy", "collection", "list", "--format", "json").stdout).items()
    path, found = there
    wanted = {"anklume.stt"}
    for name in found:
        manifest = json.loads((Path(path) / name.replace(".", "/") / "MANIFEST.json").read_text())
        wanted |= set(manifest["collection_info"]["dependencies"])
    assert "community.general" in wanted
    assert set(found) == wanted
    assert not (Path(path) / "anklume/stt").is_symlink()


def test_every_plugin_is_shown_with_its_documentation() -> None:
    for kind in ("module", "filter", "lookup", "callback", "shell"):
        listed = json.loads(run("ansible-doc", "--json", "-t", kind, "-l", "anklume.stt").stdout)
        assert listed
        assert [name for name, text in listed.items() if not text or "UNDOCUMENTED" in text] == []


def test_sync_and_plan_find_nothing_to_do(project: Path) -> None:
    inventory = ("-i", str(project / "inventory"))
    assert run("ansible-playbook", "anklume.stt.sync").changed() == 0
    planned = run("ansible-playbook", *inventory, "anklume.stt.plan", "--check", "--diff")
    assert "Incus holds what infra.yml says" in planned.said
    assert planned.changed() == 0, planned.output


def test_verify_is_green_on_every_hop_and_changes_nothing(project: Path) -> None:
    inventory, report = ("-i", str(project / "inventory")), project / "verify.json"
    verified = run("ansible-playbook", *inventory, "anklume.stt.verify", "-e", f"verify_json={report}")
    assert verified.changed() == 0, verified.output
    hops = {(hop["host"], hop["hop"]): hop for hop in json.loads(report.read_text())}
    assert all(hop["ok"] for hop in hops.values())
    for name, hop in (("mdef-ai", "STT server"), ("mdef-webui", "Open WebUI")):
        assert hops[name, hop]["recognised"] == "The quick brown fox jumps over the lazy dog."


@long
def test_the_bench_of_the_service_tells_how_fast_it_is(project: Path) -> None:
    told = run("python", str(DATA.parents[1] / "scripts/bench_service.py"), str(project), "--quick").output
    assert re.search(r"^model +anklume/whisper-test, int8 on cpu$", told, re.M), told
    kept = json.loads((project / "bench/mdef-ai.json").read_text())
    assert kept["sounds"][0]["times"] > 1
    assert [row["requests"] for row in kept["commands"]] == [3, 12, 24]
    assert 20 < kept["memory_mib"]["idle"] <= kept["memory_mib"]["peak"]
    assert (project / "bench/mdef-ai.svg").read_text().startswith("<svg")


def test_its_numbers_can_be_read_by_a_monitor(ai: Any) -> None:
    assert "\nstt_models_loaded 1.0\n" in ai.check_output(f"curl -sf -H '{authorization()}' {STT}/metrics")
