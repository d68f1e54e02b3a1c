# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time and CPU of `make apply` and `make apply-stt` that find nothing to do: each role's part, its tasks, the slowest.

usage: bench_apply.py PROJECT [--runs N] [--limit SECONDS]

The project has to be applied already; a run that changes something does not count and ends the bench. The runs are
those of the user, in apply verify included. Tasks of different machines run side by side, so that the parts of the
roles are given per machine, and the slowest machine's sum is what a role costs in time.
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
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

START = "start of Ansible"
REMOTE, HERE, SKIPPED = "on the instance", "on the controller", "skipped"
AT_HOME = {
    f"ansible.builtin.{action}"
    for action in ("assert", "debug", "fail", "include_role", "include_tasks", "set_fact", "validate_argument_spec")
}
"""Actions that reach no instance."""


@dataclass(frozen=True)
class Task:
    """One task on one machine."""

    part: str
    machine: str
    name: str
    seconds: float
    where: str


@dataclass(frozen=True)
class Run:
    """One run: wall-clock and CPU seconds, the load before it, and every task on every machine."""

    wall: float
    cpu: float
    load: float
    tasks: list[Task]

    def parts(self) -> dict[str, dict[str, list[Task]]]:
        """The tasks by part and machine."""
        sums: dict[str, dict[str, list[Task]]] = defaultdict(lambda: defaultdict(list))
        for task in self.tasks:
            sums[task.part][task.machine].append(task)
        return sums


def part_of(path: str) -> str:
    """The role or the playbook that a task stands in; what roles have for verify is verify's."""
    if "/tasks/hops.yml" in path:
        return "playbook verify"
    found = re.search(r"/roles/(\w+)/|/playbooks/(?:tasks/)?(\w+)\.yml", path)
    return (found[1] or f"playbook {found[2]}") if found else "other"


def where(event: str, machine: str, result: Mapping[str, Any]) -> str:
    """Where a task ran."""
    if event == "v2_runner_on_skipped":
        return SKIPPED
    home = machine == "localhost" or "_ansible_delegated_vars" in result or result.get("action") in AT_HOME
    return HERE if home else REMOTE


def moment(text: str) -> datetime:
    """A moment as the callback writes it, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def tasks_of(output: str, began: datetime) -> Iterator[Task]:
    """Every task on every machine, from the lines of the callback jsonl."""
    started = False
    for line in output.splitlines():
        event = json.loads(line) if line.startswith("{") else {}
        kind = event.get("_event", "")
        if kind == "v2_playbook_on_play_start" and not started:
            started = True
            yield Task(START, "localhost", START, (moment(event["_timestamp"]) - began).total_seconds(), HERE)
        if kind in ("v2_runner_on_ok", "v2_runner_on_failed", "v2_runner_on_skipped"):
            task = event["task"]
            seconds = (moment(task["duration"]["end"]) - moment(task["duration"]["start"])).total_seconds()
            for machine, result in event["hosts"].items():
                yield Task(part_of(task["path"]), machine, task["name"], seconds, where(kind, machine, result))
        elif kind == "v2_playbook_on_stats":
            changed = [machine for machine, sums in event["stats"].items() if sums["changed"] or sums["failures"]]
            if changed:
                raise SystemExit(f"this run was no no-op: something changed or failed on {', '.join(changed)}")


def recorder() -> Path:
    """A folder with the callback jsonl of ansible.posix, which nothing else here needs, from the pinned wheel."""
    (wheel,) = (ROOT / ".cache/wheels/ansible").glob("*.whl")
    folder = ROOT / ".cache/bench"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        source = archive.read("ansible_collections/ansible/posix/plugins/callback/jsonl.py")
    (folder / "jsonl.py").write_bytes(source)
    return folder


def measure(target: str, project: Path) -> Run:
    """Run a target of make once."""
    # the ARGS of `make bench-apply` are not those of the target
    outside = {name: value for name, value in os.environ.items() if name not in ("ARGS", "MAKEFLAGS", "MAKEOVERRIDES")}
    callback = {"ANSIBLE_CALLBACK_PLUGINS": str(recorder()), "ANSIBLE_STDOUT_CALLBACK": "jsonl"}
    environment = outside | callback | {"ANSIBLE_NOCOLOR": "1"}
    load, before, start = os.getloadavg()[0], resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    began = datetime.now(UTC)
    done = subprocess.run(
        ["make", target, f"PROJECT={project}"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"make {target} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, load, list(tasks_of(done.stdout, began)))


def bench(target: str, project: Path, number: int) -> float:
    """Measure some runs and print the one in the middle; the median of their seconds."""
    print(f"\nmake {target}")
    runs = []
    for count in range(number):
        runs.append(measure(target, project))
        print(f"run {count + 1}: {runs[-1].wall:.1f} s, {runs[-1].cpu:.1f} s of CPU, load {runs[-1].load:.1f} before")
    middle = sorted(runs, key=lambda run: run.wall)[len(runs) // 2]
    wall, cpu = statistics.median(run.wall for run in runs), statistics.median(run.cpu for run in runs)
    print(f"\nmedian: {wall:.1f} s, {cpu:.1f} s of CPU on the controller's side; {os.cpu_count()} cores\n")

    def seconds(tasks: list[Task]) -> float:
        return sum(task.seconds for task in tasks)

    print(f"| part | seconds, slowest machine | tasks {REMOTE} | {HERE} | {SKIPPED} |\n|---|---|---|---|---|")
    slowest = {
        part: max(machines.items(), key=lambda item: seconds(item[1])) for part, machines in middle.parts().items()
    }
    for part, (machine, tasks) in sorted(slowest.items(), key=lambda item: -seconds(item[1][1])):
        counts = Counter(task.where for task in tasks)
        row = " | ".join(str(counts[place]) for place in (REMOTE, HERE, SKIPPED))
        print(f"| {part} ({machine}) | {seconds(tasks):.1f} | {row} |")
    counts = Counter(task.where for task in middle.tasks if task.part != START)
    print(f"| all machines | | {' | '.join(str(counts[place]) for place in (REMOTE, HERE, SKIPPED))} |")
    print("\n| slowest tasks | machine | seconds |\n|---|---|---|")
    for task in sorted(middle.tasks, key=lambda task: -task.seconds)[:12]:
        print(f"| {task.part}: {task.name.rpartition(' : ')[2]} | {task.machine} | {task.seconds:.1f} |")
    return wall


def main() -> int:
    """Measure both; the exit status is 1 where apply takes longer than the limit, apply-stt than half of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--limit", type=float, default=20, help="seconds for apply, half of it for apply-stt; more fails"
    )
    options = parser.parse_args()
    project = options.project.resolve()
    limits = {"apply": options.limit}
    if any("role_stt_server" in path.read_text(encoding="utf-8") for path in project.glob("inventory/*.yml")):
        limits["apply-stt"] = options.limit / 2
    medians = {target: bench(target, project, options.runs) for target in limits}
    return int(any(medians[target] > limit for target, limit in limits.items()))


if __name__ == "__main__":
    sys.exit(main())
