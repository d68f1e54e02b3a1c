# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API keys, in the headers that clients send them in."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections import Counter
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from .errors import ApiError

HEADERS = (b"x-api-key", b"api-key")  # beside Authorization: Bearer
OPEN = ("/health", "/docs", "/openapi.json")
WRONG_SECONDS = 1.0  # how long the answer to a wrong key takes
WRONG_AT_ONCE = 8  # as many may wait for it from one address


class Keys:
    """What opens the door; whoever tries wrong keys waits for each answer, and has few tries at once."""

    def __init__(self, keys: Iterable[str]) -> None:
        self.right: list[bytes] = []
        self.waiting: Counter[str] = Counter()
        for key in filter(None, keys):
            self.right.append(key.encode())
            with contextlib.suppress(
                UnicodeEncodeError
            ):  # other letters come as UTF-8, or as Latin-1 from older clients
                self.right.append(key.encode("latin-1"))

    async def check(self, scope: Scope, status: int) -> None:
        """Raise an error with this status unless the request holds a key; each is compared in constant time."""
        address = (scope.get("client") or ("",))[0]
        if self.waiting[address] >= WRONG_AT_ONCE:
            error = ApiError(429, "Too many wrong API keys at once: wait a second", code="rate_limit_exceeded")
            error.headers["Retry-After"] = "1"
            raise error
        keys = given(scope["headers"])
        if sum(hmac.compare_digest(one, other) for one in keys for other in self.right):  # compares with all
            return
        if not keys:
            raise ApiError(status, "You didn't provide an API key", code="invalid_api_key")
        self.waiting[address] += 1
        try:
            await asyncio.sleep(WRONG_SECONDS)
        finally:
            self.waiting -= Counter([address])
        raise ApiError(status, "Incorrect API key provided", code="invalid_api_key")


class ApiKey:
    """Refuse requests without a key, but for those that ask what the server is and whether it is well."""

    def __init__(self, app: ASGIApp, keys: Iterable[str]) -> None:
        self.app, self.keys = app, Keys(keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer in its place, or pass it on."""
        if scope["type"] == "http" and scope["path"] not in OPEN:
            try:
                await self.keys.check(scope, 401)
            except ApiError as error:
                await error.response()(scope, receive, send)
                return
        await self.app(scope, receive, send)


def given(headers: list[tuple[bytes, bytes]]) -> list[bytes]:
    """The keys that a request holds."""
    found = [value.strip() for name, value in headers if name in HEADERS]
    for name, value in headers:
        scheme, _, rest = value.strip().partition(b" ")
        if name == b"authorization" and scheme.lower() == b"bearer":
            found.append(rest.strip())
    return [key for key in found if key]
