# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interrupted anywhere, the next apply converges; without Incus, or when it goes away, a clear error."""

from __future__ import annotations

import json
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import Client
from ansible_collections.anklume.stt.plugins.module_utils._incus.info import info
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import Reply, UnixTransport, default_socket
from conftest import LONG, ROOT, Lab

KILLS = 20 if LONG else 4

RUN = """
import sys
sys.path[:0] = [{collections!r}, {here!r}]
from pathlib import Path
from conftest import Lab
import json
lab = Lab(Path({folder!r}), {name!r})
lab.infra = json.loads(Path({folder!r}, "infra.yml").read_text())
lab.apply(prune=True, confirm_all=True, backup=False, absent={absent!r})
"""


class Proxy:
    """A unix socket in front of Incus: keeps the request lines, and can go away after some of them."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.asked: list[str] = []
        self.alive_for = 1 << 30
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(default_socket())
            threading.Thread(target=self._pass, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, asking: bool) -> None:
        while data := self._read(source):
            if asking:
                self.asked += re.findall(rb"^(?:GET|PUT|POST|PATCH|DELETE) \S+ HTTP/1.1\r$", data, re.MULTILINE)
                if len(self.asked) > self.alive_for:
                    break
            target.sendall(data)
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    @staticmethod
    def _read(source: socket.socket) -> bytes:
        try:
            return source.recv(1 << 16)
        except OSError:
            return b""


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    proxy = Proxy(tmp_path / "incus")
    yield proxy
    proxy.close()


def big(lab: Lab, generation: int) -> None:
    lab.infra["domains"] = {
        "it-a": {
            "subnet_id": 1,
            "profiles": {"p": {"config": {"user.generation": f"{generation}"}}},
            "machines": {
                f"it-a{number}": {
                    "ip": f"10.178.1.{10 + number}",
                    "profiles": ["default", "p"],
                    "ephemeral": True,
                    "config": {"limits.processes": f"{4000 + generation}"},
                    "storage_volumes": {f"v{number}": {"pool": "default", "path": "/v", "size": "32MiB"}},
                }
                for number in (1, 2)
            },
        },
        "it-b": {"subnet_id": 2, "ephemeral": True, "machines": {}},
    }
    if generation % 2:
        del lab.infra["domains"]["it-b"]


def start(lab: Lab, *, absent: bool) -> subprocess.Popen[bytes]:
    here = str(Path(__file__).parent)
    code = RUN.format(
        collections=str(ROOT / ".cache/collections"), here=here, folder=str(lab.folder), name=lab.name, absent=absent
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_killed_at_random_points_the_next_apply_converges(lab: Lab) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    killed = 0
    for generation in range(4 * KILLS):  # on a fast machine some end before they are killed
        if killed == KILLS:
            break
        big(lab, generation)
        lab.write()
        # made, changed and pruned in turn; every fourth time it is a destroy that is interrupted
        process = start(lab, absent=generation % 4 == 3)
        time.sleep(0.3 + chance.random() * 1.7)
        killed += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        result = lab.apply(prune=True, confirm_all=True, backup=False)
        again = lab.apply(prune=True, confirm_all=True, backup=False)
        assert not again["changed"], (generation, result["summary"], again["summary"])
        assert lab.transport.writes == []
        for number in (1, 2):
            one = lab.instance(f"it-a{number}")
            assert one["status"] == "Running"
            assert one["config"]["limits.processes"] == f"{4000 + generation}"
            assert one["expanded_config"]["user.generation"] == f"{generation}"
            assert lab.run(f"it-a{number}", "findmnt -no TARGET /v") == "/v"
    assert killed == KILLS


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_killed_while_a_bridge_is_made_or_deleted(lab: Lab, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Incus gives such a bridge up half-way and keeps its name."""
    big(lab, 0)

    def killed(one: str, path: str, body: bytes | None, headers: Any, timeout: float) -> Reply:
        if one != method or not path.startswith("/1.0/networks"):
            return request(one, path, body, headers, timeout)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(default_socket())
            head = f"{one} {path} HTTP/1.1\r\nHost: incus\r\nContent-Length: {len(body or b'')}\r\n\r\n"
            client.sendall(head.encode() + (body or b""))
            time.sleep(0.1)
        raise IncusError("killed")

    if method == "POST":
        lab.apply(absent=True, prune=True, confirm_all=True, backup=False)
    else:
        lab.apply(prune=True)
    request = lab.transport.request
    monkeypatch.setattr(lab.transport, "request", killed)
    with pytest.raises(IncusError, match="killed"):
        lab.apply(absent=method == "DELETE", prune=True, confirm_all=True, backup=False)
    monkeypatch.undo()
    lab.apply()
    assert [lab.run(f"it-a{number}", "hostname -I") for number in (1, 2)] == ["10.178.1.11", "10.178.1.12"]
    lab.unchanged()


def test_incus_goes_away_while_it_works(lab: Lab, proxy: Proxy) -> None:
    big(lab, 1000)
    lab.infra["domains"]["it-a"]["profiles"]["p"]["config"]["limits.processes"] = "9000"
    direct, lab.client = lab.client, Client(UnixTransport(proxy.path))
    proxy.alive_for = 14
    with pytest.raises(IncusError, match=r"connection to Incus at .* broke .*: is incusd still running"):
        lab.apply()
    lab.client = direct
    lines = [json.loads(line) for line in (lab.folder / "log").read_text().splitlines()]
    assert lines[-1]["state"] == "end"
    assert "broke" in lines[-1]["error"]
    lab.apply(prune=True)
    lab.unchanged()


def test_a_bridge_that_had_to_be_made_again_gives_addresses(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.apply(absent=True, prune=True, confirm_all=True, backup=False)
    send, made = lab.client.send, []

    def stumble(method: str, path: str, *arguments: Any, **more: Any) -> Any:
        answer = send(method, path, *arguments, **more)
        if (method, path) == ("POST", "/1.0/networks"):
            made.append(arguments[0]["name"])
            if made.count("net-it-a") == 1 and made[-1] == "net-it-a":
                raise IncusError("Failed to delete bridge children interfaces: veth1 does not exist")
        return answer

    monkeypatch.setattr(lab.client, "send", stumble)
    lab.apply()
    assert made.count("net-it-a") == 2
    monkeypatch.undo()
    assert [lab.run(f"it-a{number}", "hostname -I") for number in (1, 2)] == ["10.178.1.11", "10.178.1.12"]
    lab.unchanged()


def test_nothing_to_do_is_not_one_write_on_the_socket(lab: Lab, proxy: Proxy) -> None:
    direct, lab.client = lab.client, Client(UnixTransport(proxy.path))
    lab.unchanged()
    lab.client = direct
    assert len(proxy.asked) >= 8
    assert {line.split()[0] for line in proxy.asked} == {b"GET"}


def test_without_incus_nothing_is_written(lab: Lab, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in lab.folder.rglob("*") if path.is_file()}
    direct, lab.client = lab.client, Client(UnixTransport(str(tmp_path / "nowhere")))
    with pytest.raises(IncusError, match=r"Incus does not answer at .*nowhere: make host"):
        lab.apply()
    lab.client = direct
    assert {path: path.read_bytes() for path in lab.folder.rglob("*") if path.is_file()} == before


def test_a_change_by_somebody_else_at_the_same_time_is_noticed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    send = lab.client.send

    def slow(method: str, path: str, *arguments: Any, **more: Any) -> Any:
        if method == "POST" and path.endswith("/snapshots"):
            url = "/1.0/instances/it-a1?project=it-a"
            send("PATCH", url, {"config": {"limits.processes": "1"}})
        return send(method, path, *arguments, **more)

    machine = lab.infra["domains"]["it-a"]["machines"]["it-a1"]
    machine["config"] = {"limits.processes": "8000"}
    monkeypatch.setattr(lab.client, "send", slow)
    with pytest.raises(IncusError, match="changed by somebody else"):
        lab.apply()
    monkeypatch.undo()
    lab.apply()
    assert lab.instance("it-a1")["config"]["limits.processes"] == "8000"


def test_a_second_writer_of_the_same_project_is_refused(lab: Lab) -> None:
    lab.write()
    from ansible_collections.anklume.stt.plugins.module_utils._base.lock import project_lock

    with project_lock(lab.folder):
        result = subprocess.run(
            ["ansible-playbook", "anklume.stt.infra"],
            env={**__import__("os").environ, "PROJECT": str(lab.folder)},
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
    assert result.returncode != 0
    assert "is working on this project" in result.stdout + result.stderr


def test_twenty_threads_leave_nothing_behind(lab: Lab) -> None:
    before = threading.active_count()
    lab.unchanged()
    assert threading.active_count() == before
    assert info(lab.client, lab.name)["projects"] == ["it-a", "it-b"]
