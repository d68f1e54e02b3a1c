# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the certificate comes from: given files, a real ACME server (Debian's Pebble), and at last our authority."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import ADDRESS, Run
from suite import long

Role = Callable[..., Run]
HTTPS = ("-t", "open_webui_configure,open_webui_service")
NAME = "mdef-webui.incus"


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that vouches for itself, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-noenc",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=test", "-addext", f"subjectAltName={name}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def status_over_tls(name: str, authority: Path) -> int:
    """What the proxy answers to a browser that trusts this authority alone and calls it by this name."""
    context = ssl.create_default_context(cafile=authority)
    with socket.create_connection((ADDRESS, 443), 10) as plain, context.wrap_socket(plain, server_hostname=name) as tls:
        tls.sendall(f"GET /ready HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        return int(tls.recv(64).split()[1])


@pytest.fixture(scope="module", autouse=True)
def internal_again(role: Role, project: Path) -> Iterator[None]:
    """Afterwards the certificate comes from the internal authority again."""
    yield
    again = role(*HTTPS)
    assert again.status == 0, again.said[-3000:]
    assert status_over_tls(ADDRESS, project / "secrets/ca/ca.crt") == 200


def test_a_given_certificate_is_served_and_one_with_another_key_refused(role: Role, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "DNS:mdef-webui")
    given = role(*HTTPS, open_webui_tls_certificate=str(certificate), open_webui_tls_key=str(key))
    assert given.status == 0, given.said[-3000:]
    assert status_over_tls("mdef-webui", certificate) == 200

    (tmp_path / "other").mkdir()
    _, other = make_certificate(tmp_path / "other", "DNS:mdef-webui")
    refused = role(*HTTPS, open_webui_tls_certificate=str(certificate), open_webui_tls_key=str(other))
    assert refused.status != 0
    assert "are not a certificate and its key in PEM" in refused.said
    assert status_over_tls("mdef-webui", certificate) == 200


def test_a_certificate_on_the_instance_is_read_anew_at_every_start_of_the_proxy(
    role: Role, webui: Any, tmp_path: Path
) -> None:
    folder = "/etc/letsencrypt/live/mdef"

    def renew(number: int) -> Path:
        """What certbot does there: files for root alone, and its hook."""
        made = tmp_path / str(number)
        made.mkdir()
        certificate, key = make_certificate(made, "DNS:mdef-webui")
        for path, name in ((certificate, "fullchain.pem"), (key, "privkey.pem")):
            webui.run_expect(
                [0], "umask 077; mkdir -p %s && printf %%s %s > %s/%s", folder, path.read_text(), folder, name
            )
        return certificate

    variables = {
        "open_webui_tls_certificate": f"{folder}/fullchain.pem",
        "open_webui_tls_key": f"{folder}/privkey.pem",
        "open_webui_tls_on_instance": True,
    }
    refused = role(*HTTPS, **variables)
    assert refused.status != 0
    assert "on this instance are not a certificate and its key in PEM" in refused.said

    first = renew(1)
    applied = role(*HTTPS, **variables)
    assert applied.status == 0, applied.said[-3000:]
    assert status_over_tls("mdef-webui", first) == 200
    second = renew(2)
    webui.run_expect([0], "systemctl restart caddy")
    assert status_over_tls("mdef-webui", second) == 200
    assert not role(*HTTPS, **variables).changed()
    webui.run_expect([0], "rm -r %s", folder)


@dataclass
class AcmeServer:
    """Pebble, beside Open WebUI."""

    url: str
    trusted_by: Path
    roots: str

    def root(self, folder: Path) -> Path:
        """The authority that it signs with, made anew at every start."""
        context = ssl.create_default_context(cafile=self.trusted_by)
        path = folder / "root.pem"
        path.write_bytes(urllib.request.urlopen(self.roots, context=context, timeout=10).read())
        return path


@pytest.fixture(scope="module")
def acme(machine: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[AcmeServer]:
    """An ACME server that really connects to the names it is asked for."""
    ai, address, folder = machine("mdef-ai"), "10.176.1.10", tmp_path_factory.mktemp("pebble")
    certificate, key = make_certificate(folder, f"IP:{address}")
    settings = {
        "listenAddress": f"{address}:14000",
        "managementListenAddress": f"{address}:15000",
        "certificate": "/run/pebble/certificate.pem",
        "privateKey": "/run/pebble/key.pem",
        "httpPort": 80,
        "tlsPort": 443,
    }
    (folder / "config.json").write_text(json.dumps({"pebble": settings}))
    ai.run_expect([0], "apt-get -qq install -y pebble && mkdir -p /run/pebble")
    for path in (certificate, key, folder / "config.json"):
        push = ["incus", "file", "push", "--quiet", "--project", "mdef", str(path), f"mdef-ai/run/pebble/{path.name}"]
        subprocess.run(push, check=True)
    start = "systemd-run --quiet --unit pebble -E PEBBLE_VA_NOSLEEP=1 pebble -config /run/pebble/config.json"
    ai.run_expect([0], f"{start} && until ss -Hltn sport = :15000 | grep -q .; do sleep 0.1; done")
    yield AcmeServer(f"https://{address}:14000/dir", certificate, f"https://{address}:15000/roots/0")
    ai.run_expect([0], "systemctl stop pebble && apt-get -qq purge -y pebble")


@long
def test_a_certificate_comes_from_an_acme_server(role: Role, acme: AcmeServer, webui: Any, tmp_path: Path) -> None:
    variables = {
        "open_webui_names": [NAME],
        "open_webui_acme_url": acme.url,
        "open_webui_acme_email": "admin@example.org",
        "open_webui_acme_authority": str(acme.trusted_by),
    }
    applied = role(*HTTPS, **variables)
    assert applied.status == 0, applied.said[-3000:]
    assert status_over_tls(NAME, acme.root(tmp_path)) == 200
    assert not role(*HTTPS, **variables).changed()
