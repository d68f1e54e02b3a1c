# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the lock file of one version and profile of Open WebUI: every package, pinned, with its digests.

usage: lock_open_webui.py VERSION slim|no_torch|full FILE      (needs uv and a package index)

The file is what `uv pip install --no-deps --require-hashes` reads. It covers CPython 3.11 and 3.12 on x86_64 and
aarch64 Linux with glibc; digests of other wheels are left out, and so is what is of use with a GPU only. Of PyTorch,
which "full" has, a comment names the version: the build on PyPI is made for CUDA, and the role takes the one for the
processor from PyTorch's own index, whose digests uv checks.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

# What pulls in torch and CUDA, or is of use only with them.
NO_TORCH = ("torch", "sentence-transformers", "transformers", "accelerate", "faster-whisper", "einops")
TORCH = "torch==2.13.0"  # the build for the processor that "full" was tried with
CUDA = re.compile(r"nvidia-|cuda-|triton$")
WANTED_WHEEL = re.compile(
    r"-(py3|py2\.py3|cp311|cp312|(cp3[2-9]|cp310|cp311|cp312)-abi3)(-|\.)(.*-)?"
    r"(any|(manylinux|linux)\S*(x86_64|aarch64))\S*\.whl$"
)
COMPILE = ("uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--format", "pylock.toml")


def uv(*command: str | Path) -> None:
    """Runs uv, whose complaints go to the terminal."""
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
        sys.exit("nothing was written: uv found no solution")


def resolve(version: str, profile: str, work: Path) -> list[dict]:
    """The packages of a profile, as uv resolves them for all platforms."""
    wanted, override, lock = work / "wanted.in", work / "override.txt", work / "pylock.toml"
    wanted.write_text(f"open-webui=={version}\n")
    override.touch()
    packages: list[dict] = []
    if profile == "slim":
        uv(*COMPILE, "--no-deps", wanted, "-o", lock)
        packages += tomllib.loads(lock.read_text())["packages"]
        uv("uv", "pip", "install", "--quiet", "--no-deps", "--target", work / "wheel", f"open-webui=={version}")
        wanted.write_text((work / "wheel" / "requirements-slim.txt").read_text())
    elif profile == "no_torch":
        override.write_text("".join(f"{name} ; python_version < '3'\n" for name in NO_TORCH))
    else:
        override.write_text(TORCH + "\n")
    uv(*COMPILE, "--override", override, wanted, "-o", lock)
    return packages + tomllib.loads(lock.read_text())["packages"]


def lines(package: dict) -> list[str]:
    """One package as the lines of a requirements file."""
    wheels = [wheel for wheel in package.get("wheels", []) if WANTED_WHEEL.search(file_name(wheel))]
    files = wheels or [package["sdist"]] if "sdist" in package else wheels
    marker = re.sub(r"python_full_version >= '3\.11'( and )?", "", package.get("marker", ""))
    digests = sorted(file["hashes"]["sha256"] for file in files)
    return [f"{package['name']}=={package['version']}{' ; ' + marker if marker else ''} \\"] + [
        f"    --hash=sha256:{digest}" + (" \\" if digest != digests[-1] else "") for digest in digests
    ]


def file_name(wheel: dict) -> str:
    """The name of a wheel's file, which pylock.toml may leave to its address."""
    return wheel.get("name") or wheel["url"].rsplit("/", 1)[-1]


def elsewhere(package: dict) -> bool:
    """Whether a package is for other systems only, or for NVIDIA's GPUs."""
    return bool(
        re.search(
            r"sys_platform == '(win32|emscripten|darwin)'|platform_python_implementation != 'CPython'",
            package.get("marker", ""),
        )
        or CUDA.match(package["name"])
    )


def main() -> None:
    """Resolve, filter, write."""
    version, profile, target = sys.argv[1:]
    with tempfile.TemporaryDirectory() as work:
        packages = [package for package in resolve(version, profile, Path(work)) if not elsewhere(package)]
    head = [f"# Open WebUI {version}, profile {profile}; written by scripts/lock_open_webui.py"]
    head += [
        f"# torch=={package['version']} comes from an index of builds for the processor"
        for package in packages
        if package["name"] == "torch"
    ]
    locked = sorted((package for package in packages if package["name"] != "torch"), key=lambda one: one["name"])
    body = [line for package in locked for line in lines(package)]
    Path(target).write_text("\n".join([*head, *body]) + "\n")


if __name__ == "__main__":
    main()
