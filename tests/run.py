# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the parts of the test suite, prints the time of each, and says at the end what did not run and why.

usage: run.py fast|test|long [PART ...]

What needs Incus runs one after the other, since a new network changes the rules of all; what needs only a processor
runs beside it, with less of a claim to that; what measures time runs at the end, with nothing beside it.
"""

from __future__ import annotations

import os
import queue
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
FIRST, INCUS, BESIDE, ALONE = PLACES = ("first", "incus", "beside", "alone")


@dataclass(frozen=True)
class Part:
    """One part: the make target that runs it, the seconds it may take in `test`, its place, its target in `fast`."""

    name: str
    target: str
    budget: int
    place: str = INCUS
    fast: str = ""
    long: bool = False

    def runs(self, suite: str) -> str:
        """The target that a suite runs; none when the suite does without this part."""
        if suite == "fast":
            return self.fast
        return self.target if suite == "long" or not self.long else ""


# nice counts among the processes of a session alone; containers, and what they run, are of others: sched(7)
LESS_OF_A_CLAIM = (
    "sh",
    "-c",
    '[ ! -e /proc/self/autogroup ] || echo 10 >/proc/self/autogroup; exec nice -n 10 "$@"',
    "-",
)
# those in which two parts meet are made by the first: both find them as they should be
PARTS = (
    Part(
        "bootstrap",
        "venv-test engine-venv parakeet-venv vosk-venv edge-venv clients-venv promtool archive",
        90,
        FIRST,
        fast="venv-test",
    ),
    Part("lint", "lint", 180, BESIDE, fast="lint-code"),
    Part("units", "units", 260, BESIDE, fast="units COVERAGE="),
    Part("sanity", "sanity", 240, BESIDE),
    Part("infra", "test-infra", 150, BESIDE),
    Part("engine", "engine-test 'ARGS=-m \"not timed\"'", 240, BESIDE),
    Part("parakeet", "parakeet-test", 60, BESIDE),
    Part("vosk", "vosk-test", 60, BESIDE),
    Part("edge_tts", "edge-test", 40, BESIDE),
    Part("clients", "test-clients", 60, BESIDE),
    Part("host", "test-host", 120),
    Part("doctor", "test-doctor", 20),
    Part("incus", "test-incus", 280),
    Part("remote", "test-remote", 80),
    Part("release", "test-release", 150),
    Part("service", "molecule SCENARIO=default", 650),
    Part("speaches", "molecule SCENARIO=speaches", 340),
    Part("homelab", "molecule SCENARIO=homelab", 480),
    Part("wyoming", "molecule SCENARIO=wyoming", 490),
    Part("first_hour", "test-first-hour", 400, long=True),
    Part("base_system", "molecule SCENARIO=base_system", 240, long=True),
    Part("in_time", "engine-test ARGS=-mtimed", 220, ALONE),
    Part("archive", "test-archive", 120, ALONE, long=True),
    Part("docker", "test-docker", 1500, ALONE, long=True),
    Part("older", "test-older", 600, ALONE, long=True),
    Part("parakeet_size", "bench-parakeet", 400, ALONE, long=True),
    Part("bench", "bench", 300, ALONE, long=True),
)


def not_run(suite: str, chosen: list[str]) -> list[str]:
    """What this machine or this suite leaves out, each with the reason."""
    if chosen:
        reasons = [f"{part.name}: not asked for" for part in PARTS if part.name not in chosen]
    else:
        larger = [part for part in PARTS if not part.runs(suite)]
        reasons = [f"{part.name}: part of `make test{'-long' if part.long else ''}`" for part in larger]
        if suite == "fast":
            reasons.append("ansible-lint: part of `make test`")
    if suite != "long":
        reasons.append(
            "the long series (kills, 10,000 mutated files, soaks, upgrades, libraries): part of `make test-long`"
        )
    reasons.append("anything on aarch64: part `archive` asks for its wheels, and runs none")
    if not Path("/dev/nvidiactl").exists():
        reasons.append("anything on an NVIDIA GPU: this machine has none")
    reasons.append("Microsoft's Edge TTS itself: a stand-in takes its place, with the library that asks it")
    reasons.append("the published images of Speaches and faster-whisper-server: stand-ins take their place in Docker")
    if not os.environ.get("SPEACHES_ARCHIVE"):
        reasons.append(
            "Speaches itself: SPEACHES_ARCHIVE does not name an archive of its source; in the part speaches a stand-in"
            " application takes its place, on the same packages"
        )
    return reasons


@dataclass(frozen=True)
class Result:
    """How a part ended, and what it printed where that is not on the terminal yet."""

    part: Part
    passed: bool
    note: str
    output: IO[bytes] | None = None

    @property
    def verdict(self) -> str:
        return "passed" if self.passed else "FAILED"

    def show(self) -> None:
        """What it printed, in one piece, and how it ended."""
        if self.output:
            print(f"\n=== {self.part.name}, beside the others", flush=True)
            self.output.seek(0)
            shutil.copyfileobj(self.output, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            self.output.close()
        print(f"=== {self.part.name}: {self.verdict}, {self.note}", flush=True)


class Runner:
    """Runs parts, and ends what is running when it is told to."""

    def __init__(self, suite: str) -> None:
        self.suite = suite
        self.results: list[Result] = []
        self._ended: queue.SimpleQueue[Result] = queue.SimpleQueue()
        self._none_beside = threading.Event()
        self._none_beside.set()
        self._running: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, parts: Iterable[Part]) -> bool:
        """Run parts one after the other, with their output on the terminal; True when all passed."""
        results = []
        for part in parts:
            print(f"\n=== {part.name}", flush=True)
            results.append(self._run(part))
            self._keep(results[-1])
        return all(result.passed for result in results)

    def run_both(self, parts: Iterable[Part], beside: Iterable[Part]) -> None:
        """Run two rows of parts side by side; what the second prints comes between the parts of the first."""

        def second() -> None:
            try:
                for part in beside:
                    self._ended.put(self._run(part, tempfile.TemporaryFile()))  # noqa: SIM115 closed when it is shown
            finally:
                self._none_beside.set()

        self._none_beside.clear()
        threading.Thread(target=second, daemon=True).start()
        for part in parts:
            self.run([part])
            self.show_ended()
        while not self._none_beside.wait(0.2):
            self.show_ended()
        self.show_ended()

    def show_ended(self) -> None:
        """What ran beside and has ended since."""
        while not self._ended.empty():
            self._keep(self._ended.get())

    def end(self) -> None:
        """End all that is running, with what it has started: as at a terminal, then firmly, at once when told again."""
        with self._lock:
            self._stopped = True
        for sent, patience in ((signal.SIGINT, 60), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            for process in self._running:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, sent)
            deadline = time.monotonic() + patience
            with suppress(KeyboardInterrupt):
                while any(map(_lives, self._running)) and time.monotonic() < deadline:
                    time.sleep(0.1)
        self._none_beside.wait(5)
        self.show_ended()

    def _run(self, part: Part, output: IO[bytes] | None = None) -> Result:
        environment = os.environ | ({"ANKLUME_TEST_LONG": "1"} if self.suite == "long" else {})
        command = ["make", *shlex.split(part.runs(self.suite) or part.target)]
        start = time.monotonic()
        with self._lock:
            if self._stopped:
                return Result(part, False, "not begun", output)
            # a session of its own, so that it can be ended with all that it has started
            process = subprocess.Popen(
                [*LESS_OF_A_CLAIM, *command] if output else command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,
            )
            self._running.append(process)
        passed = process.wait() == 0
        with self._lock:
            if not self._stopped:
                self._running.remove(process)
        seconds = time.monotonic() - start
        note = f"{seconds:.0f} s of {part.budget}" if self.suite != "long" else f"{seconds:.0f} s"
        return Result(part, passed, note, output)

    def _keep(self, result: Result) -> None:
        self.results.append(result)
        result.show()


def _lives(process: subprocess.Popen[bytes]) -> bool:
    """Whether anything is left of its group."""
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def main(suite: str, chosen: list[str]) -> int:
    """Run the suite; 1 when a part failed or was not run, 130 when it was ended."""
    # SIGINT too: what is begun in the background of a shell ignores it
    for sent in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sent, signal.default_int_handler)
    start = time.monotonic()
    if unknown := set(chosen) - {part.name for part in PARTS}:
        print(f"there is no part {', '.join(sorted(unknown))}: the parts are {', '.join(part.name for part in PARTS)}")
        return 2
    wanted = [part for part in PARTS if part.name in chosen or (not chosen and part.runs(suite))]
    first, incus, beside, alone = ([part for part in wanted if part.place == place] for place in PLACES)
    runner = Runner(suite)
    status = 0
    try:
        if runner.run(first):
            if incus and beside:
                runner.run_both(incus, beside)
            else:
                runner.run([*beside, *incus])
            runner.run(alone)
    except KeyboardInterrupt:
        runner.end()
        status = 130
    print(f"\n=== {suite}: {time.monotonic() - start:.0f} s in all")
    for result in sorted(runner.results, key=lambda one: PARTS.index(one.part)):
        print(f"  {result.verdict:7} {result.part.name:10} {result.note}")
    print("Did not run:")
    for reason in not_run(suite, chosen):
        print(f"  {reason}")
    passed, left = sum(result.passed for result in runner.results), len(wanted) - len(runner.results)
    print(f"{passed} passed, {len(runner.results) - passed} failed" + (f", {left} not begun" if left else ""))
    return status or int(passed < len(wanted))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
