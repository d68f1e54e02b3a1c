# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts Speaches, mended, in its published image, once it is clear that this is the image that our factory mends.

usage: python -m anklume_container [check | health]
       check ends once that is clear, and starts nothing
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

HOME = Path(__file__).resolve().parent.parent
CURE = "run `docker compose run --rm packages`, or take the image that compose.yaml had"


def read(name: str) -> Any:
    """One of the files beside us."""
    return json.loads((HOME / name).read_text(encoding="utf-8"))


def tree_id(folder: Path) -> str:
    """The git tree id of a folder of source, without what Python adds to it."""
    entries = b""
    paths = [path for path in folder.iterdir() if path.name != "__pycache__"]
    for path in sorted(paths, key=lambda path: path.name + "/" * path.is_dir()):
        if path.is_dir():
            mode, digest = "40000", tree_id(path)
        else:
            mode = "100755" if os.access(path, os.X_OK) else "100644"
            content = path.read_bytes()
            digest = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entries += f"{mode} {path.name}\0".encode() + bytes.fromhex(digest)
    return hashlib.sha1(b"tree %d\0" % len(entries) + entries).hexdigest()


def differences(wanted: dict[str, Any]) -> Iterator[str]:
    """What of this image is not what the factory was written for."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if python != wanted["python"]:
        yield f"Python is {python} and not {wanted['python']}"
    for name, pinned in wanted["packages"].items():
        try:
            found = version(name)
        except PackageNotFoundError:
            yield f"{name} {pinned} is not there"
            continue
        if found != pinned:
            yield f"{name} is {found} and not {pinned}"
    spec = find_spec("speaches")
    if not spec or not spec.submodule_search_locations:
        yield "Speaches is not there"
    elif tree_id(Path(spec.submodule_search_locations[0])) != wanted["tree"]:
        yield "the source of Speaches is another one"


def ill(port: str, key: str) -> str:
    """Why the service does no work; empty where it does: it answers, and has the model that is meant by default."""
    model = json.loads(Path("model_aliases.json").read_text(encoding="utf-8"))["whisper-1"]
    request = Request(f"http://127.0.0.1:{port}/v1/models", headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urlopen(request, timeout=8) as answer:
            models = [each["id"] for each in json.load(answer)["data"]]
    except (URLError, OSError, ValueError, KeyError, TypeError) as error:
        return f"it does not list its models: {error}"
    return "" if model in models else f"the model {model} is not there"


def main(arguments: list[str]) -> None:
    """Start it, or say whether it is well."""
    secrets = read("secrets.json")
    if arguments == ["health"]:
        sys.exit(ill(os.environ["UVICORN_PORT"], secrets.get("API_KEY", "")) or None)
    if wrong := list(differences(read("versions.json"))):
        sys.exit(f"this image is not the one that the factory mends: {'; '.join(wrong)}: {CURE}")
    if arguments == ["check"]:
        return
    os.environ.update(secrets)
    import_module("anklume_speaches").main()  # it imports all that was looked at


if __name__ == "__main__":
    main(sys.argv[1:])
