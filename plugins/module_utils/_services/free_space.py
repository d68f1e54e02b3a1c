# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much room there is for a release, a quota of btrfs included, which no system call tells."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

MOST_TRIED = 8192
"""MiB; more than any release needs."""
STEP = 32
"""MiB, as near as a quota is found out."""
FULL = (errno.EDQUOT, errno.ENOSPC)


def free_mib(folder: Path) -> int:
    """Free space in the nearest folder that exists, in MiB."""
    return shutil.disk_usage(there(folder)).free // 2**20


def there(folder: Path) -> Path:
    """The nearest folder that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder


def within_quota(folder: Path, free: int) -> int:
    """How much of what is free a quota leaves, in MiB; of btrfs, which tells nobody, as much as it can be made to."""
    if file_system(there(folder)) != "btrfs" or os.geteuid() != 0 or free <= 0:
        return free
    most = min(free, MOST_TRIED)
    if can_hold(there(folder), most):
        return free
    least = 0
    while most - least > STEP:
        middle = (least + most) // 2
        least, most = (middle, most) if can_hold(there(folder), middle) else (least, middle)
    return least


def file_system(folder: Path) -> str:
    """The kind of file system that a folder lies in."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    places = [(len(mount[1]), mount[2]) for mount in mounts if folder.resolve().is_relative_to(mount[1])]
    # of two on one place the later one is seen
    return max(reversed(places), key=lambda place: place[0], default=(0, ""))[1]


def can_hold(folder: Path, mib: int) -> bool:
    """Whether so much can be reserved; it is given back at once, and the file has no name."""
    try:
        file = os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600)
    except OSError as error:
        return error.errno not in FULL  # what is read-only says so by itself
    try:
        os.posix_fallocate(file, 0, mib * 2**20)
    except OSError as error:
        return error.errno not in FULL
    finally:
        os.close(file)
    return True
