# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Incus tells its numbers, and to whom: what differs → requests. Pure."""

from __future__ import annotations

import hashlib
import ssl
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import path_of

KEY = "core.metrics_address"


@dataclass(frozen=True)
class Reader:
    """Whoever reads the numbers: its certificate opens nothing else, and shows these projects alone."""

    name: str
    address: str
    """Where Incus is to answer, as :8444."""
    certificate: str = ""
    """As PEM; empty, it is to read them no more."""
    projects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """A request, and what it does in words."""

    method: str
    path: str
    body: Mapping[str, Any]
    said: str


def changes(server: Mapping[str, Any], certificates: Iterable[Mapping[str, Any]], reader: Reader) -> Iterator[Change]:
    """What has to be asked of Incus; `server` is its answer at /1.0, `certificates` are those that it trusts."""
    address = server["config"].get(KEY, "")
    if reader.certificate and address not in ("", reader.address):
        raise IncusError(
            f"Incus tells its numbers at {address} already, to somebody else: have it read there, or say"
            f" incus config unset {KEY}"
        )
    if reader.certificate and not address:
        yield Change("PATCH", path_of(), {"config": {KEY: reader.address}}, f"+ {KEY} {reader.address}")
    found = [one for one in certificates if (one["type"], one["name"]) == ("metrics", reader.name)]
    yield from _trusted(found, reader)
    if found and not reader.certificate and address == reader.address:
        yield Change("PATCH", path_of(), {"config": {KEY: ""}}, f"- {KEY} {address}")


def _trusted(found: list[Mapping[str, Any]], reader: Reader) -> Iterator[Change]:
    der = ssl.PEM_cert_to_DER_cert(reader.certificate) if reader.certificate else b""
    fingerprint = hashlib.sha256(der).hexdigest()
    allowed = {"restricted": True, "projects": list(reader.projects)}
    for one in found:
        path = path_of("certificates", one["fingerprint"])
        if one["fingerprint"] != fingerprint:
            yield Change("DELETE", path, {}, f"- certificate {reader.name}")
        elif not one["restricted"] or set(one["projects"] or ()) != set(reader.projects):
            yield Change("PATCH", path, allowed, f"~ certificate {reader.name}: projects {', '.join(reader.projects)}")
    if der and fingerprint not in {one["fingerprint"] for one in found}:
        body = {"name": reader.name, "type": "metrics", "certificate": b64encode(der).decode(), **allowed}
        said = f"+ certificate {reader.name}, for metrics of {', '.join(reader.projects)}"
        yield Change("POST", path_of("certificates"), body, said)
