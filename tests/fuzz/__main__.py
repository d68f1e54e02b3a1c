# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fuzzing suite as a program, for the Python of any release; see README.md.

usage: python tests/fuzz decoder [--seed N] [--first N] [--count N] [--output DIR]
       python tests/fuzz wire --address http://127.0.0.1:8000 [--openai-errors] [the same]
"""

from __future__ import annotations

import argparse
import collections
import os
import sys
import tempfile
import time
from pathlib import Path

import decoding
import seeds
import wire

DATA = Path(__file__).resolve().parent.parent / "data"

SHOWN = 20  # bad inputs that are printed; all are saved


def read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def main() -> int:
    """Run one part; 1 when there is a fault."""
    if sys.argv[1] == "child":
        decoding.child(read(Path(sys.argv[2])), int(sys.argv[3]))
        return 0
    parser = argparse.ArgumentParser(prog="python tests/fuzz")
    parser.add_argument("part", choices=["decoder", "wire"])
    parser.add_argument("--seed", type=int, default=1, help="another series")
    parser.add_argument("--first", type=int, default=0, help="index of the first input")
    parser.add_argument("--count", type=int, default=300, help="how many")
    parser.add_argument("--output", type=Path, default=DATA.parent / "output", help="where bad inputs are saved")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder that holds clips/")
    parser.add_argument("--address", help="of the server, for wire: http://127.0.0.1:8000; its key comes in STT_KEY")
    parser.add_argument("--openai-errors", action="store_true", help="every error must have OpenAI's body")
    asked = parser.parse_args()
    indices = range(asked.first, asked.first + asked.count)
    begin, seen, bad = time.monotonic(), collections.Counter[str](), 0
    with tempfile.TemporaryDirectory() as name:
        if asked.part == "decoder":
            seeds.make_all(asked.data, Path(name))
            inputs = decoding.hunt(Path(name), read(Path(name)), asked.seed, indices)
        else:
            inputs = wire.hunt(asked.address, os.environ.get("STT_KEY", ""), asked.openai_errors, asked.seed, indices)
        for end, fault in inputs:
            seen[end] += 1
            if fault:
                bad += 1
                asked.output.mkdir(parents=True, exist_ok=True)
                saved = asked.output / f"fuzz-{asked.part}-{asked.seed}-{fault.index}"
                saved.write_bytes(fault.content)
                again = f"{asked.part} --seed {asked.seed} --first {fault.index} --count 1"
                if bad <= SHOWN:
                    print(f"{again}: {fault.recipe[:500]}: {fault.what} ({saved})", flush=True)
    ends = ", ".join(f"{times} {end}" for end, times in seen.most_common())
    print(f"{asked.part} --seed {asked.seed}: {asked.count} in {time.monotonic() - begin:.0f} s, {bad} bad: {ends}")
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
