# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role monitoring beside the STT server that it watches: Debian's Prometheus, a sentence, alerts that arrive."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import quota
from ansible_runs import Run
from suite import ROOT, long
from test_wyoming import NAME, SCENARIO, play

PLAY = SCENARIO / "monitoring.yml"
HERE, PAGE = "10.173.1.10", "http://10.173.1.10:9090"
FOLDER = "/etc/prometheus/anklume"
UNITS = ("prometheus", "prometheus-alertmanager", "prometheus-blackbox-exporter")
SMI, GPU = "/usr/local/bin/nvidia-smi", "0, GPU-aaaa, 12288, 2100, 37, 64, 121.50, 0x0"
GIVEN = {
    "monitoring_interval": 2,
    "monitoring_sentence_interval": 4,
    "monitoring_webhook_url": "http://127.0.0.1:5001/token-4711",
    "monitoring_nodes": {"incus-host": f"{HERE}:9100"},
    "monitoring_host_state": "present",
    "monitoring_incus_metrics": True,
}


@pytest.fixture(scope="module")
def voice(machine: Any) -> Any:
    return machine(NAME)


@pytest.fixture(scope="module")
def key(project: Path) -> str:
    return (project / "secrets/mwyo-voice-speaches-api-key").read_text()


def converge(project: Path, **given: Any) -> tuple[Run, dict[str, Any]]:
    """A run of the role, and its hops."""
    kept = project / "monitor.json"
    run = play(project, PLAY, **GIVEN | given, hops_json=str(kept))
    assert run.status == 0, run.said
    return run, {hop["hop"]: hop for hop in json.loads(kept.read_text())}


@pytest.fixture(scope="module")
def first(voice: Any, project: Path) -> Iterator[tuple[Run, dict[str, Any]]]:
    """The first run, and its hops; the packages stay, and nothing of them runs afterwards."""
    voice.check_output(f"printf '#!/bin/sh\n# a stand-in, not nvidia-smi\necho {GPU}\n' >{SMI} && chmod +x {SMI}")
    try:
        yield converge(project)
    finally:
        voice.run(f"systemctl disable -q --now {' '.join(UNITS)} prometheus-node-exporter anklume-gpu-textfile.timer")
        voice.run(f"rm -rf {FOLDER} /etc/systemd/system/prometheus*.service.d {SMI} /usr/local/lib/anklume")
        voice.run("rm -f /etc/systemd/system/anklume-gpu-textfile.*; systemctl daemon-reload")
        subprocess.run(["incus", "config", "unset", "core.metrics_address"], check=True)
        for one in readers():
            subprocess.run(["incus", "config", "trust", "remove", one["fingerprint"]], check=True)


def readers() -> list[dict[str, Any]]:
    """The certificates by which Incus knows the monitor."""
    listed = subprocess.check_output(["incus", "query", "/1.0/certificates?recursion=1"])
    return [one for one in json.loads(listed) if one["name"] == "anklume-monitor"]


@pytest.fixture(scope="module")
def monitor(first: tuple[Run, dict[str, Any]]) -> str:
    return first[0].said


def asked(path: str) -> Any:
    with urllib.request.urlopen(f"{PAGE}/api/v1/{path}", timeout=10) as answer:
        return json.load(answer)["data"]


def value(expression: str) -> float | None:
    """What Prometheus answers; None where it knows none."""
    found = asked("query?" + urllib.parse.urlencode({"query": expression}))["result"]
    return float(found[0]["value"][1]) if found else None


def until(so: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < deadline, so
        time.sleep(0.5)


def test_every_service_of_the_machine_is_seen(monitor: str) -> None:
    until(lambda: all(one["health"] != "unknown" for one in asked("targets")["activeTargets"]))
    found = {(one["labels"]["job"], one["labels"]["instance"]): one for one in asked("targets")["activeTargets"]}
    assert {one["lastError"] for one in found.values()} == {""}
    assert {"stt", "stt-sentence", "service", "node", "incus", "monitoring"} == {job for job, _instance in found}
    assert value('up{job="stt", instance="mwyo-voice"}') == 1
    assert value('probe_success{job="service", service="wyoming"}') == 1


def test_the_sentence_is_heard(monitor: str) -> None:
    until(lambda: value('probe_success{job="stt-sentence", instance="mwyo-voice"}') is not None)
    assert value('probe_success{job="stt-sentence"}') == 1
    until(lambda: (value('stt_audio_seconds_total{instance="mwyo-voice"}') or 0) > 3)


def test_the_host_tells_of_its_gpu(monitor: str, voice: Any) -> None:
    until(lambda: value('nvidia_gpu_readable{instance="incus-host"}') == 1)
    assert value('nvidia_gpu_memory_total_bytes{instance="incus-host"}')
    listening = voice.check_output("ss -Hltn sport = :9100").split()[3]
    assert listening == f"{HERE}:9100"


def test_incus_tells_what_the_instances_of_the_project_use(monitor: str, voice: Any) -> None:
    until(lambda: value(f'incus_memory_RSS_bytes{{name="{NAME}"}}'))
    assert value('up{job="incus", instance="incus-host"}') == 1
    query = urllib.parse.urlencode({"match[]": "incus_memory_RSS_bytes"})
    assert asked(f"label/project/values?{query}") == ["mwyo"]
    (reader,) = readers()
    assert (reader["type"], reader["restricted"], reader["projects"]) == ("metrics", True, ["mwyo"])


def test_the_monitors_certificate_opens_nothing_else(monitor: str, project: Path) -> None:
    secrets = project / "secrets"
    assert {(secrets / f"incus-metrics{end}").stat().st_mode & 0o777 for end in (".key", ".crt")} == {0o600}
    shown = ["--cert", secrets / "incus-metrics.crt", "--key", secrets / "incus-metrics.key"]
    host = "https://10.173.1.254:8444/1.0"

    def answered(path: str, *options: object) -> tuple[str, str]:
        command = ["curl", "-sk", "-w", "\n%{http_code}", *map(str, options), host + path]
        body, _, status = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rpartition("\n")
        return status, body

    status, told = answered("/metrics", *shown)
    assert status == "200" and set(re.findall('project="(.*?)"', told)) == {"mwyo"}
    assert 'project="' not in answered("/metrics?project=default", *shown)[1]
    assert answered("/metrics")[0] == "403"
    for path in ("/instances?project=mwyo", f"/instances/{NAME}?project=mwyo", "/networks"):
        assert answered(path, *shown)[0] == "404"


def test_the_dashboard_asks_for_what_is_there(monitor: str) -> None:
    board = (ROOT / "data/monitoring/dashboard.json").read_text()
    wanted = set(re.findall(r"\b(?:stt|node|incus|nvidia|probe|process)_\w+", board))
    assert len(wanted) > 10
    until(lambda: wanted <= set(asked("label/__name__/values")))


def test_keys_are_for_the_monitor_alone(monitor: str, voice: Any, key: str) -> None:
    for name in (f"keys/{NAME}", "alertmanager.yml"):
        file = voice.file(f"{FOLDER}/{name}")
        assert (file.user, file.group, file.mode) == ("root", "prometheus", 0o640)
    assert voice.file(f"{FOLDER}/keys/{NAME}").content_string == key
    assert key not in voice.check_output(f"cat {FOLDER}/*.yml; ps -eo args") and key not in monitor
    assert "token-4711" not in monitor
    for port in (9093, 9115):
        assert voice.check_output(f"ss -Hltn sport = :{port}").split()[3] == f"127.0.0.1:{port}"
    assert all(voice.service(unit).is_running and voice.service(unit).is_enabled for unit in UNITS)


def test_the_hops_are_whole_right_after_the_first_run(first: tuple[Run, dict[str, Any]]) -> None:
    hops = first[1]
    assert [hop for hop in hops.values() if not hop["ok"]] == []
    assert re.fullmatch(r"\d+ targets", hops["Prometheus sees every target"]["detail"])
    assert {"unit prometheus", "port 9090", "Prometheus has its rules", "Alertmanager"} <= set(hops)


def test_the_second_run_changes_nothing(monitor: str, project: Path) -> None:
    run, hops = converge(project)
    assert run.changed() == 0
    assert hops["spoken sentence is heard"]["detail"] == "by 1 of 1 STT servers"


@long
def test_verify_and_doctor_know_the_monitor(monitor: str, voice: Any, project: Path) -> None:
    group = project / "inventory/monitoring.yml"
    group.write_text(json.dumps({"role_monitoring": {"hosts": {NAME: {}}}}))
    try:
        status, said = play(project, "anklume.stt.verify", verify_json=f"{project}/verify.json")
        assert status == 0, said
        hops = {hop["hop"] for hop in json.loads((project / "verify.json").read_text())}
        assert {"Prometheus sees every target", "spoken sentence is heard", "unit wyoming"} <= hops
        voice.check_output("systemctl stop prometheus-node-exporter")
        until(lambda: value('up{job="node"}') == 0)
        status, said = play(project, "anklume.stt.doctor", **GIVEN)
        assert status and "MON-01" in said and "incus-host (node)" in said
    finally:
        group.unlink()
        voice.check_output("systemctl start prometheus-node-exporter")


HOOK = """
# keeps what Alertmanager sends: two lines for each alert, with its name and state, and its code
import http.server, json
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with open("/root/alerts", "a") as out:
            for one in told["alerts"]:
                name, code = one["labels"]["alertname"], one["labels"].get("code", "")
                out.write(f"{name} {one['status']}\\n{name}={code} {one['status']}\\n")
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", 5001), Handler).serve_forever()
"""
ANOTHER_MODEL = """
# a stand-in for a server with another model: it hears something else
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, text):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200); self.send_header("content-length", len(text)); self.end_headers()
        self.wfile.write(text)
    def do_POST(self): self.answer(b"Thanks for watching the quick show.")
    def do_GET(self): self.answer(b"stt_models_loaded 1\\n")
http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
"""


class Hook:
    """A webhook on the machine itself, which reaches nothing of the host."""

    def __init__(self, voice: Any) -> None:
        self.voice = voice
        start(voice, "hook", HOOK)

    def states(self) -> dict[str, str]:
        return dict(line.split() for line in self.voice.run("cat /root/alerts").stdout.splitlines())

    def comes(self, alert: str, state: str) -> None:
        try:
            until(lambda: self.states().get(alert) == state, 90)
        except AssertionError:
            # shown where a test fails
            print(
                self.states(),
                asked("alerts"),
                self.voice.check_output("amtool --alertmanager.url=http://127.0.0.1:9093 alert -o json"),
                sep="\n",
            )
            raise


def start(voice: Any, unit: str, program: str) -> None:
    voice.run(f"cat >/root/{unit}.py <<'END'\n{program}\nEND")
    voice.check_output(f"systemd-run -q --collect --unit {unit} python3 /root/{unit}.py")


@pytest.fixture
def hook(monitor: str, voice: Any, project: Path) -> Iterator[Hook]:
    """A webhook, and waiting times of seconds in the place of minutes; both end with the test."""
    shorter = (
        r"s/for: [0-9]+m/for: 2s/; s/\[10m\]/[10s]/g",
        r"s/^route:/route:\n  group_wait: 1s\n  group_interval: 1s/",
    )
    voice.check_output(
        f"sed -Ei '{shorter[0]}' {FOLDER}/stt.rules.yml && sed -Ei '{shorter[1]}' {FOLDER}/alertmanager.yml"
    )
    # with what it remembers to have told, Alertmanager says nothing for hours of an alert that a run before has left
    voice.check_output(f"systemctl stop {UNITS[1]} && rm -f /var/lib/prometheus/alertmanager/nflog")
    voice.check_output(f"systemctl restart {' '.join(UNITS)}")
    try:
        yield Hook(voice)
    finally:
        voice.run(
            "systemctl stop another hook; systemctl start speaches; rm -f /root/alerts /root/hook.py /root/another.py"
        )
        converge(project)


@long
def test_alerts_arrive_and_are_taken_back(hook: Hook, voice: Any) -> None:
    """The service stops, comes back; another model hears something else, and the right one is back."""
    voice.check_output("systemctl stop speaches")
    hook.comes("SttDown", "firing")
    assert hook.states().get("SttHearsWrong") in (None, "resolved")
    voice.check_output("systemctl start speaches")
    hook.comes("SttDown", "resolved")
    voice.check_output("systemctl stop speaches")
    start(voice, "another", ANOTHER_MODEL)
    hook.comes("SttHearsWrong", "firing")
    voice.check_output("systemctl stop another && systemctl start speaches")
    hook.comes("SttHearsWrong", "resolved")


def have_the_doctor_look(project: Path, folder: Path) -> None:
    """As the timer on the Incus host does, whose node-exporter is the one on the machine."""
    user = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    command = ["make", "-s", "doctor-metrics", f"PROJECT={project}", f"TO={folder}/doctor.prom"]
    subprocess.run(command, cwd=ROOT, env=user, check=True, capture_output=True)
    there = f"{NAME}/var/lib/prometheus/node-exporter/doctor.prom"
    subprocess.run(["incus", "file", "push", "-q", f"{folder}/doctor.prom", there, "--project", "mwyo"], check=True)


@long
def test_a_quota_that_is_reached_is_told_and_taken_back(hook: Hook, project: Path, tmp_path: Path) -> None:
    with quota.almost_reached("mwyo", NAME):
        have_the_doctor_look(project, tmp_path)
        hook.comes("DoctorFinds=DSK-01", "firing")
    have_the_doctor_look(project, tmp_path)
    hook.comes("DoctorFinds=DSK-01", "resolved")


@long
def test_it_is_turned_off_and_on(monitor: str, voice: Any, project: Path) -> None:
    converge(project, monitoring_enabled=False)
    assert not any(voice.service(unit).is_running or voice.service(unit).is_enabled for unit in UNITS)
    run, hops = converge(project, monitoring_enabled=False)
    assert run.changed() == 0 and hops == {}
    converge(project)
    assert all(voice.service(unit).is_running for unit in UNITS)


@long
def test_the_host_is_left_as_it_was(monitor: str, voice: Any, project: Path) -> None:
    without = {"monitoring_nodes": {}, "monitoring_incus_metrics": False}
    converge(project, monitoring_host_state="absent", **without)
    assert not voice.package("prometheus-node-exporter").is_installed
    assert not voice.file("/etc/systemd/system/anklume-gpu-textfile.timer").exists
    assert voice.check_output("ss -Hltn sport = :9100") == ""
    assert converge(project, monitoring_host_state="absent", **without)[0].changed() == 0
    assert readers() == [] and not list((project / "secrets").glob("incus-metrics*"))
    converge(project)
