# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wheels for an instance are chosen by the instance's Python and processor, not by this machine's."""

from __future__ import annotations

import pytest
from download_wheels import wanted

LOCK = """# Example 1, profile full
# torch==2 comes from an index of builds for the processor
always==1 \\
    --hash=sha256:00 \\
    --hash=sha256:01
    # via example
older==2 ; python_full_version < '3.11.5' \\
    --hash=sha256:02
newer==3 ; python_full_version >= '3.11.5' \\
    --hash=sha256:03
arm==4 ; platform_machine == 'aarch64' and implementation_name != 'pypy' \\
    --hash=sha256:04
"""


@pytest.mark.parametrize(
    ("python", "machine", "names"),
    [
        ("3.11.2", "x86_64", ["always==1", "older==2"]),
        ("3.12.3", "x86_64", ["always==1", "newer==3"]),
        ("3.11.2", "aarch64", ["always==1", "older==2", "arm==4"]),
    ],
)
def test_what_is_for_others_is_left_out(python: str, machine: str, names: list[str]) -> None:
    kept = wanted(LOCK, python, machine)
    assert [line.removesuffix(" \\") for line in kept.splitlines() if "==" in line] == names
    assert kept.startswith("always==1 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\n")
    assert ";" not in kept
