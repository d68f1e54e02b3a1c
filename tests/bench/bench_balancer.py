# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the balancer carries, and what a request costs in it: Debian's HAProxy with the role's configuration.

usage: bench_balancer.py [--servers 1 2 4 8] [--seconds 8]

The STT servers are stand-ins that only sleep, a quarter of a second for each request, two at once. A voice command's
worth of sound is sent by twice as many clients as there are workers. Then one client sends requests for which nobody
works, in turns through the balancer and past it, and the processor time of HAProxy is read from the kernel.
"""

from __future__ import annotations

import argparse
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
import haproxy
from haproxy import ROOT

WORKERS, WORK = 2, 0.25
SOUND = bytes(96_000)  # three seconds of WAV
FIRST_PORT, BALANCER = 18200, 18190


@contextmanager
def running(command: list[str | Path], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program, until it is left."""
    process = subprocess.Popen(command, env=os.environ | environment, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def send(port: int, work: float, connection: http.client.HTTPConnection | None = None) -> http.client.HTTPConnection:
    """One request, answered; over the connection that there is, or another."""
    connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/v1/audio/transcriptions", SOUND, {"X-Work": str(work), "X-Sound": "3"})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise SystemExit(f"a request was answered with {answer.status}")
    return connection


@contextmanager
def balanced(servers: int, folder: Path) -> Iterator[int]:
    """The balancer before so many servers, ready; the process that does its work."""
    ports = range(FIRST_PORT, FIRST_PORT + servers)
    server, package = ROOT / "tests/stand_ins/working_server.py", ROOT / "roles/stt_server/files/server"
    machine = {"ansible_host": "127.0.0.1", "stt_server_workers": WORKERS}
    hosts = {f"server{port}": machine | {"stt_server_port": port} for port in ports}
    given = {"stt_balancer_host": "127.0.0.1", "stt_balancer_port": BALANCER, "stt_balancer_metrics_port": BALANCER + 1}
    (files,) = haproxy.render(
        {"given": given, "groups": {"role_stt_server": list(hosts)}, "hostvars": hosts | {"lb": {}}}
    )
    config = haproxy.write(folder, files)
    with ExitStack() as all_of_them:
        for port in ports:
            command = [sys.executable, server, str(port), str(WORKERS)]
            all_of_them.enter_context(running(command, {"PYTHONPATH": str(package)}))
        balancer = all_of_them.enter_context(running([haproxy.BINARY, "-db", "-f", config], haproxy.ENVIRONMENT))
        end = time.monotonic() + 30
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", BALANCER, timeout=5)
                connection.request("GET", "/balancer")
                if f'"up": {servers}'.encode() in connection.getresponse().read():
                    break
            except OSError:
                pass
            if time.monotonic() > end:
                raise SystemExit("the balancer does not see its servers")
            time.sleep(0.2)
        yield balancer.pid


def throughput(servers: int, seconds: float) -> int:
    """How many requests clients are answered who send one after the other for so long."""
    end, answered = time.monotonic() + seconds, []

    def client() -> None:
        connection = None
        while time.monotonic() < end:
            connection = send(BALANCER, WORK, connection)
            if time.monotonic() < end:
                answered.append(1)

    threads = [threading.Thread(target=client) for _ in range(2 * WORKERS * servers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(answered)


def cpu(process: int) -> float:
    """Seconds of the processor that it has used."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cost(process: int, rounds: int = 20, requests: int = 50) -> tuple[float, float]:
    """Milliseconds that the way through the balancer adds to a request, and those of the processor that it takes."""
    added, spent = [], 0.0
    for _ in range(rounds):
        times = {}
        for port in (FIRST_PORT, BALANCER):
            connection, before = send(port, 0), cpu(process)
            start = time.monotonic()
            for _ in range(requests):
                send(port, 0, connection)
            times[port] = time.monotonic() - start
            spent += cpu(process) - before if port == BALANCER else 0
            connection.close()
        added.append(1000 * (times[BALANCER] - times[FIRST_PORT]) / requests)
    return statistics.median(added), 1000 * spent / (rounds * requests)


def main() -> None:
    """Measure, and print the table of docs/how-to/how-many-servers.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--seconds", type=float, default=8)
    args = parser.parse_args()
    print("| servers | requests a second | of what they can | added to a request | of the processor, for each |")
    print("|---|---|---|---|---|")
    for servers in args.servers:
        with tempfile.TemporaryDirectory() as folder, balanced(servers, Path(folder)) as process:
            rate, could = throughput(servers, args.seconds) / args.seconds, servers * WORKERS / WORK
            added, spent = cost(process)
        print(f"| {servers} | {rate:.0f} | {rate / could:.0%} | {added:.2f} ms | {spent:.2f} ms |", flush=True)


if __name__ == "__main__":
    main()
