# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that the server does not know, told before anything is made: it would refuse them one by one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import Client, IncusNotFoundError
from ansible_collections.anklume.stt.plugins.module_utils._infra import incus_keys
from ansible_collections.anklume.stt.plugins.module_utils._infra.diagnostic import Diagnostic, nearest, render_all
from ansible_collections.anklume.stt.plugins.module_utils._infra.incus_values import key_words

CHOOSING = ("gputype", "nictype")
"""Which of several kinds of a device is meant: the server describes each kind without it."""


def settled(client: Client, diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """What is left to say once the server was asked about the keys that our list does not have.

    IncusError names all that the server does not know either.
    """
    left, faults = [], []
    groups: Any = None
    for one in diagnostics:
        if one.doubt is None:
            left.append(one)
            continue
        if groups is None:
            groups = _groups(client)
        kind, key = one.doubt
        known = _known(groups, kind)
        if not known and not _is_release_of_the_list(client):
            left.append(one)
        elif key not in known and not key.startswith(tuple(name[:-1] for name in known if name.endswith("*"))):
            near = nearest(key, known)
            hints = (f"did you mean {near}?",) if near else one.hints
            message = f"the Incus of this host has no {key_words(kind, key)}"
            faults.append(replace(one, level="error", message=message, hints=hints))
    if faults:
        raise IncusError(f"nothing was changed:\n{render_all(faults)}")
    return left


def _groups(client: Client) -> Any:
    """The server's own description of its keys, in groups; an older server keeps none."""
    try:
        return client.get("/1.0/metadata/configuration")["configs"]
    except IncusNotFoundError:
        return {}


def _known(groups: Any, kind: str) -> Collection[str]:
    """The keys that the server describes; none where it does not describe that type of devices."""
    if kind == "config":
        parts = [*groups.get("instance", {}).values(), *groups.get("kernel", {}).values()]
    else:
        names = {kind, "unix-char-block" if kind in ("unix-char", "unix-block") else kind}
        parts = [part for name, part in groups.get("devices", {}).items() if name.partition("_")[0] in names]
    found = {name for part in parts for one in part["keys"] for name in one}
    return found | set(CHOOSING) if found and kind != "config" else found


def _is_release_of_the_list(client: Client) -> bool:
    version: str = client.get("/1.0")["environment"]["server_version"]
    return version.split(".")[:2] == incus_keys.VERSION.split(".")[:2]
