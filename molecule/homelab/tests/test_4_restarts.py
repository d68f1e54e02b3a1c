# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything comes back by itself: after a reboot of the instances, and after a restart of Incus."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

from conftest import ROOT, Run


def green_again(make: Callable[..., Run], seconds: float = 180) -> None:
    """Verify is green before the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        run = make("verify")
        if run.status == 0:
            return
        assert time.monotonic() < deadline, run.why
        time.sleep(5)


def test_reboot_of_the_instances(make: Callable[..., Run]) -> None:
    subprocess.run(["incus", "restart", "--project", "homelab", "homelab-ai", "homelab-webui"], check=True)
    green_again(make)


def test_restart_of_the_incus_daemon(make: Callable[..., Run]) -> None:
    if subprocess.run(["systemctl", "is-active", "--quiet", "incus"], check=False).returncode == 0:
        subprocess.run(["systemctl", "restart", "incus"], check=True)
    else:
        daemon = subprocess.run(["pgrep", "-of", "incusd --group"], check=True, capture_output=True, text=True)
        subprocess.run(["kill", daemon.stdout.strip()], check=True)
        subprocess.run(["tail", f"--pid={daemon.stdout.strip()}", "--follow", "/dev/null"], check=True)
        subprocess.run([ROOT / "roles/incus_host/files/start-incus"], check=True)
    green_again(make)
