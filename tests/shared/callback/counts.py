# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what a playbook counted for each machine, as one line of JSON, to the file that tests ask for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: counts
type: aggregate
short_description: For tests, what a playbook counted for each machine
description: Appends a line of JSON to the file that ANKLUME_TEST_COUNTS names.
"""


class CallbackModule(CallbackBase):
    """Beside whatever writes to the terminal."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "counts"

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Write them: ok, changed, failures and so on, by machine."""
        with Path(os.environ["ANKLUME_TEST_COUNTS"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps({name: stats.summarize(name) for name in stats.processed}) + "\n")
