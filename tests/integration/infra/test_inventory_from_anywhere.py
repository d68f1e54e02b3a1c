# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sync writes reaches Ansible from anywhere: from a clone and from an installed collection, run from /."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import ansible_runs
import pytest
from ansible_runs import Run

ROOT = Path(__file__).resolve().parents[3]
TOOLS = Path(sys.executable).parent

SHOW = """\
- name: Show
  hosts: all
  gather_facts: false
  tasks:
    - name: Show
      ansible.builtin.copy:
        content: "{{ wanted | to_json }}"
        dest: "{{ target }}/{{ inventory_hostname }}.json"
        mode: "0644"
      delegate_to: localhost
      vars:
        ansible_connection: local
        ansible_python_interpreter: "{{ ansible_playbook_python }}"
        wanted:
          model: "{{ stt_server_model | default('') }}"
          stt_url: "{{ open_webui_stt_url | default('') }}"
          infra_stt_url: "{{ infra_stt_url }}"
          infra_ollama_url: "{{ infra_ollama_url }}"
          project: "{{ ansible_incus_project }}"
          pipelining: "{{ ansible_pipelining }}"
          group: "{{ of_the_group | default('') }}"
          roles: "{{ group_names | select('match', 'role_') | sort }}"
"""


def clone(folder: Path) -> Path:
    """A collections path that leads to this checkout, with a playbook to look at variables added."""
    there = folder / "ansible_collections" / "anklume" / "stt"
    there.mkdir(parents=True)
    for name in ("galaxy.yml", "meta", "plugins", "roles", "docs"):
        (there / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "playbooks", there / "playbooks")
    return folder


def installed(folder: Path) -> Path:
    """A collections path with the collection as a user installs it."""
    run(["ansible-galaxy", "collection", "build", "--output-path", str(folder / "build"), str(ROOT)], {})
    (archive,) = (folder / "build").glob("*.tar.gz")
    options = ["--no-deps", "--offline", "-p", str(folder / "path")]
    run(["ansible-galaxy", "collection", "install", str(archive), *options], {})
    return folder / "path"


def run(command: list[str], environment: dict[str, str]) -> Run:
    """Run a tool of this venv from /, with nothing of ours around."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE", "PROJECT", "PWD"))}
    path = {"PATH": f"{TOOLS}:{os.environ['PATH']}"}
    done = ansible_runs.run([TOOLS / command[0], *command[1:]], cwd="/", environment={**kept, **path, **environment})
    assert done.status == 0, done.output
    return done


@pytest.fixture(scope="module", params=[clone, installed], ids=["clone", "installed"])
def collections(request, tmp_path_factory) -> Path:
    path = request.param(tmp_path_factory.mktemp("collections"))
    (path / "ansible_collections/anklume/stt/playbooks/show.yml").write_text(SHOW, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def project(collections, tmp_path_factory) -> Path:
    """The quick start with its variables, and some of the user's own, synced through the collection's playbook."""
    folder = tmp_path_factory.mktemp("projects") / "quickstart"
    shutil.copytree(ROOT / "docs" / "examples" / "quickstart", folder)
    (folder / "group_vars").mkdir()
    (folder / "group_vars" / "role_stt_server.yml").write_text("of_the_group: mine\n", encoding="utf-8")
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(collections), "PROJECT": str(folder)}
    assert run(["ansible-playbook", "anklume.stt.sync"], environment).changed() == 1
    assert run(["ansible-playbook", "anklume.stt.sync"], environment).changed() == 0
    return folder


def test_ansible_inventory_from_the_root(collections, project):
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(collections)}
    inventory = ["ansible-inventory", "-i", str(project / "inventory")]
    everything = json.loads(run([*inventory, "--list"], environment).stdout)
    assert everything["homelab"]["hosts"] == ["homelab-ai", "homelab-webui"]
    assert everything["role_stt_server"]["hosts"] == ["homelab-ai"]
    assert everything["role_open_webui"]["hosts"] == ["homelab-webui"]
    assert everything["_meta"]["hostvars"]["homelab-webui"]["open_webui_stt_url"] == "http://10.100.3.10:8000/v1"
    one = json.loads(run([*inventory, "--host", "homelab-ai"], environment).stdout)
    expected = {
        "stt_server_model": "medium",
        "stt_server_quantization": "int8_float16",
        "of_the_group": "mine",
        "ansible_connection": "community.general.incus",
        "ansible_shell_type": "anklume.stt.incus",
        "ansible_incus_host": "homelab-ai",
        "ansible_incus_project": "homelab",
        "ansible_host": "10.100.3.10",
        "ansible_pipelining": True,
        "instance_ip": "10.100.3.10",
        "incus_project": "homelab",
        "project_name": "quickstart",
    }
    assert {name: one.get(name) for name in expected} == expected


def test_a_playbook_of_the_collection_from_the_root(collections, project, tmp_path):
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(collections)}
    inventory = ["-i", str(project / "inventory")]
    run(["ansible-playbook", *inventory, "-e", f"target={tmp_path}", "anklume.stt.show"], environment)
    assert json.loads((tmp_path / "homelab-ai.json").read_text(encoding="utf-8")) == {
        "model": "medium",
        "stt_url": "",
        "infra_stt_url": "http://10.100.3.10:8000/v1",
        "infra_ollama_url": "http://10.100.3.10:11434",
        "project": "homelab",
        "pipelining": True,
        "group": "mine",
        "roles": ["role_base_system", "role_ollama_server", "role_stt_server"],
    }
    webui = json.loads((tmp_path / "homelab-webui.json").read_text(encoding="utf-8"))
    assert webui["stt_url"] == "http://10.100.3.10:8000/v1"
    assert webui["group"] == ""


def test_the_urls_follow_the_ports_that_the_user_sets(collections, project, tmp_path):
    mine = project / "host_vars" / "homelab-ai.yml"
    before = mine.read_bytes()
    mine.write_bytes(before + b"stt_server_port: 9000\nollama_host: 127.0.0.1:9001\n")
    try:
        environment = {"ANSIBLE_COLLECTIONS_PATH": str(collections)}
        inventory = ["-i", str(project / "inventory")]
        run(["ansible-playbook", *inventory, "-e", f"target={tmp_path}", "anklume.stt.show"], environment)
    finally:
        mine.write_bytes(before)
    made = json.loads((tmp_path / "homelab-webui.json").read_text(encoding="utf-8"))
    assert (made["infra_stt_url"], made["infra_ollama_url"]) == (
        "http://10.100.3.10:9000/v1",
        "http://10.100.3.10:9001",
    )


def test_init_writes_a_file_that_check_accepts(collections, tmp_path):
    project = tmp_path / "new"
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(collections), "PROJECT": str(project)}
    said = ["-e", "init_port=8443", "-e", "init_language=fr", "-e", "init_subnet=10.42"]
    assert run(["ansible-playbook", *said, "anklume.stt.init"], environment).changed() == 1
    first = (project / "infra.yml").read_text(encoding="utf-8").split("\n")[0]
    schema = (project / first.removeprefix("# yaml-language-server: $schema=")).resolve()
    assert schema.samefile(ROOT / "docs/schema/infra.schema.json") or schema.is_relative_to(collections)
    assert json.loads(schema.read_text(encoding="utf-8"))["title"].startswith("infra.yml")
    run(["ansible-playbook", "anklume.stt.check"], environment)
    assert 'publish: ["8443:443"]' in (project / "infra.yml").read_text(encoding="utf-8")
    mine = (project / "host_vars/homelab-ai.yml").read_text(encoding="utf-8")
    assert 'stt_server_language: "fr"' in mine and "stt_server_quantization: auto" in mine
    (project / "infra.yml").write_text("domains: {}\n", encoding="utf-8")
    again = run(["ansible-playbook", "anklume.stt.init"], environment)
    assert again.changed() == 0 and "is there already: nothing was" in again.said
    assert (project / "infra.yml").read_text(encoding="utf-8") == "domains: {}\n"
