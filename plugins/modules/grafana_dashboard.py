#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dashboard and the Prometheus that it asks, in somebody's Grafana."""

from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_dashboard
short_description: Keep a dashboard, and the Prometheus that it asks, in a Grafana
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Makes or changes a data source and a dashboard by Grafana's HTTP API, each found again by its uid.
  - Nothing else in that Grafana is looked at or changed.
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.writes
options:
  url:
    description: The address of Grafana.
    type: str
    required: true
  token:
    description: The token of a service account. It needs the role Admin, as data sources do.
    type: str
  user:
    description: The account, where no O(token) is given.
    type: str
  password:
    description: Its password.
    type: str
  dashboard:
    description: The dashboard, as Grafana exports it, with its C(uid).
    type: dict
    required: true
  source:
    description: The Prometheus that it asks.
    type: dict
    required: true
    suboptions:
      name:
        description: What the data source is called.
        type: str
        required: true
      url:
        description: Its address, as Grafana reaches it.
        type: str
        required: true
  ca_path:
    description: A file with the authority that Grafana's certificate is from, where it is not a public one.
    type: path
"""

EXAMPLES = r"""
- name: Keep the dashboard
  anklume.stt.grafana_dashboard:
    url: https://grafana.example.org
    token: "{{ vault_grafana_token }}"
    dashboard: "{{ lookup('ansible.builtin.file', 'dashboard.json') | from_json }}"
    source: {name: homelab-monitor, url: "http://10.100.3.60:9090"}
  delegate_to: localhost
"""

RETURN = r"""
page:
  description: The address of the dashboard.
  type: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._base.http import Server
from ansible_collections.anklume.stt.plugins.module_utils._services.grafana import Grafana, changes


def main() -> None:
    """Spec, desired, reconcile, exit."""
    source = {"name": {"type": "str", "required": True}, "url": {"type": "str", "required": True}}
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "token": {"type": "str", "no_log": True},
            "user": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "dashboard": {"type": "dict", "required": True},
            "source": {"type": "dict", "required": True, "options": source},
            "ca_path": {"type": "path"},
        },
        required_one_of=[("token", "user")],
        mutually_exclusive=[("token", "user")],
        required_together=[("user", "password")],
        supports_check_mode=True,
    )
    params = module.params
    account = {name: params[name] or "" for name in ("token", "user", "password")}
    try:
        server = Server(params["url"], ca_path=params["ca_path"] or "")
        grafana = Grafana(server, **account)
        found = list(changes(grafana, params["source"], params["dashboard"]))
        for change in found if not module.check_mode else ():
            grafana.send(change)
    except Error as error:
        module.fail_json(msg=str(error))
    diff = {"before": "", "after": "".join(f"{change.said}\n" for change in found)}
    module.exit_json(changed=bool(found), diff=diff, page=f"{server.address}/d/{params['dashboard']['uid']}")


if __name__ == "__main__":
    main()
