# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What whoever talks to an STT server has to know of it: a sentence to say, and the key that it asks for."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path

from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import BY_ROLE

_COLLECTION = Path(__file__).resolve().parents[3]
CLIPS = _COLLECTION / "data" / "clips"
"""Spoken sentences, and sentences.json, which says what is spoken."""


def role_folder(role: str) -> Path:
    """Where a role of this collection lies, on the controller."""
    return _COLLECTION / "roles" / BY_ROLE[role].role


def spoken_clip(language: str | None = None) -> dict[str, str]:
    """A spoken sentence, the English one if there is none in this language: its recording (path, sha256) and text."""
    return dict(_clips().get(language or "", _clips()["en"]))


@functools.cache
def _clips() -> dict[str, dict[str, str]]:
    return {
        each["language"]: {
            "language": each["language"],
            "path": str(CLIPS / each["clip"]),
            "sha256": hashlib.sha256((CLIPS / each["clip"]).read_bytes()).hexdigest(),
            "text": each["text"],
        }
        for each in json.loads((CLIPS / "sentences.json").read_text(encoding="utf-8"))
    }


def api_key_file(machine: str, project_dir: str) -> Path:
    """Where the key lies that was made for a machine's STT server, on the controller."""
    return Path(project_dir) / "secrets" / f"{machine}-speaches-api-key"


def api_key(given: str | None, machine: str, project_dir: str) -> str:
    """The key of a machine's STT server, from its stt_server_api_key; with "auto" the one that was made.

    Empty where none is asked for, and where none was made yet.
    """
    if given != "auto":
        return given or ""
    try:
        return api_key_file(machine, project_dir).read_text(encoding="utf-8").rstrip()
    except FileNotFoundError:
        return ""
