# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One writer per project: a lock on PROJECT/.lock for sync, apply, destroy and snapshots."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import WriteError

NAME = ".lock"


@contextlib.contextmanager
def project_lock(project_dir: str | Path) -> Iterator[None]:
    """Hold the project's lock; raises WriteError at once, with the holder's pid, when another process has it.

    The kernel frees the lock when the process ends, however it ends; the file stays.
    """
    path = Path(project_dir) / NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise WriteError(f"cannot lock {path}: {(error.strerror or str(error)).lower()}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WriteError(
                f"{_holder(descriptor)} is working on this project ({path}); try again when it is done"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    if not pid.isdigit():
        return "another process"
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        if command:
            return f"process {pid} ({command[:80]})"
    return f"process {pid}"
