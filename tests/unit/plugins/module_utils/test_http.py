# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one HTTP client against a real server on loopback: silence, redirects, TLS, proxies, servers that hang up."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base import http
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._base.http import HttpError, Server

KEY = {"Authorization": "Bearer s3cret"}


class StandIn(ThreadingHTTPServer):
    """Answers by the first word of the path; as a proxy it answers for anyone, and lets no tunnel through."""

    daemon_threads = True

    def __init__(self, certificate: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scheme = "https" if certificate else "http"
        self.asked: list[tuple[str, str | None]] = []
        self.ended = threading.Event()
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def address(self, host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.server_port}"

    def handle_error(self, *_args: Any) -> None:
        """Say nothing of a client that went away."""


class Handler(BaseHTTPRequestHandler):
    server: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args: Any) -> None:
        """Say nothing on stderr."""

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        word, _slash, rest = self.path.removeprefix("/").partition("/")
        getattr(self, f"answer_{word}", self.answer)(rest)

    def do_POST(self) -> None:
        self.do_GET()

    def do_CONNECT(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Proxy-Authorization")))
        self.send_error(407)

    def answer(self, _rest: str, status: int = 200, body: bytes = b'{"well": true}', **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def answer_to(self, rest: str) -> None:
        self.answer("", 302, b"", Location=rest)

    def answer_nowhere(self, _rest: str) -> None:
        self.answer("", 302, b"")

    def answer_circle(self, _rest: str) -> None:
        self.answer("", 302, b"", Location="/circle")

    def answer_missing(self, _rest: str) -> None:
        self.answer("", 404, b'{"error": "no such model"}')

    def answer_silence(self, _rest: str) -> None:
        self.server.ended.wait(5)

    def answer_stall(self, _rest: str) -> None:
        self.answer("", body=b"some", **{"Content-Length": "100"})
        self.server.ended.wait(5)

    def answer_short(self, _rest: str) -> None:
        self.answer("", body=b"some", **{"Content-Length": "100"})
        self.close_connection = True

    def answer_chunk(self, _rest: str) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"6\r\none\ntw")
        self.close_connection = True

    def answer_hang(self, _rest: str) -> None:
        self.close_connection = True

    def answer_reset(self, _rest: str) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def answer_refuse(self, _rest: str) -> None:
        self.answer("", 413, b"too large", Connection="close")


@contextlib.contextmanager
def serving(stand_in: StandIn) -> Iterator[StandIn]:
    threading.Thread(target=stand_in.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield stand_in
    stand_in.ended.set()
    stand_in.shutdown()
    stand_in.server_close()


@pytest.fixture
def there() -> Iterator[StandIn]:
    with serving(StandIn()) as stand_in:
        yield stand_in


@pytest.fixture
def secure(certificate: Path) -> Iterator[StandIn]:
    with serving(StandIn(certificate)) as stand_in:
        yield stand_in


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def why(server: Server, path: str, **options: Any) -> HttpError:
    """What is said of a request that gets no answer."""
    with pytest.raises(HttpError) as error:
        server.request(options.pop("method", "GET"), path, **options)
    assert "s3cret" not in str(error.value) and "\n" not in str(error.value)
    return error.value


# --- answers


def test_an_answer_whatever_its_status(there: StandIn) -> None:
    server = Server(f"{there.address()}/base/")
    answer = server.request("GET", "/x", headers=KEY)
    assert (answer.status, answer.url, answer.json()) == (200, f"{there.address()}/base/x", {"well": True})
    assert there.asked == [("/base/x", "Bearer s3cret")]
    missing = Server(there.address()).request("GET", "/missing")
    assert (missing.status, missing.detail) == (404, "no such model")


def test_the_lines_of_an_answer_arrive_one_by_one(there: StandIn) -> None:
    with Server(there.address()).open("GET", "/chunk") as answer:
        lines = answer.lines()
        assert next(lines) == b"one\n"
        with pytest.raises(HttpError, match="the connection was cut off"):
            list(lines)


def test_an_answer_beyond_all_measure(there: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_ANSWER_LIMIT", 8)
    assert not why(Server(there.address()), "/x").passing


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("host:8000", "write it as http://host:port"),
        ("ftp://host", "write it as http://host:port"),
        ("http://", "write it as http://host:port"),
        ("http://host:port", "write it as http://host:port"),
        ("http://host:0", "write it as http://host:port"),
        (f"http://{'é' * 80}.example", "write it as http://host:port"),
        ("http://me:s3cret@host", "the address of host holds a user name or password"),
    ],
)
def test_no_address(address: str, words: str) -> None:
    with pytest.raises(ServiceError, match=words) as error:
        Server(address)
    assert "s3cret" not in str(error.value)


def test_a_name_beyond_ascii_is_sent_as_name_servers_know_it() -> None:
    assert Server("http://bücher.example:8000/é").address == "http://xn--bcher-kva.example:8000/é"


@pytest.mark.parametrize("path", ["/é", "/two words", "/line\nbreak"])
def test_what_http_cannot_carry(there: StandIn, path: str) -> None:
    with pytest.raises(HttpError, match="HTTP cannot carry") as error:
        Server(there.address()).request("GET", path)
    assert not error.value.passing
    assert "HTTP cannot carry" in why(Server(there.address()), "/x", headers={"Authorization": "s3cret\n"}).reason


# --- silence


def test_silence(there: StandIn) -> None:
    server = Server(there.address(), timeout=0.2)
    start = time.monotonic()
    silent = why(server, "/silence")
    assert "no answer within 0.2 s" in silent.reason and silent.passing
    assert "nothing more arrived within 0.2 s" in why(server, "/stall").reason
    with server.open("GET", "/stall") as answer, pytest.raises(HttpError, match="nothing more arrived"):
        assert answer.piece(10) == b"some"
        answer.piece(10)
    with pytest.raises(HttpError, match=r"no answer within 0\.1 s"):
        server.open("GET", "/silence", timeout=0.1)
    assert time.monotonic() - start < 3


def test_packets_are_dropped() -> None:
    """A listener whose backlog is full lets nobody in, as a firewall does; that is known before an answer is late."""
    with contextlib.ExitStack() as sockets:
        full = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _client in range(4):
            client = sockets.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        server = Server(f"http://127.0.0.1:{full.getsockname()[1]}", timeout=60, connect_timeout=0.2)
        assert "within 0.2 s: the host is down, or a firewall drops the packets" in why(server, "/x").reason


# --- servers that hang up


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/hang", "closed without an answer: the service stopped, or wants https"),
        ("/reset", "closed without an answer: the service stopped, or wants https"),
        ("/short", "the connection was cut off"),
        ("/chunk", "the connection was cut off"),
    ],
)
def test_it_hangs_up(there: StandIn, path: str, words: str) -> None:
    error = why(Server(there.address()), path)
    assert words in str(error) and error.passing


def test_an_upload_is_refused(there: StandIn) -> None:
    server, much = Server(there.address()), bytes(16 << 20)
    answer = server.request("POST", "/refuse", body=much)
    assert (answer.status, answer.text) == (413, "too large")
    assert "refuses a file of this size" in why(server, "/hang", method="POST", body=b"x").reason


def test_nobody_there(there: StandIn) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        refused = why(Server(f"http://127.0.0.1:{free.getsockname()[1]}"), "/x")
    assert "connection refused: nothing listens on 127.0.0.1 port" in refused.reason and refused.passing
    unknown = why(Server("http://no-such-host.invalid"), "/x")
    assert "the name no-such-host.invalid cannot be resolved" in unknown.reason and not unknown.passing


# --- redirects


def test_a_redirect_keeps_the_key_from_other_hosts(there: StandIn) -> None:
    server = Server(there.address())
    assert server.request("GET", f"/to/{there.address()}/same", headers=KEY).status == 200
    assert server.request("GET", f"/to/{there.address('localhost')}/other", headers=KEY).status == 200
    assert there.asked[1] == ("/same", "Bearer s3cret")
    assert there.asked[3] == ("/other", None)


def test_a_redirect_never_leaves_tls(there: StandIn, secure: StandIn, certificate: Path) -> None:
    server = Server(secure.address(), ca_path=str(certificate))
    error = why(server, f"/to/{there.address()}/x")
    assert f"it redirects from https to {there.address()}: refused" in str(error) and not error.passing
    assert there.asked == []
    assert Server(there.address(), ca_path=str(certificate)).request("GET", f"/to/{secure.address()}/x").status == 200


def test_redirects_that_lead_nowhere(there: StandIn) -> None:
    for path in ("/nowhere", "/circle", "/to/file:///etc/passwd"):
        error = why(Server(there.address()), path)
        assert (
            "HTTP 302: it redirects in a circle, or to where HTTP does not lead" in error.reason and not error.passing
        )
    assert "to ftp://x: refused" in why(Server(there.address()), "/to/ftp://x/y").reason


def test_redirects_are_answers_where_they_are_not_followed(there: StandIn) -> None:
    answer = Server(there.address(), redirects=False).request("GET", "/to/http://elsewhere.example/")
    assert (answer.status, answer.headers["location"]) == (302, "http://elsewhere.example/")


# --- TLS


def test_a_certificate_that_nobody_vouches_for(secure: StandIn, certificate: Path) -> None:
    error = why(Server(secure.address()), "/x")
    assert "is not trusted by this machine's authorities: self-signed certificate" in error.reason
    assert not error.passing and secure.asked == []
    assert Server(secure.address(), ca_path=str(certificate)).request("GET", "/x").status == 200
    assert Server(secure.address(), validate_certs=False).request("GET", "/x").status == 200
    other = why(Server(secure.address("localhost"), ca_path=str(certificate)), "/x")
    assert f"is not trusted by the authority in {certificate}: Hostname mismatch" in other.reason


def test_tls_where_there_is_none(there: StandIn) -> None:
    error = why(Server(there.address().replace("http:", "https:")), "/x")
    assert "does not speak TLS: does its address begin with http://" in error.reason and not error.passing


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_authority_in_the_file(tmp_path: Path, scheme: str) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(ServiceError, match=r"ca\.pem: no certificate authority can be read"):
        Server(f"{scheme}://localhost", ca_path=str(tmp_path / "ca.pem"))


# --- proxies


def test_a_proxy_is_used_unless_it_is_not_to_be(there: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", there.address())
    assert Server("http://nowhere.invalid").request("GET", "/x").status == 200
    assert there.asked == [("http://nowhere.invalid/x", None)]
    assert "cannot be resolved" in why(Server("http://nowhere.invalid", proxies=False), "/x").reason
    monkeypatch.setenv("no_proxy", "localhost,.invalid")
    assert "cannot be resolved" in why(Server("http://nowhere.invalid"), "/x").reason
    assert len(there.asked) == 1


def test_a_proxy_that_lets_nothing_through(there: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", there.address("me:s3cret@127.0.0.1"))
    error = why(Server("https://nowhere.invalid"), "/x")
    assert (
        f"no connection to the proxy 127.0.0.1 port {there.server_port}: Tunnel connection failed: 407" in error.reason
    )
    assert there.asked == [("nowhere.invalid:443", "Basic bWU6czNjcmV0")]


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("http://127.0.0.1:9", "nothing listens on the proxy 127.0.0.1 port 9"),
        ("http://no-proxy.invalid:3128", "the name no-proxy.invalid cannot be resolved: check the proxy"),
        ("socks5://127.0.0.1:9", "unknown url type: socks5"),
    ],
)
def test_a_proxy_that_is_none(monkeypatch: pytest.MonkeyPatch, proxy: str, words: str) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    assert words in why(Server("http://nowhere.invalid"), "/x").reason
