# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renews what pins Speaches: the packages of an archive of its source, with hashes, its commit and its git tree id.

usage: speaches_pins.py ARCHIVE            write the pin files; then run `make molecule SCENARIO=speaches`, which says
                                           for each patch of the factory module whether it is still needed
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = ROOT / "roles/stt_server/files/speaches"
sys.path.insert(0, str(ROOT / ".cache/collections"))

from ansible_collections.anklume.stt.plugins.module_utils._services.source_tree import tree_id, unpacked  # noqa: E402

# Speaches' own lock, but: wheels of av 14 are gone, and 15 crashes on sound that it has no decoder for; faster-whisper
# 1.2 ships another VAD file, and every transcription fails; ctranslate2 needs no cuDNN since 4.6.3; ONNX on the
# processor is fast enough, and saves a second CUDA.
REPLACED = {
    "av": "18.1.0",
    "ctranslate2": "4.8.5",
    "faster-whisper": "1.1.1",
    "onnxruntime": "1.22.1",
}
# gradio asks for ruff and Speaches for hf-transfer; neither is ever used. pylatexenc would have to be built, for
# bibliographies that nothing here reads. pyreadline3 is for Windows.
LEFT_OUT = {"hf-transfer", "onnxruntime-gpu", "pylatexenc", "pyreadline3", "ruff"}
# what has no wheel for Python 3.13 in the version of the lock, and the module that 3.13 no longer has
REPLACED_313 = REPLACED | {
    "audioop-lts": "0.2.2",
    "google-crc32c": "1.7.1",
    "lxml": "5.4.0",
    "markupsafe": "3.0.2",
    "orjson": "3.10.18",
    "tokenizers": "0.21.4",
}
# for /metrics of our own engine, which Speaches has through the factory module; the version of that engine's lock
ADDED = {"prometheus-client": "0.26.0"}
PYTHONS = {"3.12": REPLACED, "3.13": REPLACED_313}


def locked(source: Path) -> dict[str, str]:
    """The packages of uv.lock without those for tests and documentation, by name."""
    command = (
        "uv export --no-config --frozen --no-dev --no-emit-project --no-emit-workspace --no-hashes --no-annotate"
        " --no-header"
    )
    output = subprocess.run(command.split(), cwd=source, check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", output, re.MULTILINE))


def pin(packages: dict[str, str], python: str, platform: str) -> str:
    """The same packages with the hashes of all their files."""
    command = (
        "uv pip compile --quiet --no-deps --no-header --no-annotate --no-emit-index-url --no-emit-find-links"
        f" --generate-hashes --only-binary :all: --python-version {python} --python-platform {platform} -"
    )
    lines = "".join(f"{name}=={version}\n" for name, version in sorted(packages.items()))
    return subprocess.run(command.split(), input=lines, check=True, stdout=subprocess.PIPE, text=True).stdout


def main(archive: Path) -> int:
    """Unpack, export, pin, write."""
    with tarfile.open(archive) as tar:
        commit = tar.pax_headers.get("comment", "unknown")
    with tempfile.TemporaryDirectory() as folder:
        source = unpacked(archive, Path(folder, "source"))
        tree, packages = tree_id(source), locked(source)
    packages = {name: version for name, version in packages.items() if name not in LEFT_OUT} | ADDED
    for python, replaced in PYTHONS.items():
        results = {
            pin(packages | replaced, python, f"{machine}-unknown-linux-gnu") for machine in ("x86_64", "aarch64")
        }
        if len(results) != 1:
            print(f"Python {python}: x86_64 and aarch64 need files of their own", file=sys.stderr)
            return 1
        target = FILES / f"requirements-py{python.replace('.', '')}.txt"
        comment = f"# Made by speaches_pins.py for Python {python}; install with --no-deps --require-hashes."
        target.write_text(f"{comment}\n{results.pop()}")
        print(f"wrote {target.relative_to(ROOT)}, {len(packages | replaced)} packages")
    print(f"vars/main.yml: __stt_server_speaches_commit: {commit}\n               __stt_server_speaches_tree: {tree}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))
