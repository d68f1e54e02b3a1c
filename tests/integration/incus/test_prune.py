# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What infra.yml no longer names, what it never named, adoption and snapshots."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus.info import info
from ansible_collections.anklume.stt.plugins.module_utils._incus.snapshots import holders, snapshot
from conftest import Lab, one_machine


def second() -> dict[str, Any]:
    return {"subnet_id": 2, "machines": {"it-b1": {"ip": "10.178.2.10"}}}


@pytest.fixture(scope="module")
def made(lab: Lab) -> Lab:
    lab.infra["domains"] = {"it-a": one_machine(), "it-b": second()}
    lab.apply()
    return lab


def snapshots(lab: Lab, name: str = "it-a1", domain: str = "it-a") -> list[str]:
    found = lab.get(f"/1.0/instances/{name}/snapshots?project={domain}&recursion=1")
    return sorted(one["name"] for one in found)


def test_snapshots_are_taken_restored_and_deleted(made: Lab) -> None:
    made.run("it-a1", "echo first >/root/file")
    before = holders([made.client], made.name)
    assert snapshot(before, "present", "s1", check=True)["instances"] == ["it-a1", "it-b1"]
    assert snapshots(made) == []
    assert snapshot(before, "present", "s1")["changed"]
    assert not snapshot(holders([made.client], made.name), "present", "s1")["changed"]
    made.run("it-a1", "echo second >/root/file")

    only_a = holders([made.client], made.name, domains=["it-a"])
    assert snapshot(only_a, "restored", "s1")["instances"] == ["it-a1"]
    assert made.run("it-a1", "cat /root/file") == "first"
    present = [name for name in snapshots(made) if name.startswith("before-restore-")]
    snapshot(holders([made.client], made.name, domains=["it-a"]), "restored", present[0])
    assert made.run("it-a1", "cat /root/file") == "second"

    assert snapshot(holders([made.client], made.name), "absent", "s1")["instances"] == ["it-a1", "it-b1"]
    assert snapshots(made, "it-b1", "it-b") == []
    with pytest.raises(IncusError, match="no instance has a snapshot s1"):
        snapshot(holders([made.client], made.name), "restored", "s1")


def test_rollback_goes_back_to_before_the_last_apply(made: Lab) -> None:
    made.run("it-a1", "echo before >/root/file")
    made.infra["domains"]["it-a"] = one_machine(config={"limits.processes": "3000"})
    made.apply()
    made.run("it-a1", "echo after >/root/file")
    assert snapshot(holders([made.client], made.name), "rolled_back", None)["instances"] == ["it-a1"]
    assert made.run("it-a1", "cat /root/file") == "before"
    assert "limits.processes" not in made.instance("it-a1")["config"]
    made.infra["domains"]["it-a"] = one_machine()
    made.unchanged()


def test_a_domain_nobody_knows(made: Lab) -> None:
    with pytest.raises(IncusError, match="no domain it-x in Incus: there is it-a, it-b"):
        holders([made.client], made.name, domains=["it-x"])


def test_info_lists_what_is_ours(made: Lab) -> None:
    found = info(made.client, made.name)
    assert found["projects"] == ["it-a", "it-b"]
    assert [network["name"] for network in found["networks"]] == ["net-it-a", "net-it-b"]
    assert found["instances"][0]["addresses"] == ["10.178.1.10"]
    assert found["instances"][0]["image"] == "images:debian/13"
    assert "it-other" in info(made.client)["projects"]


def test_a_domain_that_goes(made: Lab) -> None:
    del made.infra["domains"]["it-b"]
    result = made.apply()
    assert not result["changed"]
    assert "instance it-b1 in it-b is no longer in infra.yml" in " ".join(result["notes"])
    result = made.apply(prune=True)
    assert not result["changed"]
    assert "confirm=it-b1" in result["notes"][0]

    made.run("it-b1", "echo kept >/root/file", "it-b")

    # somebody else puts an instance into our project: it stays, and what it needs
    stranger = {"name": "it-stranger", "type": "container", "source": {"type": "none"}}
    made.client.send("POST", "/1.0/instances?project=it-b", stranger)
    before = json.dumps(made.instance("it-stranger", "it-b"))
    result = made.apply(prune=True, confirm=frozenset({"it-b1"}))
    assert result["summary"] == ["* export instance it-b1 in it-b", "- delete instance it-b1 in it-b"]
    assert "it holds instance it-stranger in it-b" in result["notes"][0]
    assert json.dumps(made.instance("it-stranger", "it-b")) == before
    assert len(result["exports"]) == 1
    made.client.send("DELETE", "/1.0/instances/it-stranger?project=it-b")

    result = made.apply(prune=True)
    assert result["summary"] == ["- delete project it-b", "- delete network net-it-b", "- delete acl net-it-b"]
    made.unchanged()


def test_an_export_can_be_imported_again(made: Lab) -> None:
    (export,) = (made.folder / "backups").glob("it-b_it-b1_*.tar.gz")
    assert export.stat().st_mode & 0o777 == 0o600
    made.infra["domains"]["it-b"] = {"subnet_id": 2, "machines": {}}
    made.apply()
    subprocess.run(["incus", "import", export, "--project", "it-b"], check=True)
    # it is what infra.yml says, again, and is started
    made.infra["domains"]["it-b"] = second()
    assert made.apply()["summary"] == ["* start instance it-b1 in it-b: is stopped"]
    assert made.run("it-b1", "cat /root/file", "it-b") == "kept"
    made.unchanged()

    del made.infra["domains"]["it-b"]
    made.apply(prune=True, confirm=frozenset({"it-b1"}), backup=False)
    made.unchanged()


@pytest.fixture
def small_disk(made: Lab) -> Iterator[Path]:
    """Exports go to a file system of one MiB."""
    folder = made.folder / "backups"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_during_an_export_deletes_nothing(made: Lab, small_disk: Path) -> None:
    made.infra["domains"]["it-a"] = one_machine(storage_volumes={"data": {"pool": "default", "path": "/srv/data"}})
    made.apply()
    made.run("it-a1", "head -c 4M /dev/urandom >/srv/data/x")
    made.infra["domains"]["it-a"] = one_machine()
    with pytest.raises(IncusError, match=r"cannot write .*/backups/.*\(No space left on device\): make room there"):
        made.apply(prune=True, confirm=frozenset({"data"}))
    assert list(small_disk.iterdir()) == []
    volume = "/1.0/storage-pools/default/volumes/custom/data"
    assert made.get(f"{volume}/backups?project=it-a") == []
    assert made.get(f"{volume}?project=it-a")["name"] == "data"
    made.apply(prune=True, confirm=frozenset({"data"}), backup=False)
    made.unchanged()


def test_what_is_not_ours_is_refused_and_can_be_adopted(made: Lab) -> None:
    theirs = {"name": "it-b", "description": "theirs", "config": {"user.theirs": "1", "features.networks": "false"}}
    made.client.send("POST", "/1.0/projects", theirs)
    made.infra["domains"]["it-b"] = {"subnet_id": 2, "machines": {}}
    with pytest.raises(IncusError, match=r"project it-b exists and was not made from an infra\.yml"):
        made.apply()
    assert made.transport.writes == []
    made.apply(adopt=True)
    project = made.get("/1.0/projects/it-b")
    assert (project["description"], project["config"]["user.theirs"]) == ("theirs", "1")
    assert project["config"]["user.anklume.project"] == made.name
    made.unchanged()
    del made.infra["domains"]["it-b"]
    made.apply(prune=True)
    assert "it-b" not in info(made.client)["projects"]


def test_a_name_that_is_taken_and_a_subnet_that_is(made: Lab) -> None:
    made.infra["domains"]["it-b"] = {"subnet_id": 250, "machines": {}}
    with pytest.raises(IncusError, match=r"net-it-b: its subnet 10.178.250.0/24 overlaps .* interface it-other"):
        made.apply()
    made.infra["domains"]["it-other"] = made.infra["domains"].pop("it-b") | {"subnet_id": 251}
    with pytest.raises(IncusError, match="project it-other exists"):
        made.apply()
    assert made.transport.writes == []
    del made.infra["domains"]["it-other"]


def test_a_gpu_where_there_is_none(made: Lab) -> None:
    if info(made.client)["server"]["gpus"]:
        pytest.fail("this machine has a GPU: test it there by hand")
    made.infra["domains"]["it-a"] = one_machine(gpu=True)
    with pytest.raises(IncusError, match="it-a1 asks for a GPU: this host has none that Incus sees"):
        made.apply()
    made.infra["domains"]["it-a"] = one_machine()


def test_destroy_leaves_nothing_and_touches_nothing_else(made: Lab) -> None:

    def others() -> list[str]:
        return [json.dumps(made.get(path)) for path in ("/1.0/projects/it-other", "/1.0/profiles/default")]

    before = others()
    made.apply(absent=True, prune=True, confirm_all=True, backup=False)
    left = info(made.client, made.name)
    assert (left["projects"], left["networks"], left["instances"]) == ([], [], [])
    assert others() == before
    assert not made.apply(absent=True, prune=True, confirm_all=True)["changed"]
