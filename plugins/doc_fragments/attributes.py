# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module of the collection states about check mode, diff and idempotence."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragments: C(anklume.stt.attributes) and its C(.info) and C(.writes) parts."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and return the changed status without changing anything.
  diff_mode:
    description: Returns details on what has changed, or would change in check mode, when in diff mode.
  idempotent:
    description: A second run with the same options changes nothing.
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    support: full
    details: This module changes nothing.
  diff_mode:
    support: N/A
    details: This module changes nothing.
  idempotent:
    support: full
    details: This module changes nothing.
"""

    WRITES = r"""
options: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
"""
