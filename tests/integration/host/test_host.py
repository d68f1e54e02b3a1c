# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role incus_host on this machine: it works, it changes nothing twice, and it refuses with a reason."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import ansible_runs
from ansible_runs import Run

ROOT = Path(__file__).resolve().parents[3]
IMAGES = ["debian/12", "debian/13"]
# what the published Debian image is made without, and what must therefore come by the first play
UNPUBLISHED = ("python3", "curl", "ca-certificates", "libpython3-stdlib", "wget", "gpg")


def host(*arguments: str) -> Run:
    command = ["ansible-playbook", "anklume.stt.host", "-e", json.dumps({"incus_host_images": IMAGES}), *arguments]
    return ansible_runs.run(command, cwd=ROOT)


def test_makes_a_working_incus_and_then_changes_nothing() -> None:
    first = host()
    assert first.status == 0, first.output
    again = host()
    assert again.status == 0
    assert again.changed() == 0, again.output


def test_images_are_there_under_the_names_that_infra_yml_uses() -> None:
    aliases = json.loads(
        subprocess.run(["incus", "query", "/1.0/images/aliases?recursion=1"], capture_output=True, check=True).stdout
    )
    assert set(IMAGES) <= {alias["name"] for alias in aliases}


def test_a_built_image_holds_nothing_that_the_published_one_lacks() -> None:
    name = "anklume-test-image"
    subprocess.run(["incus", "launch", "debian/12", name], check=True, capture_output=True)
    try:
        listed = subprocess.run(
            ["incus", "exec", name, "--", "sh", "-c", "dpkg-query --show --showformat '${Package}\n'; sleep 0.1"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
    finally:
        subprocess.run(["incus", "delete", "--force", name], check=True, capture_output=True)
    assert "systemd" in listed
    assert not set(UNPUBLISHED) & set(listed)


def test_building_an_image_leaves_the_mounts_of_the_host_alone() -> None:
    # without systemd, disks reach running containers through this mount only, and only while it is shared
    mount = ["findmnt", "--noheadings", "--output", "PROPAGATION", "/var/lib/incus/shmounts"]
    before = subprocess.run(mount, capture_output=True, text=True).stdout
    images = {"incus_host_images": ["debian/trixie"], "incus_host_image_source": "build"}
    result = host("-e", json.dumps(images))
    subprocess.run(["incus", "image", "delete", "debian/trixie"], check=True)
    assert result.changed() == 1, result.output
    assert subprocess.run(mount, capture_output=True, text=True).stdout == before


def test_a_daemon_that_was_killed_is_started_again() -> None:
    # a second Incus in namespaces of its own, so that the one of this host serves on
    script = """
        grep -o ' /var/lib/\\(incus\\|lxcfs\\)[^ ]*' /proc/self/mounts | tac | xargs umount --lazy
        for dir in /run /var/lib/incus /var/log/incus; do mount -t tmpfs tmpfs $dir; done
        {start}
        pkill -KILL -x incusd; pkill -KILL -x lxcfs; sleep 0.5
        ! stat /var/lib/lxcfs
        {start}
        stat --format ok /var/lib/lxcfs/proc/meminfo
    """.format(start=ROOT / "roles/incus_host/files/start-incus")
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-exc", script]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stdout.split() == ["started", "started", "ok"], result.stdout + result.stderr


def test_without_root_says_what_to_do_and_changes_nothing() -> None:
    # a user namespace in which we are somebody else, with the files of this checkout still readable
    command = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "ansible-playbook", "anklume.stt.host"]
    result = ansible_runs.run(command, cwd=ROOT)
    assert result.status != 0
    assert "installing Incus needs root" in result.said, result.output
    assert result.changed() == 0


def test_a_host_that_cannot_hold_containers_is_told_so() -> None:
    # a shell that lacks the right to make namespaces stands for such a host
    command = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "ansible-playbook", "anklume.stt.host"]
    result = ansible_runs.run(command, cwd=ROOT)
    assert result.status != 0
    assert "this host may not make containers" in result.said, result.output
    assert result.changed() == 0


def test_an_image_that_is_neither_served_nor_buildable_is_an_error() -> None:
    result = host("-e", json.dumps({"incus_host_images": ["nosuch/1"], "incus_host_image_source": "auto"}))
    assert result.status != 0
    assert "only Debian images can be built here" in result.said, result.output
