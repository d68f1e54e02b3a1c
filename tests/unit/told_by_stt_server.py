# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role stt_server keeps in told_by_stt_server, by its own variables and templates, for each set on stdin.

In a process of its own: filters of a collection are found by a loader that has to come before all imports.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles/stt_server"
AROUND = {
    "inventory_hostname": "attic",
    "inventory_dir": "/nowhere",
    "groups": {},
    "ansible_search_path": [str(ROLE)],
}


def main() -> None:
    """Read the sets, by name, and write what is told for each."""
    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader([str(ROOT / ".cache/collections")])
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar, trust_as_template

    loader = DataLoader()
    loader.set_basedir(str(ROLE))
    known: dict[str, Any] = {}
    for name in ("defaults", "vars"):
        known |= loader.load_from_file(str(ROLE / name / "main.yml"), trusted_as_template=True)
    known |= loader.load_from_file(str(ROLE / "tasks/environment.yml"), trusted_as_template=True)[-1]["vars"]
    sets = json.load(sys.stdin)
    wanted = trust_as_template("{{ __stt_server_told }}")
    answer = {
        name: Templar(loader=loader, variables=known | AROUND | chosen).template(wanted)
        for name, chosen in sets.items()
    }
    json.dump(answer, sys.stdout, default=str)


if __name__ == "__main__":
    main()
