# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release is told from its fragments, once, and of what is committed alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
VERSION = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
LEFT_OUT = ("tests/", "molecule/", "CHANGELOG.rst", "changelogs/changelog.yaml", "changelogs/fragments/")


def git(clone: Path, *words: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", "-C", str(clone), *identity, *words], check=True, capture_output=True)


def tell(clone: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "ANSIBLE_COLLECTIONS_PATH": str(clone)}
    return subprocess.run([clone / "scripts/release", "tell"], capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of its own that holds what lies here, with a fragment."""
    folder = tmp_path_factory.mktemp("release") / "clone"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    for name in listed.decode().split("\0"):
        if (ROOT / name).is_file() and not name.startswith(LEFT_OUT):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "changelogs/fragments").mkdir()
    (folder / "changelogs/fragments/one.yml").write_text("---\nbugfixes:\n  - thing - it works.\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "All")
    return folder


def test_fragments_become_the_changelog_once(clone: Path) -> None:
    (clone / "roles/left.txt").write_text("not committed\n")
    refused = tell(clone)
    assert refused.returncode != 0 and "not committed" in refused.stderr, refused
    (clone / "roles/left.txt").unlink()

    told = tell(clone)
    assert told.returncode == 0, told.stderr
    text = (clone / "CHANGELOG.rst").read_text()
    assert f"v{VERSION}\n" in text and "- thing - it works." in text and "infra_apply" in text
    assert not list((clone / "changelogs/fragments").glob("*.yml"))

    again = tell(clone)
    assert again.returncode == 0, again.stderr
    assert (clone / "CHANGELOG.rst").read_text() == text

    (clone / "changelogs/fragments").mkdir(exist_ok=True)
    (clone / "changelogs/fragments/two.yml").write_text("---\nbugfixes:\n  - thing - it works again.\n")
    late = tell(clone)
    assert late.returncode != 0 and "raise version in galaxy.yml" in late.stderr, late
