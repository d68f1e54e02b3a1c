# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a command on a terminal and draws what it left there, as an SVG file that loads nothing.

usage: screenshot.py FILE.svg make plan PROJECT=…
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

WIDTH = 104


def seen(command: list[str]) -> str:
    """What the command leaves on a terminal: each line as it was written last."""
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}
    environment |= {"COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    with subprocess.Popen(command, env=environment, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                said += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
        os.close(ours)
    print(f"{' '.join(command)}: status {process.returncode}")
    lines = said.decode().replace("\r\n", "\n").split("\n")
    return "\n".join(re.sub(r".*\r", "", line).replace("\x1b[K", "") for line in lines).rstrip()


def drawing(text: str, title: str) -> str:
    """The text as a window."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.from_ansi(text), soft_wrap=False)
        plain = re.sub(r"@font-face \{\{.*?\n    \}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.S)
        return console.export_svg(title=title, theme=MONOKAI, code_format=plain, unique_id="terminal")


def main(file: str, *command: str) -> None:
    """Draw it; the folder of the project is left out of the title, and is ~/home in the text."""
    title = " ".join(word for word in command if not word.startswith("PROJECT="))
    text = seen(list(command))
    for word in command:
        if word.startswith("PROJECT="):
            text = text.replace(word.removeprefix("PROJECT="), "~/home")
    svg = drawing(text, title)
    Path(file).write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
