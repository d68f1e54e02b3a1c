# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's HAProxy, out of its package, with the configuration that the role stt_balancer makes of variables.

usage: haproxy.py     (reads cases in JSON, each with given, groups and hostvars, and prints the files of each)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ROLE = ROOT / "roles/stt_balancer"
PACKAGE = ROOT / ".cache/haproxy"  # `make .cache/haproxy/usr/sbin/haproxy` puts it there
BINARY = PACKAGE / "usr/sbin/haproxy"
ENVIRONMENT = os.environ | {"LD_LIBRARY_PATH": ":".join(map(str, PACKAGE.glob("usr/lib/*-linux-gnu")))}
NAMES = ("haproxy.cfg", "client.keys", "server.keys", "model.lua")


def texts(given: dict[str, Any], hostvars: dict[str, Any], groups: dict[str, Any]) -> dict[str, str]:
    """What Ansible makes of the role's templates on the machine `lb`, by name of the file."""
    # programs of the engine's environment, which start HAProxy alone, have no Ansible
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import init_plugin_loader
    from ansible.template import Templar, trust_as_template

    init_plugin_loader([str(ROOT / ".cache/collections")])
    loader = DataLoader()
    known = {}
    for place in ("defaults", "vars"):
        known |= loader.load_from_file(str(ROLE / place / "main.yml"), trusted_as_template=True)
    known |= given
    known |= {
        "ansible_managed": "Ansible managed",
        "ansible_search_path": [str(ROLE)],
        "groups": groups,
        "hostvars": hostvars,
        "inventory_dir": str(ROOT / ".work/none"),
        "inventory_hostname": "lb",
        "role_path": str(ROLE),
    }
    templar = Templar(loader=loader, variables=known)
    made = {
        "haproxy.cfg": "lookup('ansible.builtin.template', 'haproxy.cfg.j2')",
        "client.keys": "__stt_balancer_client_keys",
        "server.keys": "__stt_balancer_server_keys",
        "model.lua": "__stt_balancer_lua",
    }
    # what the role sends when it says a sentence
    made["key"] = "__stt_balancer_key"
    return {name: templar.template(trust_as_template("{{ " + made[name] + " }}")) for name in made}


def render(*cases: dict[str, Any]) -> list[dict[str, str]]:
    """The same of several cases, by an Ansible in a process of its own, which finds the collection as users' do."""
    command = [ROOT / ".venv/bin/python", Path(__file__)]
    where = os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections")}
    run = subprocess.run(command, input=json.dumps(cases), env=where, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return list(json.loads(run.stdout))


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write a configuration into a folder, its sockets too; the path of its file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text((text or "").replace("/run/stt-balancer", str(folder)))
    return folder / "haproxy.cfg"


def check(config: Path) -> str:
    """What HAProxy says of a configuration; empty where it takes it without a word."""
    run = subprocess.run([BINARY, "-c", "-q", "-f", config], env=ENVIRONMENT, capture_output=True, text=True)
    return run.stdout + run.stderr + (f"status {run.returncode}" if run.returncode else "")


if __name__ == "__main__":
    print(json.dumps([texts(**case) for case in json.load(sys.stdin)]))
