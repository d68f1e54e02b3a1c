# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of what modules that read infra.yml have in common; the option is in _infra/project.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment: C(anklume.stt.project)."""

    DOCUMENTATION = r"""
options:
  project_dir:
    description: The folder that holds C(infra.yml).
    type: path
    required: true
attributes:
  action_group:
    description: With C(group/anklume.stt.project) in C(module_defaults) it is given once for all modules of the group.
    support: full
    membership: [anklume.stt.project]
"""
