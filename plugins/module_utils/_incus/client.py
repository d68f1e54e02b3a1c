# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Incus REST API, a few calls of it: JSON in and out, operations waited for, errors with their reason."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import (
    IncusForbiddenError,
    Transport,
)

REQUEST_TIMEOUT = 60.0
"""Seconds one request may take; listing a busy server takes less than one."""

OPERATION_TIMEOUT = 1800.0
"""Seconds a background operation may take: an image has to come over a slow line."""


class IncusNotFoundError(IncusError):
    """What was asked for is not there."""


class IncusConflictError(IncusError):
    """It exists already, or somebody else changed it at the same time."""


class OperationFailedError(IncusError):
    """A background operation ended badly; the message is Incus's own."""


class OperationForgottenError(IncusError):
    """An operation is over and Incus no longer says how it ended: look at the object itself."""


def path_of(*parts: str) -> str:
    """The path of an API object; each part is quoted (`debian/13` is one part)."""
    return "/".join(("/1.0", *(quote(part, safe="") for part in parts)))


class Client:
    """A server. All methods may be called from several threads at once."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, path: str, **query: str) -> Any:
        """The object or list at `path`."""
        return self._call("GET", path, query)[0]["metadata"]

    def get_tagged(self, path: str, **query: str) -> tuple[Any, str]:
        """The object at `path` and its ETag, to be given back to :meth:`send`."""
        answer, etag = self._call("GET", path, query)
        return answer["metadata"], etag

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        etag: str = "",
        **query: str,
    ) -> Any:
        """Send a write and wait until what it started has ended; the operation's (or answer's) metadata."""
        answer, _etag = self._call(method, path, query, body or {}, headers={"If-Match": etag} if etag else {})
        if answer["type"] == "async":
            return self.wait(answer["operation"])
        return answer.get("metadata")

    def wait(self, operation: str, timeout: float = OPERATION_TIMEOUT) -> Any:
        """Wait for a background operation (`/1.0/operations/<id>`)."""
        path = operation.partition("?")[0]
        try:
            answer, _etag = self._call("GET", f"{path}/wait", {}, timeout=timeout)
        except IncusNotFoundError as error:
            raise OperationForgottenError(f"Incus no longer knows the operation {path}") from error
        ended = answer["metadata"]
        if ended["status_code"] != 200:
            raise OperationFailedError(f"{ended['description'].lower()}: {ended['err'] or ended['status']}")
        return ended

    def download(self, path: str, target: Path, **query: str) -> None:
        """Write the file behind `path` to `target`, readable by its owner only, whole or not at all."""
        part = target.with_name(f".{target.name}.part")
        try:
            with part.open("wb") as stream:
                part.chmod(0o600)
                status = self._transport.download(_with(path, query), stream, OPERATION_TIMEOUT)
            if status != 200:
                raise IncusError(f"Incus gave no file for {path} (HTTP {status})")
            part.replace(target)
        except OSError as error:
            raise IncusError(
                f"cannot write {target} ({error.strerror}): make room there, then run this again"
            ) from error
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def closing(self) -> Iterator[Client]:
        """Close the connections at the end."""
        try:
            yield self
        finally:
            self._transport.close()

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = REQUEST_TIMEOUT,
    ) -> tuple[dict[str, Any], str]:
        data = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        reply = self._transport.request(method, _with(path, query), data, sent, timeout)
        try:
            answer = json.loads(reply.body)
            kind = answer["type"]
        except (ValueError, KeyError, TypeError) as error:
            raise IncusError(f"{self._transport.address} does not speak the Incus API (HTTP {reply.status})") from error
        if kind == "error":
            raise _refusal(answer, method, path)
        return answer, reply.etag


def _with(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode({key.replace('_', '-'): value for key, value in query.items()})}" if query else path


def _refusal(answer: Mapping[str, Any], method: str, path: str) -> IncusError:
    words = f"{answer['error']} ({method} {path})"
    match answer["error_code"]:
        case 403:
            return IncusForbiddenError(f"Incus does not allow this: {words}")
        case 404:
            return IncusNotFoundError(f"not in Incus: {words}")
        case 409 | 412:
            return IncusConflictError(f"Incus refuses because of another change: {words}; run it again")
        case _:
            return IncusError(f"Incus refuses: {words}")
