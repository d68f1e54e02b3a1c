#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Incus tells its numbers, and who may read them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: incus_metrics
short_description: Have Incus tell the numbers of its instances to a monitor
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Sets the address at which Incus answers C(/1.0/metrics), and has it trust a certificate for that alone.
  - The certificate is of the type C(metrics) and restricted to the projects, so that it opens nothing else.
  - An address that somebody else has set is not changed; the task fails.
extends_documentation_fragment:
  - anklume.stt.incus
  - anklume.stt.attributes
  - anklume.stt.attributes.writes
options:
  name:
    description: The name under which Incus keeps the certificate.
    type: str
    required: true
  address:
    description:
      - The address and port at which it answers; without an address, all of this host's.
      - Incus does not start where it cannot listen. So an address of a network that may go is a bad choice.
    type: str
    required: true
  certificate:
    description: The certificate of the monitor, as PEM. Needed with O(state=present).
    type: str
  projects:
    description: The projects whose instances it may see.
    type: list
    elements: str
    default: []
  state:
    description: With V(absent) the certificate is not trusted any more, and where it was, the address is taken back.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Have Incus tell its numbers
  anklume.stt.incus_metrics:
    name: homelab-monitor
    address: ":8444"
    certificate: "{{ lookup('ansible.builtin.file', 'secrets/incus-metrics.crt') }}"
    projects: [homelab]
  register: told
"""

RETURN = r"""
server_certificate:
  description: The certificate that Incus shows, as PEM, for the monitor to know it by.
  type: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import Client, path_of
from ansible_collections.anklume.stt.plugins.module_utils._incus.metrics import Reader, changes
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import (
    SOCKET,
    UnixTransport,
    default_socket,
)


def main() -> None:
    """Spec, desired, reconcile, exit."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "certificate": {"type": "str"},
            "projects": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            **SOCKET,
        },
        required_if=[("state", "present", ["certificate", "projects"])],
        supports_check_mode=True,
    )
    params = module.params
    certificate = params["certificate"] if params["state"] == "present" else ""
    reader = Reader(params["name"], params["address"], certificate, tuple(params["projects"]))
    try:
        with Client(UnixTransport(params["socket"] or default_socket())).closing() as client:
            server = client.get(path_of())
            found = list(changes(server, client.get(path_of("certificates"), recursion="1"), reader))
            for change in found if not module.check_mode else ():
                client.send(change.method, change.path, change.body)
    except (Error, ValueError) as error:  # a ValueError is of a certificate that is none
        module.fail_json(msg=str(error))
    diff = {"before": "", "after": "".join(f"{change.said}\n" for change in found)}
    shown = server["environment"]["certificate"]
    module.exit_json(changed=bool(found), diff=diff, server_certificate=shown)


if __name__ == "__main__":
    main()
