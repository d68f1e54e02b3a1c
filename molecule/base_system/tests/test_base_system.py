# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that base_system can be asked for, and that off is off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ansible_runs
import pytest

SCENARIO = Path(__file__).resolve().parents[1]
NAMES = ("mbase-12", "mbase-13")


def run_role(project: Path, *options: str, **variables: Any) -> ansible_runs.Run:
    """Run the role on both machines."""
    command = ["ansible-playbook", "-i", project / "inventory", SCENARIO / "role.yml", "-e", json.dumps(variables)]
    run = ansible_runs.run([*command, *options])
    assert run.status == 0, run.why
    return run


@pytest.mark.parametrize("name", NAMES)
class TestOn:
    def test_packages_locale_and_zone(self, machine: Any, name: str) -> None:
        host = machine(name)
        assert host.package("tree").is_installed
        assert host.check_output("grep -v ^# /etc/default/locale") == "LANG=fr_FR.UTF-8"
        assert "fr_FR.utf8" in host.check_output("locale -a")
        assert host.check_output("env TZ= readlink /etc/localtime") == "/usr/share/zoneinfo/Europe/Brussels"
        assert host.check_output("cat /etc/timezone") == "Europe/Brussels"

    def test_journal(self, machine: Any, name: str) -> None:
        merged = machine(name).check_output("systemd-analyze cat-config systemd/journald.conf")
        assert [line for line in merged.splitlines() if line.startswith("SystemMaxUse=")][-1:] == ["SystemMaxUse=100M"]

    def test_security_updates(self, machine: Any, name: str) -> None:
        host = machine(name)
        assert host.package("unattended-upgrades").is_installed
        assert 'Unattended-Upgrade "1"' in host.check_output("apt-config dump APT::Periodic")

    def test_time_synchronisation(self, machine: Any, name: str) -> None:
        assert machine(name).service("systemd-timesyncd").is_enabled

    def test_administrator(self, machine: Any, name: str) -> None:
        host = machine(name)
        assert host.check_output("runuser -u alice -- sudo -n id -un") == "root"
        assert host.check_output("passwd --status alice").split()[1] == "L"
        keys = host.check_output("stat -c '%a %U %G' /home/alice/.ssh /home/alice/.ssh/authorized_keys")
        assert keys.splitlines() == ["700 alice alice", "600 alice alice"]
        assert host.file("/home/alice/.ssh/authorized_keys").content_string.count("ssh-ed25519") == 1
        assert host.service("ssh").is_enabled


def test_off_is_off_and_stays_so(project: Path, machine: Any) -> None:
    off = {"base_system_unattended_upgrades": False, "base_system_time_sync": False}
    foreseen = run_role(project, **off, base_system_admin_user="")
    for name in NAMES:
        host = machine(name)
        assert 'Unattended-Upgrade "0"' in host.check_output("apt-config dump APT::Periodic")
        assert not host.service("systemd-timesyncd").is_enabled
        assert foreseen.changed(name) == 1
    again = run_role(project, **off, base_system_admin_user="")
    assert again.changed() == 0
    assert "Install packages" not in again.output, "apt was asked with nothing to install"
    back = run_role(project)
    assert [back.changed(name) for name in NAMES] == [1, 1]


def test_a_package_that_is_missing_is_foreseen_and_installed(project: Path, machine: Any) -> None:
    host = machine(NAMES[0])
    host.check_output("apt-get -qq -y remove tree")
    run_role(project, "--check")
    assert not host.package("tree").is_installed
    assert "Install packages" in run_role(project).output
    assert host.package("tree").is_installed
