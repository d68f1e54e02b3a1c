# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Incus servers of a project, each with the reader of its machine; what we show them and whom we trust is in files.

Those files are the `incus` client's own (`INCUS_CONF`), so that Ansible's connection to instances uses them too.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import Client, IncusNotFoundError, path_of
from ansible_collections.anklume.stt.plugins.module_utils._incus.host_reader import HostReader, LocalHost, RemoteHost
from ansible_collections.anklume.stt.plugins.module_utils._incus.https_transport import (
    Credentials,
    HttpsTransport,
    parted,
)
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import (
    IncusForbiddenError,
    UnixTransport,
    default_socket,
)
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Model, Remote

FOLDER = "secrets/incus"
"""Where in a project the files of the client lie, unless INCUS_CONF names another place."""


@dataclass(frozen=True)
class Server:
    """One of them; `name` is "" for the Incus of this machine."""

    name: str
    client: Client
    reader: HostReader

    def admitted(self) -> None:
        """Refuse what the server would refuse half-way."""
        if not self.name:
            return
        again = f"make remote-add NAME={self.name} TOKEN=…"
        said = self.client.get(path_of())
        if said["auth"] != "trusted":
            raise IncusForbiddenError(
                f"server {self.name} does not trust this project (any more): there, incus config trust add "
                f"{self.name} gives a token, then {again}"
            )
        if self._is_restricted(said.get("auth_user_name", "")):
            raise IncusForbiddenError(
                f"server {self.name} lets this project into some of its Incus projects only, and apply makes "
                f"networks: there, incus config trust add {self.name} without --restricted, then {again}"
            )

    def _is_restricted(self, fingerprint: str) -> bool:
        try:
            return bool(self.client.get(path_of("certificates", fingerprint))["restricted"])
        except IncusForbiddenError:
            return True
        except IncusNotFoundError:  # it came in by another way than a certificate of its own
            return False


@contextlib.contextmanager
def servers(model: Model, project_dir: str, socket_path: str | None) -> Iterator[list[Server]]:
    """The servers of a project; this machine's only where a domain is on it, or where it has an Incus."""
    with contextlib.ExitStack() as closing:
        found = []
        path = socket_path or default_socket()
        if not model.remotes or Path(path).exists() or any(not domain.remote for domain in model.domains):
            found.append(Server("", closing.enter_context(Client(UnixTransport(path)).closing()), LocalHost()))
        for remote in model.remotes:
            transport = HttpsTransport(remote.name, remote.addresses, credentials(remote.name, project_dir))
            client = closing.enter_context(Client(transport).closing())
            found.append(Server(remote.name, client, RemoteHost(client, remote.name, _numbers(remote))))
        yield found


def credentials(name: str, project_dir: str) -> Credentials:
    """Our certificate, and the one of the server that was trusted."""
    folder = Path(os.environ.get("INCUS_CONF") or Path(project_dir) / FOLDER)
    shown = folder / "servercerts" / f"{name}.crt"
    try:
        fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(shown.read_text(encoding="ascii"))).hexdigest()
    except FileNotFoundError as error:
        raise IncusError(
            f"server {name} and this project do not know each other yet (no {shown}): there, "
            f"incus config trust add {name} gives a token; here, make remote-add NAME={name} TOKEN=…"
        ) from error
    except (OSError, ValueError) as error:
        raise IncusError(f"cannot read the certificate of server {name} ({shown}: {error})") from error
    return Credentials(folder / "client.crt", folder / "client.key", fingerprint)


def _numbers(remote: Remote) -> Sequence[str]:
    """Its addresses as numbers: in which of its networks it is reached."""
    found: list[str] = []
    for address in remote.addresses:
        with contextlib.suppress(OSError):
            found += [str(one[4][0]) for one in socket.getaddrinfo(parted(address)[0], None, socket.AF_INET)]
    return found
