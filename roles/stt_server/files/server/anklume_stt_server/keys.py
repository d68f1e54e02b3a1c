# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API key, in the headers that clients send it in."""

from __future__ import annotations

import contextlib
import hmac

from starlette.types import ASGIApp, Receive, Scope, Send

from .errors import ApiError

HEADERS = (b"x-api-key", b"api-key")  # beside Authorization: Bearer
OPEN = ("/health", "/docs", "/openapi.json")


class ApiKey:
    """Refuse requests without the configured key, but for those that ask what the server is and whether it is well."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self.app, self.key = app, key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer in its place, or pass it on."""
        if scope["type"] == "http" and scope["path"] not in OPEN:
            try:
                check(scope, self.key, 401)
            except ApiError as error:
                await error.response()(scope, receive, send)
                return
        await self.app(scope, receive, send)


def check(scope: Scope, key: str, status: int) -> None:
    """Raise an error with this status unless the request holds the key; compared in constant time."""
    keys, right = given(scope["headers"]), [key.encode()]
    with contextlib.suppress(UnicodeEncodeError):  # what is not ASCII comes as UTF-8, or as Latin-1 from older clients
        right.append(key.encode("latin-1"))
    if not any(hmac.compare_digest(one, other) for one in keys for other in right):
        message = "Incorrect API key provided" if keys else "You didn't provide an API key"
        raise ApiError(status, message, code="invalid_api_key")


def given(headers: list[tuple[bytes, bytes]]) -> list[bytes]:
    """The keys that a request holds."""
    found = [value.strip() for name, value in headers if name in HEADERS]
    for name, value in headers:
        scheme, _, rest = value.strip().partition(b" ")
        if name == b"authorization" and scheme.lower() == b"bearer":
            found.append(rest.strip())
    return [key for key in found if key]
