# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An Incus on another machine, from the token to destroy: over real TLS, with somebody else's objects beside ours."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import IncusNotFoundError
from ansible_collections.anklume.stt.plugins.module_utils._incus.servers import servers
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import IncusForbiddenError
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import read_project
from conftest import Project, address, incus, look_at_strangers, make_strangers, with_incus

pytestmark = [
    pytest.mark.skipif(not os.environ.get("ANKLUME_TEST_LONG"), reason="minutes long: make test-long"),
    pytest.mark.timeout(900),
]

NAME = "anklume-test-remote"
PRESEED = {
    "config": {"core.https_address": ":8443"},
    "storage_pools": [{"name": "default", "driver": "dir"}],
    "profiles": [{"name": "default", "devices": {"root": {"type": "disk", "path": "/", "pool": "default"}}}],
}


@pytest.fixture(scope="module")
def far(nested: Any) -> Any:
    """The other machine."""
    host = with_incus(nested(NAME))
    host(f"incus admin init --preseed <<<'{json.dumps(PRESEED)}'")
    host(f"incus image import {host.files} --alias debian/13 --quiet")
    make_strangers(host)
    return host


@pytest.fixture(scope="module")
def project(far: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose machines are all there."""
    project = Project(tmp_path_factory.mktemp("far"))
    machine = {"ip": "10.179.1.10", "publish": [8000], "ephemeral": True, "roles": ["base_system"]}
    project.infra = {
        "project_name": "it-far",
        "global": {"base_subnet": "10.179", "remotes": {"it-far": {"address": address(NAME)}}},
        "domains": {"it-far": {"subnet_id": 1, "remote": "it-far", "machines": {"it-far1": machine}}},
    }
    project.write()
    yield project


def token(far: Any, name: str, *options: str) -> str:
    return str(far(f"incus config trust add {name} --quiet {' '.join(options)} | tail -n 1"))


def test_a_token_that_is_too_old(far: Any, project: Project) -> None:
    far("incus config set core.remote_token_expiry 1S")
    old = token(far, "old")
    far("sleep 2; incus config unset core.remote_token_expiry")
    refused = project.make("remote-add", "NAME=it-far", f"TOKEN={old}")
    assert refused.status != 0
    assert "expired" in refused.said, refused.output
    with pytest.raises(IncusError, match="server it-far and this project do not know each other yet"):
        project.reconcile(check=True)


def test_a_certificate_for_some_projects_only(far: Any, project: Project, tmp_path: Path) -> None:
    other = Project(tmp_path, project.infra)
    other.done("remote-add", "NAME=it-far", f"TOKEN={token(far, 'some', '--restricted', '--projects', 'default')}")
    with pytest.raises(IncusForbiddenError, match="server it-far lets this project into some of its Incus projects"):
        other.reconcile(check=True)


def test_trusted_and_not_somebody_else(far: Any, project: Project) -> None:
    project.done("remote-add", "NAME=it-far", f"TOKEN={token(far, 'it-far')}")
    folder = project.folder / "secrets" / "incus"
    assert {path.name: path.stat().st_mode & 0o077 for path in [folder, *folder.rglob("*.key")]} == {
        "incus": 0,
        "client.key": 0,
    }
    # again, as after a new installation there
    project.done("remote-add", "NAME=it-far", f"TOKEN={token(far, 'it-far2')}")
    shown = folder / "servercerts" / "it-far.crt"
    kept = shown.read_bytes()
    shutil.copy(folder / "client.crt", shown)
    with pytest.raises(IncusForbiddenError, match=r"server it-far .* is not the one that was trusted"):
        project.reconcile(check=True)
    shown.write_bytes(kept)


def test_what_a_server_tells(project: Project) -> None:
    """What the code takes from its answers, and a stand-in gives in the unit tests."""
    model, _notes = read_project(str(project.folder))
    with servers(model, str(project.folder), None) as found:
        client = next(one.client for one in found if one.name)
        said = client.get("/1.0")
        assert said["auth"] == "trusted"
        assert re.fullmatch("[0-9a-f]{64}", said["auth_user_name"])
        assert client.get(f"/1.0/certificates/{said['auth_user_name']}")["restricted"] is False
        assert re.fullmatch("[0-9a-f]{64}", said["environment"]["certificate_fingerprint"])
        assert f"{address(NAME)}:8443" in said["environment"]["addresses"]
        with pytest.raises(IncusNotFoundError):
            client.get("/1.0/networks/none/state")


def test_first_apply_and_again(far: Any, project: Project, writes: list[str]) -> None:
    before = look_at_strangers(far)
    project.done("sync")
    plan = project.done("plan")
    assert "server it-far\n" in plan.stdout
    assert "+ create instance it-far1 in it-far\n" in plan.stdout
    first = project.done("apply")
    assert first.changed("it-far1") > 0, "no role ran there"
    assert incus("project", "list", "--format", "csv", "--columns", "n").split().count("it-far") == 0
    answer = project.reconcile()
    assert (answer["changed"], writes) == (False, [])
    assert project.done("apply").changed() == 0
    assert look_at_strangers(far) == before


def test_what_is_published_there_is_reached_at_the_servers_address(project: Project) -> None:
    command = ["incus", "exec", "it-far:it-far1", "--project", "it-far", "--", "sh", "-c"]
    environment = {**os.environ, "INCUS_CONF": str(project.folder / "secrets" / "incus")}
    serve = "mkdir -p /srv/page && cd /srv/page && echo far >page && systemd-run -q --working-directory=/srv/page"
    subprocess.run([*command, f"{serve} python3 -m http.server 8000; sleep 2"], check=True, env=environment)
    with urllib.request.urlopen(f"http://{address(NAME)}:8000/page", timeout=10) as answer:
        assert answer.read() == b"far\n"


def test_a_server_that_is_off_and_one_that_hangs(far: Any, project: Project, writes: list[str]) -> None:
    for down, up, said in (
        ("systemctl stop incus.socket incus", "systemctl start incus", "nothing listens there"),
        ("", "", "does not answer"),
    ):
        far(down) if down else incus("pause", NAME)
        try:
            for check in (True, False):
                answer = project.reconcile(check=check)
                [note] = answer["notes"]
                assert note.startswith("server it-far (") and said in note, note
                assert note.endswith("nothing was looked at or changed there")
                assert (answer["unreached"], answer["plan"]) == (["it-far1"], [])
        finally:
            far(up) if up else incus("resume", NAME)
    far("timeout 30 bash -c 'until incus list >/dev/null; do sleep 0.5; done'")
    writes.clear()
    assert project.reconcile()["changed"] is False
    assert writes == []


def test_destroy(far: Any, project: Project) -> None:
    before = look_at_strangers(far)
    project.done("destroy", "ARGS=-e infra_destroy=it-far")
    assert look_at_strangers(far) == before
    assert sorted(one["name"] for one in json.loads(far("incus project list --format json"))) == ["default", "it-other"]
    assert far("incus network list --format csv --columns n | grep ^net- || true") == ""
