# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the roles of infra.yml can follow in the same run, and infra_apply, which asks before it asks Incus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import InfraError
from ansible_collections.anklume.stt.plugins.module_utils._infra.following import judge_following, missing_roles
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import read_project
from ansible_collections.anklume.stt.plugins.modules import infra_apply, infra_sync
from module_runner import run_module

RUN: dict[str, Any] = {"machines": ["lab-ai"], "roles_path": [], "collections_path": []}
OLDER = "the inventory is older than infra.yml: run make sync"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write(tmp_path, "[base_system]")
    run_module(infra_sync, project_dir=str(tmp_path))
    return tmp_path


def write(project: Path, roles: str) -> None:
    text = f"domains: {{lab: {{subnet_id: 3, machines: {{lab-ai: {{roles: {roles}}}}}}}}}\n"
    (project / "infra.yml").write_text(text)


def judged(project: Path, *, check: bool = False, **run: Any) -> list[str]:
    return judge_following(str(project), read_project(str(project))[0], **RUN | run, check=check)


def test_variables_that_change_nothing_in_incus_are_named(project: Path) -> None:
    with (project / "host_vars/lab-ai.yml").open("a") as file:
        file.write("instance_gpu: true\n")
    (warning,) = judged(project)
    assert "instance_gpu here changes nothing in Incus" in warning


def test_a_run_that_knows_none_of_the_machines_is_told_how_to(project: Path) -> None:
    with pytest.raises(InfraError, match=f"this run knows none of them; add `-i {project}/inventory`"):
        judged(project, machines=[])
    assert judged(project, machines=[], check=True) == []
    (project / "infra.yml").write_text("domains: {}\n")
    run_module(infra_sync, project_dir=str(project))
    assert judged(project, machines=[]) == []


@pytest.mark.parametrize("check", [False, True])
def test_roles_that_nobody_has_are_refused_in_a_plan_too(project: Path, check: bool) -> None:
    write(project, "[base_system, gone, acme.web.gone]")
    run_module(infra_sync, project_dir=str(project))
    with pytest.raises(InfraError, match=r"nor installed: gone, acme.web.gone\. Add them there"):
        judged(project, check=check)


def test_missing_roles_are_those_found_nowhere(tmp_path: Path) -> None:
    for folder in ("roles/mine", "roles_custom/own", "roles_vendor/theirs", "global/shared"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "coll" / "ansible_collections" / "acme" / "web" / "roles" / "nginx").mkdir(parents=True)
    roles = ["base_system", "mine", "own", "theirs", "shared", "acme.web.nginx", "acme.web.gone", "gone"]
    assert missing_roles(roles, str(tmp_path), [str(tmp_path / "global")], [str(tmp_path / "coll")]) == [
        "acme.web.gone",
        "gone",
    ]


def test_infra_apply_refuses_before_it_asks_incus(project: Path) -> None:
    write(project, "[gone]")
    nowhere = str(project / "no.socket")
    refused = run_module(infra_apply, project_dir=str(project), socket=nowhere, roles_follow=RUN)
    assert refused["msg"].startswith(OLDER)
    planned = run_module(infra_apply, check=True, project_dir=str(project), socket=nowhere, roles_follow=RUN)
    assert "nor installed: gone." in planned["msg"]
    alone = run_module(infra_apply, project_dir=str(project), socket=nowhere)
    assert nowhere in alone["msg"]
