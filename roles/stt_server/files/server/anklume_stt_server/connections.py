# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The TCP connections: how many there are, and how long one may stay without a request. Both engines use them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import resource
import time
from asyncio import constants
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .errors import ApiError

log = logging.getLogger(__name__)
MAX_CONNECTIONS = 1000
HEADER_SECONDS = 10  # from the connection, or from the first byte of a further request, to the end of the headers
UNREAD_SECONDS = 60  # longest time in which a client takes nothing of an answer that fills the buffers
BACKLOG = 128  # connections that the kernel keeps for us; asyncio accepts them all at once
SPARE_FILES = 512  # file descriptors kept for what is accepted at once, for uploads and for the rest
RETRY_SECONDS = 0.1  # until connections are accepted again when no file descriptor was left; a second in asyncio
LOG_SECONDS = 60  # least time between two lines that say so

idle: dict[Connection, None] = {}  # those without a request, longest first
told: list[Callable[[ApiError], None]] = []  # who is told of the errors that are answered here, as who counts them


class Connection(H11Protocol):
    """A connection as uvicorn serves it, with an end to all that it can wait for."""

    timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Let another one go where there are too many."""
        super().connection_made(transport)
        self._watch()
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        scarce = transport.get_extra_info("socket").fileno() >= max(files // 2, files - SPARE_FILES)
        many = len(self.connections) > MAX_CONNECTIONS
        longest = next(iter(idle))
        if longest is not self and (scarce or many):
            idle.pop(longest)
            self.connections.discard(longest)
            longest.transport.abort()
        elif many:
            self._refuse(ApiError(503, "the server has too many connections", code="too_many_connections"))

    def data_received(self, data: bytes) -> None:
        """Count the time until the headers of a request are complete."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request, as uvicorn does; it has a time for that."""
        super().on_response_complete()
        if not self._busy():
            idle[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._stop_watch()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Count the time in which the client reads nothing; uvicorn would wait for ever."""
        super().pause_writing()
        self._stop_watch()
        self.timer = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        self._stop_watch()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP in the form that OpenAI's clients expect."""
        self._refuse(ApiError(400, "the request is not valid HTTP, or its headers are too large"))

    def _busy(self) -> bool:
        """Whether a request is being answered, or a WebSocket has taken over."""
        answering = self.cycle is not None and not self.cycle.response_complete
        return answering or self.transport.get_protocol() is not self

    def _watch(self) -> None:
        if self._busy():
            self._stop_watch()
        elif self.timer is None:
            idle.setdefault(self)
            self.timer = self.loop.call_later(HEADER_SECONDS, self.transport.abort)

    def _stop_watch(self) -> None:
        idle.pop(self, None)
        if self.timer:
            self.timer.cancel()
            self.timer = None

    def _refuse(self, error: ApiError) -> None:
        for tell in told:
            tell(error)
        response = error.response()
        headers = [*response.raw_headers, (b"connection", b"close")]
        start = h11.Response(status_code=error.status, headers=headers)
        with contextlib.suppress(h11.LocalProtocolError):  # to HEAD, or in an answer, nothing more can be said
            for part in (start, h11.Data(bytes(response.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(part) or b"")
        self.transport.close()


def live_with_few_files(loop: asyncio.AbstractEventLoop) -> None:
    """When no file descriptor is left for a connection, close those that are idle, and log a line each minute."""
    said = -float("inf")

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal said
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in (errno.EMFILE, errno.ENFILE):
            loop.default_exception_handler(context)
            return
        while idle:
            idle.popitem()[0].transport.abort()
        if time.monotonic() - said > LOG_SECONDS:
            said = time.monotonic()
            log.warning("no new connections for now: %s; raise LimitNOFILE if this comes again", error.strerror)

    loop.set_exception_handler(handle)
    vars(constants)["ACCEPT_RETRY_DELAY"] = RETRY_SECONDS  # it has no setting
