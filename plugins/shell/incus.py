# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell of instances: sh, whose shortest command lasts long enough for Incus to hand over what it printed."""

from __future__ import annotations

DOCUMENTATION = r"""
name: incus
short_description: The shell C(/bin/sh) of an Incus instance
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - The same as P(ansible.builtin.sh#shell), for instances that are reached through C(incus exec).
  - Incus 6.0 now and then loses all that a command printed when the command ends within a few milliseconds, the more
    often the busier the host is. Ansible reads the name of its temporary folder from such a command, and a task fails
    with C(returned empty string). Here that command stays a tenth of a second longer.
extends_documentation_fragment:
  - shell_common
"""

from typing import Any

from ansible.plugins.shell.sh import ShellModule as Sh

PAUSE = "sleep 0.1"


class ShellModule(Sh):
    """The shell plugin sh with one command that lasts longer."""

    def mkdtemp(self, *args: Any, **kwargs: Any) -> str:
        """The command that makes a temporary folder and prints its name."""
        return f"{super().mkdtemp(*args, **kwargs)} {self._SHELL_AND} {PAUSE}"
