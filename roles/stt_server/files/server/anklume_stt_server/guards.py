# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ASGI wrappers around every request: the API key, and the limits on what a client sends."""

from __future__ import annotations

import asyncio
import contextlib
import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import ApiError

IDLE_SECONDS = 30  # longest pause in an upload
DISCARD_SECONDS = 5  # an answer sent before the upload is over waits this long for the rest


class ApiKey:
    """Refuse requests without the configured key; /health is open."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self.app, self.expected = app, f"Bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Compare in constant time."""
        if scope["type"] == "http" and scope["path"] != "/health":
            given = Headers(scope=scope).get("authorization", "").encode()
            if not hmac.compare_digest(given, self.expected):
                message = "Incorrect API key provided" if given else "You didn't provide an API key"
                await ApiError(401, message, code="invalid_api_key").response()(scope, receive, send)
                return
        await self.app(scope, receive, send)


class BodyLimit:
    """Stop an upload that is too large or stalls while it comes in, whatever its headers say."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app, self.max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what is received, and answer so that the client can read the answer."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        announced = int(headers.get("content-length", "0"))
        unread, size = bool(announced or "transfer-encoding" in headers), 0

        async def limited() -> Message:
            nonlocal unread, size
            if not unread:
                return await receive()
            if announced > self.max_bytes:
                raise self._too_large()
            try:
                message = await asyncio.wait_for(receive(), IDLE_SECONDS)
            except TimeoutError:
                raise ApiError(408, f"the upload stalled for {IDLE_SECONDS} seconds") from None
            unread = bool(message.get("more_body"))
            size += len(message.get("body", b""))
            if size > self.max_bytes:
                raise self._too_large()
            return message

        async def polite(message: Message) -> None:
            """Most clients read the answer only when they have sent all: closing at once would hide it from them."""
            if message["type"] == "http.response.start" and unread:
                message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
                if size or "expect" not in headers:  # with Expect it has sent nothing before we ask for it
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(DISCARD_SECONDS):
                            while (await receive()).get("more_body"):
                                pass
            await send(message)

        await self.app(scope, limited, polite)

    def _too_large(self) -> ApiError:
        return ApiError(413, f"the request is larger than {self.max_bytes} bytes", "file", "request_too_large")
