# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every lock holds for both processors: each package has a wheel for it at the index, whose digest the lock names.

uv chooses the wheels as it would on such a machine with Debian 12's glibc; nothing is downloaded, and nothing is run.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
UV = Path(sys.executable).with_name("uv")
LOCKS = [
    (lock, f"3.{lock.stem.removeprefix('requirements-py3')}")
    for lock in sorted(ROOT.glob("roles/*/files/**/requirements-py3*.txt"))
]
LOCKS += [(lock, python) for lock in sorted(ROOT.glob("roles/open_webui/files/locks/*")) for python in ("3.11", "3.12")]
MACHINES = ["x86_64", "aarch64"]


def wheels(lock: Path, python: str, machine: str) -> dict[str, set[str]]:
    """The digests of the wheels that would do, by package; uv refuses a package that has none."""
    command = [UV, "pip", "compile", "--quiet", "--no-deps", "--only-binary", ":all:", "--format", "pylock.toml"]
    command += ["--python-version", python, "--python-platform", f"{machine}-manylinux_2_36", lock]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    packages = tomllib.loads(done.stdout)["packages"]
    return {each["name"]: {wheel["hashes"]["sha256"] for wheel in each["wheels"]} for each in packages}


def test_all_locks_are_found() -> None:
    names = {lock.relative_to(ROOT / "roles").parts[0] for lock, _python in LOCKS}
    assert names == {"edge_tts", "open_webui", "stt_server", "wyoming"}
    assert len(LOCKS) >= 16


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("lock", "python"), LOCKS, ids=[f"{lock.parent.name}-{lock.stem}-{py}" for lock, py in LOCKS])
def test_every_package_has_a_wheel_that_the_lock_knows(lock: Path, python: str, machine: str) -> None:
    known = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", lock.read_text()))
    found = wheels(lock, python, machine)
    assert len(found) > 10
    assert [name for name, digests in found.items() if not digests & known] == []


@pytest.mark.parametrize("machine", MACHINES)
def test_the_role_uv_knows_uvs_wheel(machine: str, tmp_path: Path) -> None:
    given = yaml.safe_load((ROOT / "roles/uv/defaults/main.yml").read_text())
    (tmp_path / "uv.txt").write_text(f"uv=={given['uv_version']}\n")
    assert wheels(tmp_path / "uv.txt", "3.11", machine)["uv"] & set(given["uv_hashes"])


def test_a_package_without_a_wheel_is_refused(tmp_path: Path) -> None:
    # CUDA's libraries for x86_64 alone
    lock = tmp_path / "lock.txt"
    lock.write_text("nvidia-cudnn-cu11==8.9.6.50\n")
    with pytest.raises(AssertionError, match=r"no wheels|no usable wheels|has no .*wheel"):
        wheels(lock, "3.12", "aarch64")
