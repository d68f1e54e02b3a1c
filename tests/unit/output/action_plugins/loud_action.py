# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An action that warns and deprecates by itself, in the worker."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display


class ActionModule(ActionBase):
    """Warns through Ansible's own display."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Warn."""
        stage = self._task.args["stage"]
        Display().warning(f"warning of {stage}.")
        Display().deprecated(f"deprecation of {stage}.", version="99.0", collection_name="anklume.stt")
        return {"changed": False, "failed": bool(self._task.args.get("failed")), "msg": "as asked"}
