#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""infra.yml checked, and nothing else."""

from __future__ import annotations

DOCUMENTATION = r"""
module: infra_check
short_description: Checks the infra.yml of a project
version_added: 0.1.0
author: the anklume.stt authors (@anklume)
description:
  - Reads C(infra.yml), or the folder C(infra/), and tells all its faults at once, each with file, line and column,
    the line itself, and what to write instead.
  - Runs on the controller.
options:
  inventory:
    description:
      - Look instead whether C(inventory/), C(host_vars/) and C(group_vars/) are what M(anklume.stt.infra_sync) makes of
        this infra.yml. Where they are older it fails, and in check mode it warns.
      - Variables beside them that change nothing in Incus are named in a warning.
    type: bool
    default: false
requirements:
  - PyYAML
extends_documentation_fragment:
  - anklume.stt.project
  - anklume.stt.attributes
  - anklume.stt.attributes.info
"""

EXAMPLES = r"""
- name: Check infra.yml
  anklume.stt.infra_check:
    project_dir: /home/me/my-infra

- name: Refuse an inventory that is older than infra.yml
  anklume.stt.infra_check:
    project_dir: /home/me/my-infra
    inventory: true
"""

RETURN = r"""
project_name:
  description: The project's name.
  returned: success
  type: str
  sample: my-infra
domains:
  description: How many enabled domains there are.
  returned: success
  type: int
  sample: 1
machines:
  description: How many machines these have.
  returned: success
  type: int
  sample: 2
roles:
  description: The roles that these machines name, each once.
  returned: success
  type: list
  elements: str
  sample: [base_system, stt_server]
notes:
  description: What is worth knowing about infra.yml and needs no action, one text each.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._infra import sync
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import HAS_YAML
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import PROJECT_DIR, read_project


def main() -> None:
    """Read and report."""
    module = AnsibleModule(
        argument_spec={**PROJECT_DIR, "inventory": {"type": "bool", "default": False}},
        supports_check_mode=True,
    )
    if not HAS_YAML:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    project = module.params["project_dir"]
    told, fault = (), ""
    try:
        model, diagnostics = read_project(project)
        if module.params["inventory"]:
            told, fault = sync.is_older(project, model)
    except Error as error:
        module.fail_json(msg=str(error))
    if fault and not module.check_mode:
        module.fail_json(msg=fault)
    for diagnostic in told if module.params["inventory"] else diagnostics:
        if diagnostic.level == "warning":
            module.warn(diagnostic.render())
    if fault:
        module.warn(fault)
    module.exit_json(
        changed=False,
        project_name=model.project_name,
        domains=len(model.domains),
        machines=len(model.machines),
        roles=list(dict.fromkeys(role for machine in model.machines for role in machine.roles)),
        notes=[diagnostic.render() for diagnostic in diagnostics if diagnostic.level == "note"],
    )


if __name__ == "__main__":
    main()
