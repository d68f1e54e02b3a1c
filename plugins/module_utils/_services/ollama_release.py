# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ollama's releases: which archive a version is, where it is had, and what it has to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import BY_ROLE
from ansible_collections.anklume.stt.plugins.module_utils._vram.reserve import ollama_version

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Those that there are archives for, by the names that the kernel gives them."""
PUBLISHED = "https://github.com/ollama/ollama/releases/download"
DIGESTS = {
    ("0.32.7", "amd64"): "ed1e39fe8fea90bd7f4c723bd949a2cea3153e111220ec0a183ea5b8dc8b2cae",
    ("0.32.7", "arm64"): "413cb50f2fd201b65e17e563c082607bc0ade60d700132c563c7a1c0cd529fde",
}
"""As two public package recipes give them, which read Ollama's release page.

linux-amd64: packages/ollama.rb of github.com/chromebrew/chromebrew (0.32.7) and Formula/ollama.rb of
github.com/sixiang-world/tribucket; linux-arm64: the latter alone.
"""
FIRST_ZST = (0, 14, 0)
"""The archives are .tar.zst from this version on, .tgz before."""
_UNPACKED_MIB = 5200
"""Unpacked it is 3.2 GiB, and the archive lies beside it."""


def archive_of(version: str, machine: str, source: str = "", sha256: str = "") -> dict[str, Any]:
    """The archive of a version for a machine's processor.

    `local`, whether it is a file on the controller; `url`; `name` of the file; `sha256`, empty where none is known;
    `checksum` for get_url; `lock`, what is noted in the release; `mib` that an installation needs.
    """
    architecture = ARCHITECTURES.get(machine, "")
    local = bool(source) and not source.startswith(("http://", "https://"))
    kind = "tar.zst" if ollama_version(version) >= FIRST_ZST else "tgz"
    name = f"ollama-linux-{architecture}.{kind}"
    folder = f"{(source or PUBLISHED).rstrip('/')}/v{version}"
    digest = sha256 or DIGESTS.get((version, architecture), "")
    return {
        "local": local,
        "url": f"{folder}/{name}",
        "name": Path(source).name if local else name,
        "sha256": digest,
        "checksum": f"sha256:{digest or f'{folder}/sha256sum.txt'}",
        "lock": f"{version} {digest or 'as published'}",
        "mib": Path(source).stat().st_size * 4 // 2**20 + 64 if local and Path(source).is_file() else _UNPACKED_MIB,
    }


def address_of(host: str) -> dict[str, Any]:
    """Where Ollama listens, from ollama_host: its `port`, and the `url` as seen from its own machine."""
    try:
        found = urlsplit(f"//{host.rpartition('//')[2]}")
        port = found.port or BY_ROLE["ollama_server"].port
    except ValueError as error:
        raise ServiceError(f"ollama_host ({host}) is no address: give it as 0.0.0.0:11434") from error
    name = found.hostname or "0.0.0.0"
    name = "127.0.0.1" if name in ("0.0.0.0", "::") else name
    return {"port": port, "url": f"http://{name}:{port}"}
