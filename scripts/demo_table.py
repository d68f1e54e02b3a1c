# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last page of `make demo`: what was spoken, what was recognised, where to click.

usage: demo_table.py PROJECT, with the verify.json of `make verify` in it
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def table(hops: list[dict[str, Any]]) -> list[str]:
    """The sentence as spoken, and as each way brought it back."""
    heard = [hop for hop in hops if hop.get("spoken")]
    rows = [("as spoken", heard[0]["spoken"], "")]
    rows += [(hop["hop"], hop["recognised"], f"real-time factor {hop['real_time_factor']:.2f}") for hop in heard]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [f"  {name:{widths[0]}}  {text:{widths[1]}}  {note}".rstrip() for name, text, note in rows]


def main(project: Path) -> None:
    """Print the page."""
    hops = json.loads((project / "verify.json").read_text(encoding="utf-8"))
    print()
    print(*table(hops), sep="\n")
    if "whisper-test" in (project / "host_vars" / "demo-ai.yml").read_text(encoding="utf-8"):
        print("\n  The model hub can't be reached from here, so this is the test model: it knows only these sentences.")
    print(
        f"""
  Where to click   https://10.177.17.30, as admin@localhost (`make ca PROJECT={project}` hands out its authority)
  The password     {project}/secrets/demo-webui-open-webui-admin-password
  In a container   incus exec demo-ai --project demo -- bash
  Remove it        make demo-clean
"""
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
