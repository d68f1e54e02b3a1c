# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that know the keys of a machine's STT server, and where they are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._services.speech import (
    api_key,
    api_keys,
    key_files,
    server_at,
    stt_behind,
    stt_machines,
)


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them as Ansible asks for them."""
        return {
            "stt_api_key": api_key,
            "stt_api_keys": api_keys,
            "stt_behind": stt_behind,
            "stt_key_files": key_files,
            "stt_machines": stt_machines,
            "stt_server_at": server_at,
        }
