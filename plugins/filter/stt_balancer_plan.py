# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that works out which STT servers are behind a balancer, and whose key opens what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.anklume.stt.plugins.filter.models import hub_ids, model_aliases
from ansible_collections.anklume.stt.plugins.filter.stt_server import role_defaults
from ansible_collections.anklume.stt.plugins.module_utils._services.stt_balancer import balancer_plan

DOCUMENTATION = r"""
name: stt_balancer_plan
short_description: Which STT servers are behind a balancer, and whose key opens what
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - All that the configuration of the role C(stt_balancer) is made of.
positional: machine, machines, hostvars, project_dir
options:
  _input:
    description: The variables of the role C(stt_balancer), by name.
    type: dict
    required: true
  machine:
    description: The machine of the balancer.
    type: str
    required: true
  machines:
    description: The machines with an STT server.
    type: list
    elements: str
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
- name: Show the servers
  ansible.builtin.debug:
    msg: "{{ (given | anklume.stt.stt_balancer_plan('lb', groups['role_stt_server'], hostvars, project_dir)).servers }}"
"""

RETURN = r"""
_value:
  description:
    - C(servers), each with C(name), C(address), C(url), C(host), C(tls), C(own) (whether the balancer gives it a key of
      its own), C(instead) (those of this kind that have its models), C(extra), C(has_key), C(models), C(spoken) (the
      sentence that proves it), C(checked_in) (where HAProxy looks at it), and in C(short) and C(long) how many requests
      of a kind it gets at once.
    - C(routes), each with C(name), C(models), C(servers); the first is for requests that name none of them.
    - C(server_keys) by server, C(asks_key), C(client_keys) as digests, C(resolves) (whether names have to be looked
      up); C(refused) says why it cannot be had.
  type: dict
"""


def _models(machine: Mapping[str, Any]) -> list[str]:
    """All names of the models that a machine's STT server has; none where one is chosen on the machine itself."""
    values = role_defaults("stt_server") | {
        name: machine[name] for name in ("stt_server_model", "stt_server_extra_models") if name in machine
    }
    names = [values["stt_server_model"], *values["stt_server_extra_models"]]
    if "auto" in names:
        return []
    return [*hub_ids(names), *model_aliases(names, machine.get("stt_server_aliases"))]


def stt_balancer_plan(
    given: Mapping[str, Any], machine: str, machines: Iterable[str], hostvars: Mapping[str, Any], project_dir: str
) -> dict[str, Any]:
    """All that the configuration is made of."""
    defaults = {
        name: value
        for name, value in role_defaults("stt_server").items()
        if name in ("stt_server_enabled", "stt_server_port", "stt_server_workers", "stt_server_queue")
    }
    named = list(machines)
    models = {name: _models(hostvars.get(name, {})) for name in [*named, *given["stt_balancer_machines"]]}
    return balancer_plan(given, machine, named, hostvars, defaults=defaults, models=models, project_dir=project_dir)


class FilterModule:
    """The filter, by its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return it as Ansible asks for it."""
        return {"stt_balancer_plan": stt_balancer_plan}
