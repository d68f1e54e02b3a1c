# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a collections path: this checkout as anklume.stt, beside the collections it depends on.

usage: link_collections.py DIR WHEEL

They are taken from WHEEL, the `ansible` package of PyPI, which bundles the released collections:
one source, pinned, that is reachable wherever pip is.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

WANTED = ("community/general", "community/crypto", "ansible/posix")
CHECKOUT = Path(__file__).resolve().parent.parent


def main(root: Path, wheel: Path) -> None:
    """Fill `root`/ansible_collections from `wheel` and link the checkout into it."""
    collections = root / "ansible_collections"
    shutil.rmtree(collections, ignore_errors=True)
    prefixes = tuple(f"ansible_collections/{name}/" for name in WANTED)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(root, [name for name in archive.namelist() if name.startswith(prefixes)])
    (collections / "anklume").mkdir(parents=True)
    (collections / "anklume" / "stt").symlink_to(CHECKOUT)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
