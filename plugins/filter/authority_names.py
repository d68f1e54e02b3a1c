# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that say what a project's authority may sign for, and where devices get it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._services import names


def _authority_names(machines: Iterable[str], hostvars: Mapping[str, Any], found: Sequence[str] = ()) -> list[str]:
    return names.permitted((hostvars[name] for name in machines), socket.gethostname(), found)


def _trust_pages(machines: Iterable[str], hostvars: Mapping[str, Any], found: Sequence[str] = ()) -> list[str]:
    return names.trust_pages((hostvars[name] for name in machines), found)


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Return them as Ansible asks for them."""
        return {"authority_names": _authority_names, "trust_pages": _trust_pages}
