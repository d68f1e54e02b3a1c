# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that is added with a role and a few lines gets its order, its address, verify, upgrade and rollback."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import NAME, PARTS, ROOT, Project, Run, inside

pytestmark = pytest.mark.timeout(900)  # the first test waits for the container too
LINES = 12
"""How many lines outside its role a service may need."""


def says() -> str:
    program = "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:8081').read().decode())"
    return inside(f'python3 -c "{program}"')


def test_it_needs_few_lines(collections: Path) -> None:
    copy = collections / "ansible_collections/anklume/stt"
    changed = 0
    for part in PARTS:
        command = ["diff", "-rN", "-x", "hello_server", "-x", "__pycache__", ROOT / part, copy / part]
        lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
        changed += sum(line.startswith(("<", ">")) for line in lines)
    assert 0 < changed <= LINES


def test_sync_writes_its_address(project: Project) -> None:
    (path,) = (project.folder / "group_vars").glob("all*")
    written = yaml.safe_load(path.read_text())
    port = f"{{{{ hostvars['{NAME}'].hello_server_port | default(8081) }}}}"
    assert written["infra_hello_url"] == f"http://10.180.1.10:{port}"


def test_its_turn_comes_after_all_that_it_talks_to(applied: Run) -> None:
    places = [
        applied.output.index(text)
        for text in ("base_system : ", "PLAY [Services that talk to these]", "hello_server : ")
    ]
    assert places == sorted(places)


def test_verify_looks_at_it(applied: Run) -> None:
    assert f"{NAME} unit hello ok active, 1" in applied.said
    assert f"{NAME} port 8081 ok answers" in applied.said
    assert "all 2 hops are ok" in applied.said


def test_it_changes_its_release_there_and_back(project: Project, applied: Run, tmp_path: Path) -> None:
    assert applied.status == 0 and says() == "1 hello"
    again = project.done("apply")
    assert again.changed(NAME) == 0
    assert "Wait until it answers" in applied.output and "Wait until it answers" not in again.output
    assert "all 2 hops are ok" in again.said, "verify proves what the role has left"

    project.done("services", hello_server_version="2", hello_server_word="bye")
    assert says() == "2 bye"
    assert inside("ls /opt/hello") == "1\n2\ncurrent"

    # a damaged release that serves is not filled anew, nor is what serves touched: the next one lies beside it
    inside("echo damaged >/opt/hello/2/lock.sha256; touch /opt/hello/2/untouched")
    project.done("services", hello_server_version="2", hello_server_word="bye")
    assert says() == "2-2 bye"
    assert inside("cat /opt/hello/2/lock.sha256; ls /opt/hello /opt/hello/2/untouched") == (
        "damaged\n/opt/hello/2/untouched\n\n/opt/hello:\n2\n2-2\ncurrent"
    )
    assert project.done("services", hello_server_version="2", hello_server_word="bye").changed(NAME) == 0

    broken = tmp_path / "broken.py"
    broken.write_text('raise SystemExit("broken")\n')
    run = project.play("anklume.stt.services", hello_server_version="3", hello_server_program=str(broken))
    assert run.status != 0
    assert "3 does not serve, so 2-2 serves again" in run.said
    assert says() == "2-2 bye"
    assert "all 2 hops are ok" in project.done("verify").said
