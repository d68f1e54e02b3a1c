# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines of one's own: the playbook of docs/how-to/server-of-your-own.md over a real sshd, with no word of Incus.

The instances of the scenario are the servers, under their names, so that what is there already is found again; the STT
server is taken away before, and comes anew over SSH; Ollama, by its stand-in, and another time zone come for the first
time.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import ansible_runs
import pytest
import yaml
from suite import ROOT, long

sys.path.insert(0, str(ROOT / "tests/stand_ins"))
from pack_ollama import pack

pytestmark = long
ADDRESSES = {"mdef-ai": "10.176.1.10", "mdef-webui": "10.176.1.30"}
GROUPS = {
    "role_base_system": ["mdef-ai", "mdef-webui"],
    "role_ollama_server": ["mdef-ai"],
    "role_stt_server": ["mdef-ai"],
    "role_open_webui": ["mdef-webui"],
}
SENTENCE = "The quick brown fox jumps over the lazy dog."
OLLAMA = "0.32.7"
PAGE = (ROOT / "docs/how-to/server-of-your-own.md").read_text()
WIPE = """systemctl disable -q --now speaches
rm -rf /opt/stt-server /opt/speaches /etc/speaches /var/lib/speaches /etc/systemd/system/speaches.service
userdel speaches; systemctl daemon-reload"""


class Own:
    """A folder with a playbook and an inventory that were written by hand."""

    def __init__(self, folder: Path, key: Path, given: dict[str, Any]) -> None:
        self.folder, self.key, self.given = folder, key, given
        _inventory, play = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)
        (folder / "site.yml").write_text(play)

    def log_in_as(self, user: str) -> None:
        """Write the inventory, as the page does."""
        known = f"-i {self.key} -o IdentitiesOnly=yes -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no"
        way = {"ansible_user": user, "ansible_become": user != "root", "ansible_ssh_common_args": known}
        way |= {"ansible_python_interpreter": "/usr/bin/python3"}
        hosts = {name: self.given[name] | way | {"ansible_host": there} for name, there in ADDRESSES.items()}
        children = {group: {"hosts": {name: {} for name in names}} for group, names in GROUPS.items()}
        (self.folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": children, "hosts": hosts}}))

    def play(self, playbook: str, *options: str) -> ansible_runs.Run:
        """Run a playbook, from the folder."""
        command = ["ansible-playbook", "-i", "hosts.yml", playbook, *options]
        run = ansible_runs.run(command, cwd=self.folder, environment=os.environ | {"ANSIBLE_PIPELINING": "true"})
        print(run.output[-5000:])
        return run


@pytest.fixture(scope="module")
def own(machine: Any, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Own:
    """The two machines with an SSH server that lets root and alice in; alice uses sudo."""
    folder = tmp_path_factory.mktemp("own")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    key = (folder / "key.pub").read_text().strip()
    for name in ADDRESSES:
        machine(name).check_output(
            "apt-get -q update && apt-get -qy install --no-install-recommends openssh-server sudo"
            " && useradd -m -s /bin/bash -G sudo alice && echo 'alice ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/alice"
            " && for home in /root /home/alice; do mkdir -p -m 700 $home/.ssh"
            f" && echo '{key}' >$home/.ssh/authorized_keys; done && chown -R alice: /home/alice"
        )
    # the same wishes as in infra.yml, without what sync writes; the secrets lie beside the inventory
    given = {
        name: yaml.safe_load((ROOT / f"molecule/default/project/host_vars/{name}.yml").read_text())
        for name in ADDRESSES
    }
    shutil.copytree(project / "secrets", folder / "secrets")
    archive = folder / "ollama.tgz"
    given["mdef-ai"] |= {
        "ollama_version": OLLAMA,
        "ollama_source": str(archive),
        "ollama_sha256": pack(archive, OLLAMA),
        "ollama_default_model": "stand-in:1b",
        "base_system_timezone": "Europe/Brussels",
    }
    given["mdef-webui"] |= {"open_webui_ollama_url": f"http://{ADDRESSES['mdef-ai']}:11434"}
    made = Own(folder, folder / "key", given)
    made.log_in_as("alice")
    return made


def test_the_services_come_over_ssh_with_sudo_and_a_second_run_changes_nothing(own: Own, machine: Any) -> None:
    ai = machine("mdef-ai")
    ai.check_output(WIPE)
    report = own.folder / "verify.json"
    first = own.play("site.yml", "-e", f"verify_json={report}")
    assert first.status == 0 and first.changed("mdef-ai")
    hops = json.loads(report.read_text())
    heard = [hop["recognised"] for hop in hops if "recognised" in hop]
    assert heard == [SENTENCE, SENTENCE]  # by the STT server itself, and through Open WebUI
    said = {hop["hop"]: hop["detail"] for hop in hops}
    assert said["language models"] == "stand-in:1b"
    assert said["Open WebUI to Ollama"] == OLLAMA
    assert ai.check_output("cat /etc/timezone") == "Europe/Brussels"
    again = own.play("site.yml")
    assert again.status == 0 and again.changed() == 0


def test_fit_judges_the_server_and_not_the_controller(own: Own) -> None:
    result = own.play("anklume.stt.fit", "-e", "fit_host=mdef-ai")
    assert result.status == 0 and "ok: [mdef-ai]" in result.output
    assert "large-v3-turbo" in result.output and "stt_server_model:" in result.output


def test_root_needs_no_sudo(own: Own) -> None:
    own.log_in_as("root")
    try:
        result = own.play("site.yml")
        assert result.status == 0 and result.changed() == 0
        assert own.play("anklume.stt.stt").status == 0
    finally:
        own.log_in_as("alice")


def test_a_backup_lies_beside_the_inventory_and_goes_back(own: Own) -> None:
    assert own.play("anklume.stt.backup").status == 0
    (backup,) = (own.folder / "backups/mdef-webui").iterdir()
    assert own.play("anklume.stt.restore_backup", "-e", f"backup_file={backup}").status == 0
    assert own.play("anklume.stt.verify").status == 0


def test_a_hop_that_is_broken_says_what_to_do_over_ssh(own: Own, machine: Any) -> None:
    machine("mdef-ai").check_output("systemctl stop speaches")
    try:
        result = own.play("anklume.stt.verify")
    finally:
        machine("mdef-ai").check_output("systemctl start speaches")
    assert result.status != 0
    assert "ssh alice@10.176.1.10 sudo journalctl -u speaches" in result.said
    assert "incus" not in result.output
