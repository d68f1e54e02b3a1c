# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that say under which names browsers reach Open WebUI, and what its authority may sign for."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.anklume.stt.plugins.module_utils._services import names

DOCUMENTATION = r"""
name: open_webui_names
short_description: The names and addresses of Open WebUI
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Says under which names and addresses browsers reach Open WebUI, the best first; its certificate is for these.
  - The filter C(open_webui_origins) takes the same, and gives origins.
positional: machine, address, published, host
options:
  _input:
    description: The names that somebody chose, from C(open_webui_names). They replace all others.
    type: list
    elements: str
    required: true
  machine:
    description: The name of the machine.
    type: str
    required: true
  address:
    description: Its address, where it has one.
    type: str
    default: ""
  published:
    description: >-
      Ports of the host that lead to this machine, from C(instance_published). Each has C(port), the host's port, and
      C(to), the machine's port.
    type: list
    elements: dict
    default: []
  host:
    description: The names and addresses of the host in its local network, the best first, from C(infra_lan_names).
    type: list
    elements: str
    default: []
  https:
    description: Whether the page is served over HTTPS.
    type: bool
    default: true
  port:
    description: The port of the page without HTTPS.
    type: int
    default: 3000
"""

EXAMPLES = r"""
- name: Show the names
  ansible.builtin.debug:
    msg: "{{ [] | anklume.stt.open_webui_names('homelab-webui', '10.100.3.30', [page], ['voice.local']) }}"
  vars:
    page: {port: 443, to: 443}
"""

RETURN = r"""
_value:
  description: Names and addresses.
  type: list
  elements: str
  sample: [voice.local, homelab-webui, 10.100.3.30]
"""


def _port(https: Any, port: Any) -> int:
    return 443 if boolean(https) else int(port)


def _open_webui_names(
    chosen: Sequence[str],
    machine: str,
    address: str = "",
    published: Sequence[Mapping[str, Any]] = (),
    host: Sequence[str] = (),
    *,
    https: bool = True,
    port: int = 3000,
) -> list[str]:
    place = names.Place(machine, address, chosen, published, host)
    return names.host_names(place.sites(_port(https, port)))


def _open_webui_origins(
    chosen: Sequence[str],
    machine: str,
    address: str = "",
    published: Sequence[Mapping[str, Any]] = (),
    host: Sequence[str] = (),
    *,
    https: bool = True,
    port: int = 3000,
) -> list[str]:
    place = names.Place(machine, address, chosen, published, host)
    return names.origins(place.sites(_port(https, port)), boolean(https), _port(https, port))


def _authority_names(machines: Iterable[str], hostvars: Mapping[str, Any]) -> list[str]:
    return names.permitted((hostvars[name] for name in machines), socket.gethostname())


def _trust_pages(machines: Iterable[str], hostvars: Mapping[str, Any]) -> list[str]:
    return names.trust_pages(hostvars[name] for name in machines)


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Return them as Ansible asks for them."""
        return {
            "authority_names": _authority_names,
            "open_webui_names": _open_webui_names,
            "open_webui_origins": _open_webui_origins,
            "trust_pages": _trust_pages,
        }
