# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transport and the client against a server on a real unix socket."""

from __future__ import annotations

import json
import resource
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus import client as client_module
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import (
    Client,
    IncusConflictError,
    IncusNotFoundError,
    OperationFailedError,
    OperationForgottenError,
    path_of,
)
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import (
    IncusForbiddenError,
    IncusUnreachableError,
    UnixTransport,
    _explained,
    default_socket,
)


class Server:
    """Answers each request with what `script` says; counts connections and keeps what it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.script: dict[str, Any] = {}
        self.asked: list[tuple[str, bytes]] = []
        self.connections = 0
        self.close_after_each = False
        self.hang_up_on = "-"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def close(self) -> None:
        # it may not wait in accept once the number of this socket is that of another one
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rwb")
        while line := stream.readline():
            method, path, _ = line.decode().split()
            length, etag = 0, ""
            while (header := stream.readline().decode().strip()) != "":
                name, _, value = header.partition(": ")
                length = int(value) if name.lower() == "content-length" else length
                etag = value if name == "If-Match" else etag
            self.asked.append((f"{method} {path}{f' if {etag}' if etag else ''}", stream.read(length)))
            if method == self.hang_up_on:
                connection.shutdown(socket.SHUT_RDWR)
                return
            status, body = self.script.get(f"{method} {path}", (404, error("Not Found", 404)))
            if status == "hang":
                time.sleep(2)
                status = 200
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            head = f"HTTP/1.1 {status} X\r\nETag: tag1\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            try:
                connection.sendall(head + data)
            except OSError:  # the client gave up
                return
            if self.close_after_each:
                connection.shutdown(socket.SHUT_RDWR)
                return


def error(text: str, code: int) -> dict[str, Any]:
    return {"type": "error", "error": text, "error_code": code}


def sync(metadata: Any) -> tuple[int, dict[str, Any]]:
    return 200, {"type": "sync", "metadata": metadata}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "s")
    yield server
    server.close()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(UnixTransport(server.path)).closing() as client:
        yield client


def test_one_connection_serves_many_requests(server: Server, client: Client) -> None:
    server.script["GET /1.0"] = sync({"a": 1})
    assert [client.get("/1.0") for _ in range(5)] == [{"a": 1}] * 5
    assert server.connections == 1


def test_each_thread_has_a_connection_of_its_own(server: Server, client: Client) -> None:
    server.script["GET /1.0"] = sync({})
    threads = [threading.Thread(target=client.get, args=("/1.0",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.connections == 3


def test_a_read_survives_a_stale_connection(server: Server, client: Client) -> None:
    server.close_after_each = True
    server.script["GET /1.0"] = sync("again")
    assert [client.get("/1.0") for _ in range(3)] == ["again"] * 3


def test_a_write_goes_to_a_live_connection(server: Server, client: Client) -> None:
    server.close_after_each = True
    server.script["GET /1.0"] = server.script["POST /1.0/x"] = sync(None)
    client.get("/1.0")
    time.sleep(0.05)
    client.send("POST", "/1.0/x", {})
    assert [what for what, _ in server.asked] == ["GET /1.0", "POST /1.0/x"]
    assert server.connections == 2


def test_a_write_is_never_sent_twice(server: Server, client: Client) -> None:
    server.script["GET /1.0"] = sync(None)
    client.get("/1.0")
    server.hang_up_on = "POST"
    with pytest.raises(IncusUnreachableError, match="broke"):
        client.send("POST", "/1.0/x", {})
    assert [what for what, _ in server.asked] == ["GET /1.0", "POST /1.0/x"]


def test_no_socket_says_how_to_start_incus(tmp_path: Path) -> None:
    with pytest.raises(IncusUnreachableError, match=r"does not answer at .*none.*make host"):
        Client(UnixTransport(str(tmp_path / "none"))).get("/1.0")


def test_a_socket_nobody_listens_on(tmp_path: Path) -> None:
    socket.socket(socket.AF_UNIX).bind(str(tmp_path / "dead"))
    with pytest.raises(IncusUnreachableError, match="starts it"):
        Client(UnixTransport(str(tmp_path / "dead"))).get("/1.0")


def test_no_permission_names_the_group() -> None:
    text = str(_explained(PermissionError(13, "Permission denied"), "/s", 1))
    assert "usermod -aG incus-admin" in text


def test_a_server_that_hangs(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    server.script["GET /1.0"] = ("hang", {})
    monkeypatch.setattr(client_module.Client._call, "__kwdefaults__", {"headers": None, "timeout": 0.2})
    with pytest.raises(IncusUnreachableError, match=r"did not answer within 0\.2 s"):
        client.get("/1.0")


def test_something_else_behind_the_socket(server: Server, client: Client) -> None:
    server.script["GET /1.0"] = (200, b"hello")
    with pytest.raises(IncusError, match="does not speak the Incus API"):
        client.get("/1.0")


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (403, IncusForbiddenError, "does not allow"),
        (404, IncusNotFoundError, "not in Incus"),
        (409, IncusConflictError, "another change"),
        (412, IncusConflictError, "another change"),
        (400, IncusError, "Invalid thing"),
        (500, IncusError, "Invalid thing"),
    ],
)
def test_refusals(server: Server, client: Client, code: int, kind: type[IncusError], words: str) -> None:
    server.script["PUT /1.0/x"] = (code, error("Invalid thing", code))
    with pytest.raises(kind, match=words) as raised:
        client.send("PUT", "/1.0/x", {})
    assert type(raised.value) is kind
    assert "PUT /1.0/x" in str(raised.value)


def test_a_write_waits_for_its_operation(server: Server, client: Client) -> None:
    server.script["POST /1.0/instances?project=lab"] = (202, {"type": "async", "operation": "/1.0/operations/7"})
    server.script["GET /1.0/operations/7/wait"] = sync({"status_code": 200, "id": "7"})
    assert client.send("POST", "/1.0/instances", {"name": "a"}, project="lab")["id"] == "7"
    assert json.loads(server.asked[0][1]) == {"name": "a"}


def test_an_operation_that_failed_speaks_for_itself(server: Server, client: Client) -> None:
    server.script["POST /1.0/x"] = (202, {"type": "async", "operation": "/1.0/operations/7?project=lab"})
    ended = {"status_code": 400, "description": "Creating instance", "err": "No space left", "status": "Failure"}
    server.script["GET /1.0/operations/7/wait"] = sync(ended)
    with pytest.raises(OperationFailedError, match="creating instance: No space left"):
        client.send("POST", "/1.0/x", {})


def test_an_operation_that_is_forgotten(server: Server, client: Client) -> None:
    server.script["POST /1.0/x"] = (202, {"type": "async", "operation": "/1.0/operations/8"})
    with pytest.raises(OperationForgottenError):
        client.send("POST", "/1.0/x", {})


def test_an_etag_goes_back_with_the_write(server: Server, client: Client) -> None:
    server.script["GET /1.0/x"] = server.script["PUT /1.0/x"] = sync({})
    _body, etag = client.get_tagged("/1.0/x")
    client.send("PUT", "/1.0/x", {}, etag=etag)
    assert server.asked[-1][0] == "PUT /1.0/x if tag1"


def test_a_download_is_private_and_whole_or_absent(server: Server, client: Client, tmp_path: Path) -> None:
    server.script["GET /1.0/file"] = (200, b"x" * 3_000_000)
    client.download("/1.0/file", tmp_path / "good")
    assert (tmp_path / "good").stat().st_size == 3_000_000
    assert (tmp_path / "good").stat().st_mode & 0o777 == 0o600
    with pytest.raises(IncusError, match="HTTP 404"):
        client.download("/1.0/none", tmp_path / "bad")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good", "s"]


def test_a_download_to_a_full_disk_says_so_and_leaves_nothing(server: Server, client: Client, tmp_path: Path) -> None:
    server.script["GET /1.0/file"] = (200, b"x" * 3_000_000)
    server.script["GET /1.0/x"] = sync("read")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(IncusError, match=r"cannot write .*/bad \(File too large\): make room there"):
            client.download("/1.0/file", tmp_path / "bad")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    assert client.get("/1.0/x") == "read"


def test_paths_are_quoted() -> None:
    assert path_of() == "/1.0"
    assert path_of("images", "aliases", "debian/13") == "/1.0/images/aliases/debian%2F13"


def test_where_the_socket_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INCUS_SOCKET", raising=False)
    monkeypatch.delenv("INCUS_DIR", raising=False)
    assert default_socket() == "/var/lib/incus/unix.socket"
    monkeypatch.setenv("INCUS_DIR", "/x")
    assert default_socket() == "/x/unix.socket"
    monkeypatch.setenv("INCUS_SOCKET", "/y")
    assert default_socket() == "/y"
