# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that works out what the role monitoring writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._services.monitoring import plan

DOCUMENTATION = r"""
name: monitoring_plan
short_description: Whom Prometheus asks, and who is told of alerts
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - The configurations of Prometheus, Alertmanager and the blackbox exporter, from the machines of the inventory and the
    services that they have. The keys of STT servers are read from the project's C(secrets/), where they were made.
positional: machine, groups, hostvars, project_dir
options:
  _input:
    description: The variables of the role C(monitoring), by their names.
    type: dict
    required: true
  machine:
    description: The machine that has the role.
    type: str
    required: true
  groups:
    description: The groups of the inventory; C(role_stt_server) holds the machines with an STT server.
    type: dict
    required: true
  hostvars:
    description: The variables of all machines.
    type: dict
    required: true
  project_dir:
    description: The folder of infra.yml, on the controller.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Show whom it asks
  ansible.builtin.debug:
    msg: "{{ (given | anklume.stt.monitoring_plan('monitor', groups, hostvars, project_dir)).prometheus }}"
"""

RETURN = r"""
_value:
  description:
    - C(prometheus) and C(alertmanager), as dictionaries, C(blackbox) and C(rules), as texts, C(keys), the contents of
      the C(key_files) by their paths, C(secret_alertmanager), whether the second holds a secret, and C(faults).
    - C(dashboard), for Grafana, where one is named.
    - C(listen), C(local) and C(page) say where Prometheus is reached.
  type: dict
"""


class FilterModule:
    """The filter, by its name."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """Return it as Ansible asks for it."""
        return {"monitoring_plan": plan}
