# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a collections path: this checkout as anklume.stt, beside the collections that galaxy.yml declares.

usage: link_collections.py DIR WHEEL

They are taken from WHEEL, the `ansible` package of PyPI, which bundles the released collections:
one source, pinned, that is reachable wherever pip is.
"""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).resolve().parent.parent


def declared() -> list[str]:
    """The collections that galaxy.yml declares, as NAMESPACE.NAME."""
    return sorted(yaml.safe_load((CHECKOUT / "galaxy.yml").read_text(encoding="utf-8"))["dependencies"])


def with_theirs(names: list[str], archive: zipfile.ZipFile) -> list[str]:
    """Collections of the wheel, and those that they declare in turn."""
    found: list[str] = []
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.append(name)
            manifest = archive.read(f"ansible_collections/{name.replace('.', '/')}/MANIFEST.json")
            waiting += json.loads(manifest)["collection_info"]["dependencies"]
    return sorted(found)


def extract(root: Path, archive: zipfile.ZipFile) -> list[Path]:
    """Put what is declared under `root`/ansible_collections; the folder of each collection."""
    folders = [f"ansible_collections/{name.replace('.', '/')}" for name in with_theirs(declared(), archive)]
    prefixes = tuple(f"{folder}/" for folder in folders)
    archive.extractall(root, [name for name in archive.namelist() if name.startswith(prefixes)])
    return [root / folder for folder in folders]


def main(root: Path, wheel: Path) -> None:
    """Fill `root`/ansible_collections from `wheel` and link the checkout into it."""
    collections = root / "ansible_collections"
    shutil.rmtree(collections, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        extract(root, archive)
    (collections / "anklume").mkdir(parents=True)
    (collections / "anklume" / "stt").symlink_to(CHECKOUT)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
