# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a device is asked to trust: the page that hands it out, and an authority that is of no use for other sites."""

from __future__ import annotations

import hashlib
import http.client
import http.server
import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.anklume.stt.plugins.modules.internal_certificate import make_certificate
from conftest import ADDRESS
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from suite import ROOT

STRANGE = ("www.example.com", "example.local.example.com", "203.0.113.7")
OURS = ("voice.local", "mdef-webui", "192.168.1.77", "localhost")


def fetch(path: str, port: int = 80, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    """What the proxy answers in plain HTTP."""
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


@pytest.fixture(scope="module")
def authority(project: Path) -> bytes:
    return (project / "secrets/ca/ca.crt").read_bytes()


@pytest.mark.parametrize("port", [80, 3000])
def test_the_page_is_in_plain_http_and_shows_the_fingerprint(authority: bytes, port: int) -> None:
    status, headers, page = fetch("/trust", port)
    shown = hashlib.sha256(ssl.PEM_cert_to_DER_cert(authority.decode())).digest().hex(":").upper()
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert shown in page.decode()
    assert [name for name in ("ios", "android", "desktop") if f'<g id="{name}"' in page.decode()] == [
        "ios",
        "android",
        "desktop",
    ]
    assert b"http://" not in page and b"https://" not in page, "the page makes a device ask another place"


@pytest.mark.parametrize(
    ("path", "kind"), [("/trust/ca.crt", "application/x-x509-ca-cert"), ("/trust/file", "application/octet-stream")]
)
def test_the_certificate_comes_in_the_type_that_a_device_wants(authority: bytes, path: str, kind: str) -> None:
    status, headers, content = fetch(path)
    assert (status, headers["Content-Type"], content) == (200, kind, authority)


@pytest.mark.parametrize(
    "path", ["/", "/trusted", "/trust/ca.key", "/trust/trust.html", "/trust/../open-webui.pem", "/c/1"]
)
def test_all_else_leads_to_https(path: str) -> None:
    status, headers, _ = fetch(path)
    assert (status, headers["Location"]) == (308, f"https://{ADDRESS}{path}")


def sign(project: Path, name: str, path: Path) -> Path:
    """A certificate for any name, as somebody makes it who stole the authority's key."""
    certificate = x509.load_pem_x509_certificate((project / "secrets/ca/ca.crt").read_bytes())
    key = serialization.load_pem_private_key((project / "secrets/ca/ca.key").read_bytes(), None)
    path.write_bytes(make_certificate({"names": [name], "days": 2}, certificate, key))
    return path


class Greeting(http.server.BaseHTTPRequestHandler):
    """Answers with one word."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"welcome")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def visit(project: Path, tmp_path: Path, profile: Path) -> Iterator[Callable[[str], str]]:
    """A function that opens a site in Chromium, whose server has a certificate of the authority for it."""

    def open_site(name: str) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sign(project, name, tmp_path / "site.pem"))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Greeting)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever).start()
        try:
            command = ["node", "visit.mjs", profile, f"127.0.0.1:{server.server_port}", f"https://{name}/"]
            folder = ROOT / "tests/browser"
            done = subprocess.run(
                [str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=120
            )
        finally:
            server.shutdown()
            server.server_close()
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)[f"https://{name}/"]

    yield open_site


@pytest.mark.parametrize("name", OURS)
def test_chromium_takes_the_authority_for_names_of_the_project(visit: Callable[[str], str], name: str) -> None:
    assert visit(name) == "welcome"


@pytest.mark.parametrize("name", STRANGE)
def test_chromium_refuses_the_authority_for_another_site(visit: Callable[[str], str], name: str) -> None:
    assert visit(name) == "net::ERR_CERT_INVALID"


@pytest.mark.parametrize("name", STRANGE)
def test_openssl_refuses_the_authority_for_another_site(project: Path, tmp_path: Path, name: str) -> None:
    command = [
        "openssl",
        "verify",
        "-CAfile",
        project / "secrets/ca/ca.crt",
        sign(project, name, tmp_path / "site.pem"),
    ]
    refused = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert "permitted subtree violation" in refused.stderr
