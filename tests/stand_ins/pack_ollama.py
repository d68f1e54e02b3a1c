# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs the stand-in into an archive laid out like Ollama's own releases: bin/ollama and lib/ollama."""

from __future__ import annotations

import argparse
import hashlib
import io
import tarfile
from pathlib import Path

SCRIPT = Path(__file__).with_name("ollama")


def pack(target: Path, version: str, *, starts: bool = True, padding_mib: int = 0) -> str:
    """Write the archive (.tgz); the SHA-256 digest of it. Padding is zeros, as libraries that weigh nothing packed."""
    script = SCRIPT.read_text().replace('VERSION = "0.0.0"', f'VERSION = "{version}"', 1)
    script = script.replace("STARTS = True", f"STARTS = {starts}", 1)
    target.parent.mkdir(parents=True, exist_ok=True)
    members = {"./bin/ollama": script.encode(), "./lib/ollama/libggml-base.so": b"\0" * (padding_mib * 2**20)}
    with tarfile.open(target, "w:gz", compresslevel=1) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    return hashlib.sha256(target.read_bytes()).hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("--version", required=True)
    parser.add_argument("--broken", action="store_true", help="its serve ends at once")
    parser.add_argument("--padding", type=int, default=0, help="MiB")
    options = parser.parse_args()
    print(pack(options.target, options.version, starts=not options.broken, padding_mib=options.padding))
