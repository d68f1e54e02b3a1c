# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything comes back by itself: after a reboot of the instances, and after a restart of Incus."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

from conftest import Run, until_all_answer
from suite import ROOT


def test_after_restarts_of_incus_and_of_the_instances_verify_is_green(
    make: Callable[..., Run], ai: Any, webui: Any
) -> None:
    restart_incus()
    subprocess.run(["incus", "restart", "--project", "homelab", "homelab-ai", "homelab-webui"], check=True)
    until_all_answer(ai, webui)
    deadline = time.monotonic() + 180
    while (run := make("verify")).status != 0:
        assert time.monotonic() < deadline, run.why
        time.sleep(5)


def restart_incus() -> None:
    """The daemon of this host, with systemd or by hand; instances run on meanwhile."""
    if subprocess.run(["systemctl", "is-active", "--quiet", "incus"], check=False).returncode == 0:
        subprocess.run(["systemctl", "restart", "incus"], check=True)
        return
    daemon = subprocess.run(["pgrep", "-of", "incusd --group"], check=True, capture_output=True, text=True)
    subprocess.run(["kill", daemon.stdout.strip()], check=True)
    subprocess.run(["tail", f"--pid={daemon.stdout.strip()}", "--follow", "/dev/null"], check=True)
    subprocess.run([ROOT / "roles/incus_host/files/start-incus"], check=True)
