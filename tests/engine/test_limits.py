# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody can starve the others: slow, endless, idle and many clients, and a server without files or disk.

The seconds are made short; with ANKLUME_TEST_LONG they are the server's own, but for the half hour of an upload.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from anklume_stt_server import connections, guards

from .conftest import CLIPS, MODEL, PACKAGE, SENTENCES, Server, free_port, until

FOX = (CLIPS / "en-fox.wav").read_bytes()
TEXT = SENTENCES["en-fox.wav"]["text"]
LONG = bool(os.environ.get("ANKLUME_TEST_LONG"))
PATCHED = {"guards.UPLOAD_SECONDS": 20 if LONG else 5, "guards.MAX_UPLOADS": 40}
PATCHED |= {} if LONG else {"guards.FIRST_SECONDS": 3, "guards.DISCARD_SECONDS": 0.5, "connections.HEADER_SECONDS": 3}
BODY = (
    f'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n{MODEL}\r\n'
    '--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
).encode()
HEAD = (
    b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    b"Content-Length: 9000000\r\n\r\n"
)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small disk of its own for the server's temporary files."""
    place = tmp_path_factory.mktemp("disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8M", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.fixture(scope="module")
def limited(hub_home: Path, disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with that disk, and with short seconds."""
    folder = tmp_path_factory.mktemp("limited")
    lines = [f"anklume_stt_server.{name} = {value}\n" for name, value in PATCHED.items()]
    imports = "import anklume_stt_server.connections\nimport anklume_stt_server.guards\n"
    (folder / "sitecustomize.py").write_text(imports + "".join(lines))
    server = Server(hub_home, folder / "log", PYTHONPATH=f"{folder}:{PACKAGE}", TMPDIR=disk).wait()
    yield server
    assert server.stop() == 0


def seconds(name: str) -> float:
    """What the server takes for a constant."""
    module, constant = name.split(".")
    return float(PATCHED.get(name, getattr({"guards": guards, "connections": connections}[module], constant)))


@contextlib.contextmanager
def clients(server: Server, number: int, *said: bytes) -> Iterator[list[socket.socket]]:
    """Connections that have said something, and now say no more."""
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(number):
            opened.append(stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 60)))
            for each in said:
                opened[-1].sendall(each)
        yield opened


def latency(server: Server, times: int = 7) -> float:
    """The median of some transcriptions, one after the other; all must be right."""
    spent = []
    for _ in range(times):
        began = time.monotonic()
        assert server.post(FOX).json()["text"] == TEXT
        spent.append(time.monotonic() - began)
    return statistics.median(spent)


def answer(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def processor_seconds(server: Server) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_slow_uploads_hold_up_nobody_and_end(limited: Server) -> None:
    usual = latency(limited)
    began = time.monotonic()
    with clients(limited, 33, HEAD, BODY, b"R") as slow:
        assert latency(limited) < 2 * max(usual, 0.2)  # others may share this machine
        for connection in slow:
            connection.sendall(b"I")  # a byte in some seconds changes nothing
        answers = [answer(connection) for connection in slow]
    assert time.monotonic() - began < seconds("guards.FIRST_SECONDS") + seconds("guards.DISCARD_SECONDS") + 3
    for each in answers:
        assert each.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"upload_too_slow"' in each


def test_with_more_slow_uploads_than_places_the_slowest_give_way(limited: Server) -> None:
    with clients(limited, 100, HEAD, BODY):
        time.sleep(1.5)
        latency(limited, 3)  # none is refused


def test_an_upload_has_a_total_time(limited: Server) -> None:
    began = time.monotonic()
    with clients(limited, 1, HEAD, BODY) as (steady,):
        said = threading.Event()

        def speak() -> None:
            with contextlib.suppress(OSError):
                while not said.wait(0.2):
                    steady.sendall(bytes(1000))

        speaker = threading.Thread(target=speak)
        speaker.start()
        got = answer(steady)
        said.set()
        speaker.join()
    assert b" 408 " in got
    assert b"longer than" in got
    spent = time.monotonic() - began
    assert seconds("guards.UPLOAD_SECONDS") - 0.5 < spent < seconds("guards.UPLOAD_SECONDS") + 7


@pytest.mark.parametrize("said", [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: "])
def test_idle_connections_are_closed_and_cost_nothing(limited: Server, said: bytes) -> None:
    with clients(limited, 500 if not said else 50, said) as idle:
        began, spent = time.monotonic(), processor_seconds(limited)
        assert httpx.get(limited.url + "/health").status_code == 200
        time.sleep(1.5)
        assert processor_seconds(limited) - spent < 0.05 * (time.monotonic() - began) + 0.02
        assert limited.post(FOX).json()["text"] == TEXT
        assert {answer(connection) for connection in idle} == {b""}
        assert time.monotonic() - began < seconds("connections.HEADER_SECONDS") + 2


def test_half_a_second_request_is_closed_too(limited: Server) -> None:
    with clients(limited, 1, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n") as (connection,):
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        began = time.monotonic()
        for _ in range(100):
            try:
                connection.sendall(b"G" if time.monotonic() - began < 0.1 else b"E")
            except OSError:
                break
            time.sleep(0.25)
        assert time.monotonic() - began < seconds("connections.HEADER_SECONDS") + 2


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
def test_a_broken_chunk_is_no_traceback(limited: Server, method: bytes) -> None:
    head = b" /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    with clients(limited, 1, method + head) as (connection,):
        time.sleep(0.1)
        connection.sendall(b"no number\r\n")
        assert answer(connection).startswith(b"HTTP/1.1 400 ")
    assert "Traceback" not in limited.text()


def test_what_is_not_http_has_openais_body(limited: Server) -> None:
    with clients(limited, 1, b"\x16\x03\x01 no TLS here\r\n\r\n") as (connection,):
        got = answer(connection)
    assert got.startswith(b"HTTP/1.1 400 ")
    assert b'"type":"invalid_request_error"' in got


@contextlib.contextmanager
def few_files(server: Server, number: int) -> Iterator[None]:
    pid = server.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (number, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_the_longest_idle_connection_gives_way_to_a_new_one(limited: Server) -> None:
    with few_files(limited, 128), clients(limited, 200, b"GET") as idle:
        began = time.monotonic()
        assert answer(idle[0]) == b""
        assert time.monotonic() - began < 2
        latency(limited, 1)
        idle[-1].sendall(b" /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle[-1].recv(1000).startswith(b"HTTP/1.1 200 ")


def test_no_file_descriptor_left_is_one_line_of_log(limited: Server) -> None:
    in_use = len(list(Path(f"/proc/{limited.process.pid}/fd").iterdir()))
    limited.process.send_signal(signal.SIGSTOP)  # so that all come at the same moment
    with few_files(limited, in_use + 4), clients(limited, 100):
        limited.process.send_signal(signal.SIGCONT)
        time.sleep(1)
        assert httpx.get(limited.url + "/health", timeout=10).status_code == 200
    log = limited.text()
    assert 1 <= log.count("no new connections for now: Too many open files") <= 3, log  # one a minute
    assert "Traceback" not in log
    latency(limited, 1)


def test_a_full_disk_is_a_507_and_leaves_nothing(limited: Server, disk: Path) -> None:
    free, logged = os.statvfs(disk).f_bfree, len(limited.text())
    for _ in range(2):
        got = limited.post(bytes(20_000_000))
        assert (got.status_code, got.json()["error"]["code"]) == (507, "no_storage")
        assert "No space left on device" in got.json()["error"]["message"]
    assert os.statvfs(disk).f_bfree == free
    assert list(disk.iterdir()) == []
    lines = limited.text()[logged:].splitlines()
    assert len(lines) == 2
    assert all("507" in line for line in lines)
    assert limited.post(FOX + bytes(3_000_000)).json()["text"] == TEXT
    until(lambda: os.statvfs(disk).f_bfree == free)


def test_who_does_not_read_an_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    left = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100):
            await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    monkeypatch.setattr(connections, "UNREAD_SECONDS", 0.5)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, http=connections.Connection))
    thread = threading.Thread(target=asyncio.run, args=(server.serve(),))
    thread.start()
    try:
        until(lambda: server.started)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert left.wait(5)
    finally:
        server.should_exit = True
        thread.join()
