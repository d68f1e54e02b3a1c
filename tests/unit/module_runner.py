# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module with its arguments on stdin, as Ansible does: in this process (fast), or in one of its own."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import basic


def arguments(params: dict[str, Any], *, check: bool) -> str:
    """What Ansible sends a module."""
    return json.dumps({"ANSIBLE_MODULE_ARGS": {"_ansible_check_mode": check, "_ansible_diff": True, **params}})


def run_module(module: ModuleType, *, check: bool = False, **params: Any) -> dict[str, Any]:
    """Run ``module.main()`` here and return the JSON that it prints."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(basic, "_ANSIBLE_ARGS", arguments(params, check=check).encode())
        patch.setattr(basic, "_ANSIBLE_PROFILE", "legacy")
        with pytest.raises(SystemExit) as end:
            module.main()
    return parsed(printed.getvalue(), int(end.value.code or 0))


def spawn_module(
    module: ModuleType,
    *,
    prefix: tuple[str, ...] = (),
    **params: Any,
) -> subprocess.Popen[str]:
    """Start the module in a process of its own, with a command before it if need be; its result is on stdout."""
    process = subprocess.Popen(
        [*prefix, sys.executable, "-m", module.__name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    assert process.stdin
    process.stdin.write(arguments(params, check=False))
    process.stdin.close()
    return process


def result_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a spawned module and return the JSON that it printed."""
    assert process.stdout
    with process:
        printed = process.stdout.read()
    return parsed(printed, process.returncode)


def parsed(printed: str, status: int) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(printed)
    assert status == (1 if result.get("failed") else 0)
    assert "Traceback" not in printed
    return result
