# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""infra.yml's files in a project's folder: what sync would write, and writing it.

`plan` only reads and refuses the whole run when one file cannot be handled; `apply` only writes.
"""

from __future__ import annotations

import re
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import WriteError
from ansible_collections.anklume.stt.plugins.module_utils._base.files import changing, remove_leftovers
from ansible_collections.anklume.stt.plugins.module_utils._infra import blocks
from ansible_collections.anklume.stt.plugins.module_utils._infra.diagnostic import Diagnostic
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import parse, uncollected
from ansible_collections.anklume.stt.plugins.module_utils._infra.lookalikes import read_text_file
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Model
from ansible_collections.anklume.stt.plugins.module_utils._infra.render import empty_inventory, render

FOLDERS = ("inventory", "group_vars", "host_vars")
LINKED = ("group_vars", "host_vars")

NAMED = 5
"""So many files are named in a message."""

NEW = 0o644
"""The mode of a new file, where infra.yml is no more private than that."""

OF_INFRA = {
    "project_name": "project_name",
    "base_subnet": "global.base_subnet",
    "addressing": "global.addressing",
    "default_os_image": "global.default_os_image",
    "incus_all_images": "os_image",
    "network_policies": "network_policies",
    "subnet_id": "subnet_id",
    "incus_project": "the domain's name",
    "incus_network": "subnet_id",
    "incus_profiles": "profiles",
    **{f"domain_{key}": key for key in ("name", "description", "ephemeral", "trust_level")},
    **{
        f"instance_{key}": key
        for key in (
            "name", "type", "description", "domain", "ephemeral", "os_image", "ip", "gpu", "profiles", "config",
            "devices", "storage_volumes", "roles", "boot_autostart", "boot_priority", "snapshots_schedule",
            "snapshots_expiry",
        )
    },
    "instance_published": "publish",
}  # fmt: skip
"""Variables that say what infra.yml says, and the key there that counts."""

_OF_INFRA = re.compile(rb"^(%s)[ \t]*:" % b"|".join(name.encode() for name in OF_INFRA), re.MULTILINE)


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
    modes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Files that more people can read than infra.yml: their mode, and the one they get."""
    managed: int = 0
    """How many files sync looks after."""
    private: int = 0
    """The bits of a mode that infra.yml does not give, and its files do not get."""
    warnings: list[Diagnostic] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.changes or self.links or self.moves or self.modes)

    @property
    def written(self) -> list[str]:
        return sorted(name for name, change in self.changes.items() if change.after is not None)

    @property
    def removed(self) -> list[str]:
        return sorted(name for name, change in self.changes.items() if change.after is None)

    def summary(self) -> list[str]:
        """What is done, file by file."""
        return [
            *(f"wrote {name}" for name in self.written),
            *(f"removed {name}" for name in self.removed),
            *(f"moved {name} to {target}" for name, target in sorted(self.moves.items())),
            *(f"made {name}, a link" for name in self.links),
            *(f"{name}: mode {before:04o} to {after:04o}" for name, (before, after) in sorted(self.modes.items())),
        ]

    def diff(self) -> list[dict[str, str]]:
        """Every change for `--diff`, contents before and after."""
        found = []
        for name, change in sorted(self.changes.items()):
            found.append(_diff(name, _text(change.before), _text(change.after)))
        for name in self.links:
            found.append(_diff(name, "", f"link to ../{Path(name).name}\n"))
        for name, target in sorted(self.moves.items()):
            found.append(_diff(name, f"{name}\n", f"moved to {target}\n"))
        for name, (mode, private) in sorted(self.modes.items()):
            found.append(_diff(name, f"mode {mode:04o}\n", f"mode {private:04o}\n"))
        return found


@uncollected()
def plan(project_dir: str, model: Model, *, clean: bool = False) -> SyncPlan:
    """Compare the model with the files; raises WriteError, with all reasons, when a file must not be touched."""
    made = SyncPlan(Path(project_dir).absolute())
    made.private = _private(made.project)
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


def is_older(project_dir: str, model: Model) -> tuple[list[Diagnostic], str]:
    """What is to be said of the variables, and why sync has to run before anything reads the inventory."""
    try:
        made = plan(project_dir, model)
    except WriteError as error:
        return [], f"sync cannot write the inventory: {error}"
    names = made.written + made.links
    if not names:
        return made.warnings, ""
    shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    command = "make sync (ansible-playbook anklume.stt.sync)"
    return made.warnings, f"the inventory is older than infra.yml: run {command}, which would write {shown}"


def apply(made: SyncPlan) -> None:
    """Do what the plan says, all of it or nothing; the caller holds the project's lock."""
    remove_leftovers(made.project / folder for folder in FOLDERS)
    for name, change in made.changes.items():
        if _read(made.project / name) != change.before:
            raise WriteError(f"{made.project / name}: was changed by someone else meanwhile; run sync again")
    with changing() as files:
        for folder in FOLDERS:
            files.folder(made.project / folder)
        for name, change in made.changes.items():
            if change.after is not None:
                files.write(made.project / name, change.after, mode=NEW & ~made.private)
        for name in made.removed:
            files.remove(made.project / name)
        for name, target in made.moves.items():
            files.move(made.project / name, made.project / target)
        for name in made.links:
            files.link(made.project / name, Path("..") / Path(name).name)
        for name, (_before, mode) in made.modes.items():
            files.mode(made.project / name, mode)


def _private(project: Path) -> int:
    """What group and others may not do with some file that infra.yml is made of, they may not do with ours."""
    folder = project / "infra"
    sources = [folder / "base.yml", folder / "policies.yml", *folder.glob("domains/*.yml")]
    if not sources[0].exists():
        sources = [project / "infra.yml"]
    modes = [path.stat().st_mode for path in sources if path.exists()]
    return sum(bits for read, bits in ((0o040, 0o070), (0o004, 0o007)) if any(not mode & read for mode in modes))


def _plan_file(made: SyncPlan, name: str, content: str, exists: bool, faults: list[str]) -> None:
    path = made.project / name
    try:
        before = _read(path) if exists else None
        if exists and before is None:
            raise WriteError(f"{path}: is a link that leads nowhere; remove it")
        after = blocks.merge(before, content, str(path))
        if before is not None:
            _look_around(made, name, before)
        if after == before:
            return
        if before is not None and before.strip() and blocks.find(before, name) is None:
            _must_parse(after, path)
    except WriteError as error:
        faults.append(str(error))
        return
    made.changes[name] = Change(before, after)


def _look_around(made: SyncPlan, name: str, before: bytes) -> None:
    """What else is to be said of a file that is there: who can read it, and lines of the user's that nobody reads."""
    if made.private:
        mode = stat.S_IMODE((made.project / name).stat().st_mode)
        if mode & made.private:
            made.modes[name] = (mode, mode & ~made.private)
    block = blocks.find(before, name) or (0, 0)
    for start, end in ((0, block[0]), (block[1], len(before))):
        for found in _OF_INFRA.finditer(before, start, end):
            made.warnings.append(_not_read(name, before, found.start(), found[1].decode()))


def _look_around_own(made: SyncPlan, name: str, content: bytes) -> None:
    """The same of a file that is the user's alone."""
    if not name.startswith("inventory/"):
        made.warnings += [_not_read(name, content, one.start(), one[1].decode()) for one in _OF_INFRA.finditer(content)]


def _not_read(name: str, content: bytes, start: int, variable: str) -> Diagnostic:
    line = content.count(b"\n", 0, start) + 1
    source = content[start:].split(b"\n", 1)[0].decode("utf-8", "replace").rstrip("\r")
    message = f"{variable} here changes nothing in Incus: apply reads infra.yml alone"
    hint = f"write it there: {OF_INFRA[variable]}"
    return Diagnostic("warning", name, line, 1, "", message, source, len(variable), (hint,))


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
                _look_around_own(made, name, before or b"")
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
        return read_text_file(path) if path.exists() else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WriteError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error


def _diff(name: str, before: str, after: str) -> dict[str, str]:
    return {"before_header": name, "after_header": name, "before": before, "after": after}


def _text(content: bytes | None) -> str:
    return "" if content is None else content.decode("utf-8", "replace")
