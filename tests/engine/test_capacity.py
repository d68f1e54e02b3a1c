# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulation behind docs/how-to/how-many-servers.md against the real balancer, before servers that only work."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .conftest import PACKAGE, ROOT, free_port, until

sys.path += [str(ROOT / "scripts"), str(ROOT / "tests")]
import haproxy
import simulate_capacity as simulation

long = pytest.mark.skipif(not os.environ.get("ANKLUME_TEST_LONG"), reason="part of make test-long")
WORKERS, SERVERS, SECONDS = 2, 2, 60
SPEED = simulation.Speed()


def lengths(draw: random.Random) -> float:
    """As usual, but for recordings of an hour, for which the test would have to last longer."""
    return min(900, simulation.usual_lengths(draw))


@pytest.fixture
def balancer(tmp_path: Path) -> Iterator[str]:
    """The address of the role's balancer before stand-ins."""
    ports, port, metrics = [free_port() for _ in range(SERVERS)], free_port(), free_port()
    server = ROOT / "tests/stand_ins/working_server.py"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    running = [subprocess.Popen([sys.executable, server, str(one), str(WORKERS)], env=environment) for one in ports]
    machine = {"ansible_host": "127.0.0.1", "stt_server_workers": WORKERS}
    hosts = {f"server{one}": machine | {"stt_server_port": one} for one in ports}
    given = {"stt_balancer_port": port, "stt_balancer_metrics_port": metrics, "stt_balancer_host": "127.0.0.1"}
    (files,) = haproxy.render(
        {"given": given, "groups": {"role_stt_server": list(hosts)}, "hostvars": hosts | {"lb": {}}}
    )
    config = haproxy.write(tmp_path / "lb", files)
    running.append(subprocess.Popen([haproxy.BINARY, "-W", "-f", config], env=haproxy.ENVIRONMENT))

    def up() -> bool:
        try:
            return bool(httpx.get(f"http://127.0.0.1:{port}/balancer").json()["up"] == SERVERS)
        except httpx.TransportError:
            return False

    until(up)
    yield f"http://127.0.0.1:{port}/v1/audio/transcriptions"
    for process in running:
        process.terminate()
        process.wait(10)


@long
def test_the_simulation_says_what_the_balancer_does(balancer: str) -> None:
    draw = random.Random(3)
    mean = sum(SPEED.work(lengths(draw)) for _ in range(5000)) / 5000
    rate = 0.8 * SERVERS * WORKERS / mean
    come = list(simulation.requests(rate, int(rate * SECONDS), SPEED, lengths))
    said = simulation.waits(simulation.Balancer(SERVERS, WORKERS), iter(come))
    found: dict[str, list[float]] = {"short": [], "long": []}
    client = httpx.Client(limits=httpx.Limits(max_connections=None), timeout=300)

    def send(request: simulation.Request) -> None:
        size = 3 * 2**20 if request.lane == "long" else 50_000
        headers = {"X-Work": str(request.work), "X-Sound": str(request.sound)}
        start = time.monotonic()
        assert client.post(balancer, content=bytes(size), headers=headers).status_code == 200
        found[request.lane].append(time.monotonic() - start - request.work)

    threads, begun = [], time.monotonic()
    for request in come:
        time.sleep(max(0.0, begun + request.came - time.monotonic()))
        threads.append(threading.Thread(target=send, args=[request]))
        threads[-1].start()
    for thread in threads:
        thread.join()
    for lane, values in found.items():
        assert len(values) == len(said[lane]), "one was not answered"
        simulated, measured = simulation.share(said[lane], 0.95), simulation.share(sorted(values), 0.95)
        means = [sum(one) / len(one) for one in (said[lane], values)]
        print(f"{lane}: {len(values)}, simulated {simulated:.2f} s, measured {measured:.2f} s; means {means}")
        assert abs(measured - simulated) < 0.5 + 0.5 * simulated
