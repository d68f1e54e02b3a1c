# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""infra.yml's files in a project's folder: what sync would write, and writing it.

`plan` only reads and refuses the whole run when one file cannot be handled; `apply` only writes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import WriteError
from ansible_collections.anklume.stt.plugins.module_utils._base.files import remove_leftovers, sync_path, write_files
from ansible_collections.anklume.stt.plugins.module_utils._infra import blocks
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import parse, uncollected
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Model
from ansible_collections.anklume.stt.plugins.module_utils._infra.render import empty_inventory, render

FOLDERS = ("inventory", "group_vars", "host_vars")
LINKED = ("group_vars", "host_vars")


@dataclass(frozen=True)
class Change:
    """One file, before and after; None where there is no file."""

    before: bytes | None
    after: bytes | None


@dataclass
class SyncPlan:
    """What sync would do in a project. Paths are relative to it."""

    project: Path
    changes: dict[str, Change] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    """Files of machines and domains that are gone."""
    moves: dict[str, str] = field(default_factory=dict)
    """Leftovers that hold content of the user's, and where they go."""
    managed: int = 0
    """How many files sync looks after."""

    @property
    def changed(self) -> bool:
        return bool(self.changes or self.links or self.moves)

    @property
    def written(self) -> list[str]:
        return sorted(name for name, change in self.changes.items() if change.after is not None)

    @property
    def removed(self) -> list[str]:
        return sorted(name for name, change in self.changes.items() if change.after is None)

    def diff(self) -> list[dict[str, str]]:
        """Every change for `--diff`, contents before and after."""
        found = []
        for name, change in sorted(self.changes.items()):
            found.append(_diff(name, _text(change.before), _text(change.after)))
        for name in self.links:
            found.append(_diff(name, "", f"link to ../{Path(name).name}\n"))
        for name, target in sorted(self.moves.items()):
            found.append(_diff(name, f"{name}\n", f"moved to {target}\n"))
        return found


@uncollected()
def plan(project_dir: str, model: Model, *, clean: bool = False) -> SyncPlan:
    """Compare the model with the files; raises WriteError, with all reasons, when a file must not be touched."""
    made = SyncPlan(Path(project_dir).absolute())
    faults: list[str] = []
    there = {folder: _names(made.project / folder) for folder in FOLDERS}
    contents = render(model)
    made.managed = len(contents)
    for name, content in contents.items():
        folder, _slash, file = name.partition("/")
        _plan_file(made, name, content, file in there[folder], faults)
        if folder in LINKED:
            _find_rivals(name, there[folder], faults)
    _plan_leftovers(made, model, contents, there, faults, clean=clean)
    for folder in LINKED:
        _plan_link(made, folder, faults)
    if faults:
        raise WriteError("\n".join(faults))
    return made


def apply(made: SyncPlan) -> None:
    """Do what the plan says; the caller holds the project's lock."""
    remove_leftovers(made.project / folder for folder in FOLDERS)
    for name, change in made.changes.items():
        if _read(made.project / name) != change.before:
            raise WriteError(f"{made.project / name}: was changed by someone else meanwhile; run sync again")
    with _os_errors():
        for folder in FOLDERS:
            (made.project / folder).mkdir(exist_ok=True)
    write_files(
        {made.project / name: change.after for name, change in made.changes.items() if change.after is not None}
    )
    with _os_errors():
        touched = set()
        for name in made.removed:
            (made.project / name).unlink()
            touched.add((made.project / name).parent)
        for name, target in made.moves.items():
            place = made.project / target
            place.parent.mkdir(parents=True, exist_ok=True)
            (made.project / name).rename(place)
            touched |= {(made.project / name).parent, place.parent}
        for name in made.links:
            (made.project / name).symlink_to(Path("..") / Path(name).name)
            touched.add((made.project / name).parent)
        for folder_path in touched:
            sync_path(folder_path)


def _plan_file(made: SyncPlan, name: str, content: str, exists: bool, faults: list[str]) -> None:
    path = made.project / name
    try:
        before = _read(path) if exists else None
        if exists and before is None:
            raise WriteError(f"{path}: is a link that leads nowhere; remove it")
        after = blocks.merge(before, content, str(path))
        if after == before:
            return
        if before is not None and before.strip() and blocks.find(before, name) is None:
            _must_parse(after, path)
    except WriteError as error:
        faults.append(str(error))
        return
    made.changes[name] = Change(before, after)


def _must_parse(content: bytes, path: Path) -> None:
    """A file of the user's gets its first block only when the whole is still a mapping for Ansible."""
    root, diagnostics = parse(content, str(path))
    if root is None or root.kind != "map":
        reason = f" ({diagnostics[0].message})" if diagnostics else ""
        raise WriteError(
            f"{path}: its content cannot stand in one file with the managed block{reason}; "
            "write it as plain `key: value` lines that start at the left edge"
        )


def _find_rivals(name: str, there: set[str], faults: list[str]) -> None:
    """Ansible reads one of `x`, `x.yml`, `x.yaml` and `x.json`: a second one would hide content."""
    folder, _slash, file = name.partition("/")
    stem = file.removesuffix(".yml")
    for rival in (stem, f"{stem}.yaml", f"{stem}.json"):
        if rival in there:
            faults.append(
                f"{folder}/{rival}: Ansible reads only one of {rival} and {file}, and sync writes {file}; "
                f"move its variables to {folder}/{file}, below the managed block"
            )


def _plan_leftovers(
    made: SyncPlan,
    model: Model,
    contents: dict[str, str],
    there: dict[str, set[str]],
    faults: list[str],
    *,
    clean: bool,
) -> None:
    """Files with a managed block that no machine or domain has any more; files without one are the user's."""
    kept = {f"host_vars/{machine}.yml" for machines in model.disabled.values() for machine in machines}
    kept |= {f"group_vars/{domain}.yml" for domain in model.disabled}
    backup = _free_backup(made.project)
    for folder, names in there.items():
        for file in sorted(names):
            name = f"{folder}/{file}"
            if not file.endswith(".yml") or name in contents or name in kept:
                continue
            before = _read(made.project / name)
            if before is None or blocks.BEGIN not in before:
                continue
            domain = file.removesuffix(".yml")
            disabled = folder == "inventory" and domain in model.disabled
            if not disabled:
                made.leftovers.append(name)
            if clean and not disabled:
                if blocks.has_user_content(before, name):
                    made.moves[name] = f"{backup}/{name}"
                else:
                    made.changes[name] = Change(before, None)
            elif folder == "inventory":
                _plan_file(made, name, empty_inventory(domain), True, faults)


def _free_backup(project: Path) -> str:
    """A folder for backups that is not there yet."""
    first = name = "backups/sync-" + time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    number = 1
    while (project / name).exists():
        number += 1
        name = f"{first}-{number}"
    return name


def _plan_link(made: SyncPlan, folder: str, faults: list[str]) -> None:
    """`inventory/host_vars` leads to `host_vars`, where Ansible looks for it from anywhere."""
    link, target = made.project / "inventory" / folder, made.project / folder
    if link.is_symlink():
        if link.resolve() != target.resolve():
            faults.append(f"{link}: is a link to {link.readlink()}, not to ../{folder}; remove it and sync again")
    elif link.exists():
        faults.append(f"{link}: must be a link to ../{folder}; move what is in it to {target} and remove it")
    else:
        made.links.append(f"inventory/{folder}")


def _names(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in folder.iterdir()}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise WriteError(f"cannot read {folder}: {(error.strerror or str(error)).lower()}") from error


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WriteError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error


@contextlib.contextmanager
def _os_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or "a file"
        raise WriteError(f"cannot change {where}: {(error.strerror or str(error)).lower()}") from error


def _diff(name: str, before: str, after: str) -> dict[str, str]:
    return {"before_header": name, "after_header": name, "before": before, "after": after}


def _text(content: bytes | None) -> str:
    return "" if content is None else content.decode("utf-8", "replace")
