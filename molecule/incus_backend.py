# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The testinfra backend of the scenarios, in a module of its own: scenarios may have a conftest.py too.

Testinfra's own ansible backend makes a whole ansible run of every check, which is ten times slower.
"""

from __future__ import annotations

from typing import Any

from testinfra.backend.base import BaseBackend, CommandResult


class IncusBackend(BaseBackend):
    """Hosts are written incus://INSTANCE, their project is an option."""

    NAME = "incus"

    def __init__(self, name: str, project: str = "default", **kwargs: Any) -> None:
        self.name, self.project = name, project
        super().__init__(f"incus://{project}/{name}", **kwargs)

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        """Run a command in the instance, for a tenth of a second at least: Incus may lose what shorter ones print."""
        line = f"sleep 0.1 & ( {self.get_command(command, *args)}\n); status=$?; wait; exit $status"
        return self.run_local("incus exec --project %s %s -- /bin/sh -c %s", self.project, self.name, line)
