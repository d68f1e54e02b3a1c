# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that know a project's folder, and turn the `roles:` of a machine into what include_role takes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ansible_collections.anklume.stt.plugins.module_utils._infra.project import own_places
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import (
    BY_ROLE,
    COLLECTION,
    MACHINE_ROLES,
    machines_of_stage,
    roles_of_stage,
    services_left,
)


def project_dir(inventory_dir: str | None) -> str:
    """The project's folder, of the inventory's: sync writes inventory/ there; one written by hand lies in it."""
    folder = Path(inventory_dir or ".").absolute()
    return str(folder.parent if folder.name == "inventory" else folder)


def role_name(role: str, project_dir: str) -> str:
    """What include_role needs to find a role: ours in full, the user's by its folder, any other as it is."""
    if role in MACHINE_ROLES:
        return COLLECTION + role
    own = (path for path in own_places(role, project_dir) if path.is_dir())
    return str(next(own, role))


def service_roles(groups: Iterable[str]) -> list[str]:
    """Our roles with a service, of those whose groups are named, in the order in which they are looked at."""
    named = {group.removeprefix("role_") for group in groups if group.startswith("role_")}
    return [role for role in BY_ROLE if role in named]


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, object]:
        """Map names to functions."""
        return {
            "machines_of_stage": machines_of_stage,
            "project_dir": project_dir,
            "role_name": role_name,
            "roles_of_stage": roles_of_stage,
            "service_roles": service_roles,
            "services_left": services_left,
        }
