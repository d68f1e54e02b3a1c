# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""First apply and no-op apply against the floor: the same REST requests, all at once, by the smallest script.

usage: bench_incus.py [--machines N ...] [--pairs N]

The floor replays the very requests that our first apply sent: project, network and profiles one
after the other, then every instance at the same time, each polled until it has its address. The
REST no-op is the list requests that a plan compares. Pairs alternate, and so do ten no-ops after the first of them;
medians are printed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import statistics
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".cache" / "collections"))

from ansible_collections.anklume.stt.plugins.module_utils._incus.client import Client
from ansible_collections.anklume.stt.plugins.module_utils._incus.host_reader import LocalHost
from ansible_collections.anklume.stt.plugins.module_utils._incus.plan import Options
from ansible_collections.anklume.stt.plugins.module_utils._incus.reconcile import reconcile
from ansible_collections.anklume.stt.plugins.module_utils._incus.servers import Server
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import (
    Reply,
    UnixTransport,
    default_socket,
)
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import (
    Domain,
    Machine,
    Model,
    Network,
)

POLL = 0.15
LISTS = (
    "/1.0/projects?recursion=1",
    "/1.0/networks?recursion=1",
    "/1.0/network-acls?recursion=1",
    "/1.0/profiles?recursion=1&all-projects=true",
    "/1.0/storage-pools/default/volumes/custom?recursion=1&all-projects=true",
    "/1.0/instances?recursion=1&all-projects=true",
)


class Recorder:
    """The real transport; keeps every write."""

    def __init__(self) -> None:
        self.inner = UnixTransport(default_socket())
        self.address = self.inner.address
        self.writes: list[tuple[str, str, bytes]] = []

    def request(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout: float) -> Reply:
        if method != "GET":
            self.writes.append((method, path, body or b""))
        return self.inner.request(method, path, body, headers, timeout)

    def download(self, path: str, target: BinaryIO, timeout: float) -> int:
        return self.inner.download(path, target, timeout)

    def close(self) -> None:
        self.inner.close()


def model(machines: int) -> Model:
    network = Network("net-it-bench", "10.178.90.0/24", "10.178.90.254", "10.178.90.100", "10.178.90.249")
    names = [f"it-bench{number}" for number in range(1, machines + 1)]
    made = tuple(
        Machine(name, "it-bench", ip=f"10.178.90.{number}", ephemeral=True) for number, name in enumerate(names, 1)
    )
    return Model("it-bench", (Domain("it-bench", network, 90, machines=made),), base_subnet="10.178")


def ours(some: Model, *, absent: bool = False) -> tuple[float, list[tuple[str, str, bytes]]]:
    """The module's own work, connections made anew as in a process of its own."""
    recorder = Recorder()
    start = time.perf_counter()
    with Client(recorder).closing() as client:
        options = Options(prune=absent, confirm_all=absent, backup=False)
        workers = min(16, 4 * (os.cpu_count() or 1))
        reconcile([Server("", client, LocalHost())], some, options, absent=absent, workers=workers)
    return time.perf_counter() - start, recorder.writes


def call(method: str, path: str, body: bytes = b"") -> Any:
    """One request on a connection of its own, its operation waited for."""
    connection = http.client.HTTPConnection("incus")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(default_socket())
    connection.request(method, path, body)
    answer = json.loads(connection.getresponse().read())
    if answer["type"] == "async":
        connection.request("GET", answer["operation"] + "/wait")
        answer = json.loads(connection.getresponse().read())
    connection.close()
    if answer["type"] == "error" or (answer["metadata"] or {}).get("err"):
        raise SystemExit(f"{method} {path}: {answer}")
    return answer["metadata"]


def floor(writes: list[tuple[str, str, bytes]]) -> float:
    """The same writes by the smallest script."""

    def instance(path: str, body: bytes) -> None:
        call("POST", path, body)
        name, address = json.loads(body)["name"], json.loads(body)["devices"]["eth0"]["ipv4.address"]
        while address not in json.dumps(call("GET", f"/1.0/instances/{name}/state?project=it-bench")):
            time.sleep(POLL)

    start = time.perf_counter()
    threads = []
    for method, path, body in writes:
        if path.startswith("/1.0/instances"):
            threads.append(threading.Thread(target=instance, args=(path, body)))
        else:
            call(method, path, body)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


def rest_noop() -> float:
    start = time.perf_counter()
    transport = UnixTransport(default_socket())
    for path in LISTS:
        json.loads(transport.request("GET", path, None, {}, 60).body)
    transport.close()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--machines", type=int, nargs="+", default=[2, 10, 20])
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    server = Client(UnixTransport(default_socket())).get("/1.0")["environment"]
    print(f"Incus {server['server_version']}, {server['storage']}, {os.cpu_count()} CPUs, kernel {os.uname().release}")
    print("machines   first apply    floor    ratio      no-op    REST    ratio    load")
    for machines in arguments.machines:
        some = model(machines)
        ours(some, absent=True)
        firsts, floors, noops, rests = [], [], [], []
        for pair in range(arguments.pairs):
            seconds, writes = ours(some)
            firsts.append(seconds)
            if pair == 0:
                time.sleep(20)  # a no-op just after a start would still look at addresses
                for _ in range(10):
                    noops.append(ours(some)[0])
                    rests.append(rest_noop())
            ours(some, absent=True)
            floors.append(floor(writes))
            ours(some, absent=True)
        first, bottom, noop, rest = map(statistics.median, (firsts, floors, noops, rests))
        load = Path("/proc/loadavg").read_text(encoding="ascii").split()[0]
        print(
            f"{machines:8} {first:11.2f} s {bottom:6.2f} s {first / bottom:8.2f} {noop:8.3f} s {rest:5.3f} s"
            f" {noop / rest:8.2f} {load:>7}",
            flush=True,
        )


if __name__ == "__main__":
    main()
