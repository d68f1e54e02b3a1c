# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the instances of an Incus project hold now: disk, and the memory of their processes without the file cache.

usage: footprint.py INCUS-PROJECT [FOLDER ...]     folders of this host are measured beside them
"""

from __future__ import annotations

import json
import re
import subprocess
import sys

OWN = "cat /proc/[0-9]*/smaps_rollup 2>/dev/null; true"


def asked(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def disk(text: str) -> int:
    """The MiB that `du -sm` tells."""
    return int(text.split(maxsplit=1)[0])


def main(project: str, folders: list[str]) -> None:
    """One line each, and the sum."""
    rows = []
    for one in json.loads(asked("incus", "list", "--project", project, "-f", "json")):
        run = ["incus", "exec", "--project", project, one["name"], "--"]
        memory = sum(map(int, re.findall(r"^Anonymous: +(\d+) kB", asked(*run, "sh", "-c", OWN), re.MULTILINE)))
        rows.append((one["name"], disk(asked(*run, "du", "-sxm", "/")), memory // 1024))
    rows += [(folder, disk(asked("du", "-sm", folder)), 0) for folder in folders]
    rows.append(("together", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    print(f"{'':40}{'disk, MiB':>10}{'memory, MiB':>13}")
    for name, size, memory in rows:
        print(f"{name:40}{size:>10,}{memory:>13,}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
