#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of the instances of a project."""

from __future__ import annotations

DOCUMENTATION = r"""
module: incus_snapshot
short_description: Takes, deletes and restores snapshots of the instances that infra.yml made
version_added: 0.1.0
author: the anklume.stt authors (@anklume)
description:
  - Works on all instances that carry the C(project_name) of an infra.yml, or on those of some domains or names.
  - Before going back to a snapshot it takes one of the present state, C(before-restore-<time>); the last three of
    these are kept.
options:
  state:
    description:
      - V(present) takes the snapshot where there is none of that name.
      - V(absent) deletes it.
      - V(restored) goes back to it, on every instance that has it.
      - V(rolled_back) goes back to the last snapshot that M(anklume.stt.infra_apply) took.
    type: str
    choices: [present, absent, restored, rolled_back]
    default: present
  name:
    description: Of the snapshot. By default the time when one is taken; needed to delete and to restore one.
    type: str
  domains:
    description: Only the instances of these domains.
    type: list
    elements: str
    default: []
  instances:
    description: Only these instances.
    type: list
    elements: str
    default: []
requirements:
  - PyYAML
extends_documentation_fragment:
  - anklume.stt.project
  - anklume.stt.incus
  - anklume.stt.attributes
  - anklume.stt.attributes.writes
attributes:
  idempotent:
    support: partial
    details: Going back to a snapshot is done each time.
"""

EXAMPLES = r"""
- name: Take a snapshot of every instance
  anklume.stt.incus_snapshot:
    project_dir: /home/me/my-infra
    name: before-upgrade

- name: Go back to it
  anklume.stt.incus_snapshot:
    project_dir: /home/me/my-infra
    name: before-upgrade
    state: restored

- name: Go back to what was there before the last apply
  anklume.stt.incus_snapshot:
    project_dir: /home/me/my-infra
    state: rolled_back
"""

RETURN = r"""
snapshot:
  description: The snapshot's name.
  returned: success
  type: str
  sample: before-upgrade
instances:
  description: The instances it was taken of, deleted from or restored on.
  returned: success
  type: list
  elements: str
  sample: [homelab-ai, homelab-webui]
"""

import contextlib
import os

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._base.lock import project_lock
from ansible_collections.anklume.stt.plugins.module_utils._incus.servers import servers
from ansible_collections.anklume.stt.plugins.module_utils._incus.snapshots import holders, snapshot
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import SOCKET
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import HAS_YAML
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import PROJECT_DIR, read_project

SPEC = {
    **PROJECT_DIR,
    "state": {"type": "str", "choices": ["present", "absent", "restored", "rolled_back"], "default": "present"},
    "name": {"type": "str"},
    "domains": {"type": "list", "elements": "str", "default": []},
    "instances": {"type": "list", "elements": "str", "default": []},
    **SOCKET,
}


def main() -> None:
    """Find the instances and bring the snapshot into its state."""
    module = AnsibleModule(
        argument_spec=SPEC,
        required_if=[("state", "absent", ["name"]), ("state", "restored", ["name"])],
        supports_check_mode=True,
    )
    given = module.params
    if not HAS_YAML:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    try:
        with contextlib.nullcontext() if module.check_mode else project_lock(given["project_dir"]):
            model, _diagnostics = read_project(given["project_dir"])
            with servers(model, given["project_dir"], given["socket"]) as there:
                clients = [server.client for server in there]
                found = holders(clients, model.project_name, given["domains"], given["instances"])
                workers = 2 * (os.cpu_count() or 1)
                result = snapshot(found, given["state"], given["name"], check=module.check_mode, workers=workers)
    except Error as error:
        module.fail_json(msg=str(error))
    diff = result.pop("diff")
    module.exit_json(**result, **({"diff": diff} if module._diff else {}))


if __name__ == "__main__":
    main()
