#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor has to see of the Incus host or of a machine with services, in one look."""

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor_info
short_description: Look at the Incus host or at a machine, for the doctor
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Runs commands that only read, and asks Incus for lists. Nothing is installed, and nothing is changed.
  - It judges nothing. A command that is not there, or that this user may not run, is told as skipped.
  - Keys, passwords and tokens are taken out of what commands print.
extends_documentation_fragment:
  - anklume.stt.incus
  - anklume.stt.attributes
  - anklume.stt.attributes.info
options:
  host:
    description: The name that findings are told under.
    type: str
    required: true
  kind:
    description: Whether this is the host of Incus, or a machine with services.
    type: str
    choices: [incus_host, instance]
    required: true
  instances:
    description: Of the Incus host, the instances to look at.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: Its name in the inventory.
        type: str
        required: true
      instance:
        description: Its name in Incus.
        type: str
        required: true
      project:
        description: Its project in Incus.
        type: str
        required: true
  roles:
    description: Of a machine, its roles with a service; their units are looked at.
    type: list
    elements: str
    default: []
  https:
    description: Of a machine, the page whose certificate is looked at.
    type: dict
    suboptions:
      port:
        description: Where it is served on the machine itself.
        type: int
        default: 443
      name:
        description: The name that it is asked by.
        type: str
        required: true
      authority:
        description:
          - The certificate of the authority that has to be trusted, as PEM.
          - When it is empty, the certificate is another's, and whether people trust it is not judged.
        type: str
        default: ""
  keyless_port:
    description: Of a machine, the port of an STT server that is to ask for a key; it is asked once without.
    type: int
  backups:
    description: Of a machine, the folder whose newest backup is looked at and read to its end.
    type: path
  compose:
    description:
      - Of a host with Docker, the folder of C(compose.yaml); its container and the firewall are looked at.
      - When it is empty, the machine has none.
    type: str
    default: ""
  secrets:
    description: Of the Incus host, the folder of secrets that is to be closed to others.
    type: path
  nvidia_smi:
    description: The program to ask for GPUs, where it is not on the path.
    type: path
seealso:
  - plugin: anklume.stt.doctor_findings
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Look at the Incus host
  anklume.stt.doctor_info:
    host: localhost
    kind: incus_host
    instances:
      - {host: homelab-ai, instance: homelab-ai, project: homelab}
  register: seen

- name: Look at a machine
  anklume.stt.doctor_info:
    host: "{{ inventory_hostname }}"
    kind: instance
    roles: [stt_server]
  register: seen
"""

RETURN = r"""
host:
  description: As given.
  type: str
  returned: always
kind:
  description: As given.
  type: str
  returned: always
said:
  description:
    - What was looked at, by name. Each has C(command), C(text), which it printed, C(status), which it ended with, and
      C(skipped), why it was not run.
  type: dict
  returned: always
  sample: {ip_forward: {command: cat /proc/sys/net/ipv4/ip_forward, text: "1", status: 0, skipped: ""}}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._doctor.look import incus_host, instance
from ansible_collections.anklume.stt.plugins.module_utils._doctor.snapshot import INCUS_HOST, INSTANCE
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import SOCKET, default_socket
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import units_of_roles

INSTANCES = {
    "host": {"type": "str", "required": True},
    "instance": {"type": "str", "required": True},
    "project": {"type": "str", "required": True},
}
HTTPS = {
    "port": {"type": "int", "default": 443},
    "name": {"type": "str", "required": True},
    "authority": {"type": "str", "default": ""},
}


def main() -> None:
    """Look and tell."""
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "kind": {"type": "str", "required": True, "choices": [INCUS_HOST, INSTANCE]},
            "instances": {"type": "list", "elements": "dict", "default": [], "options": INSTANCES},
            "roles": {"type": "list", "elements": "str", "default": []},
            "https": {"type": "dict", "options": HTTPS},
            "keyless_port": {"type": "int", "no_log": False},
            "backups": {"type": "path"},
            "compose": {"type": "str", "default": ""},
            "secrets": {"type": "path"},
            "nvidia_smi": {"type": "path"},
            **SOCKET,
        },
        supports_check_mode=True,
    )
    params = module.params
    if params["kind"] == INCUS_HOST:
        socket = params["socket"] or default_socket()
        said = incus_host(socket, params["instances"], params["nvidia_smi"] or "", params["secrets"] or "")
    else:
        units = units_of_roles(params["roles"]) + (["caddy"] if params["https"] else [])
        port, folder = params["keyless_port"] or 0, params["backups"] or ""
        said = instance(units, params["https"], params["nvidia_smi"] or "", port, folder, compose=params["compose"])
    told = {name: one.data() for name, one in said.items()}
    module.exit_json(changed=False, host=params["host"], kind=params["kind"], said=told)


if __name__ == "__main__":
    main()
