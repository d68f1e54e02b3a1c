# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second STT server and a balancer: from a line in infra.yml to a sentence that comes back whatever happens to one.

The last of the scenario's tests: from then on the bridge to Home Assistant goes through the balancer.
"""

from __future__ import annotations

import collections
import json
import re
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import testinfra
from suite import long
from test_wyoming import ADDRESS, CLIPS, NAME, SCENARIO, SENTENCES, client, play

SECOND = "mwyo-second"
URL = "http://10.173.1.11:8010"
FOX = CLIPS / "en-fox.wav"
CHANGED = {"stt_server_beam_size": 2}
MACHINE = f"""\
      {SECOND}:
        ip: "10.173.1.11"
        profiles: [default, cached]
        roles: [stt_server, stt_balancer]
"""
LIAR, STRANGER = "http://10.173.1.11:8999", "http://10.173.1.11:8998"
LIES = """
# stand-ins for a server that is well, as it says, and hears nothing, and for one that hears with a model of its own
import http.server
import threading
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, text):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(status); self.send_header("content-length", len(text)); self.end_headers()
        self.wfile.write(text)
    def do_POST(self): self.answer(500, b'{"error": {"message": "no GPU"}}')
    def do_GET(self): self.answer(200, b'{"data": [{"id": "anklume/whisper-test"}]}')
class Stranger(Handler):
    def do_POST(self): self.answer(200, b'{"text": "The quick brown fox jumps over the lazy dog."}')
    def do_GET(self): self.answer(200, b'{"data": [{"id": "another/model"}]}')
threading.Thread(target=http.server.ThreadingHTTPServer(("", 8998), Stranger).serve_forever).start()
http.server.ThreadingHTTPServer(("", 8999), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def second(project: Path) -> Any:
    """The other machine, once apply has made it, with all that it is to be."""
    infra, variables = project / "infra.yml", (SCENARIO / f"project/host_vars/{NAME}.yml").read_text()
    infra.write_text(infra.read_text().rstrip() + "\n" + MACHINE)
    own = variables.removeprefix("---").replace("wyoming_announce: true", "stt_balancer_port: 8010")
    (project / f"host_vars/{SECOND}.yml").write_text(own)
    for playbook in ("anklume.stt.sync", "anklume.stt.apply"):
        start = time.monotonic()
        status, said = play(project, playbook, project_dir=str(project), verify_json=f"{project}/hops.json")
        print(f"{playbook}: {time.monotonic() - start:.0f} s")
        assert status == 0, said
    return testinfra.get_host(f"incus://{SECOND}", project="mwyo")


def keys(project: Path) -> list[str]:
    return [(project / f"secrets/{name}-speaches-api-key").read_text() for name in (NAME, SECOND)]


class Load:
    """Clients that say a sentence through the balancer, one after the other."""

    def __init__(self, key: str, clients: int = 3) -> None:
        self.key, self.results, self.seconds = key, collections.Counter[str](), list[float]()
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(clients)]

    def run(self) -> None:
        command = [
            "curl",
            "-sS",
            "-m",
            "60",
            f"{URL}/v1/audio/transcriptions",
            "-H",
            f"Authorization: Bearer {self.key}",
        ]
        command += ["-F", "model=whisper-1", "-F", f"file=@{FOX}"]
        while not self.stopped.is_set():
            start = time.monotonic()
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            self.seconds.append(time.monotonic() - start)
            self.results[done.stdout + done.stderr] += 1

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()
        print(dict(self.results), f"longest {max(self.seconds):.1f} s")

    def all_heard(self) -> bool:
        return {json.loads(said).get("text") for said in self.results} == {SENTENCES[FOX.name]}

    def until(self, requests: int) -> None:
        while self.results.total() < requests:
            time.sleep(0.1)


def until_both_are_up(second: Any) -> None:
    second.check_output("timeout 60 sh -c 'until [ $(stt-balancer | grep -c \" UP \") = 2 ]; do sleep 0.3; done'")


def test_a_line_in_infra_yml_brings_a_balancer_and_everything_goes_through_it(second: Any, project: Path) -> None:
    hops = {hop["hop"]: hop for hop in json.loads((project / "hops.json").read_text())}
    assert {f"balancer to {NAME}", f"balancer to {SECOND}", "balancer", "Wyoming", "unit stt-balancer"} <= set(hops)
    assert hops["port 8010"]["detail"] == "2 of 2 servers take requests"
    assert hops["Wyoming to STT server"]["detail"] == f"{URL}/v1"
    assert "stt_balancer_port" in (project / "group_vars/all.yml").read_text()
    assert client("ask_wyoming.py", ADDRESS, FOX, "en")["text"] == SENTENCES[FOX.name]


def test_the_unit_is_hardened_and_the_keys_are_for_itself_alone(second: Any, project: Path) -> None:
    service = second.service("stt-balancer")
    assert service.is_running and service.is_enabled and not second.service("haproxy").is_enabled
    report = second.check_output("systemd-analyze security --no-pager stt-balancer")
    exposure = re.search(r"Overall exposure level for .*: ([\d.]+)", report)
    assert exposure and float(exposure[1]) < 2.0, report
    file = second.file("/opt/stt-balancer/current/server.keys")
    assert (file.user, file.group, file.mode) == ("root", "stt-balancer", 0o640)
    for key in keys(project):
        assert key in file.content_string
        assert key not in second.check_output("cat /opt/stt-balancer/current/haproxy.cfg; ps -eo args; stt-balancer")


def test_nothing_is_lost_where_a_server_is_killed(second: Any, machine: Any, project: Path) -> None:
    with Load(keys(project)[0]) as load:
        load.until(10)
        machine(NAME).check_output("systemctl kill -s KILL speaches")
        load.until(30)
    assert load.all_heard()
    until_both_are_up(second)


@long
def test_nothing_is_lost_where_a_server_is_cut_off(second: Any, machine: Any, project: Path) -> None:
    first = machine(NAME)
    with Load(keys(project)[0]) as load:
        load.until(10)
        first.check_output("systemd-run -q sh -c 'ip link set eth0 down; sleep 20; ip link set eth0 up'")
        load.until(60)
    assert load.all_heard()
    assert max(load.seconds) < 10  # 5 of them until the cut is noticed
    until_both_are_up(second)


def test_one_is_taken_out_and_in_again(second: Any) -> None:
    said = second.check_output(f"stt-balancer drain {NAME}")
    assert re.search(rf"^{NAME}  (DRAIN|MAINT)", said, re.M) and re.search(rf"^{SECOND}  UP", said, re.M)
    assert re.search(rf"^{NAME}  UP", second.check_output(f"stt-balancer ready {NAME}"), re.M)
    assert "there is no server third: " in second.run("stt-balancer drain third").stderr


@long
def test_what_is_of_no_use_behind_the_balancer_is_named(second: Any, project: Path) -> None:
    """A server that lies, one with another model, one with another key, and one that was taken out."""
    second.check_output(f"cat >/run/liar.py <<'END'\n{LIES}END\nsystemd-run -q --unit liar python3 /run/liar.py")
    extra = [
        {"name": "liar", "url": LIAR},
        {"name": "stranger", "url": STRANGER},
        {"name": "other", "url": "http://10.173.1.10:8000", "api_key": "wrong"},
    ]
    report = f"{project}/liar.json"
    second.check_output(f"stt-balancer drain {NAME}")
    status, said = play(project, "anklume.stt.verify", stt_balancer_extra_servers=extra, verify_json=report)
    second.check_output(f"systemctl stop liar; stt-balancer ready {NAME}")
    assert status and "hops are broken" in said
    bad = {hop["hop"]: hop["detail"] for hop in json.loads(Path(report).read_text()) if not hop["ok"]}
    assert set(bad) == {f"balancer to {name}" for name in ("liar", "stranger", "other", NAME)}
    assert (
        bad["balancer to liar"].startswith("it says that it is healthy, and ") and "no GPU" in bad["balancer to liar"]
    )
    assert bad["balancer to stranger"] == "it serves another/model and not anklume/whisper-test, as the others do"
    assert "401" in bad["balancer to other"]
    assert re.search(r"was taken out \((DRAIN|MAINT)\)", bad[f"balancer to {NAME}"])


def test_the_second_run_changes_nothing(second: Any, project: Path) -> None:
    assert play(project, "anklume.stt.services", project_dir=str(project)).changed() == 0


@long
def test_another_configuration_breaks_no_connection(second: Any, project: Path) -> None:
    started = "systemctl show -P ExecMainStartTimestampMonotonic stt-balancer"
    before = second.check_output(started)
    with Load(keys(project)[1], clients=1) as load:
        run = play(project, "anklume.stt.services", project_dir=str(project), stt_balancer_queue_seconds=60)
        assert run.status == 0 and run.changed(SECOND), run.why
    assert load.all_heard() and load.results
    assert second.check_output(started) == before, "it was restarted"
    assert "timeout queue 60s" in second.file("/opt/stt-balancer/current/haproxy.cfg").content_string


@long
@pytest.mark.timeout(900)
def test_apply_changes_every_server_under_load_and_loses_nothing(second: Any, machine: Any, project: Path) -> None:
    """One after the other, by itself: nobody is told, and nobody has to be."""
    began = "systemctl show -P ActiveEnterTimestampMonotonic speaches"
    before = [one.check_output(began) for one in (machine(NAME), second)]
    with Load(keys(project)[0]) as load:
        load.until(10)
        status, said = play(project, "anklume.stt.apply", project_dir=str(project), **CHANGED)
        load.until(load.results.total() + 10)
    assert status == 0, said
    assert load.all_heard()
    after = [one.check_output(began) for one in (machine(NAME), second)]
    assert all(now != then for now, then in zip(after, before, strict=True)), "one was not restarted"
    until_both_are_up(second)


def everything_of_the_balancer(second: Any) -> str:
    """All that tells of it on the machine."""
    places = "/etc/systemd /opt /var/lib /usr/local /run /etc/passwd"
    return str(second.run(f"find {places} -iname '*balancer*'; grep balancer /etc/passwd; dpkg -l haproxy").stdout)


@long
def test_it_goes_with_its_role(second: Any, project: Path) -> None:
    """Last in this file: the second machine is an STT server alone."""
    infra = project / "infra.yml"
    infra.write_text(infra.read_text().replace("roles: [stt_server, stt_balancer]", "roles: [stt_server]"))
    # with two servers and no balancer somebody has to say which
    there = project / f"host_vars/{NAME}.yml"
    there.write_text(there.read_text() + "wyoming_stt_url: http://10.173.1.10:8000/v1\n")
    given = {"project_dir": str(project), **CHANGED}
    assert play(project, "anklume.stt.sync", **given).status == 0
    planned = play(project, "anklume.stt.services", "--check", **given)
    assert planned.status == 0 and planned.changed(SECOND), planned.why
    assert "/usr/local/sbin/stt-balancer" in everything_of_the_balancer(second)
    run = play(project, "anklume.stt.services", **given)
    assert run.status == 0, run.why
    assert everything_of_the_balancer(second) == ""
    assert play(project, "anklume.stt.services", **given).changed() == 0
    assert client("ask_wyoming.py", ADDRESS, FOX, "en")["text"] == SENTENCES[FOX.name]
