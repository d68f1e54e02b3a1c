#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container of a server that is moved from: found, stopped and kept, started again, removed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: old_container
short_description: Stop and keep the container of an old server, start it again, or remove it
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Finds a container by the port that it publishes, or by its name, on a host with Docker.
  - A stopped one ends what it has begun first, and is not started again when Docker is; its volumes and its image stay,
    also when it is removed.
  - Needs Docker's command line, and nothing of Python.
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.writes
options:
  name:
    description: Its name. Without it, O(port) finds it among those that run.
    type: str
    default: ""
  port:
    description: The port of the host that it publishes.
    type: int
  state:
    description: What it is to be; V(found) changes nothing.
    type: str
    choices: [found, stopped, started, removed]
    default: found
  restart:
    description: The restart policy to give it when it is started again, as V(unless-stopped). Empty leaves it.
    type: str
    default: ""
  patience:
    description: Seconds that it has to end what it has begun, when it is stopped.
    type: int
    default: 600
"""

EXAMPLES = r"""
- name: Find the old server
  anklume.stt.old_container:
    port: 8000
  register: old

- name: Stop it, and keep it
  anklume.stt.old_container:
    name: "{{ old.name }}"
    state: stopped
"""

RETURN = r"""
name:
  description: The container.
  returned: success
  type: str
  sample: faster-whisper-server
running:
  description: Whether it ran before.
  returned: success
  type: bool
restart:
  description: The restart policy that it had before.
  returned: success
  type: str
  sample: unless-stopped
project:
  description: The project of Docker Compose that it is of; empty for none.
  returned: success
  type: str
host:
  description: The address at which it is asked on its own host.
  returned: success
  type: str
  sample: 127.0.0.1
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._migration.container import Container, commands, inspected


def name_of(module: Any) -> str:
    """The container that is meant."""
    name, port = module.params["name"], module.params["port"]
    if name:
        return str(name)
    names = module.run_command(
        ["docker", "ps", "--filter", f"publish={port}", "--format", "{{.Names}}"], check_rc=True
    )[1].split()
    if len(names) != 1:
        found = f"{len(names)} running containers publish" if names else "no running container publishes"
        raise Error(f"{found} port {port} here: name the old server's with CONTAINER=")
    return str(names[0])


def seen(module: Any, name: str) -> Container | None:
    """The container as it is; None where there is none of that name."""
    status, out, err = module.run_command(["docker", "container", "inspect", name])
    if status and "no such container" not in err.lower():
        raise Error(f"docker container inspect {name}: {err.strip()}")
    return None if status else inspected(out)


def main() -> None:
    """Spec, look, do, exit."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "default": ""},
            "port": {"type": "int"},
            "state": {"type": "str", "choices": ["found", "stopped", "started", "removed"], "default": "found"},
            "restart": {"type": "str", "default": ""},
            "patience": {"type": "int", "default": 600},
        },
        required_one_of=[("name", "port")],
        supports_check_mode=True,
    )
    params = module.params
    module.get_bin_path("docker", required=True)
    try:
        name = name_of(module)
        found = seen(module, name)
        wanted = list(commands(found, params["state"], params["restart"], params["patience"]))
    except Error as error:
        module.fail_json(msg=str(error))
    if not module.check_mode:
        for command in wanted:
            module.run_command(list(command), check_rc=True)
    lines = "".join(f"{' '.join(command)}\n" for command in wanted)
    result = {
        "changed": bool(wanted),
        "name": name,
        "running": bool(found and found.running),
        "restart": found.restart if found else "",
        "project": found.project if found else "",
        "host": found.host if found else "",
    }
    module.exit_json(**result, **({"diff": {"before": "", "after": lines}} if module._diff else {}))


if __name__ == "__main__":
    main()
