# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role stt_compose on a real Docker: up, a sentence, again nothing, another key, and back where a release fails."""

from __future__ import annotations

import os
import re

import pytest
from conftest import SENTENCE, Docker, Project, transcribed

pytestmark = [
    pytest.mark.skipif(not os.environ.get("ANKLUME_TEST_LONG"), reason="minutes long: make test-long"),
    pytest.mark.timeout(900),
]
URL = "http://127.0.0.1:8001/v1"
COMPOSE = ("compose", "HOST=attic")


def container(docker: Docker, project: Project) -> str:
    """The id of the one that serves."""
    return docker("compose", "-f", project.made / "compose.yaml", "ps", "-q", "speaches")


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

    docker("compose", "-f", project.made / "compose.yaml", "stop")
    broken = project.make("compose-verify")
    assert broken.status != 0 and "exited" in broken.said and "4 of 4 hops are broken" in broken.said
    assert project.make(*COMPOSE).changed("attic") == 1
    assert transcribed(URL, project.key) == (200, SENTENCE)


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


def test_a_first_start_that_fails_says_where_its_log_is(project: Project, deaf: str) -> None:
    project.set(stt_compose_image=deaf)
    failed = project.make(*COMPOSE)
    assert failed.status != 0
    assert "Its log: docker compose -f" in failed.said
