# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the lock file of one version and profile of Open WebUI: every package, pinned, with its digests.

usage: lock_open_webui.py VERSION slim|no_torch|full FILE      (needs uv and a package index)

"full" takes PyTorch from PyTorch's own index of builds for the processor, or from the one that TORCH_INDEX_URL names:
the build for x86_64 on PyPI is made for CUDA, and a list with packages for CUDA is not written.
The file is what `uv pip install --no-deps --require-hashes` reads. It covers CPython 3.11 and 3.12 on x86_64 and
aarch64 Linux with glibc; digests of other wheels are left out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

# What pulls in torch and CUDA, or is of use only with them.
NO_TORCH = ("torch", "sentence-transformers", "transformers", "accelerate", "faster-whisper", "einops")
TORCH_INDEX_URL = os.environ.get("TORCH_INDEX_URL", "https://download.pytorch.org/whl/cpu")
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
    index = ["--extra-index-url", TORCH_INDEX_URL, "--index-strategy", "unsafe-best-match"] if profile == "full" else []
    if profile == "slim":
        uv(*COMPILE, "--no-deps", wanted, "-o", lock)
        packages += tomllib.loads(lock.read_text())["packages"]
        uv("uv", "pip", "install", "--quiet", "--no-deps", "--target", work / "wheel", f"open-webui=={version}")
        wanted.write_text((work / "wheel" / "requirements-slim.txt").read_text())
    elif profile == "no_torch":
        override.write_text("".join(f"{name} ; python_version < '3'\n" for name in NO_TORCH))
    uv(*COMPILE, *index, "--override", override, wanted, "-o", lock)
    return packages + tomllib.loads(lock.read_text())["packages"]


def for_cuda(packages: list[dict]) -> list[str]:
    """The names of the packages that are of use with an NVIDIA GPU only."""
    return sorted(package["name"] for package in packages if CUDA.match(package["name"]))


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
    """Whether a package is for other systems only."""
    return bool(
        re.search(
            r"sys_platform == '(win32|emscripten|darwin)'|platform_python_implementation != 'CPython'",
            package.get("marker", ""),
        )
    )


def main() -> None:
    """Resolve, filter, write."""
    version, profile, target = sys.argv[1:]
    with tempfile.TemporaryDirectory() as work:
        packages = [package for package in resolve(version, profile, Path(work)) if not elsewhere(package)]
    if cuda := for_cuda(packages):
        sys.exit(f"nothing was written: PyTorch came with CUDA ({', '.join(cuda)}), not from {TORCH_INDEX_URL}")
    header = f"# Open WebUI {version}, profile {profile}; written by scripts/lock_open_webui.py"
    body = [line for package in sorted(packages, key=lambda one: one["name"]) for line in lines(package)]
    Path(target).write_text("\n".join([header, *body]) + "\n")


if __name__ == "__main__":
    main()
