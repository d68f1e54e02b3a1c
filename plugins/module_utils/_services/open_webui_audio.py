# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which STT server an Open WebUI asks that is not ours to log in to: by its API, with a key of an administrator's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._base.http import Answer, Server

_CONFIG = "/api/v1/audio/config"


class AudioSettings:
    """The page Audio of the administrator's settings."""

    def __init__(self, url: str, key: str) -> None:
        self._server = Server(url, proxies=False, redirects=False)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def read(self) -> dict[str, Any]:
        """All of them."""
        return self._settings(self._server.request("GET", _CONFIG, headers=self._headers))

    def write(self, settings: Mapping[str, Any]) -> None:
        """All of them; they are live at the next sentence."""
        body = json.dumps(settings).encode()
        self._settings(self._server.request("POST", f"{_CONFIG}/update", body=body, headers=self._headers))

    def _settings(self, answer: Answer) -> dict[str, Any]:
        if answer.status in (401, 403):
            raise ServiceError(f"{answer.url}: Open WebUI refuses the key: it has to be an administrator's API key")
        if answer.status != 200:
            raise ServiceError(f"{answer.url}: HTTP {answer.status}: no Open WebUI answers there")
        settings = answer.json()
        if not isinstance(settings, dict) or not isinstance(settings.get("stt"), dict):
            raise ServiceError(f"{answer.url}: that is no Open WebUI")
        return settings


def moved(address: str, port: int, instead_of: int) -> str:
    """The address of the STT server with the one port in place of the other; an error where it leads elsewhere."""
    try:
        parts = urlsplit(address)
        known = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        parts, known = urlsplit(""), 0
    if known not in (port, instead_of) or not parts.hostname:
        shown = f"port {known} of {parts.hostname}" if parts.hostname else "no STT server of OpenAI's kind"
        raise ServiceError(f"Open WebUI asks {shown}, and neither port {instead_of} nor {port}: is it the right one?")
    if known == port:
        return address
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return parts._replace(netloc=f"{host}:{port}").geturl()
