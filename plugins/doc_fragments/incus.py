# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of what modules that talk to Incus have in common; the option is in _incus/transport.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment: C(anklume.stt.incus)."""

    DOCUMENTATION = r"""
options:
  socket:
    description:
      - The unix socket of Incus.
      - By default E(INCUS_SOCKET), else C(unix.socket) in E(INCUS_DIR), else in C(/var/lib/incus).
    type: path
"""
