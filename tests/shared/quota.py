# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A quota of Incus that an instance's disk has almost reached, for tests of what is told of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

LEFT = 400 * 2**20
"""Bytes; once none are left, Incus could not take the quota back."""


@contextmanager
def almost_reached(project: str, instance: str) -> Iterator[None]:
    """While this lasts, the root disk may grow by little."""
    state = subprocess.check_output(["incus", "query", f"/1.0/instances/{instance}/state?project={project}"])
    size = json.loads(state)["disk"]["root"]["usage"] + LEFT
    device = ["incus", "config", "device"]
    subprocess.run([*device, "override", instance, "root", f"size={size}B", "--project", project], check=True)
    try:
        yield
    finally:
        subprocess.run([*device, "remove", instance, "root", "--project", project], check=True)
