# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes to and from Incus: HTTP over its unix socket, one kept-alive connection per thread.

Everything above talks to the :class:`Transport` protocol; a server on another machine is in `https_transport.py`.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError

DEFAULT_DIR = "/var/lib/incus"
SOCKET = {"socket": {"type": "path"}}
"""The option of modules that talk to Incus; the fragment `incus` documents it."""


class IncusUnreachableError(IncusError):
    """Nothing answers at the address, or not in time."""


class IncusForbiddenError(IncusError):
    """Incus is there and does not let this user in."""


@dataclass(frozen=True)
class Reply:
    """An HTTP answer, read to its end."""

    status: int
    etag: str
    body: bytes


class Transport(Protocol):
    """One way to reach an Incus server."""

    address: str
    """What an error message calls the server."""

    def request(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout: float) -> Reply:
        """Send one request and read its answer."""

    def download(self, path: str, target: BinaryIO, timeout: float) -> int:
        """Write the body of a GET to `target`; the status is returned. What `target` raises passes through."""

    def close(self) -> None:
        """Let go of every connection."""


def default_socket() -> str:
    """The path the `incus` client uses: INCUS_SOCKET, else unix.socket in INCUS_DIR or /var/lib/incus."""
    return os.environ.get("INCUS_SOCKET") or f"{os.environ.get('INCUS_DIR') or DEFAULT_DIR}/unix.socket"


class _UnixConnection(http.client.HTTPConnection):
    """An HTTP connection whose other end is a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("incus", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class KeptTransport:
    """HTTP over connections that are kept alive, one per thread."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._local = threading.local()
        self._all: list[http.client.HTTPConnection] = []

    def _new(self, timeout: float) -> http.client.HTTPConnection:
        """A connection that connects itself when it is first used."""
        raise NotImplementedError

    def _explained(self, error: Exception, timeout: float) -> IncusError:
        """What a fault of the connection means, and what to do."""
        raise NotImplementedError

    def _is_closed(self, sock: socket.socket) -> bool:
        """Whether the other end of an idle connection has hung up: nothing is ever sent into one."""
        raise NotImplementedError

    def request(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout: float) -> Reply:
        """Send one request and read its answer; a read is sent again when a kept-alive connection ends under it."""
        with self._errors(timeout):
            connection, fresh = self._connection(timeout)
            try:
                connection.request(method, path, body=body, headers=dict(headers))
                answer = connection.getresponse()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                connection.close()
                if fresh or method != "GET":
                    raise
                connection.request(method, path, body=body, headers=dict(headers))
                answer = connection.getresponse()
            return Reply(answer.status, answer.headers.get("ETag", ""), answer.read())

    def download(self, path: str, target: BinaryIO, timeout: float) -> int:
        """Write the body of a GET to `target`, a piece at a time."""
        with self._errors(timeout):
            connection, _fresh = self._connection(timeout)
            connection.request("GET", path)
            answer = connection.getresponse()
        while True:
            with self._errors(timeout):
                piece = answer.read(1 << 20)
            if not piece:
                return answer.status
            try:
                target.write(piece)
            except OSError:
                connection.close()  # with an answer half read it serves nobody
                raise

    def close(self) -> None:
        """Close the connections of every thread."""
        for connection in self._all:
            connection.close()

    def _connection(self, timeout: float) -> tuple[http.client.HTTPConnection, bool]:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._new(timeout)
            self._all.append(connection)
        connection.timeout = timeout
        if connection.sock is not None and self._is_closed(connection.sock):
            connection.close()
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        return connection, connection.sock is None

    @contextlib.contextmanager
    def _errors(self, timeout: float) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            self._local.connection.close()
            raise self._explained(error, timeout) from error


class UnixTransport(KeptTransport):
    """Incus on this machine."""

    def _new(self, timeout: float) -> http.client.HTTPConnection:
        return _UnixConnection(self.address, timeout)

    def _is_closed(self, sock: socket.socket) -> bool:
        sock.setblocking(False)
        try:
            return not sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _explained(self, error: Exception, timeout: float) -> IncusError:
        return _explained(error, self.address, timeout)


def _explained(error: Exception, address: str, timeout: float) -> IncusError:
    if isinstance(error, PermissionError):
        return IncusForbiddenError(
            f"not allowed to use Incus at {address}: add yourself to its group "
            "(sudo usermod -aG incus-admin $USER) and log in again"
        )
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return IncusUnreachableError(
            f"Incus does not answer at {address}: make host installs it and starts it (playbook anklume.stt.host)"
        )
    if isinstance(error, TimeoutError):
        return IncusUnreachableError(f"Incus at {address} did not answer within {timeout:g} s: look at its log")
    detail = str(error) or type(error).__name__
    return IncusUnreachableError(f"the connection to Incus at {address} broke ({detail}): is incusd still running?")
