# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs a source tree as git archives one, and says its git tree id: the stand-in for Speaches, or another folder."""

from __future__ import annotations

import argparse
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = Path(__file__).with_name("speaches")
sys.path.insert(0, str(ROOT / ".cache/collections"))

from ansible_collections.anklume.stt.plugins.module_utils._services.source_tree import tree_id, unpacked  # noqa: E402


def pack(target: Path, source: Path = STAND_IN) -> str:
    """Write the archive; its git tree id."""

    def clean(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if "__pycache__" in member.name else member

    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w") as archive:
        archive.add(source, "speaches", filter=clean)
    with tempfile.TemporaryDirectory() as folder:
        return tree_id(unpacked(target, Path(folder, "unpacked")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    print(pack(parser.parse_args().target))
