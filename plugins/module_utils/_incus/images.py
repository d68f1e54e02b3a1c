# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an instance's image comes from: this Incus's own store first, else the public image server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError, ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._base.http import HttpError, Server
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import (
    Client,
    IncusNotFoundError,
    path_of,
)

SERVERS = {"images": "https://images.linuxcontainers.org"}
"""The `incus` client's own remotes that offer system images."""

TIMEOUT = 20.0

Source = Mapping[str, str]


def resolve(client: Client, wanted: Iterable[tuple[str, str]]) -> tuple[dict[tuple[str, str], Source], list[str]]:
    """The `source` of each (image, instance type), and what is wrong with the others."""
    sources: dict[tuple[str, str], Source] = {}
    faults = []
    for image, kind in sorted(set(wanted)):
        try:
            sources[image, kind] = _resolve(client, image, kind)
        except IncusError as error:
            faults.append(str(error))
    return sources, faults


def _resolve(client: Client, image: str, kind: str) -> Source:
    remote, _colon, alias = image.rpartition(":")
    if remote not in ("", "local", *SERVERS):
        raise IncusError(
            f"image {image}: unknown image server {remote}: use {', '.join(f'{name}:' for name in SERVERS)} "
            "or the alias of an image in this Incus"
        )
    fingerprint = _local(client, alias, kind)
    if fingerprint:
        return {"type": "image", "fingerprint": fingerprint, "project": "default"}
    if remote not in SERVERS:
        raise IncusError(f"image {image}: this Incus has no {kind} image of that alias (incus image list shows them)")
    server = SERVERS[remote]
    known = _published(server, image)
    if alias not in known:
        near = get_close_matches(alias, known, n=1)
        hint = f", did you mean {remote}:{near[0]}?" if near else ""
        raise IncusError(f"image {image}: neither in this Incus nor on {server}{hint}")
    return {"type": "image", "mode": "pull", "protocol": "simplestreams", "server": server, "alias": alias}


def _local(client: Client, name: str, kind: str) -> str:
    """The fingerprint of a local image by alias or fingerprint, "" when there is none."""
    try:
        alias = client.get(path_of("images", "aliases", name), project="default")
        return str(alias["target"]) if alias["type"] == kind else ""
    except IncusNotFoundError:
        pass
    try:
        image = client.get(path_of("images", name), project="default")
        return str(image["fingerprint"]) if image["type"] == kind else ""
    except IncusError:
        return ""


def _published(server: str, image: str) -> list[str]:
    """The aliases that an image server offers."""
    try:
        answer = Server(server, timeout=TIMEOUT).request("GET", "/streams/v1/images.json")
        if answer.status != 200:
            raise HttpError(answer.url, f"HTTP {answer.status} {answer.reason}")
        products: Mapping[str, Any] = answer.json()["products"]
    except (ServiceError, KeyError) as error:
        reason = error.reason if isinstance(error, HttpError) else error
        raise IncusError(
            f"image {image}: not in this Incus, and {server} cannot be reached ({reason}): "
            "import it under that alias (make host does so for Debian), or open the network"
        ) from error
    return sorted({alias for product in products.values() for alias in product["aliases"].split(",")})
