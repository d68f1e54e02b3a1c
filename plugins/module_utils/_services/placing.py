# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings small files and folders of a service to what is wanted, each atomically, by the means of Ansible's module."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._services.placed import Wanted, difference


def converge(module: Any, file: Wanted) -> dict[str, Any] | None:
    """Bring one file to what it should be; the difference, or None when there was none."""
    found = difference(file)
    if found and not module.check_mode:
        if "before_header" in found:
            write(module, file.path, file.content)
        elif file.state == "directory":
            file.path.mkdir(mode=0o755, parents=True, exist_ok=True)
        if file.state != "absent":
            attributes = {"path": str(file.path), "secontext": [None, None, None], "attributes": None}
            module.set_fs_attributes_if_different(attributes | file.attributes, False)
    return found


def write(module: Any, path: Path, content: str | None) -> None:
    """Replace a file atomically, for root alone until its mode is set, or remove it."""
    if content is None:
        path.unlink()
        return
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=module.tmpdir, delete=False) as staged:
        staged.write(content)
    module.atomic_move(staged.name, str(path), keep_dest_attrs=False)
