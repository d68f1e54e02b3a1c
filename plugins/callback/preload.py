# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads once what every task on an instance would load again: the connection to Incus, its shell, and our filters."""

from __future__ import annotations

DOCUMENTATION = r"""
name: preload
type: aggregate
short_description: Do once what every task on an instance would do again
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Ansible starts every task in a process of its own, a copy of the main one. What the main process has loaded, the
    copies have too; a connection plugin it does not load by itself, so that each task reads
    P(community.general.incus#connection) and the long routing table of its collection anew, about 30 ms of processor
    time. So it is with the filters of this collection, which bring what they are made of, about 100 ms for each task
    that uses one.
  - What is loaded then is taken out of Python's search for garbage, in which each copy would go through all of it.
  - Prints nothing and changes nothing.
requirements:
  - to be turned on, as C(callbacks_enabled = anklume.stt.preload) in the section C(defaults) of C(ansible.cfg)
"""

import gc
from typing import Any

from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import connection_loader, filter_loader, shell_loader


class CallbackModule(CallbackBase):
    """Loads before the first task of a run that has something to do on instances."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "anklume.stt.preload"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Load what the machines that sync writes are reached by; plays of the controller's alone need none of it."""
        if any(play.hosts != ["localhost"] for play in playbook.get_plays()):
            connection_loader.get("community.general.incus", class_only=True)
            shell_loader.get("anklume.stt.incus", class_only=True)
            # one of ours brings all of ours, and what they are made of
            for name in ("anklume.stt.hops", "ansible.builtin.default"):
                filter_loader.get(name)
            gc.freeze()
