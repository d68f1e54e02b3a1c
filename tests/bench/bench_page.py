# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures what docs/how-to/how-fast.md shows: bench-service itself, on the engine with the real Whisper base, here.

Writes between the marks of that page, and the plot beside it. Run by `make bench-page`, on a machine that
does nothing else.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_lanes import ENGINE, URL, in_a_hub, serve

ROOT = Path(__file__).resolve().parents[2]
PAGE, PLOT = ROOT / "docs/how-to/how-fast.md", ROOT / "docs/images/how-fast.svg"
BEGIN, END = "<!-- measured: written by tests/bench/bench_page.py -->\n", "<!-- measured: end -->\n"
NAME = "whisper-base"
"""What the server calls the folder that it is given."""
INTRO = "It looks like this, here of a machine without a GPU (`make bench-page` has measured it):"
IMAGE = "![Times faster than speech, and what commands wait](../images/how-fast.svg)"


def tables(folder: Path, server: int) -> str:
    """What bench-service prints; its own progress goes to the terminal."""
    command = [ROOT / ".venv/bin/python", ROOT / "scripts/bench_service.py", folder, "--url", URL, "--pid", str(server)]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return printed.rpartition("\nkept in ")[0]


def main() -> None:
    """Measure, and write the page."""
    options = argparse.Namespace(threads=os.cpu_count() or 1, context="auto")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = folder / NAME
        model.symlink_to(in_a_hub(folder))
        server, _ = serve(ENGINE, model, options)
        try:
            told = tables(folder, server.pid)
        finally:
            server.terminate()
            server.wait()
        (plot,) = (folder / "bench").glob("*.svg")
        PLOT.write_bytes(plot.read_bytes())
    head, _, rows = told.partition("\n\n")
    about = [line for line in head.splitlines() if not line.startswith("server")]
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        sys.exit(f"{PAGE} has lost the marks of its tables")
    listed = "\n".join(["```", *about, "```"])
    written = "\n\n".join([INTRO, listed, rows.strip(), IMAGE])
    PAGE.write_text(f"{before}{BEGIN}{written}\n{END}{after}", encoding="utf-8")
    print(told)


if __name__ == "__main__":
    main()
