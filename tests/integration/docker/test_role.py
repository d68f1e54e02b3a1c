# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role stt_compose on a real Docker: up, a sentence, again nothing, another key, and back where a release fails."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._services.openai_audio import word_error_rate
from conftest import CLIP, REGISTRY, SENTENCE, SPEACHES, Docker, Project, as_the_page_says, transcribed, until

pytestmark = [
    pytest.mark.skipif(not os.environ.get("ANKLUME_TEST_LONG"), reason="minutes long: make test-long"),
    pytest.mark.timeout(900),
]
URL = "http://127.0.0.1:8001/v1"
COMPOSE = ("compose", "HOST=attic")


def container(docker: Docker, project: Project) -> str:
    """The id of the one that serves."""
    return docker("compose", "-f", project.made / "compose.yaml", "ps", "-q", "speaches")


def findings(project: Project) -> list[str]:
    """What the doctor finds on the host. This machine's Incus, if it has one, is another matter."""
    told = project.folder / "doctor.json"
    done = project.make("doctor", f"JSON={told}")
    assert told.exists(), done.output
    return [one["code"] for one in json.loads(told.read_text())["findings"] if one["host"] == "attic"]


def test_it_is_started_proved_and_left_alone(project: Project, docker: Docker) -> None:
    planned = project.make(*COMPOSE, "ARGS=--check")
    assert planned.status == 0, planned.why
    assert not project.made.exists()

    first = project.make(*COMPOSE)
    assert first.status == 0, first.why
    assert transcribed(URL, project.key) == (200, SENTENCE)
    assert transcribed(URL, "another")[0] == 403
    seen = docker("inspect", container(docker, project))
    assert project.key not in seen and '"Status": "healthy"' in seen
    # by the image's own uv, from the lock's digests
    there = {path.name for path in project.made.glob("packages/*/*.dist-info")}
    assert {re.sub(r"-.*", "", name) for name in there} == {"av", "ctranslate2", "prometheus_client"}

    again = project.make(*COMPOSE)
    assert (again.status, again.changed("attic")) == (0, 0), again.output

    verified = project.make("compose-verify", "HOST=attic")
    assert (verified.status, verified.changed()) == (0, 0), verified.output
    assert "running, healthy" in verified.said and SENTENCE in verified.said

    assert findings(project) == []
    docker("compose", "-f", project.made / "compose.yaml", "stop")
    broken = project.make("compose-verify")
    assert broken.status != 0 and "exited" in broken.said and "4 of 4 hops are broken" in broken.said
    assert findings(project) == ["SVC-01"]
    assert project.make(*COMPOSE).changed("attic") == 1
    assert transcribed(URL, project.key) == (200, SENTENCE)


def test_it_can_be_started_by_hand_as_the_page_says(project: Project) -> None:
    project.set(stt_compose_started="false")
    assert (done := project.make(*COMPOSE)).status == 0, done.why
    (project.folder / "hello.wav").write_bytes(CLIP.read_bytes())
    here = {"/opt/stt-compose": project.made, "@hello": f"@{project.folder}/hello", "$KEY": project.key}
    printed = as_the_page_says("with-docker", "needs no Docker itself. On the host, then:", project.folder, here)
    assert f'"text": "{SENTENCE}"' in printed


def test_another_key_reaches_what_runs(project: Project) -> None:
    project.set(stt_server_api_key="first-key")
    assert (done := project.make(*COMPOSE)).status == 0, done.why
    project.set(stt_server_api_key="second-key")
    assert (done := project.make(*COMPOSE)).status == 0, done.why
    assert transcribed(URL, "second-key") == (200, SENTENCE)
    assert transcribed(URL, "first-key")[0] == 403
    assert "second-key" not in done.output


def test_what_fails_gives_way_to_what_served_before(project: Project, docker: Docker, new: str, deaf: str) -> None:
    assert (done := project.make(*COMPOSE)).status == 0, done.why
    before = {path: path.read_bytes() for path in project.made.glob("*.*") if path.is_file()}
    project.set(stt_compose_image=deaf, stt_server_log_level="debug")
    failed = project.make(*COMPOSE)
    assert failed.status != 0
    assert "What served before was put back, and serves again" in failed.said
    assert transcribed(URL, project.key) == (200, SENTENCE)
    assert {path: path.read_bytes() for path in project.made.glob("*.*") if path.is_file()} == before
    project.set(stt_compose_image=new, stt_server_log_level="info")
    again = project.make(*COMPOSE)
    assert (again.status, again.changed("attic")) == (0, 0), again.output


def test_another_image_is_refused_while_what_serves_goes_on(project: Project, docker: Docker, new: str) -> None:
    assert (done := project.make(*COMPOSE)).status == 0, done.why
    serves = container(docker, project)
    project.set(stt_compose_image=docker.image("speaches:other", "other"))
    failed = project.make(*COMPOSE)
    assert failed.status != 0
    assert "the source of Speaches is another one. What served before was put back" in failed.said
    assert container(docker, project) == serves
    assert transcribed(URL, project.key) == (200, SENTENCE)


def test_a_first_start_that_fails_says_where_its_log_is(project: Project, deaf: str) -> None:
    project.set(stt_compose_image=deaf)
    failed = project.make(*COMPOSE)
    assert failed.status != 0
    assert "Its log: docker compose -f" in failed.said


def test_one_that_ends_again_and_again_is_not_waited_for(project: Project, docker: Docker) -> None:
    project.set(stt_compose_image=docker.image("speaches:falls", "falls"))
    begun = time.monotonic()
    failed = project.make(*COMPOSE)
    assert failed.status != 0 and "there is not enough memory for the model. Its log:" in failed.said, failed.output
    assert time.monotonic() - begun < 120
    assert findings(project) == ["SVC-02"]


def test_a_port_that_somebody_else_has_is_found(project: Project, docker: Docker) -> None:
    with socket.create_server(("0.0.0.0", 8001)):
        failed = project.make(*COMPOSE)
        assert failed.status != 0 and "address already in use" in failed.said, failed.output
        assert findings(project) == ["SVC-05"]
    assert (done := project.make(*COMPOSE)).status == 0, done.why
    assert findings(project) == []


def test_it_comes_over_ssh(project: Project, docker: Docker, sshd: dict[str, object]) -> None:
    project.reach(sshd)
    planned = project.make(*COMPOSE, "ARGS=--check --diff")
    assert planned.status == 0, planned.why
    assert not project.made.exists()
    first = project.make(*COMPOSE)
    assert first.status == 0, first.why
    assert transcribed(URL, project.key) == (200, SENTENCE)
    again = project.make(*COMPOSE)
    assert (again.status, again.changed("attic")) == (0, 0), again.output
    assert "Accepted publickey for root" in (docker.folder / "ssh/log").read_text()


def test_a_container_that_is_ill_is_found(project: Project, docker: Docker) -> None:
    assert (done := project.make(*COMPOSE)).status == 0, done.why

    def is_now(health: str) -> bool:
        return f'"Status": "{health}"' in docker("inspect", container(docker, project))

    (model,) = project.made.glob("hub/models--*")
    aside = model.rename(project.folder / "aside")
    until(lambda: is_now("unhealthy"), 90)
    assert set(findings(project)) == {"SVC-12", "CFG-01"}
    aside.rename(model)
    until(lambda: is_now("healthy"), 30)
    assert findings(project) == []


def test_what_docker_does_to_its_host_is_found(
    project: Project, sshd: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (done := project.make(*COMPOSE)).status == 0, done.why
    # of another host; what of this one Docker cuts is NET-03
    bridge = "ip link add incusbr9 type bridge && ip address add 10.9.9.1/24 dev incusbr9"
    subprocess.run(["sh", "-ec", bridge], check=True)
    rules = "table inet incus { chain fwd.incusbr9 { type filter hook forward priority filter; }; }\n"
    rules += "table ip filter { chain FORWARD { type filter hook forward priority filter; policy drop; }; }\n"
    project.reach(sshd)
    try:
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
        assert findings(project) == ["NET-12"]
    finally:
        subprocess.run(["nft", "flush", "ruleset"], check=True)
        subprocess.run(["ip", "link", "delete", "incusbr9"], check=True)

    project.reach({"ansible_connection": "local"})
    monkeypatch.setenv("DOCKER_HOST", f"unix://{project.folder}/nobody.sock")
    assert findings(project) == ["SVC-13"]


def test_where_cdi_is_not_turned_on_that_is_said(project: Project, docker: Docker) -> None:
    if docker.knows_cdi:
        pytest.skip("this Docker knows it")
    project.set(stt_server_device="cuda", stt_server_gpu="RTX 3060")
    failed = project.make(*COMPOSE)
    assert failed.status != 0 and "has CDI not turned on (it is there from 25 on" in failed.said, failed.output
    assert not project.made.exists()


@pytest.mark.skipif(not os.environ.get("SPEACHES_ARCHIVE"), reason="SPEACHES_ARCHIVE names no archive of Speaches")
def test_speaches_itself_hears_a_sentence(project: Project, docker: Docker, itself: str) -> None:
    project.set(stt_compose_image=itself, stt_server_model="base", stt_server_model_source=SPEACHES / "base")
    first = project.make(*COMPOSE)
    assert first.status == 0, (first.why, docker("logs", container(docker, project)))
    status, text = transcribed(URL, project.key, 120)
    # Whisper base hears "jump over" at times
    assert status == 200 and word_error_rate(SENTENCE, text) < 0.2, text
    assert transcribed(URL, "another")[0] == 403
    again = project.make(*COMPOSE)
    assert (again.status, again.changed("attic")) == (0, 0), again.output

    # one that somebody has changed
    tag = f"{REGISTRY}/speaches:changed"
    change = "open('src/speaches/main.py', 'a').write('# changed')"
    docker("run", "--name", "changed", itself, "python", "-c", change)
    docker("commit", "changed", tag)
    project.set(stt_compose_image=docker.pushed(tag))
    failed = project.make(*COMPOSE)
    assert failed.status != 0 and "the source of Speaches is another one" in failed.said, failed.output
    assert transcribed(URL, project.key, 120)[0] == 200
