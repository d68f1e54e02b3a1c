# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that look right and are not read (infra.yaml, infra/policies.yaml, PROJECT=…/infra): what they should be."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

ENDINGS = (".yml", ".yaml", ".json")
MOST = 20
"""So many files that are not read are named."""


def read_text_file(path: Path) -> bytes:
    """The content of a regular file; OSError for all else: a pipe would be waited for without an end."""
    if path.is_symlink() and not path.exists():
        raise OSError(errno.ENOENT, f"is a link to {path.readlink()}, which is not there")
    if path.is_dir():
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "is no regular file")
    return path.read_bytes()


def missing(project: Path) -> str:
    """Why there is nothing to read in a folder, and what was found that was meant to be read."""
    if project.is_file():
        return f"{project} is a file: PROJECT is the folder that holds infra.yml, here {project.parent}"
    if not project.is_dir():
        return f"there is no folder {project}; make init makes it, with an infra.yml"
    for inside, above in ((project, project.parent), (project.parent, project.parent.parent)):
        if inside.name == "infra" and (inside / "base.yml").exists():
            return f"{inside} is a folder infra/: PROJECT is the folder that holds it, here {above}"
    nothing = f"there is no infra.yml in {project}"
    for name in sorted(_names(project)):
        if _looks_like(name, "infra") and not (project / name).is_dir():
            return f"{nothing}; {name} is not read: rename it to infra.yml"
    folder = next((name for name in sorted(_names(project)) if name.lower() == "infra"), "")
    if folder:
        for name in sorted(_names(project / folder)):
            if _looks_like(name, "base") or folder != "infra":
                where = f"infra/{'base.yml' if _looks_like(name, 'base') else ''}"
                return f"{nothing}; {folder}/{name} is not read: rename it to {where}"
        return f"{nothing}, and the folder infra/ has no base.yml: make one, an empty file is enough"
    if (project / "base.yml").exists():
        return f"{nothing}; base.yml is not read: it has to be in a folder infra/"
    if (project.parent / "infra.yml").exists():
        return f"{nothing}; there is one in the folder above: PROJECT={project.parent}"
    return f"{nothing}; make init writes one"


def unread(project: Path) -> Iterator[tuple[Path, str]]:
    """The files in and beside infra/ that look as if they were read, with what to do."""
    for index, found in enumerate(_unread(project)):
        if index == MOST:
            return
        yield found


def _unread(project: Path) -> Iterator[tuple[Path, str]]:
    folder = project / "infra"
    is_folder_form = (folder / "base.yml").exists()
    for name in sorted(_names(project)):
        if _looks_like(name, "infra") and name != "infra.yml" and not (project / name).is_dir():
            yield project / name, f"is not read; {'infra/' if is_folder_form else 'infra.yml'} is"
    if not is_folder_form:
        if any(name in ("domains", "policies.yml") or _looks_like(name, "base") for name in _names(folder)):
            yield folder, "is not read, because it has no base.yml"
        return
    for name in sorted(_names(folder)):
        path = folder / name
        if name in ("base.yml", "policies.yml"):
            continue
        if name == "domains" and path.is_dir():
            yield from _unread_domains(path)
        elif path.is_dir():
            yield from ((below, "is not read; domains are in infra/domains/") for below in _yaml_below(path))
        elif path.suffix.lower() in ENDINGS:
            yield path, f"is not read; {_place(path)}"


def _unread_domains(folder: Path) -> Iterator[tuple[Path, str]]:
    for name in sorted(_names(folder)):
        path = folder / name
        if path.is_dir():
            yield from ((below, "is not read; move it to infra/domains/ itself") for below in _yaml_below(path))
        elif path.suffix.lower() in ENDINGS and path.suffix != ".yml":
            yield path, "is not read; give it the ending .yml"


def _place(path: Path) -> str:
    """Where the content of a file in infra/ has to be."""
    stem = path.stem.lower()
    if stem in ("base", "policies"):
        return f"infra/{stem}.yml is" if (path.parent / f"{stem}.yml").exists() else f"rename it to {stem}.yml"
    if "polic" in stem:
        return "policies are in infra/policies.yml"
    if "domain" in stem:
        return "domains are in infra/domains/*.yml"
    return "only base.yml, policies.yml and domains/*.yml are"


def _looks_like(name: str, stem: str) -> bool:
    """Whether a file's name is that of a YAML file, but for its ending, its capitals or an ending too much."""
    first, _dot, rest = name.lower().partition(".")
    return first == stem and rest.removesuffix(".txt") in ("", "yml", "yaml", "json", "ym", "yaml.yml", "yml.yml")


def _yaml_below(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in ENDINGS and not path.is_dir()]


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError:
        return []
