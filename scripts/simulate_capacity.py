# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long people wait for how many STT servers behind the balancer: a simulation, drawn with a fixed seed.

A server works in steps, and whoever has the least sound left is next, as in the engine faster_whisper; the balancer has
two lanes, each with its limit for each server, as in the role stt_balancer.
"""

from __future__ import annotations

import argparse
import heapq
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

STEP = 1.0  # seconds of work until it is somebody else's turn
PATIENCE = 10.0  # seconds until who waits for a turn is next
SHORT = 60.0  # seconds of sound in the short lane
DRAWN = 20_000  # requests of each row


@dataclass
class Request:
    """One recording: when it came, how much sound and work it has."""

    came: float
    sound: float
    work: float
    left: float = 0.0
    since: float = 0.0

    @property
    def lane(self) -> str:
        """The lane of the balancer that it goes by."""
        return "short" if self.sound <= SHORT else "long"


@dataclass
class Server:
    """An STT server: who is being worked on, who waits."""

    free: int
    waiting: list[Request] = field(default_factory=list)
    has: dict[str, int] = field(default_factory=lambda: {"short": 0, "long": 0})


@dataclass(frozen=True)
class Speed:
    """How long a worker takes: for any recording, and for each second of it. `make bench-service` tells both."""

    fixed: float = 0.10
    per_second: float = 0.016

    def work(self, sound: float) -> float:
        """Seconds of work."""
        return self.fixed + self.per_second * sound


def usual_lengths(draw: random.Random) -> float:
    """Seconds of sound: of ten requests nine are dictation of some 6 s; of a hundred, two are 10 to 60 minutes."""
    kind = draw.random()
    if kind < 0.90:
        return min(60, draw.lognormvariate(1.79, 0.7))
    if kind < 0.98:
        return min(600, draw.lognormvariate(4.5, 0.6))
    return draw.uniform(600, 3600)


class Balancer:
    """Time goes on from event to event: a request comes, or a step of work ends."""

    def __init__(self, servers: int, workers: int, queue: int = 16) -> None:
        self.limits = {"long": workers + 1}
        self.limits["short"] = max(1, workers + queue - self.limits["long"])
        self.servers = [Server(workers) for _ in range(servers)]
        self.queues: dict[str, deque[Request]] = {"short": deque(), "long": deque()}
        self.ends: list[tuple[float, int, Server, Request, float]] = []
        self.done: list[tuple[Request, float]] = []
        self.number = 0

    def come(self, request: Request) -> None:
        """A request goes to the server that has the fewest of its lane, or waits."""
        self.until(request.came)
        request.left = request.work
        lane = request.lane
        server = min(self.servers, key=lambda one: one.has[lane])
        if server.has[lane] < self.limits[lane]:
            self._send(request.came, server, request)
        else:
            self.queues[lane].append(request)

    def until(self, moment: float) -> None:
        """Let steps end."""
        while self.ends and self.ends[0][0] <= moment:
            now, _number, server, request, step = heapq.heappop(self.ends)
            server.free += 1
            request.left -= step
            if request.left > 1e-9:
                request.since = now
                server.waiting.append(request)
            else:
                self.done.append((request, now - request.came - request.work))
                server.has[request.lane] -= 1
                if queue := self.queues[request.lane]:
                    self._send(now, server, queue.popleft())
            self._work(now, server)

    def _send(self, now: float, server: Server, request: Request) -> None:
        server.has[request.lane] += 1
        request.since = now
        server.waiting.append(request)
        self._work(now, server)

    def _work(self, now: float, server: Server) -> None:
        while server.free and server.waiting:
            chosen = min(
                server.waiting,
                key=lambda one: (0, one.since) if now - one.since >= PATIENCE else (1, one.left),
            )
            server.waiting.remove(chosen)
            server.free -= 1
            step = min(chosen.left, STEP)
            self.number += 1
            heapq.heappush(self.ends, (now + step, self.number, server, chosen, step))


def requests(
    rate: float, count: int, speed: Speed, lengths: Callable[[random.Random], float] = usual_lengths, seed: int = 7
) -> Iterator[Request]:
    """So many, at random moments, `rate` of them a second on average."""
    draw, now = random.Random(seed), 0.0
    for _ in range(count):
        now += draw.expovariate(rate)
        sound = lengths(draw)
        yield Request(now, sound, speed.work(sound))


def waits(balancer: Balancer, come: Iterator[Request]) -> dict[str, list[float]]:
    """By lane, how much longer than its own work each took, in order."""
    for request in come:
        balancer.come(request)
    balancer.until(float("inf"))
    found: dict[str, list[float]] = {"short": [], "long": []}
    for request, waited in balancer.done:
        found[request.lane].append(waited)
    return {lane: sorted(values) for lane, values in found.items()}


def share(values: list[float], part: float) -> float:
    """Below what a part of the values is."""
    return values[min(len(values) - 1, int(len(values) * part))]


def mean_work(speed: Speed) -> float:
    """Seconds of work of a usual request."""
    draw = random.Random(1)
    return sum(speed.work(usual_lengths(draw)) for _ in range(DRAWN)) / DRAWN


def rows(people: list[int], per_hour: float, servers: list[int], workers: int, speed: Speed) -> Iterator[list[str]]:
    """For so many people and servers, how busy these are and who waits how long; not where they cannot keep up."""
    for many in people:
        rate = many * per_hour / 3600
        for number in servers:
            busy = rate * mean_work(speed) / (number * workers)
            row = [str(many), str(number), f"{100 * busy:.0f} %"]
            if busy < 0.95:
                found = waits(Balancer(number, workers), requests(rate, DRAWN, speed))
                row += [f"{share(found[lane], 0.95):.1f} s" for lane in ("short", "long")]
            else:
                row += ["they cannot keep up", ""]
            yield row


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="How many STT servers for how many people: a simulation.")
    parser.add_argument("--people", type=int, nargs="+", default=[10, 100, 300, 1000], help="at work at the same time")
    parser.add_argument("--per-hour", type=float, default=20, help="requests of each in an hour")
    parser.add_argument("--servers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--workers", type=int, default=2, help="stt_server_workers")
    parser.add_argument("--fixed", type=float, default=Speed.fixed, help="seconds of work for any recording")
    parser.add_argument("--per-second", type=float, default=Speed.per_second, help="and for each second of it")
    given = parser.parse_args()
    speed = Speed(given.fixed, given.per_second)
    print("| people | servers | busy | dictation waits, 95 % below | recordings wait, 95 % below |")
    print("|---|---|---|---|---|")
    for row in rows(given.people, given.per_hour, given.servers, given.workers, speed):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
