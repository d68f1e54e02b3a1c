# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role ollama_server: its archive and its address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._services.ollama_release import address_of, archive_of


def ollama_archive(version: str, machine: str, source: str = "", sha256: str = "") -> dict[str, Any]:
    """The archive of a version of Ollama for a machine's processor."""
    try:
        return archive_of(version, machine, source, sha256)
    except Error as exc:
        raise AnsibleFilterError(str(exc)) from exc


def ollama_address(host: str) -> dict[str, Any]:
    """Port and address of Ollama on its own machine, from ollama_host."""
    try:
        return address_of(host)
    except Error as exc:
        raise AnsibleFilterError(str(exc)) from exc


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """Return them as Ansible asks for them."""
        return {"ollama_address": ollama_address, "ollama_archive": ollama_archive}
