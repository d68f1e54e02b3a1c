# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time and CPU of a `make apply` that finds nothing to do, with each role's part and the slowest tasks.

usage: bench_apply.py PROJECT [--runs N] [--limit SECONDS]

The project has to be applied already; a run that changes something does not count and ends the bench. The runs are
those of `make apply`, verify included. Tasks of different machines run side by side, so that the parts of the roles are
given per machine, and the slowest machine's sum is what a role costs in time.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Run:
    """One run: wall-clock and CPU seconds, and the seconds of every task on every machine."""

    wall: float
    cpu: float
    load: float
    tasks: list[tuple[str, str, str, float]] = field(default_factory=list)
    """(part, machine, task, seconds)"""

    def parts(self) -> dict[str, dict[str, float]]:
        """Seconds by part and machine."""
        sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for part, machine, _name, seconds in self.tasks:
            sums[part][machine] += seconds
        return sums


def part_of(path: str) -> str:
    """The role or the playbook that a task stands in."""
    found = re.search(r"/roles/(\w+)/|/playbooks/(\w+)\.yml", path)
    return (found[1] or f"playbook {found[2]}") if found else "other"


def seconds_between(start: str, end: str) -> float:
    """Between two moments as the callback writes them."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def tasks_of(output: str) -> list[tuple[str, str, str, float]]:
    """Every task on every machine, from the lines of the callback ansible.posix.jsonl."""
    found = []
    for line in output.splitlines():
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("_event") in ("v2_runner_on_ok", "v2_runner_on_failed"):
            task = event["task"]
            seconds = seconds_between(task["duration"]["start"], task["duration"]["end"])
            found += [(part_of(task["path"]), machine, task["name"], seconds) for machine in event["hosts"]]
        elif event.get("_event") == "v2_playbook_on_stats":
            changed = [machine for machine, sums in event["stats"].items() if sums["changed"] or sums["failures"]]
            if changed:
                raise SystemExit(f"this run was no no-op: something changed or failed on {', '.join(changed)}")
    return found


def measure(project: Path) -> Run:
    """Run make apply once."""
    environment = os.environ | {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.jsonl", "ANSIBLE_NOCOLOR": "1"}
    load, before, start = os.getloadavg()[0], resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        ["make", "apply", f"PROJECT={project}"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"make apply failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, load, tasks_of(done.stdout))


def main() -> int:
    """Measure, and print the run in the middle."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--limit", type=float, default=40, help="seconds; more is a failure")
    options = parser.parse_args()
    runs = []
    for number in range(options.runs):
        runs.append(measure(options.project.resolve()))
        print(f"run {number + 1}: {runs[-1].wall:.1f} s, {runs[-1].cpu:.1f} s of CPU, load {runs[-1].load:.1f} before")
    middle = sorted(runs, key=lambda run: run.wall)[len(runs) // 2]
    wall, cpu = statistics.median(run.wall for run in runs), statistics.median(run.cpu for run in runs)
    print(f"\nmedian: {wall:.1f} s, {cpu:.1f} s of CPU on the controller's side; {os.cpu_count()} cores\n")
    print("| part | seconds, slowest machine | tasks there |\n|---|---|---|")
    for part, machines in sorted(middle.parts().items(), key=lambda item: -max(item[1].values())):
        machine = max(machines, key=lambda name: machines[name])
        count = sum(1 for found in middle.tasks if found[:2] == (part, machine))
        print(f"| {part} ({machine}) | {machines[machine]:.1f} | {count} |")
    print("\n| slowest tasks | machine | seconds |\n|---|---|---|")
    for part, machine, name, seconds in sorted(middle.tasks, key=lambda task: -task[3])[:12]:
        print(f"| {part}: {name.rpartition(' : ')[2]} | {machine} | {seconds:.1f} |")
    return 1 if wall > options.limit else 0


if __name__ == "__main__":
    sys.exit(main())
