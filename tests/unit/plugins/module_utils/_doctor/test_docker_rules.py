# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with Docker: what of its container is a finding, with Docker's commands; docker itself is a stand-in here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.filter import doctor
from ansible_collections.anklume.stt.plugins.filter.stt_server import role_defaults
from ansible_collections.anklume.stt.plugins.module_utils._doctor import docker_rules, look
from ansible_collections.anklume.stt.plugins.module_utils._doctor.catalogue import RULES
from ansible_collections.anklume.stt.plugins.module_utils._doctor.examine import Finding, examine
from ansible_collections.anklume.stt.plugins.module_utils._doctor.snapshot import INSTANCE, Said, Snapshot

ATTIC = {
    "inventory_hostname": "attic",
    "ansible_host": "192.0.2.20",
    "ansible_user": "alice",
    "group_names": ["stt_compose"],
}
WELL = {"State": "running", "Health": "healthy", "OOMKilled": "false", "ExitCode": "0", "Restarts": "0", "Error": ""}
HOPS = "FAILED  container: ended next: x\nFAILED  port 8001: no answer next: x"
TAKEN = "driver failed programming external connectivity: listen tcp4 0.0.0.0:8001: bind: address already in use"


def container(**changed: str) -> Said:
    return Said("docker inspect 1f", "\n".join(f"{name}={value}" for name, value in {**WELL, **changed}.items()))


def found(seen: Said, machine: dict[str, Any] | None = None, **more: Said) -> list[Finding]:
    said = {"container": seen, "hops": Said("make verify", HOPS), **more}
    return examine(RULES, [Snapshot("attic", INSTANCE, said, ATTIC | (machine or {}), (docker_rules.ROLE,))])


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (container(State="exited"), "SVC-01"),
        (container(State="exited", ExitCode="137"), "SVC-01"),
        (container(State="created", Health=""), "SVC-01"),
        (Said("docker compose ps"), "SVC-01"),
        (container(State="restarting", ExitCode="1", Restarts="1"), "SVC-02"),
        (container(Health="starting", Restarts="4"), "SVC-02"),
        (container(State="exited", OOMKilled="true", ExitCode="137"), "SVC-04"),
        (container(State="restarting", OOMKilled="true", ExitCode="137", Restarts="9"), "SVC-04"),
        (container(State="created", Health="", ExitCode="128", Error=TAKEN), "SVC-05"),
        (Said("docker compose ps", "open /opt/stt-compose/compose.yaml: no such file or directory", 1), "SVC-06"),
        (container(Health="unhealthy"), "SVC-12"),
        (Said("docker compose ps", "Cannot connect to the Docker daemon at unix:///x", 1), "SVC-13"),
        # what it was, it is no more
        (container(Restarts="9", OOMKilled="true"), "HOP-01"),
        (Said("docker compose ps", skipped="docker is not installed"), "HOP-01"),
    ],
)
def test_what_is_wrong_with_a_container_is_one_finding(seen: Said, code: str) -> None:
    assert [one.rule.code for one in found(seen)] == [code]


def test_what_mends_it_are_commands_of_docker() -> None:
    here = "ssh alice@192.0.2.20 sudo docker compose -f /srv/stt/compose.yaml"
    (stopped,) = found(container(State="exited"), {"stt_compose_folder": "/srv/stt"})
    assert stopped.fix == (f"{here} up -d",)
    (loops,) = found(container(State="restarting"), {"stt_compose_folder": "/srv/stt"})
    assert loops.fix == (f"{here} logs --tail 50", "make compose HOST=attic")
    (taken,) = found(container(State="created", Error=TAKEN))
    assert taken.fix == ("ssh alice@192.0.2.20 sudo ss -ltnp", "make compose HOST=attic")
    log = "model.bin is damaged (x); remove /var/lib/speaches/hub/models--a--b and run"
    (damaged,) = found(container(State="restarting"), **{"journal speaches": Said("docker compose logs", log)})
    assert (damaged.rule.code, damaged.fix) == ("STT-01", ("make compose HOST=attic",))


def test_every_command_of_an_instance_that_docker_has_not_has_another_here() -> None:
    for command in docker_rules.COMMANDS:
        assert any(command in rule.fix for rule in RULES), command
    left = {command for rule in RULES for command in docker_rules.in_docker(rule.fix) if "{unit}" in command}
    # of what is no container: a unit that systemd may not start, a mask, a restart that is due
    assert left == {
        "@ systemctl enable {unit}",
        "@ systemctl enable --now {unit}",
        "@ systemctl restart {unit}",
        "@ systemctl unmask {unit}",
    } - set(docker_rules.COMMANDS)


@pytest.mark.parametrize(
    ("machine", "folder"),
    [
        ({"group_names": ["stt_compose"]}, role_defaults("stt_compose")["stt_compose_folder"]),
        ({"group_names": ["stt_compose"], "stt_compose_folder": "/srv/stt"}, "/srv/stt"),
        ({"group_names": ["stt_compose"], "stt_server_enabled": False}, ""),
        ({"group_names": ["role_stt_server"], "stt_compose_folder": "/srv/stt"}, ""),
        ({}, ""),
    ],
)
def test_whose_container_is_looked_at(machine: dict[str, Any], folder: str) -> None:
    assert doctor.doctor_compose(machine) == folder


def test_docker_on_this_host_is_the_incus_hosts_matter() -> None:
    chains = [
        {"table": "incus", "name": "fwd.net-a", "policy": "accept"},
        {"table": "filter", "name": "FORWARD", "policy": "drop"},
    ]
    nft = {"nftables": [{"chain": {"family": "ip", "hook": "forward", "type": "filter", **one}} for one in chains]}
    more = {
        "nft": Said("nft", json.dumps(nft)),
        "addresses": Said("ip", '[{"ifname": "net-a", "addr_info": [{"local": "10.1.1.1", "prefixlen": 24}]}]'),
        "hops": Said("make verify", "ok      container: running"),
    }
    (cut,) = found(container(), **more)
    assert cut.rule.code == "NET-12"
    assert cut.fix[0] == "ssh alice@192.0.2.20 sudo iptables -I DOCKER-USER -i net-a -j ACCEPT"
    assert found(container(), {"ansible_connection": "local"}, **more) == []


DOCKER = """#!/bin/sh
# stands in for docker: a container, as it was told
case "$*" in
*' ps '*) printf '%s\\n' {ps} ;;
inspect*) printf 'State={state}\\nStartedAt=2036-01-02T03:04:05.678Z\\nRestarts={restarts}\\n' ;;
*' logs '*) echo "$*" ;;
esac
"""


@pytest.mark.parametrize(
    ("state", "restarts", "since_start"), [("running", 0, True), ("running", 2, False), ("restarting", 2, False)]
)
def test_of_a_container_that_runs_the_last_start_alone_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, restarts: int, since_start: bool
) -> None:
    (tmp_path / "docker").write_text(DOCKER.format(ps="f" * 64, state=state, restarts=restarts))
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    said = look.instance([], compose="/srv/stt")
    assert said["units"].skipped and said["container"].command == "docker inspect ffffffffffff"
    assert f"State={state}" in said["container"].text
    assert "-f /srv/stt/compose.yaml logs" in said["journal speaches"].text
    assert ("2036-01-02T03:04:05.678Z" in said["journal speaches"].text) == since_start


def test_where_there_is_no_container_there_is_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker").write_text(DOCKER.format(ps="WARN: something", state="", restarts=0))
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    said = look.instance([], compose="/srv/stt")
    assert (said["container"].text, said["container"].status) == ("", 0)
    assert said["journal speaches"].skipped == "there is no container"
