# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A project's folder: finds infra.yml, or the folder infra/, and reads it into the model."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import InfraError
from ansible_collections.anklume.stt.plugins.module_utils._infra import schema
from ansible_collections.anklume.stt.plugins.module_utils._infra.check import check
from ansible_collections.anklume.stt.plugins.module_utils._infra.diagnostic import Diagnostic, render_all
from ansible_collections.anklume.stt.plugins.module_utils._infra.form import diagnose
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import File, Node, parse
from ansible_collections.anklume.stt.plugins.module_utils._infra.lookalikes import missing, read_text_file, unread
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Model
from ansible_collections.anklume.stt.plugins.module_utils._infra.render import groups_of
from ansible_collections.anklume.stt.plugins.module_utils._infra.unlocked import suspects, unlocked
from ansible_collections.anklume.stt.plugins.module_utils._infra.variables import read_variables

PROJECT_DIR = {"project_dir": {"type": "path", "required": True}}
"""The option of modules that read a project; the fragment `project` documents it."""

ROLE_FOLDERS = ("roles", "roles_custom", "roles_vendor")
"""Where a project keeps roles of its own; the last two are AnKLuMe's habit."""


MOST = 200
"""So many faults are told in one run."""


def own_places(role: str, project_dir: str) -> list[Path]:
    """Where a project may have a role."""
    return [Path(project_dir, folder, role) for folder in ROLE_FOLDERS]


def read_project(project_dir: str) -> tuple[Model, tuple[Diagnostic, ...]]:
    """The model of a project with its warnings and notes; InfraError tells all faults at once."""
    model, diagnostics = judge_project(project_dir)
    errors = [diagnostic for diagnostic in diagnostics if diagnostic.level == "error"]
    if model is None or errors:
        raise InfraError(report(errors))
    return model, diagnostics


def report(errors: list[Diagnostic]) -> str:
    """All faults as one message."""
    counted = "1 fault" if len(errors) == 1 else f"{len(errors)} faults"
    place = "infra.yml" if all(Path(one.file).name == "infra.yml" for one in errors) else "infra/"
    more = f"\n… and {len(errors) - MOST} more" if len(errors) > MOST else ""
    return f"{counted} in {place}, nothing was changed\n{render_all(errors[:MOST])}{more}"


def judge_project(project_dir: str) -> tuple[Model | None, tuple[Diagnostic, ...]]:
    """The model, or None, and every diagnostic; InfraError only when there is nothing to read."""
    project = Path(project_dir).absolute()
    root, diagnostics = _load(project)
    model = None
    if root is not None:
        own = [entry.name for name in ROLE_FOLDERS for entry in _listing(project / name) if entry.is_dir()]
        model, found = check(root, folder=project.resolve().name, roles=own)
        diagnostics += found
    if model is not None and root is not None:
        known = {one.name: read_variables(project, groups_of(one), one.name) for one in suspects(model)}
        diagnostics += unlocked(model, root, known)
    if any(diagnostic.level == "error" for diagnostic in diagnostics):
        model = None
    order = {"error": 0, "warning": 1, "note": 2}
    diagnostics.sort(key=lambda one: (order[one.level], one.file, one.line, one.column))
    return model, tuple(diagnostics)


def _load(project: Path) -> tuple[Node | None, list[Diagnostic]]:
    single, base = project / "infra.yml", project / "infra" / "base.yml"
    if not _is_there(base):
        if not _is_there(single):
            raise InfraError(missing(project))
        root, diagnostics = _parse(single, project)
        if root is None and not diagnostics:
            diagnostics.append(_plain_error(single, project, "the file is empty; it needs at least domains"))
        return root, [*diagnostics, *(_warning(*one, project) for one in unread(project))]
    root, diagnostics = _parse(base, project)
    if root is None and not diagnostics:
        root = Node("map", {}, "", File(_shown(base, project), ""), 0, 0, 1)
    if _is_there(single):
        message = "is not read, because infra/base.yml exists; keep one of the two"
        diagnostics.append(_warning(single, message, project))
    diagnostics += [_warning(*one, project) for one in unread(project)]
    parts = [root, *_add_domains(project, root, diagnostics), _add_policies(project, root, diagnostics)]
    return (root if all(parts) else None), diagnostics


def _add_domains(project: Path, root: Node | None, diagnostics: list[Diagnostic]) -> list[bool]:
    """Merge infra/domains/*.yml in sorted order; a later file wins, with a warning."""
    domains = root.value.get("domains") if root is not None and root.kind == "map" else None
    if domains is None or domains.kind != "map":
        file = root.file if root is not None else File("infra/base.yml", "")
        domains = Node("map", {}, "", file, 0, 0, 1)
    read = []
    for path in sorted(_listing(project / "infra" / "domains")):
        if path.name.startswith(".") or path.suffix != ".yml" or path.is_dir():
            continue
        part, faults = _parse(path, project, "domains by name, like lab:")
        diagnostics += faults
        read.append(part is not None or not faults)
        if part is None:
            continue
        if part.value and not part.value.keys() - schema.DOMAIN.keys.keys():
            message, hint = (
                "a file in infra/domains/ holds domains by name",
                f"write {path.stem}: above, and indent this",
            )
            diagnostics.append(diagnose("error", next(iter(part.keys.values())), "", message, (hint,)))
            continue
        for name, node in part.value.items():
            if name in schema.ROOT.keys and not _is_domain(node):
                diagnostics.append(_misplaced(part.keys[name], name))
                continue
            if name in domains.value:
                message = f'domain "{name}" replaces the one of {domains.keys[name].file.name}'
                diagnostics.append(diagnose("warning", part.keys[name], f"domains.{name}", message))
            domains.value[name], domains.keys[name] = node, part.keys[name]
    if root is not None and root.kind == "map":
        given = root.value.get("domains")
        if given is None or given.kind in ("map", "null"):
            root.value["domains"] = domains
            root.keys.setdefault("domains", domains)
    return read


def _add_policies(project: Path, root: Node | None, diagnostics: list[Diagnostic]) -> bool:
    """infra/policies.yml replaces the network policies of infra/base.yml, as in AnKLuMe."""
    path = project / "infra" / "policies.yml"
    if not _is_there(path):
        return True
    part, faults = _parse(path, project, "a mapping of network_policies:")
    diagnostics += faults
    if part is None:
        return not faults
    for name, node in part.value.items():
        key = part.keys[name]
        if name.startswith("x-"):
            continue
        if name != "network_policies":
            hint = "other keys belong in infra/base.yml"
            diagnostics.append(diagnose("error", key, "", f'unknown key "{name}"', ("allowed: network_policies", hint)))
        elif root is not None and root.kind == "map":
            if name in root.value:
                diagnostics.append(diagnose("warning", key, name, "replaces the network_policies of infra/base.yml"))
            root.value[name], root.keys[name] = node, key
    return True


def _is_domain(node: Node) -> bool:
    """Whether a node could be a domain of that name, and is no part of another file."""
    return node.kind == "map" and bool(schema.DOMAIN.keys.keys() & node.value.keys())


def _misplaced(key: Node, name: str) -> Diagnostic:
    """A key of base.yml or policies.yml in a file of domains."""
    if name == "domains":
        message = "a file in infra/domains/ holds domains by name, without domains: around them"
        return diagnose("error", key, "", message, ("remove this line, and move what is below it to the left",))
    place = "policies.yml or base.yml" if name == "network_policies" else "base.yml"
    return diagnose("error", key, "", f"a file in infra/domains/ holds domains only; {name} belongs in infra/{place}")


def _parse(
    path: Path, project: Path, holds: str = "a mapping of keys like domains:"
) -> tuple[Node | None, list[Diagnostic]]:
    """One file as a mapping; another kind of content is a fault."""
    try:
        data = read_text_file(path)
    except OSError as error:
        return None, [_plain_error(path, project, f"cannot be read: {(error.strerror or str(error)).lower()}")]
    root, diagnostics = parse(data, _shown(path, project))
    if root is not None and root.kind == "null":
        return None, diagnostics
    if root is not None and root.kind != "map":
        diagnostics.append(diagnose("error", root, "", f"must be {holds}"))
        return None, diagnostics
    return root, diagnostics


def _plain_error(path: Path, project: Path, message: str) -> Diagnostic:
    return Diagnostic("error", _shown(path, project), 1, 1, "", message)


def _warning(path: Path, message: str, project: Path) -> Diagnostic:
    return Diagnostic("warning", _shown(path, project), 1, 1, "", message)


def _shown(path: Path, project: Path) -> str:
    """A file's name for people: relative where that is where they are, else absolute."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def _is_there(path: Path) -> bool:
    """A link that leads nowhere counts: it was meant to be read."""
    return path.exists() or path.is_symlink()


def _listing(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
