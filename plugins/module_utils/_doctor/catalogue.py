# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule of the doctor, and the codes of those that are gone."""

from __future__ import annotations

from ansible_collections.anklume.stt.plugins.module_utils._doctor import (
    docker_rules,
    gpu_rules,
    incus_rules,
    network_rules,
    service_rules,
)

RULES = (*incus_rules.RULES, *network_rules.RULES, *gpu_rules.RULES, *service_rules.RULES, *docker_rules.RULES)

RETIRED: frozenset[str] = frozenset()
"""Codes of rules that are gone; none is used again, as people may have them in doctor_ignore."""
