# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One writer per project: a lock on PROJECT/.lock for sync, apply, destroy and snapshots."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import WriteError
from ansible_collections.anklume.stt.plugins.module_utils._base.files import take_owner

NAME = ".lock"


@contextlib.contextmanager
def project_lock(project_dir: str | Path) -> Iterator[None]:
    """Hold the project's lock; raises WriteError at once, with the holder's pid, when another process has it.

    The kernel frees the lock when the process ends, however it ends. The file is there meanwhile only.
    """
    path = Path(project_dir) / NAME
    descriptor = _hold(path)
    try:
        with contextlib.suppress(OSError):  # it may be one that another user left
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _hold(path: Path) -> int:
    """The descriptor of the lock's file, held."""
    while True:
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise WriteError(f"{holder} is working on this project ({path}); try again when it is done") from None
        os.close(descriptor)  # its holder removed it between the two calls


def _open(path: Path) -> int:
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags | os.O_RDWR | os.O_CREAT, 0o644)
        take_owner(path)
        return descriptor
    except PermissionError:
        with contextlib.suppress(OSError):  # left by another user: to lock it, reading is enough
            return os.open(path, flags | os.O_RDONLY)
        raise WriteError(f"cannot lock {path}: permission denied{_whose(path)}") from None
    except OSError as error:
        raise WriteError(f"cannot lock {path}: {(error.strerror or str(error)).lower()}") from error


def _whose(path: Path) -> str:
    """Who has to run this, or what lets the present user do so."""
    for place in (path, path.parent):
        with contextlib.suppress(OSError, KeyError):
            owner = place.stat().st_uid
            if owner != os.geteuid():
                name = pwd.getpwuid(owner).pw_name
                return f"; {place} belongs to {name}: run this as {name}, or give yourself what is in {path.parent}"
    return ""


def _holder(descriptor: int) -> str:
    pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    if not pid.isdigit():
        return "another process"
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        if command:
            return f"process {pid} ({command[:80]})"
    return f"process {pid}"
