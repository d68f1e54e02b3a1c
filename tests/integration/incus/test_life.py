# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One container through its whole life: made, found unchanged, every field set, found unchanged, taken back."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Lab, one_machine

ADDRESS = "ip -4 -o addr show eth0 | awk '{print $4}'"

Edit = Callable[[dict[str, Any]], None]


def machine(infra: dict[str, Any]) -> dict[str, Any]:
    return infra["domains"]["it-a"]["machines"]["it-a1"]


@pytest.fixture(scope="module")
def made(lab: Lab) -> Lab:
    lab.infra["domains"]["it-a"] = one_machine()
    shown = lab.apply(check=True)
    assert lab.transport.writes == []
    assert shown["changed"]
    done = lab.apply()
    assert done["plan"] == shown["plan"]
    return lab


def test_it_runs_at_its_address_from_the_first_start(made: Lab) -> None:
    assert made.instance("it-a1")["status"] == "Running"
    listed = subprocess.run(
        ["incus", "list", "it-a1", "--project", "it-a", "-c", "4", "-f", "csv"], capture_output=True, text=True
    )
    assert listed.stdout.strip() == "10.178.1.10 (eth0)"
    assert made.run("it-a1", "hostname") == "it-a1"


def test_names_are_as_documented(made: Lab) -> None:
    assert made.get("/1.0/projects/it-a")["config"]["user.anklume.project"] == made.name
    bridge = made.get("/1.0/networks/net-it-a")["config"]
    assert bridge["ipv4.address"] == "10.178.1.254/24"
    assert bridge["ipv4.dhcp.ranges"] == "10.178.1.100-10.178.1.249"
    assert bridge["ipv4.nat"] == "true"


def test_again_is_nothing(made: Lab) -> None:
    made.unchanged()


def set_in_machine(**fields: Any) -> Edit:
    return lambda infra: machine(infra).update(fields)


def add_profile(infra: dict[str, Any]) -> None:
    infra["domains"]["it-a"]["profiles"] = {"small": {"config": {"limits.memory": "700MiB"}}}
    machine(infra)["profiles"] = ["default", "small"]


def change_profile(infra: dict[str, Any]) -> None:
    add_profile(infra)
    profile = infra["domains"]["it-a"]["profiles"]["small"]
    profile["config"] = {"limits.processes": "5000"}
    profile["devices"] = {"zero": {"type": "unix-char", "source": "/dev/zero", "path": "/dev/it-zero"}}


def in_profile(made: Lab) -> Any:
    expanded = made.instance("it-a1")
    config = expanded["expanded_config"]
    return config.get("limits.memory"), config.get("limits.processes"), "zero" in expanded["expanded_devices"]


FIELDS: dict[str, tuple[Edit, Callable[[Lab], Any], Any, int]] = {
    # what is edited, what is looked at, what is seen, how many restarts it takes
    "description": (set_in_machine(description='é \\ "'), lambda m: m.instance("it-a1")["description"], 'é \\ "', 0),
    "domain description": (
        lambda infra: infra["domains"]["it-a"].update(description="Lab"),
        lambda m: (m.get("/1.0/projects/it-a")["description"], m.get("/1.0/networks/net-it-a")["description"]),
        ("Lab", "Lab"),
        0,
    ),
    "config": (
        set_in_machine(config={"limits.memory": "512MiB"}),
        lambda m: m.run("it-a1", "awk '/MemTotal/ {print $2}' /proc/meminfo"),
        "524288",
        0,
    ),
    "config with a restart": (
        set_in_machine(config={"security.nesting": "true"}),
        lambda m: m.run("it-a1", "test -d /dev/.lxc/proc; echo $?"),
        "0",
        1,
    ),
    "devices": (
        set_in_machine(devices={"zero": {"type": "unix-char", "source": "/dev/zero", "path": "/dev/it-zero"}}),
        lambda m: m.run("it-a1", "test -c /dev/it-zero; echo $?"),
        "0",
        0,
    ),
    "a profile": (add_profile, in_profile, ("700MiB", None, False), 0),
    "another content of the profile": (change_profile, in_profile, (None, "5000", True), 0),
    "boot": (
        set_in_machine(boot_autostart=True, boot_priority=20),
        lambda m: [m.instance("it-a1")["config"].get(f"boot.autostart{key}") for key in ("", ".priority")],
        ["true", "20"],
        0,
    ),
    "snapshots": (
        set_in_machine(snapshots_schedule="0 3 * * *", snapshots_expiry="7d"),
        lambda m: [m.instance("it-a1")["config"].get(f"snapshots.{key}") for key in ("schedule", "expiry")],
        ["0 3 * * *", "7d"],
        0,
    ),
    "ephemeral": (
        set_in_machine(ephemeral=True),
        lambda m: m.instance("it-a1")["config"]["security.protection.delete"],
        "false",
        0,
    ),
    "address": (
        set_in_machine(ip="10.178.1.77"),
        lambda m: m.run("it-a1", ADDRESS),
        "10.178.1.77/24",
        1,
    ),
}


@pytest.mark.parametrize("field", FIELDS)
def test_every_field(made: Lab, field: str) -> None:
    edit, look, seen, restarts = FIELDS[field]
    before = one_machine()
    made.infra["domains"]["it-a"] = before
    made.apply()
    edit(made.infra)
    result = made.apply()
    assert result["changed"]
    assert look(made) == seen
    assert [write.rpartition(" ")[2] for write in made.transport.writes if "/state" in write] == [
        "stop",
        "start",
    ] * restarts
    made.unchanged()
    made.infra["domains"]["it-a"] = one_machine()
    assert made.apply(prune=True)["changed"]
    if restarts == 0:
        assert not any("/state" in write for write in made.transport.writes)
    assert look(made) != seen
    made.unchanged(prune=True)


def test_a_storage_volume_a_shared_and_a_persistent_folder(made: Lab, tmp_path: Path) -> None:
    made.infra["domains"]["it-a"] = one_machine(
        storage_volumes={"data": {"pool": "default", "size": "64MiB", "path": "/srv/data"}},
        persistent_data={"keys": {"path": "/srv/keys"}},
    )
    made.infra["global"]["persistent_data_base"] = str(tmp_path / "persistent")
    made.infra["shared_volumes"] = {
        "docs": {"source": str(tmp_path / "docs"), "path": "/srv/docs", "consumers": {"it-a": "ro"}}
    }
    made.apply()
    made.run("it-a1", "echo x >/srv/data/x && echo y >/srv/keys/y")
    kept = tmp_path / "persistent" / "it-a" / "it-a1" / "keys" / "y"
    assert (kept.read_text(), kept.stat().st_uid) == ("y\n", 0)
    assert made.run("it-a1", "touch /srv/docs/x", ok=False) != "0"
    made.unchanged()

    made.infra["domains"]["it-a"]["machines"]["it-a1"]["storage_volumes"]["data"]["size"] = "96MiB"
    made.infra["shared_volumes"]["docs"]["consumers"] = {"it-a1": "rw"}
    assert "~ update volume default/data in it-a: config/size" in made.apply()["summary"]
    made.run("it-a1", "touch /srv/docs/x")
    made.unchanged()

    made.infra["domains"]["it-a"] = one_machine()
    del made.infra["shared_volumes"], made.infra["global"]["persistent_data_base"]
    result = made.apply(prune=True)
    assert any("default/data" in note and "may hold data" in note for note in result["notes"])
    assert made.run("it-a1", "test -e /srv/keys/y", ok=False) != "0"
    assert kept.exists()
    result = made.apply(prune=True, confirm=frozenset({"data"}))
    assert [Path(path).stat().st_mode & 0o777 for path in result["exports"]] == [0o600]
    made.unchanged()


def test_what_was_set_by_hand_stays_and_our_own_drift_goes(made: Lab) -> None:
    path = "/1.0/instances/it-a1?project=it-a"
    made.client.send("PATCH", path, {"config": {"user.mine": "1", "limits.processes": "4000"}})
    made.unchanged()
    made.client.send("PATCH", path, {"config": {"security.protection.delete": "false"}})
    assert made.apply()["summary"][-1] == "~ update instance it-a1 in it-a: config/security.protection.delete"
    assert made.instance("it-a1")["config"]["user.mine"] == "1"
    made.unchanged()


def test_addresses_change_hands_and_the_subnet_moves(made: Lab) -> None:
    domain = one_machine()
    domain["machines"]["it-a2"] = {"ip": "10.178.1.11", "ephemeral": True}
    made.infra["domains"]["it-a"] = domain
    made.apply()
    domain["machines"]["it-a1"]["ip"], domain["machines"]["it-a2"]["ip"] = "10.178.1.11", "10.178.1.10"
    made.apply()
    assert [made.run(name, ADDRESS) for name in ("it-a1", "it-a2")] == ["10.178.1.11/24", "10.178.1.10/24"]
    made.unchanged()
    domain["subnet_id"] = 3
    domain["machines"]["it-a1"]["ip"] = "10.178.3.11"
    del domain["machines"]["it-a2"]["ip"]  # leased
    made.apply()
    assert made.run("it-a1", ADDRESS) == "10.178.3.11/24"
    assert made.run("it-a2", ADDRESS).startswith("10.178.3.1")
    made.unchanged()
    made.infra["domains"]["it-a"] = one_machine()
    made.apply(prune=True)
    assert made.run("it-a1", ADDRESS) == "10.178.1.10/24"
    made.unchanged()


def test_a_stopped_instance_is_started(made: Lab) -> None:
    made.client.send("PUT", "/1.0/instances/it-a1/state?project=it-a", {"action": "stop", "force": True})
    assert made.apply()["summary"] == ["* start instance it-a1 in it-a: is stopped"]
    assert made.run("it-a1", ADDRESS) == "10.178.1.10/24"
    made.unchanged()


def test_snapshots_before_changes_the_last_three(made: Lab) -> None:
    snapshots = made.get("/1.0/instances/it-a1/snapshots?project=it-a&recursion=1")
    assert len([one for one in snapshots if one["name"].startswith("anklume-")]) == 3


def test_another_image_makes_it_anew_after_an_export(made: Lab) -> None:
    made.infra["domains"]["it-a"] = one_machine(os_image="images:debian/12")
    made.run("it-a1", "touch /root/old")
    for one in made.get("/1.0/instances/it-a1/snapshots?project=it-a&recursion=1"):
        made.client.send("DELETE", f"/1.0/instances/it-a1/snapshots/{one['name']}?project=it-a")
    result = made.apply()
    assert not result["changed"]
    assert "was made from images:debian/13" in result["notes"][0]
    result = made.apply(confirm=frozenset({"it-a1"}))
    assert made.run("it-a1", ". /etc/os-release; echo $VERSION_ID; ls /root") == "12"
    (export,) = result["exports"]
    listing = subprocess.run(["tar", "tzf", export], capture_output=True, text=True).stdout
    assert "backup/container/rootfs/root/old\n" in listing
    made.unchanged()


def test_an_unknown_image_is_refused_before_anything_is_made(made: Lab) -> None:
    made.infra["domains"]["it-b"] = {"subnet_id": 2, "machines": {"it-b1": {"os_image": "local:no-such-image"}}}
    with pytest.raises(Exception, match="no container image of that alias"):
        made.apply()
    assert made.transport.writes == []
    del made.infra["domains"]["it-b"]
