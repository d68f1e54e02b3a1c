# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads the wheels of a lock file for an instance without a network, on a machine whose Python is another.

usage: download_wheels.py LOCK PYTHON FOLDER [MACHINE]

PYTHON is the instance's version, all of it (3.11.2), MACHINE its processor: x86_64, unless it is aarch64. (pip alone
chooses by the Python that runs it.) Needs a package index.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.markers import Marker

# The oldest and the newest glibc that wheels are built for and our distributions have (Debian 12: 2.36).
GLIBC = range(5, 37)


def wanted(lock: str, python: str, machine: str) -> str:
    """The lock file without what is for other instances, and without the conditions."""
    environment = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": "linux",
    }
    kept = []
    for entry in re.split(r"^(?=\S)", re.sub(r"^#.*\n", "", lock, flags=re.MULTILINE), flags=re.MULTILINE):
        head, _, digests = entry.partition("\\\n")
        name, _, marker = (part.strip() for part in head.partition(" ; "))
        if name and (not marker or Marker(marker).evaluate(environment)):
            kept.append(f"{name} \\\n{digests}")
    return "".join(kept)


def main() -> int:
    """Choose, download; pip says what is wrong."""
    lock, python, folder, machine = Path(sys.argv[1]).read_text(), *sys.argv[2:4], (sys.argv[4:] or ["x86_64"])[0]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(wanted(lock, python, machine))
        file.flush()
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", f"--python-version={python}", f"--dest={folder}", "--requirement", file.name]
        command += [f"--platform=manylinux_2_{minor}_{machine}" for minor in reversed(GLIBC)]
        command += [f"--platform={tag}_{machine}" for tag in ("manylinux2014", "manylinux2010", "manylinux1", "linux")]
        status = subprocess.run(command, check=False).returncode
    for left in re.findall(r"^# (\S+==\S+) (comes from .*)", lock, re.MULTILINE):
        print("not here:", *left)
    return status


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    sys.exit(main())
