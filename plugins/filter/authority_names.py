# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that say what a project's authority may sign for, and where devices get it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._services import names

DOCUMENTATION = r"""
name: authority_names
short_description: What a project's internal authority may sign for
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - The names and addresses of the project's machines, the names chosen for them, the controller's host name, C(.local)
    and private networks, for O(anklume.stt.internal_certificate#module:permitted).
  - C(anklume.stt.trust_pages), of the same two, says at which addresses a device gets the authority's certificate.
positional: hostvars
options:
  _input:
    description: The names of the machines.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of all machines.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what the authority may sign for
  ansible.builtin.debug:
    msg: "{{ groups['all'] | anklume.stt.authority_names(hostvars) }}"
"""

RETURN = r"""
_value:
  description: Names, suffixes of names, and networks.
  type: list
  elements: str
  sample: [homelab-webui, local, 10.0.0.0/8]
"""


def _authority_names(machines: Iterable[str], hostvars: Mapping[str, Any]) -> list[str]:
    return names.permitted((hostvars[name] for name in machines), socket.gethostname())


def _trust_pages(machines: Iterable[str], hostvars: Mapping[str, Any]) -> list[str]:
    return names.trust_pages(hostvars[name] for name in machines)


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Return them as Ansible asks for them."""
        return {"authority_names": _authority_names, "trust_pages": _trust_pages}
