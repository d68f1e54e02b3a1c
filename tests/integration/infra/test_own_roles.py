# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles that are not ours: found in the project's roles/, run in order, refused before anything runs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

NOWHERE = "/nowhere/incus.socket"


def play(project: Path, name: str, inventory: str = "") -> subprocess.CompletedProcess[str]:
    command = ["ansible-playbook", "-i", inventory or str(project / "inventory"), f"anklume.stt.{name}"]
    # Incus cannot be reached: what is refused is refused before
    environment = os.environ | {"PROJECT": str(project), "ANSIBLE_NOCOLOR": "true", "INCUS_SOCKET": NOWHERE}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one machine, this host standing for it, whose two roles write their names to a file."""
    (tmp_path / "inventory").mkdir()
    for role, folder in (("second", "roles_custom"), ("first", "roles"), ("third", "roles_vendor")):
        tasks = tmp_path / folder / role / "tasks"
        tasks.mkdir(parents=True)
        task = {"name": role, "ansible.builtin.shell": f"echo {role} >> {tmp_path}/ran", "changed_when": True}
        (tasks / "main.yml").write_text(json.dumps([task]))
    machine(tmp_path, ["first", "second", "third"])
    (tmp_path / "infra.yml").write_text("domains: {}\n")
    return tmp_path


def machine(project: Path, roles: list[str]) -> None:
    host = {"ansible_connection": "local", "instance_roles": roles}
    (project / "inventory" / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"stand-in": host}}}))


def test_they_run_in_the_order_of_infra_yml(project: Path) -> None:
    result = play(project, "services")
    assert result.returncode == 0, result.stdout + result.stderr
    assert (project / "ran").read_text().split() == ["first", "second", "third"]


def test_one_that_nobody_has_is_refused_before_anything_runs(project: Path) -> None:
    roles = "[first, nosuch, acme.web.gone]"
    (project / "infra.yml").write_text(f"domains: {{lab: {{subnet_id: 1, machines: {{one: {{roles: {roles}}}}}}}}}\n")
    assert play(project, "sync").returncode == 0
    result = play(project, "apply")
    assert result.returncode != 0
    message = " ".join((result.stdout + result.stderr).split())
    assert "nosuch, acme.web.gone" in message, message
    assert NOWHERE not in message
    assert not (project / "ran").exists()


def test_an_inventory_older_than_infra_yml_is_refused_before_anything_runs(project: Path) -> None:
    result = play(project, "apply")
    assert result.returncode != 0
    message = " ".join((result.stdout + result.stderr).split())
    assert "the inventory is older than infra.yml: run make sync" in message
    assert NOWHERE not in message
    assert not (project / "ran").exists()


def test_apply_stt_refuses_such_an_inventory_and_verify_tells_it(project: Path) -> None:
    refused, told = play(project, "stt"), play(project, "verify")
    older = "the inventory is older than infra.yml: run make sync"
    assert refused.returncode != 0
    assert older in " ".join((refused.stdout + refused.stderr).split())
    assert "Speech to text" not in refused.stdout
    assert older in " ".join(told.stderr.split())
    assert "Look at every hop" in told.stdout


def test_an_inventory_of_another_place_is_not_compared(project: Path) -> None:
    (project / "inventory").rename(project / "elsewhere")
    result = play(project, "stt", inventory=str(project / "elsewhere"))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "older than infra.yml" not in result.stdout + result.stderr


def test_machines_that_the_run_does_not_know_are_told_how_to_be_known(project: Path) -> None:
    (project / "infra.yml").write_text("domains: {lab: {subnet_id: 1, machines: {one: {}}}}\n")
    assert play(project, "sync").returncode == 0
    (project / "empty.yml").write_text("all: {}\n")
    result = play(project, "apply", inventory=str(project / "empty.yml"))
    assert result.returncode != 0
    message = " ".join((result.stdout + result.stderr).split())
    assert f"add `-i {project}/inventory`" in message
    assert NOWHERE not in message


def test_with_no_service_of_ours_there_is_nothing_to_verify(project: Path) -> None:
    result = play(project, "verify")
    assert result.returncode != 0
    assert "there is nothing to verify" in " ".join((result.stdout + result.stderr).split())
