# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that turn the `roles:` of a machine into what include_role takes."""

from __future__ import annotations

from pathlib import Path

OURS = ("base_system", "ollama_server", "open_webui", "stt_server")


def role_name(role: str, project_dir: str) -> str:
    """What include_role needs to find a role: ours in full, the user's by its folder, any other as it is."""
    if role in OURS:
        return f"anklume.stt.{role}"
    own = Path(project_dir) / "roles" / role
    return str(own) if own.is_dir() else role


def roles_before(roles: list[str], role: str) -> list[str]:
    """The roles before `role`; all of them where it is not named."""
    return roles[: roles.index(role)] if role in roles else list(roles)


def roles_from(roles: list[str], role: str) -> list[str]:
    """The roles from `role` on; none where it is not named."""
    return roles[roles.index(role) :] if role in roles else []


def missing_roles(roles: list[str], project_dir: str, roles_path: list[str], collections_path: list[str]) -> list[str]:
    """The roles that are found nowhere: not ours, not in the project, not installed on one of the paths."""

    def found(role: str) -> bool:
        namespace, dummy, name = role.rpartition(".")
        places = [Path(project_dir, "roles", role), *(Path(path, role) for path in roles_path)]
        if namespace.count(".") == 1:
            folder = Path("ansible_collections", *namespace.split("."), "roles", name)
            places += [Path(path, folder) for path in collections_path]
        return role in OURS or any(place.is_dir() for place in places)

    return [role for role in roles if not found(role)]


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, object]:
        """Map names to functions."""
        return {
            "missing_roles": missing_roles,
            "role_name": role_name,
            "roles_before": roles_before,
            "roles_from": roles_from,
        }
