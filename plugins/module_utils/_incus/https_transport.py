# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes to and from an Incus on another machine: HTTPS with our certificate, to the one that was trusted."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import select
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import (
    IncusForbiddenError,
    IncusUnreachableError,
    KeptTransport,
)

PORT = 8443
CONNECT_TIMEOUT = 5.0
"""Seconds for each address of a server: with a few of them, one that is off must not hold the others up."""

KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""A line that was cut is noticed after half a minute, also while an operation of half an hour is waited for."""


@dataclass(frozen=True)
class Credentials:
    """Who we are, and whom we trust."""

    certificate: Path
    key: Path
    fingerprint: str
    """SHA-256 of the server's certificate (DER), in hexadecimal digits."""


class WrongCertificateError(OSError):
    """The server has another certificate than the one that was trusted."""


class _SilentError(OSError):
    """Nobody answered an attempt to connect."""


class HttpsTransport(KeptTransport):
    """A server by its name and its addresses, which are tried in turn (`host` or `host:port`)."""

    def __init__(self, name: str, addresses: Sequence[str], credentials: Credentials) -> None:
        super().__init__(f"{name} ({', '.join(addresses)})")
        self._name = name
        self._addresses = [parted(address) for address in addresses]
        self._fingerprint = credentials.fingerprint
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        # the one certificate is compared below instead, before anything is sent: who signed it, and for which name,
        # does not matter
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        try:
            self._context.load_cert_chain(credentials.certificate, credentials.key)
        except (OSError, ssl.SSLError) as error:
            raise IncusForbiddenError(
                f"cannot use the certificate {credentials.certificate} for server {name} ({error})"
            ) from error

    def _new(self, timeout: float) -> http.client.HTTPConnection:
        return _PinnedConnection(self._addresses, self._context, self._fingerprint, timeout)

    def _is_closed(self, sock: socket.socket) -> bool:
        # TLS cannot be peeked into; between two requests the server has nothing to say but good-bye
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))

    def _explained(self, error: Exception, timeout: float) -> IncusError:
        where = f"server {self.address}"
        match error:
            case WrongCertificateError():
                return IncusForbiddenError(
                    f"{where} is not the one that was trusted ({error}): if Incus is new there, trust it anew"
                )
            case _SilentError():
                return IncusUnreachableError(
                    f"{where} does not answer ({CONNECT_TIMEOUT:g} s): is it on, and open in its firewall?"
                )
            case TimeoutError():
                return IncusUnreachableError(f"{where} did not answer within {timeout:g} s: look at its log")
            case ConnectionRefusedError():
                return IncusUnreachableError(
                    f"{where}: nothing listens there: start Incus, and let it listen "
                    f"(there: incus config set core.https_address :{PORT})"
                )
            case socket.gaierror():
                return IncusUnreachableError(f"{where}: no such name ({error.strerror}): write its address")
        detail = str(error) or type(error).__name__
        return IncusUnreachableError(f"the connection to {where} broke ({detail}): is Incus still running there?")


class _PinnedConnection(http.client.HTTPConnection):
    """HTTPS to the first address that answers, whose certificate must be the one that was trusted."""

    def __init__(
        self, addresses: Sequence[tuple[str, int]], context: ssl.SSLContext, fingerprint: str, timeout: float
    ) -> None:
        super().__init__(*addresses[0], timeout=timeout)
        self._addresses = addresses
        self._context = context
        self._fingerprint = fingerprint

    def connect(self) -> None:
        errors: list[OSError] = []
        for address in self._addresses:
            try:
                self.sock = self._connected(address)
            except WrongCertificateError:
                raise
            except TimeoutError:
                errors.append(_SilentError())
            except OSError as error:
                errors.append(error)
            else:
                return
        raise errors[0]

    def _connected(self, address: tuple[str, int]) -> ssl.SSLSocket:
        """A connection to the server that was trusted; nothing was sent into it yet."""
        plain = socket.create_connection(address, CONNECT_TIMEOUT)
        with contextlib.ExitStack() as undo:
            undo.callback(plain.close)
            # a body goes out at once, and not when its head has been confirmed, 40 ms later
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in KEEPALIVE.items():
                if hasattr(socket, option):
                    plain.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
            secured = self._context.wrap_socket(plain)
            undo.callback(secured.close)
            shown = hashlib.sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()
            if not hmac.compare_digest(shown, self._fingerprint):
                raise WrongCertificateError(f"its certificate is {shown}, that one's was {self._fingerprint}")
            secured.settimeout(self.timeout)
            undo.pop_all()
            return secured


def parted(address: str) -> tuple[str, int]:
    """Host and port; `[…]` around an IPv6 address with a port."""
    if address.startswith("["):
        host, _bracket, port = address[1:].partition("]")
        return host, int(port.lstrip(":") or PORT)
    if address.count(":") > 1:
        return address, PORT
    host, _colon, port = address.partition(":")
    return host, int(port or PORT)
