# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scripts share that write generated files: write those that differ, or say which they are."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def write(contents: Mapping[str, str], script: str, check: bool) -> int:
    """Write the files, by their path in the repository; where only to check, 1 when one is not up to date."""
    stale = []
    for name, content in contents.items():
        path = ROOT / name
        if path.exists() and path.read_text(encoding="utf-8") == content:
            continue
        stale.append(name)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    if check and stale:
        print(f"not up to date, run scripts/{script}: {', '.join(stale)}", file=sys.stderr)
        return 1
    return 0
