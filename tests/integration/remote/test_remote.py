# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An Incus on another machine, from the token to destroy: over real TLS, with somebody else's objects beside ours.

What is not marked long is the smallest form, for `make test`: a token, an apply, a second one, destroy.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import IncusNotFoundError
from ansible_collections.anklume.stt.plugins.module_utils._incus.servers import servers
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import IncusForbiddenError
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import read_project
from conftest import ROOT, Project, address, incus, long, look_at_strangers, make_strangers, with_incus

pytestmark = pytest.mark.timeout(900)

NAME = "anklume-test-remote"
SENTENCE = "The quick brown fox jumps over the lazy dog."
PRESEED = {
    "config": {"core.https_address": ":8443"},
    "storage_pools": [{"name": "default", "driver": "dir"}],
    "profiles": [{"name": "default", "devices": {"root": {"type": "disk", "path": "/", "pool": "default"}}}],
}
# the committed test model stands for a real one, as in molecule's scenarios
SPEECH = {
    "stt_server_engine": "faster_whisper",
    "stt_server_model": "anklume/whisper-test",
    "stt_server_model_source": str(ROOT / "tests/data/whisper-test.tar.xz"),
    "stt_server_quantization": "int8",
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
    """A project whose machines are there."""
    project = Project(tmp_path_factory.mktemp("far"))
    machine = {"ip": "10.179.1.10", "publish": [8080], "ephemeral": True}
    project.infra = {
        "project_name": "it-far",
        "global": {"base_subnet": "10.179", "remotes": {"it-far": {"address": address(NAME)}}},
        "domains": {"it-far": {"subnet_id": 1, "remote": "it-far", "machines": {"it-far1": machine}}},
    }
    project.write()
    yield project


def token(far: Any, name: str, *options: str) -> str:
    return str(far(f"incus config trust add {name} --quiet {' '.join(options)} | tail -n 1"))


@long
def test_a_token_that_is_too_old(far: Any, project: Project) -> None:
    far("incus config set core.remote_token_expiry 1S")
    old = token(far, "old")
    far("sleep 2; incus config unset core.remote_token_expiry")
    refused = project.make("remote-add", "NAME=it-far", f"TOKEN={old}")
    assert refused.status != 0
    assert "expired" in refused.said, refused.output
    with pytest.raises(IncusError, match="server it-far and this project do not know each other yet"):
        project.reconcile(check=True)


@long
def test_a_certificate_for_some_projects_only(far: Any, project: Project, tmp_path: Path) -> None:
    other = Project(tmp_path, project.infra)
    other.done("remote-add", "NAME=it-far", f"TOKEN={token(far, 'some', '--restricted', '--projects', 'default')}")
    with pytest.raises(IncusForbiddenError, match="server it-far lets this project into some of its Incus projects"):
        other.reconcile(check=True)


def test_trusted_by_a_token(far: Any, project: Project) -> None:
    project.done("remote-add", "NAME=it-far", f"TOKEN={token(far, 'it-far')}")
    folder = project.folder / "secrets" / "incus"
    assert {path.name: path.stat().st_mode & 0o077 for path in [folder, *folder.rglob("*.key")]} == {
        "incus": 0,
        "client.key": 0,
    }


@long
def test_trusted_again_and_not_somebody_else(far: Any, project: Project) -> None:
    # as after a new installation there
    project.done("remote-add", "NAME=it-far", f"TOKEN={token(far, 'it-far2')}")
    folder = project.folder / "secrets" / "incus"
    shown = folder / "servercerts" / "it-far.crt"
    kept = shown.read_bytes()
    shutil.copy(folder / "client.crt", shown)
    with pytest.raises(IncusForbiddenError, match=r"server it-far .* is not the one that was trusted"):
        project.reconcile(check=True)
    shown.write_bytes(kept)


@long
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
    answer = project.reconcile()
    assert answer["new"] == ["it-far1"]
    assert [one["address"] for one in answer["published"]] == [address(NAME)]
    assert "it-far" not in incus("project", "list", "--format", "csv", "--columns", "n").split()
    assert project.incus("exec", "it-far:it-far1", "--project", "it-far", "--", "hostname") == "it-far1"
    writes.clear()
    answer = project.reconcile()
    assert (answer["changed"], answer["notes"], writes) == (False, [], [])
    assert look_at_strangers(far) == before


@long
def test_a_port_there_that_somebody_has(far: Any, project: Project, writes: list[str]) -> None:
    machine = project.infra["domains"]["it-far"]["machines"]["it-far1"]
    machine["publish"] = [8080, 8000]
    far("systemd-run -q --unit it-theirs python3 -m http.server 8000")
    try:
        far("timeout 20 bash -c 'until (: </dev/tcp/127.0.0.1/8000) 2>/dev/null; do sleep 0.2; done'")
        with pytest.raises(IncusError, match=r"port 8000 .* is taken on server it-far by somebody who answers there"):
            project.reconcile()
        assert writes == []
    finally:
        far("systemctl stop it-theirs")
        machine["publish"] = [8080]


@long
def test_services_over_the_remote_connection_to_a_sentence(far: Any, project: Project, writes: list[str]) -> None:
    """By make alone, as a user does it; then a neighbour of that machine speaks to what is published there."""
    before = look_at_strangers(far)
    machine = {"ip": "10.179.1.11", "publish": [8000], "publish_without_key": True, "ephemeral": True}
    machine |= {"roles": ["base_system", "stt_server"]}
    project.infra["domains"]["it-far"]["machines"]["it-far2"] = machine
    project.write()
    project.done("sync")
    with (project.folder / "host_vars" / "it-far2.yml").open("a", encoding="utf-8") as stream:
        stream.writelines(f"{name}: {value}\n" for name, value in SPEECH.items())
    plan = project.done("plan")
    assert "server it-far\n" in plan.stdout, plan.stdout
    assert "+ create instance it-far2 in it-far\n" in plan.stdout, plan.stdout
    report = project.folder / "verify.json"
    first = project.done("apply", f"ARGS=-e verify_json={report}")
    assert first.changed("it-far2") > 0, "no role ran there"
    hops = json.loads(report.read_text(encoding="utf-8"))
    assert [hop["recognised"] for hop in hops if hop["hop"] == "STT server"] == [SENTENCE]
    assert project.reconcile()["changed"] is False
    assert writes == []
    assert project.done("apply").changed() == 0
    url = f"http://{address(NAME)}:8000/v1/audio/transcriptions"
    form = ["-F", f"file=@{ROOT / 'data/clips/en.wav'}", "-F", "model=whisper-1", "-F", "language=en"]
    heard = subprocess.run(["curl", "-sS", "--fail-with-body", *form, url], check=True, capture_output=True, text=True)
    assert json.loads(heard.stdout)["text"] == SENTENCE
    assert look_at_strangers(far) == before


@long
def test_a_domain_that_moves_from_here_to_there_and_its_data(project: Project) -> None:
    """As docs/how-to/another-machine.md says it."""
    domain = {"subnet_id": 2, "ephemeral": True, "machines": {}}
    domain["machines"] = {"it-go1": {"ip": "10.179.2.10", "storage_volumes": {"notes": {"path": "/srv/notes"}}}}
    project.infra["domains"]["it-go"] = domain
    project.reconcile()
    incus("exec", "it-go1", "--project", "it-go", "--", "sh", "-c", "echo mine >/srv/notes/one")
    domain["remote"] = "it-far"
    answer = project.reconcile(check=True)
    assert answer["new"] == ["it-go1"]
    for kept in ("instance it-go1 in it-go", "volume default/notes in it-go"):
        [note] = [note for note in answer["notes"] if note.startswith(kept)]
        assert note.startswith(f"{kept} is on server it-far in infra.yml now, and anew there: what this one holds")
    project.reconcile()
    machine = ("it-far:it-go1", "--project", "it-go")
    incus("stop", "it-go1", "--project", "it-go")
    project.incus("stop", *machine)
    along = ["default/notes", "it-far:default/notes", "--project", "it-go", "--target-project", "it-go"]
    project.incus("storage", "volume", "copy", *along, "--refresh", "--mode", "push")
    project.incus("start", *machine)
    assert project.incus("exec", *machine, "--", "cat", "/srv/notes/one") == "mine"
    project.reconcile(prune=True)
    assert "it-go" not in incus("project", "list", "--format", "csv", "--columns", "n").split()
    answer = project.reconcile()
    assert (answer["changed"], answer["notes"]) == (False, [])


@long
def test_a_server_that_is_off_and_one_that_hangs(far: Any, project: Project, writes: list[str]) -> None:
    machines = [name for domain in project.infra["domains"].values() for name in domain["machines"]]
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
                assert (answer["unreached"], answer["plan"]) == (machines, [])
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
