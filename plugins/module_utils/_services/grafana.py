# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A data source and a dashboard in somebody's Grafana: what is there, what differs, what is sent."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._base.http import Server

Body = dict[str, Any]
UID = "anklume-prometheus"
"""The data source's, by which it is found again whatever it is called."""
OF_GRAFANA = ("id", "version")
"""What Grafana numbers by itself."""


@dataclass(frozen=True)
class Change:
    """A request, and what it does in words."""

    method: str
    path: str
    body: Body
    said: str


class Grafana:
    """Its HTTP API, as an account."""

    def __init__(self, server: Server, *, token: str = "", user: str = "", password: str = "") -> None:
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._server = server
        self._headers = {"Authorization": f"Bearer {token}" if token else f"Basic {basic}"}

    def get(self, path: str) -> Body | None:
        """The object at a path; None where there is none."""
        answer = self._server.request("GET", path, headers=self._headers)
        return None if answer.status == 404 else self._read(path, answer.status, answer.body)

    def send(self, change: Change) -> Body:
        """Have it changed."""
        headers = {**self._headers, "Content-Type": "application/json"}
        answer = self._server.request(
            change.method, change.path, body=json.dumps(change.body).encode(), headers=headers
        )
        return self._read(change.path, answer.status, answer.body)

    def _read(self, path: str, status: int, content: bytes) -> Body:
        try:
            body = json.loads(content)
        except ValueError:
            body = None
        where = self._server.address
        message = body.get("message", "") if isinstance(body, dict) else ""
        if status == 401:
            raise ServiceError(
                f"{where} does not know this account: give the token of a service account, or a password"
            )
        if status == 403:
            raise ServiceError(f"{where} does not allow {path} ({message}): the account needs the role Admin")
        if status >= 400 and message:
            raise ServiceError(f"{where} refuses {path}: {message}")
        if status >= 400 or not isinstance(body, dict):
            raise ServiceError(f"{where} does not speak Grafana's API at {path} (HTTP {status})")
        return body


def changes(grafana: Grafana, source: Mapping[str, str], dashboard: Mapping[str, Any]) -> Iterator[Change]:
    """What differs. `source` has the `name` and the `url` of Prometheus."""
    wanted = {"uid": UID, "name": source["name"], "type": "prometheus", "access": "proxy", "url": source["url"]}
    path = f"/api/datasources/uid/{UID}"
    found = grafana.get(path)
    if found is None:
        yield Change("POST", "/api/datasources", wanted, f"+ data source {source['name']} {source['url']}")
    elif differing := {key: value for key, value in wanted.items() if found.get(key) != value}:
        said = ", ".join(f"{key} {found.get(key)} → {value}" for key, value in differing.items())
        yield Change("PUT", path, {**found, **wanted}, f"~ data source {source['name']}: {said}")
    board = pointed(dashboard, source["name"])
    there = grafana.get(f"/api/dashboards/uid/{quote(board['uid'])}")
    if there is None or _plain(there["dashboard"]) != _plain(board):
        sign = "+" if there is None else "~"
        body = {"dashboard": {**board, "id": None}, "overwrite": True}
        yield Change("POST", "/api/dashboards/db", body, f"{sign} dashboard {board['title']}")


def pointed(dashboard: Mapping[str, Any], name: str) -> Body:
    """The dashboard with this data source chosen at its top."""
    board = copy.deepcopy(dict(dashboard))
    for choice in board["templating"]["list"]:
        if choice["type"] == "datasource":
            choice["current"] = {"text": name, "value": UID}
    return board


def _plain(board: Mapping[str, Any]) -> Body:
    return {key: value for key, value in board.items() if key not in OF_GRAFANA}
