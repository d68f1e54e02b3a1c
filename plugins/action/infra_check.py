# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""infra.yml checked in Ansible's own process: a module's process costs more than the reading."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._infra.following import judge_inventory
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import PROJECT_DIR, read_project

SPEC = {**PROJECT_DIR, "inventory": {"type": "bool", "default": False}}


class ActionModule(ActionBase):
    """Read and report."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The project in numbers, its warnings and notes; all its faults where it has some."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        given = self.validate_argument_spec(argument_spec=SPEC)[1]
        try:
            model, diagnostics = read_project(given["project_dir"])
            if given["inventory"]:
                warnings = judge_inventory(given["project_dir"], model, check=self._task.check_mode)
            else:
                warnings = [one.render() for one in diagnostics if one.level == "warning"]
        except Error as error:
            return {**result, "failed": True, "msg": str(error)}
        return {
            **result,
            "changed": False,
            "warnings": warnings,
            "project_name": model.project_name,
            "domains": len(model.domains),
            "machines": len(model.machines),
            "roles": list(dict.fromkeys(role for machine in model.machines for role in machine.roles)),
            "notes": [one.render() for one in diagnostics if one.level == "note"],
        }
