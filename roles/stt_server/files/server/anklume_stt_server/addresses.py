# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses that clients make of their base URL, each made the one that answers: for both engines."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

# /v1 is left out, or said twice; Azure's clients name the model in its place
OPENAI = re.compile(r"(?:/v1)*(?:/openai(?:/deployments/[^/]+)?)?/(audio/[\w/]+|models(?:/.+)?)")
OURS = re.compile(r"/(?:health|docs|openapi\.json|api/ps|metrics)")


def address(path: str) -> str:
    """The path that answers, with no slash too many; any other stays as it is."""
    plain = re.sub(r"/{2,}", "/", path).rstrip("/")
    if found := OPENAI.fullmatch(plain):
        return f"/v1/{found[1]}"
    return plain if OURS.fullmatch(plain) else path


class Addresses:
    """Leads requests to the address that they mean: a redirect would lose the body of a POST with many clients."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on under its address."""
        if scope["type"] == "http":
            scope["path"] = address(scope["path"])
        await self.app(scope, receive, send)
