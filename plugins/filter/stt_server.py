# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role stt_server: what it computes from its variables."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.parsing.dataloader import DataLoader
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._services.gpu_neighbours import answered, judged_variables
from ansible_collections.anklume.stt.plugins.module_utils._services.speech import role_folder
from ansible_collections.anklume.stt.plugins.module_utils._services.stt_server import (
    chat_url,
    lock_of,
    refusals,
    source_is_remote,
    unbuilt,
)


@functools.cache
def role_defaults(role: str) -> dict[str, Any]:
    """The public variables of a role of ours, with what they are when nobody sets them."""
    return dict(DataLoader().load_from_file(str(role_folder(role) / "defaults" / "main.yml")))


def role_variables(role: str) -> list[str]:
    """The names of the public variables of a role of ours."""
    return list(role_defaults(role))


def release_lock(patterns: Iterable[str], role: str, source: str = "") -> str:
    """The digest of all that a release is made of: files of a role, by patterns, and an engine's source."""
    return lock_of(role_folder(role) / "files", patterns, source)


def role_files(patterns: Iterable[str], role: str, folder: str) -> list[dict[str, str]]:
    """The text files of a role, by patterns, as service_files takes them: to lie in one folder, by their own names."""
    home = role_folder(role) / "files"
    found = sorted({path for pattern in patterns for path in home.glob(pattern)})
    return [{"path": f"{folder}/{path.name}", "content": path.read_text(encoding="utf-8")} for path in found]


def stt_refusals(variables: Mapping[str, Any], engines: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Why what the role's variables ask for cannot be had."""
    try:
        return refusals(variables, engines)
    except Error as exc:
        raise AnsibleFilterError(str(exc)) from exc


def stt_chat_url(given: str, ollama_host: str = "") -> str:
    """Where the language model of Realtime sessions is asked."""
    try:
        return chat_url(given, ollama_host)
    except Error as exc:
        raise AnsibleFilterError(f"stt_server_chat_url: {exc}") from exc


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them as Ansible asks for them."""
        return {
            "fit_answered": answered,
            "judged_variables": judged_variables,
            "release_lock": release_lock,
            "role_files": role_files,
            "role_variables": role_variables,
            "source_is_remote": source_is_remote,
            "stt_chat_url": stt_chat_url,
            "stt_refusals": stt_refusals,
            "stt_unbuilt": unbuilt,
        }
