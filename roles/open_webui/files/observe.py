# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints as JSON what the role has to know about the instance before it touches anything; changes nothing.

usage: python3 - '{"release": DIR, "python": PATH or "", "port": NUMBER}'
"""

from __future__ import annotations

import json
import platform
import pwd
import shutil
import socket
import subprocess
import sys
from pathlib import Path

SUPPORTED = ((3, 11), (3, 12))


def version_of(python: str) -> tuple[int, ...] | None:
    """The version of an interpreter that exists and runs, or None."""
    command = [python, "-Ic", "import sys; print(*sys.version_info[:2])"]
    try:
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return tuple(int(part) for part in output.split())


def find_python(given: str) -> str:
    """The interpreter that was given, or the first supported one on the path; empty when there is none."""
    candidates = [given] if given else [shutil.which(name) for name in ("python3.12", "python3.11", "python3")]
    return next((path for path in candidates if path and version_of(path) in SUPPORTED), "")


def port_taken(port: int) -> bool:
    """Whether somebody listens on a port of the instance."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return True
    return False


def user_exists(name: str) -> bool:
    """Whether the service's user is known."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def read(path: Path) -> str:
    """The text of a small file; empty when there is none."""
    return path.read_text().strip() if path.is_file() else ""


def main() -> None:
    """Observe and print."""
    wanted = json.loads(sys.argv[1])
    release, home = Path(wanted["release"]), Path(wanted["release"]).parent
    current = home / "current"
    active = subprocess.run(["systemctl", "is-active", "--quiet", "open-webui"], check=False).returncode == 0
    print(
        json.dumps(
            {
                "machine": platform.machine(),
                "python": find_python(wanted["python"]),
                "release_lock": read(release / "lock.sha256"),
                "current": current.readlink().name if current.is_symlink() else "",
                "user": user_exists("open-webui") and Path("/etc/open-webui").is_dir(),
                "unit": Path("/etc/systemd/system/open-webui.service").exists(),
                "active": active,
                "port_taken": not active and port_taken(wanted["port"]),
                "free_mib": shutil.disk_usage("/opt").free // 2**20,
            }
        )
    )


main()
