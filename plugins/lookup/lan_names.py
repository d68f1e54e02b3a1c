# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup of names and addresses of the Incus host in its local network."""

from __future__ import annotations

DOCUMENTATION = r"""
name: lan_names
short_description: Names and addresses of the Incus host in its local network
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Under which names and addresses other computers at home may reach what machines publish.
  - The addresses at which ports are opened come first, as C(infra.yml) and the host have them now, then the host's
    name with C(.local), then its name.
  - Empty where no machine of the project publishes a port. Where the host has no local network now, the names alone.
  - Runs on the controller, which is the Incus host.
options:
  _terms:
    description: Folders of projects, each with its C(infra.yml).
    type: list
    elements: path
    required: true
"""

EXAMPLES = r"""
- name: Show under which names the host is reached
  ansible.builtin.debug:
    msg: "{{ q('anklume.stt.lan_names', inventory_dir | dirname) }}"
"""

RETURN = r"""
_raw:
  description: Addresses, then names.
  type: list
  elements: str
  sample: [192.168.1.5, den.local, den]
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import Client
from ansible_collections.anklume.stt.plugins.module_utils._incus.host_reader import LocalHost
from ansible_collections.anklume.stt.plugins.module_utils._incus.observe import observe_lan
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import UnixTransport, default_socket
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import read_project
from ansible_collections.anklume.stt.plugins.module_utils._services.names import found_names


class LookupModule(LookupBase):
    """The lookup, as Ansible asks for it."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[str]:
        """Ask Incus and the kernel."""
        found: list[str] = []
        try:
            for folder in terms:
                with Client(UnixTransport(default_socket())).closing() as client:
                    host, lan = observe_lan(client, LocalHost(), read_project(folder)[0].on(""))
                found += found_names(host, lan.addresses)
        except Error as error:
            raise AnsibleLookupError(str(error)) from error
        return found
