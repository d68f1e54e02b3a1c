# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the parts of the test suite, prints the time of each, and says at the end what did not run and why.

usage: run.py fast|test|long [PART ...]
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Part:
    """One part: the make target that runs it, the seconds it may take in `test`, and the one for the suite `fast`."""

    name: str
    target: str
    budget: int
    fast: str = ""
    long: bool = False

    def runs(self, suite: str) -> str:
        """The target that a suite runs; none when the suite does without this part."""
        if suite == "fast":
            return self.fast
        return self.target if suite == "long" or not self.long else ""


PARTS = (
    Part("bootstrap", "venv-test engine-venv edge-venv clients-venv", 90, fast="venv-test"),
    Part("lint", "lint", 60, fast="lint-code"),
    Part("units", "units", 60, fast="units COVERAGE="),
    Part("sanity", "sanity", 180),
    Part("engine", "engine-test", 120),
    Part("edge_tts", "edge-test", 40),
    Part("clients", "test-clients", 60),
    Part("host", "test-host", 120),
    Part("infra", "test-infra", 60),
    Part("doctor", "test-doctor", 20),
    Part("incus", "test-incus", 240),
    Part("release", "test-release", 100),
    Part("service", "molecule SCENARIO=default", 240),
    Part("speaches", "molecule SCENARIO=speaches", 240),
    Part("open_webui", "molecule SCENARIO=open_webui", 360),
    Part("homelab", "molecule SCENARIO=homelab", 240),
    Part("wyoming", "molecule SCENARIO=wyoming", 240),
    Part("first_hour", "test-first-hour", 400, long=True),
    Part("base_system", "molecule SCENARIO=base_system", 240, long=True),
    Part("archive", "test-archive", 120, long=True),
    Part("older", "test-older", 600, long=True),
    Part("bench", "bench", 300, long=True),
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
    if not os.environ.get("SPEACHES_ARCHIVE"):
        reasons.append(
            "Speaches itself: SPEACHES_ARCHIVE does not name an archive of its source; in the part speaches a stand-in"
            " application takes its place, on the same packages"
        )
    return reasons


def run(part: Part, suite: str) -> bool:
    """Run one part with its output on the terminal; True when it passed."""
    print(f"\n=== {part.name}", flush=True)
    environment = os.environ | ({"ANKLUME_TEST_LONG": "1"} if suite == "long" else {})
    start = time.monotonic()
    target = part.runs(suite) or part.target
    passed = subprocess.run(["make", *target.split()], cwd=ROOT, env=environment, check=False).returncode == 0
    seconds = time.monotonic() - start
    note = f"{seconds:.0f} s of {part.budget}" if suite != "long" else f"{seconds:.0f} s"
    print(f"=== {part.name}: {'passed' if passed else 'FAILED'}, {note}", flush=True)
    RESULTS.append((part.name, passed, note))
    return passed


RESULTS: list[tuple[str, bool, str]] = []


def main(suite: str, chosen: list[str]) -> int:
    """Run the suite; the exit status is the number of failed parts, at most 1."""
    start = time.monotonic()
    for part in PARTS:
        if part.name in chosen or (not chosen and part.runs(suite)):
            passed = run(part, suite)
            if part.name == "bootstrap" and not passed:
                break
    print(f"\n=== {suite}: {time.monotonic() - start:.0f} s in all")
    for name, passed, note in RESULTS:
        print(f"  {'passed' if passed else 'FAILED':7} {name:10} {note}")
    print("Did not run:")
    for reason in not_run(suite, chosen):
        print(f"  {reason}")
    failed = sum(not passed for _, passed, _ in RESULTS)
    print(f"{len(RESULTS) - failed} passed, {failed} failed")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
