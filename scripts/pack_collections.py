# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs this collection as a user does: its archive and those of what it declares, without a network.

usage: pack_collections.py DIR WHEEL

DIR/archives gets an archive of each, DIR/ansible_collections is where they are installed. Galaxy cannot be reached
from everywhere: the archives of the others are made from WHEEL, the `ansible` package of PyPI.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from link_collections import CHECKOUT, declared, extract

GALAXY = [str(Path(sys.executable).with_name("ansible-galaxy")), "collection"]


def build(folder: Path, archives: Path) -> None:
    """The archive of a collection's folder."""
    command = [*GALAXY, "build", "--force", "--output-path", str(archives), str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def unrelease(folder: Path) -> None:
    """Make a released collection one that can be built: galaxy.yml in the place of the manifest."""
    info = json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))["collection_info"]
    (folder / "MANIFEST.json").unlink()
    (folder / "FILES.json").unlink()
    # JSON is YAML
    kept = {name: value for name, value in info.items() if value not in (None, [])}
    (folder / "galaxy.yml").write_text(json.dumps(kept), encoding="utf-8")


def state(wheel: Path) -> str:
    """What the archives are made of, as it is now: each file of the checkout with its size and time, and the wheel."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")[:-1]
    files = {name: os.lstat(CHECKOUT / name) for name in listed if os.path.lexists(CHECKOUT / name)}
    seen = [(name, file.st_size, file.st_mtime_ns) for name, file in sorted(files.items())]
    return json.dumps([wheel.name, seen])


def main(root: Path, wheel: Path) -> None:
    """Pack and install, where the checkout is another than at the last time: somebody may be reading what is there."""
    now, packed = state(wheel), root / "packed.json"
    if packed.exists() and packed.read_text(encoding="utf-8") == now:
        return
    packed.unlink(missing_ok=True)
    archives = root / "archives"
    shutil.rmtree(root / "ansible_collections", ignore_errors=True)
    theirs = archives / "+".join([wheel.name, *declared()])
    if not theirs.exists():
        shutil.rmtree(archives, ignore_errors=True)
        archives.mkdir(parents=True)
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
            for collection in extract(Path(folder), archive):
                unrelease(collection)
                build(collection, archives)
        theirs.touch()
    for old in archives.glob("anklume-stt-*"):
        old.unlink()
    build(CHECKOUT, archives)
    command = [*GALAXY, "install", "--offline", "-p", str(root), *map(str, sorted(archives.glob("*.tar.gz")))]
    # nothing counts as installed already because it is somewhere else
    environment = os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(root)}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    packed.write_text(now, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))
