#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""infra.yml into inventory, host_vars and group_vars."""

from __future__ import annotations

DOCUMENTATION = r"""
module: infra_sync
short_description: Writes the Ansible inventory of a project from its infra.yml
version_added: 0.1.0
author: the anklume.stt authors (@anklume)
description:
  - Reads C(infra.yml), or the folder C(infra/), checks all of it and writes C(inventory/), C(host_vars/) and
    C(group_vars/) beside it.
  - Writes only between the markers C(# === MANAGED BY infra.yml ===) and C(# === END MANAGED ===). All else in
    those files is the user's and stays as it is, byte for byte.
  - A file that is right is not written. All files are changed or none, whatever fails while they are written. When
    infra.yml has a fault, nothing is changed, and all faults are told at once.
  - No file is more readable than C(infra.yml). Run by root in a folder of somebody else's, new files are theirs.
  - Runs on the controller.
options:
  state:
    description:
      - V(synced) writes the files and reports those of machines and domains that are gone.
      - V(clean) removes these too. One that holds content outside the markers is moved to C(backups/) instead.
    type: str
    choices: [synced, clean]
    default: synced
requirements:
  - PyYAML
extends_documentation_fragment:
  - anklume.stt.project
  - anklume.stt.attributes
  - anklume.stt.attributes.writes
"""

EXAMPLES = r"""
- name: Write the inventory
  anklume.stt.infra_sync:
    project_dir: /home/me/my-infra

- name: Remove the files of machines that are gone
  anklume.stt.infra_sync:
    project_dir: /home/me/my-infra
    state: clean
"""

RETURN = r"""
written:
  description: The files that were written, relative to O(project_dir).
  returned: success
  type: list
  elements: str
  sample: [group_vars/all.yml, host_vars/homelab-ai.yml]
removed:
  description: The files that were removed, relative to O(project_dir).
  returned: success
  type: list
  elements: str
  sample: []
moved:
  description: The files that hold content of the user's and were moved, with their new place.
  returned: success
  type: dict
  sample: {"host_vars/old.yml": "backups/sync-20260101T120000Z/host_vars/old.yml"}
restricted:
  description: The files whose mode was changed, so that nobody can read them who cannot read C(infra.yml).
  returned: success
  type: list
  elements: str
  sample: []
summary:
  description: What was done, one line of text for each file.
  returned: success
  type: list
  elements: str
  sample: ["wrote host_vars/homelab-ai.yml"]
leftovers:
  description: Files of machines and domains that are gone. With O(state=clean) they have been removed or moved.
  returned: success
  type: list
  elements: str
  sample: []
managed:
  description: How many files the project has.
  returned: success
  type: int
  sample: 6
notes:
  description: What is worth knowing about infra.yml and needs no action, one text each.
  returned: success
  type: list
  elements: str
  sample: []
"""

import contextlib

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._base.lock import project_lock
from ansible_collections.anklume.stt.plugins.module_utils._infra import sync
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import HAS_YAML
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import PROJECT_DIR, read_project


def main() -> None:
    """Read, plan, write."""
    module = AnsibleModule(
        argument_spec={
            **PROJECT_DIR,
            "state": {"type": "str", "choices": ["synced", "clean"], "default": "synced"},
        },
        supports_check_mode=True,
    )
    if not HAS_YAML:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    project = module.params["project_dir"]
    try:
        model, diagnostics = read_project(project)  # before the lock: a folder without infra.yml gets no file of ours
        with contextlib.nullcontext() if module.check_mode else project_lock(project):
            plan = sync.plan(project, model, clean=module.params["state"] == "clean")
            if not module.check_mode:
                sync.apply(plan)
    except Error as error:
        module.fail_json(msg=str(error))
    for diagnostic in (*diagnostics, *plan.warnings):
        if diagnostic.level == "warning":
            module.warn(diagnostic.render())
    if plan.leftovers and module.params["state"] == "synced":
        module.warn("left over from what is gone (make sync-clean removes them): " + ", ".join(plan.leftovers))
    result = {
        "changed": plan.changed,
        "written": plan.written,
        "removed": plan.removed,
        "moved": plan.moves,
        "restricted": sorted(plan.modes),
        "summary": plan.summary(),
        "leftovers": plan.leftovers,
        "managed": plan.managed,
        "notes": [diagnostic.render() for diagnostic in diagnostics if diagnostic.level == "note"],
    }
    module.exit_json(**result, **({"diff": plan.diff()} if module._diff else {}))


if __name__ == "__main__":
    main()
