# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that lays out the hops of verify as a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._services.report import hop_table

DOCUMENTATION = r"""
name: hop_table
short_description: Lay out the hops of verify as a table
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Turns a list of hops into a text table with one line per hop and a verdict as the last line.
  - The next step stands under a hop that failed.
positional: colour
options:
  _input:
    description:
      - Hops, each a dictionary of C(host), C(hop), C(ok) (bool), C(detail) and C(next_step).
      - Other keys are ignored.
    type: list
    elements: dict
    required: true
  colour:
    description: Whether to colour the states for a terminal.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show the hops
  ansible.builtin.debug:
    msg: "{{ hops | anklume.stt.hop_table | split('\n') }}"
"""

RETURN = r"""
_value:
  description: The table, lines separated by newlines.
  type: str
"""


def _hop_table(hops: list[dict[str, Any]], colour: bool = False) -> str:
    try:
        return hop_table(hops, colour)
    except Error as exc:
        raise AnsibleFilterError(str(exc)) from exc


class FilterModule:
    """The filter, by its name."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Return it as Ansible asks for it."""
        return {"hop_table": _hop_table}
