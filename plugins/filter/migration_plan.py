# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that says which steps of a move from an old server are left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._migration import moving

DOCUMENTATION = r"""
name: migration_plan
short_description: The steps of a move from an old STT server that are left
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Which steps are left, in order, from where a move stands, and what is noted before each and after it.
  - A step is noted as begun before it is done, and each can be done again, so that a run that was killed is gone on
    with, or undone.
positional: direction, now, at_once
options:
  _input:
    description: Where the move stands; empty at its begin.
    type: dict
    required: true
  direction:
    description: Whether to move, to go back, or to remove the old server.
    type: str
    choices: [ahead, back, finish]
    required: true
  now:
    description: The time, in ISO 8601.
    type: str
    required: true
  at_once:
    description: Whether to remove the old server before it was kept for a day.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Say what is left
  ansible.builtin.debug:
    msg: "{{ (state | anklume.stt.migration_plan('ahead', '2026-01-01T12:00:00')).steps | map(attribute='says') }}"
"""

RETURN = r"""
_value:
  description:
    - C(steps), a list with C(name), C(says), C(before) and C(after) each, and C(waits), why the move goes no further.
  type: dict
"""


def migration_plan(state: Mapping[str, Any], direction: str, now: str, at_once: bool = False) -> dict[str, Any]:
    """The steps that are left, and what the move then waits for."""
    try:
        steps = moving.plan(state, direction, now, at_once=at_once)
    except Error as exc:
        raise AnsibleFilterError(str(exc)) from exc
    last = steps[-1]["after"] if steps else state
    return {"steps": steps, "waits": moving.waits(last) if direction == "ahead" else ""}


class FilterModule:
    """The filter, by its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return it as Ansible asks for it."""
        return {"migration_plan": migration_plan}
