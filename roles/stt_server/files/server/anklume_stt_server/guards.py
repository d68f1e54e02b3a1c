# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps one client from starving the others: bounds on uploads, the queue. Both engines use them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import time
from collections.abc import Iterator

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import ApiError

MAX_UPLOADS = 64  # that come in at the same time
UPLOAD_SECONDS = 1800  # longest time that we wait for one upload, all pauses together
LEAST_RATE = 1000  # bytes for each second of waiting, once the first seconds are over
FIRST_SECONDS = 10
PAUSE_SECONDS = 30  # longest pause of an upload that was faster before
IN_MEMORY = 2**20  # bytes of a file that starlette keeps in memory; a larger one goes to a temporary file
STORED_UPLOADS = 8  # temporary files may hold as much as so many uploads of the greatest size
DISCARD_SECONDS = 5  # an answer sent before the upload is over waits this long for the rest


class Queue:
    """The places of those who are served and of those who wait: a bounded number."""

    def __init__(self, workers: int, length: int) -> None:
        self.workers, self.places, self.taken = workers, workers + length, 0
        self.usual = 1.0  # seconds that a request takes, a moving mean

    def check(self) -> None:
        """Refuse who would find no place."""
        if self.taken >= self.places:
            error = ApiError(503, "the server is busy and its queue is full", code="queue_full")
            error.headers["Retry-After"] = str(math.ceil(min(60, self.usual * self.taken / self.workers)))
            raise error

    @contextlib.contextmanager
    def place(self, *, kept: bool = False) -> Iterator[None]:
        """A place in the queue, or a 503; one that was kept is there even when the queue is full."""
        if not kept:
            self.check()
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    def took(self, seconds: float) -> None:
        """Learn from a request how long they take."""
        self.usual += (seconds - self.usual) / 5


class Upload:
    """One upload: what has come, and how long its client may still keep us waiting."""

    def __init__(self) -> None:
        self.size, self.stored, self.patience = 0, 0, float(FIRST_SECONDS)
        self.waited, self.since = 0.0, 0.0
        self.timer: asyncio.Timeout | None = None
        self.displaced = False

    def rate(self) -> float | None:
        """Bytes for each second that we waited; none when that was too short to say."""
        waited = self.waited + (time.monotonic() - self.since if self.timer else 0)
        return self.size / waited if waited > 1 else None

    async def next(self, receive: Receive) -> Message:
        """The next piece; each second that we wait for it costs patience, and what it brings restores it."""
        self.since, left = time.monotonic(), UPLOAD_SECONDS - self.waited
        try:
            async with asyncio.timeout(0 if self.displaced else min(self.patience, left)) as self.timer:
                message = await receive()
        except TimeoutError:
            if self.displaced:
                raise _no_place() from None
            what = f"took longer than {UPLOAD_SECONDS} s" if left < self.patience else "came in too slowly"
            raise ApiError(408, f"the upload {what}", "file", "upload_too_slow") from None
        finally:
            self.timer = None
        seconds, size = time.monotonic() - self.since, len(message.get("body", b""))
        self.waited, self.size = self.waited + seconds, self.size + size
        self.patience = min(PAUSE_SECONDS, self.patience - seconds + size / LEAST_RATE)
        return message

    def give_way(self) -> None:
        """End now, whatever it waits for."""
        self.displaced = True
        if self.timer:
            self.timer.reschedule(asyncio.get_running_loop().time())


class Uploads:
    """End uploads that are too large, too slow or too many, while they come in and whatever their headers say."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app, self.max_bytes, self.stored = app, max_bytes, 0
        self.coming: set[Upload] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what is received, and answer so that the client can read the answer."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        announced = int(headers.get("content-length", "0"))
        unread, upload = bool(announced or "transfer-encoding" in headers), Upload()

        async def limited() -> Message:
            nonlocal unread
            if not unread:
                return await receive()
            if announced > self.max_bytes:
                raise self._too_large()
            self._admit(upload)
            message = await upload.next(receive)
            unread = bool(message.get("more_body"))
            if upload.size > self.max_bytes:
                raise self._too_large()
            self._store(upload)
            if not unread:
                self.coming.discard(upload)
            return message

        async def polite(message: Message) -> None:
            """Most clients read the answer only when they have sent all: closing at once would hide it from them."""
            if message["type"] == "http.response.start" and unread:
                message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
                if upload.size or "expect" not in headers:  # with Expect it has sent nothing before we ask for it
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(DISCARD_SECONDS):
                            while (await receive()).get("more_body"):
                                pass
            await send(message)

        try:
            await self.app(scope, limited, polite)
        finally:
            self._forget(upload)

    def _admit(self, upload: Upload) -> None:
        if upload in self.coming or upload.displaced:
            return
        if len(self.coming) >= MAX_UPLOADS:
            self._slowest_gives_way()
        self.coming.add(upload)

    def _store(self, upload: Upload) -> None:
        stored = max(0, upload.size - IN_MEMORY)
        self.stored, upload.stored = self.stored + stored - upload.stored, stored
        if stored and self.stored > STORED_UPLOADS * self.max_bytes:
            self._slowest_gives_way()

    def _slowest_gives_way(self) -> None:
        """Of those that keep us waiting; where nobody does, the newcomer finds no place."""
        rates = {upload: rate for upload in self.coming if (rate := upload.rate()) is not None}
        if not rates:
            raise _no_place()
        slowest = min(rates, key=rates.__getitem__)
        slowest.give_way()
        self._forget(slowest)

    def _forget(self, upload: Upload) -> None:
        self.coming.discard(upload)
        self.stored, upload.stored = self.stored - upload.stored, 0

    def _too_large(self) -> ApiError:
        return ApiError(413, f"the request is larger than {self.max_bytes} bytes", "file", "request_too_large")


def _no_place() -> ApiError:
    error = ApiError(503, "too many uploads come in at the same time", code="too_many_uploads")
    error.headers["Retry-After"] = "5"
    return error


def no_storage(error: OSError) -> ApiError:
    """What a client is told when its upload cannot be kept in a temporary file."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return ApiError(503, "the server has too many open files", code="too_many_files")
    return ApiError(507, f"the server cannot keep the upload: {error.strerror}", code="no_storage")
