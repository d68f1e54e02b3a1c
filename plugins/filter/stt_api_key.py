# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that know the keys of a machine's STT server, and where they are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._services.speech import (
    api_key,
    api_keys,
    key_files,
    server_at,
)

DOCUMENTATION = r"""
name: stt_api_key
short_description: The API key of a machine's STT server
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Turns C(stt_server_api_key) into the key itself. With V(auto) it is the one that the role C(stt_server) made, in the
    project's folder C(secrets/); it is empty before that.
  - C(anklume.stt.stt_api_keys) does the same for C(stt_server_api_keys), and C(anklume.stt.stt_key_files) says, of both
    variables, where the keys lie that are to be made.
  - C(anklume.stt.stt_server_at) gives an address its key and the aliases that are known of it, of a given key, the
    machines with an STT server, their variables and the project's folder.
positional: machine, project_dir
options:
  _input:
    description: The machine's C(stt_server_api_key).
    type: str
    required: true
  machine:
    description: The machine's name in the inventory.
    type: str
    required: true
  project_dir:
    description: The folder of infra.yml, on the controller.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: List the models
  ansible.builtin.uri:
    url: http://localhost:8000/v1/models
    headers:
      Authorization: Bearer {{ key }}
  vars:
    key: "{{ stt_server_api_key | anklume.stt.stt_api_key(inventory_hostname, inventory_dir | dirname) }}"
"""

RETURN = r"""
_value:
  description: The key; empty where none is asked for, or none was made yet.
  type: str
"""


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them as Ansible asks for them."""
        return {
            "stt_api_key": api_key,
            "stt_api_keys": api_keys,
            "stt_key_files": key_files,
            "stt_server_at": server_at,
        }
