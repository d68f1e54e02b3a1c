# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP over TCP, under every client in module_utils: connections, timeouts, proxies, redirects, authorities, errors.

    ServiceError
    └── HttpError    no whole answer came: `reason` says why, `passing` whether asking again may help

A status is no error here: what it means is the client's to say.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import http.client
import json
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sized
from typing import IO, Any, cast

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError

_ANSWER_LIMIT = 64 * 1024 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)


class HttpError(ServiceError):
    """There is no answer, or not the whole of it."""

    def __init__(self, url: str, reason: str, *, passing: bool = True) -> None:
        super().__init__(f"{url}: {reason}")
        self.reason, self.passing = reason, passing


def address_parts(address: str) -> urllib.parse.SplitResult:
    """The parts of a server's address, once it is sure that it is one; a name beyond ASCII as name servers know it."""
    try:
        parts = urllib.parse.urlsplit(address)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        if not parts.netloc.isascii():
            name, colon, port = parts.netloc.partition(":")
            parts = parts._replace(netloc=f"{name.encode('idna').decode()}{colon}{port}")
    except ValueError:
        sound = False
    if not sound:
        raise ServiceError(f"{address!r} is not an address of a service: write it as http://host:port")
    if parts.username is not None or parts.password is not None:
        raise ServiceError(
            f"the address of {parts.hostname} holds a user name or password: give them as options of their own"
        )
    return parts


class Server:
    """A server by its address, which may hold a path; each request has a connection of its own."""

    def __init__(
        self,
        address: str,
        *,
        timeout: float = 30.0,
        connect_timeout: float | None = None,
        ca_path: str = "",
        validate_certs: bool = True,
        proxies: bool = True,
        redirects: bool = True,
    ) -> None:
        """`proxies` are those of the environment, less no_proxy; a timeout is of one silence, not of the whole."""
        parts = address_parts(address)
        self.address = urllib.parse.urlunsplit(parts).rstrip("/")
        self._timeout = timeout
        connections = _Connections(connect_timeout, ca_path, validate_certs)
        if parts.scheme == "https" or ca_path:
            dummy = connections.context  # a file that holds no authority is told now
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(None if proxies else {}),
            urllib.request.UnknownHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            connections,
            _Redirects(),
            _Statuses(redirects),
        ):
            self._opener.add_handler(handler)

    def open(
        self,
        method: str,
        path: str,
        *,
        body: Sized | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """An answer whose body is still to come; close it. `body` is bytes, or gives them piece by piece."""
        url, patience = f"{self.address}{path}", timeout or self._timeout
        sent = {"Accept": "*/*", "User-Agent": "anklume.stt", **(headers or {})}
        if body is not None:
            sent["Content-Length"] = str(len(body))
        with _in_words(url, patience, uploads=body is not None):
            request = urllib.request.Request(url, cast(Any, body), sent, method=method)
            answer = self._opener.open(request, timeout=patience)
        return Answer(url, cast(http.client.HTTPResponse, answer), patience)

    def request(self, method: str, path: str, **options: Any) -> Answer:
        """A whole answer; the options are those of :meth:`open`."""
        with self.open(method, path, **options) as answer:
            dummy = answer.body  # while the connection is there
        return answer


class Answer:
    """An answer, whatever its status. Only in here is an OSError the network's, and not the disk's."""

    def __init__(self, url: str, raw: http.client.HTTPResponse, timeout: float) -> None:
        self.url, self.status, self.reason, self.headers = url, raw.status, raw.reason, raw.headers
        self._raw, self._timeout = raw, timeout

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._raw.close()

    def piece(self, limit: int) -> bytes:
        """What has arrived of the body, up to a number of bytes; nothing at its end, or where it was cut off."""
        with self._reading():
            return self._raw.read1(limit)

    def lines(self) -> Iterator[bytes]:
        """The lines of the body as they arrive."""
        while True:
            with self._reading():
                line = self._raw.readline()
            if not line:
                return
            yield line

    @functools.cached_property
    def body(self) -> bytes:
        """The whole body."""
        with self._reading():
            body = self._raw.read(_ANSWER_LIMIT)
        if len(body) == _ANSWER_LIMIT:
            raise HttpError(self.url, f"the answer is larger than {_ANSWER_LIMIT >> 20} MiB", passing=False)
        if self._raw.length:
            raise HttpError(self.url, "the connection was cut off")
        return body

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", errors="replace")

    def json(self) -> dict[str, Any]:
        """The body as a JSON object."""
        return json_object(self.text, self.url)

    @property
    def detail(self) -> str:
        """What the server says about an error, in the shapes that OpenAI, FastAPI, Ollama and proxies use."""
        try:
            document = json.loads(self.text)
        except ValueError:
            return _preview(self.text)
        if isinstance(document, dict):
            found = document.get("error", document.get("detail", document.get("message")))
            if isinstance(found, dict):
                found = found.get("message")
            if isinstance(found, list):
                found = ", ".join(str(item.get("msg", item)) if isinstance(item, dict) else str(item) for item in found)
            if found:
                return _preview(str(found))
        return _preview(self.text)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise HttpError(self.url, f"nothing more arrived within {self._timeout:g} s") from error
        except http.client.HTTPException as error:
            raise HttpError(self.url, "the connection was cut off") from error
        except OSError as error:
            raise HttpError(self.url, f"the connection was cut off ({error.strerror or error})") from error


def json_object(text: str, where: str) -> dict[str, Any]:
    """A text that is to be a JSON object."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ServiceError(f"{where}: the answer is not JSON: {_preview(text)}: is this the right service") from error
    if not isinstance(document, dict):
        raise ServiceError(f"{where}: the answer is not a JSON object: {_preview(text)}: is this the right service")
    return document


def _preview(text: str, limit: int = 160) -> str:
    line = " ".join(text.split())
    return f"{line[:limit]}…" if len(line) > limit else line or "no further words"


@contextlib.contextmanager
def _in_words(url: str, timeout: float, *, uploads: bool) -> Iterator[None]:
    """What goes wrong between a connection and the head of an answer."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        raise HttpError(
            url, f"HTTP {error.code}: it redirects in a circle, or to where HTTP does not lead", passing=False
        ) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        reason, passing = str(cause) or type(cause).__name__, True
        if isinstance(cause, TimeoutError):
            reason = f"no answer within {timeout:g} s: it is overloaded, or the timeout too short"
        elif isinstance(cause, BrokenPipeError | ConnectionResetError | http.client.RemoteDisconnected):
            refuses = " refuses a file of this size," if uploads else ""
            reason = f"the connection was closed without an answer: the service stopped,{refuses} or wants https"
        elif isinstance(cause, ValueError | http.client.InvalidURL):
            reason, passing = "the key or the address holds a character that HTTP cannot carry", False
        elif isinstance(cause, http.client.HTTPException):
            reason = "what answers there does not speak HTTP: is the port right"
        raise HttpError(url, reason, passing=passing) from error


class _Connections(urllib.request.AbstractHTTPHandler):
    """Connections that say why there is none."""

    def __init__(self, connect_timeout: float | None, ca_path: str, validate_certs: bool) -> None:
        super().__init__()
        self.connect_timeout, self.ca_path, self._validate_certs = connect_timeout, ca_path, validate_certs

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(functools.partial(_Connection, handler=self, request=request), request)

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        tls = functools.partial(_TlsConnection, handler=self, request=request, context=self.context)
        return self.do_open(tls, request)

    @functools.cached_property
    def context(self) -> ssl.SSLContext:
        """Made when it is needed: reading a machine's authorities takes longer than a request in the same network."""
        try:
            context = ssl.create_default_context(cafile=self.ca_path or None)
        except OSError as error:
            raise ServiceError(f"{self.ca_path}: no certificate authority can be read from it: {error}") from error
        if not self._validate_certs:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class _Connection(http.client.HTTPConnection):
    """A connection for one request, to a server or to a proxy on the way to it."""

    def __init__(
        self, host: str, *, timeout: float, handler: _Connections, request: urllib.request.Request, **options: Any
    ) -> None:
        super().__init__(host, timeout=min(timeout, handler.connect_timeout or timeout), **options)
        self._patience, self._ca_path, self._request = timeout, handler.ca_path, request

    def connect(self) -> None:
        try:
            super().connect()
        except (OSError, UnicodeError) as error:
            self.close()
            final = isinstance(error, ssl.SSLError | socket.gaierror | UnicodeError)
            passing = not final or isinstance(error, ssl.SSLEOFError)
            raise HttpError(self._request.full_url, self._why(error), passing=passing) from error
        self.sock.settimeout(self._patience)

    def request(self, *args: Any, **options: Any) -> None:
        # a server that refuses an upload answers before it has read all of it
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            super().request(*args, **options)

    def _why(self, error: Exception) -> str:
        wanted = urllib.parse.urlsplit(self._request.full_url)
        server = f"{wanted.hostname} port {wanted.port or (443 if wanted.scheme == 'https' else 80)}"
        direct = self._request.host == wanted.netloc
        there = f"{'' if direct else 'the proxy '}{self.host} port {self.port}"
        if isinstance(error, socket.gaierror | UnicodeError):
            return f"the name {self.host} cannot be resolved: check the {'' if direct else 'proxy and the '}name server"
        if isinstance(error, ssl.SSLCertVerificationError):
            known = f"the authority in {self._ca_path}" if self._ca_path else "this machine's authorities"
            return (
                f"the certificate of {server} is not trusted by {known}: {error.verify_message}:"
                " add its authority to this machine's, or give it as ca_path"
            )
        if isinstance(error, ssl.SSLError):
            return f"{server} does not speak TLS: does its address begin with http://"
        if isinstance(error, ConnectionRefusedError):
            return f"connection refused: nothing listens on {there}: is the service running, is the port right"
        if isinstance(error, TimeoutError):
            return (
                f"no connection to {there} within {self.timeout:g} s: the host is down, or a firewall drops the packets"
            )
        if isinstance(error, OSError) and error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
            return f"{there} cannot be reached from here: no route to the host"
        return f"no connection to {there}: {error}"


class _TlsConnection(_Connection, http.client.HTTPSConnection):
    """The same over TLS."""


class _Statuses(urllib.request.HTTPErrorProcessor):
    """Every status is an answer, but a redirect that is to be followed."""

    def __init__(self, follow: bool) -> None:
        self._follow = follow

    def http_response(
        self, request: urllib.request.Request, response: http.client.HTTPResponse
    ) -> http.client.HTTPResponse:
        if self._follow and response.status in _REDIRECTS:
            response = super().http_response(request, response)
        return response

    https_response = http_response


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but show a key to no other host and never leave TLS."""

    def redirect_request(  # noqa: PLR0917 - urllib's own signature
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if new.scheme not in ("https", old.scheme):
            reason = f"it redirects from {old.scheme} to {new.scheme}://{new.netloc}: refused"
            raise HttpError(req.full_url, reason, passing=False)
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and old.netloc != new.netloc:
            request.remove_header("Authorization")
        return request
