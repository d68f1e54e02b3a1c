#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""infra.yml checked, and nothing else. What does it is the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: infra_check
short_description: Checks the infra.yml of a project
version_added: 0.1.0
author: the anklume.stt authors (@anklume)
description:
  - Reads C(infra.yml), or the folder C(infra/), and tells all its faults at once, each with file, line and column,
    the line itself, and what to write instead.
  - Runs on the controller, in Ansible's own process.
options:
  inventory:
    description:
      - Look instead whether C(inventory/), C(host_vars/) and C(group_vars/) are what M(anklume.stt.infra_sync) makes of
        this infra.yml. Where they are older it fails, and in check mode it warns.
      - Variables beside them that change nothing in Incus are named in a warning.
    type: bool
    default: false
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
