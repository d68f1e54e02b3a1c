# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the roles of infra.yml can follow in the same run: an inventory of today, machines in it, roles somewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import InfraError
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Model
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import own_places
from ansible_collections.anklume.stt.plugins.module_utils._infra.sync import is_older
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import MACHINE_ROLES


def judge_following(
    project_dir: str,
    model: Model,
    *,
    machines: Sequence[str],
    roles_path: Sequence[str],
    collections_path: Sequence[str],
    check: bool,
) -> list[str]:
    """Warnings; InfraError where the roles cannot follow."""
    warnings = judge_inventory(project_dir, model, check=check)
    if model.machines and not machines and not check:
        folder = Path(project_dir, "inventory")
        raise InfraError(f"infra.yml has machines, and this run knows none of them; add `-i {folder}`")
    roles = dict.fromkeys(role for machine in model.machines for role in machine.roles)
    missing = missing_roles(roles, project_dir, roles_path, collections_path)
    if missing:
        raise InfraError(
            "infra.yml names roles that are neither of this collection, nor in roles/, roles_custom/ or roles_vendor/ "
            f"of {project_dir}, nor installed: {', '.join(missing)}. Add them there, or install the collection or role "
            "that holds them, or take them out of `roles:`"
        )
    return warnings


def judge_inventory(project_dir: str, model: Model, *, check: bool) -> list[str]:
    """Warnings; InfraError where the inventory is older than infra.yml. Check mode goes on with it, and says so."""
    diagnostics, older = is_older(project_dir, model)
    if older and not check:
        raise InfraError(older)
    warnings = [diagnostic.render() for diagnostic in diagnostics if diagnostic.level == "warning"]
    return [*warnings, older] if older else warnings


def missing_roles(
    roles: Iterable[str], project_dir: str, roles_path: Sequence[str], collections_path: Sequence[str]
) -> list[str]:
    """The roles that are found nowhere: not ours, not in the project, not installed on one of the paths."""

    def found(role: str) -> bool:
        namespace, dummy, name = role.rpartition(".")
        places = [*own_places(role, project_dir), *(Path(path, role) for path in roles_path)]
        if namespace.count(".") == 1:
            folder = Path("ansible_collections", *namespace.split("."), "roles", name)
            places += [Path(path, folder) for path in collections_path]
        return role in MACHINE_ROLES or any(place.is_dir() for place in places)

    return [role for role in roles if not found(role)]
