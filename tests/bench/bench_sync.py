# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sync costs by size: CPU seconds of load, check, render, compare and write, and how they grow.

Then what Incus is asked for: 200 policies between single machines over 2,500 machines, 250 domains in zones.

usage: bench_sync.py [MACHINES ...]     (default: 10 100 1000 10000)
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".cache" / "collections"))

from ansible_collections.anklume.stt.plugins.module_utils._incus.desired import desired  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._incus.host import Host  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._infra import sync  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._infra.check import check  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import parse  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import read_project  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._infra.render import render  # noqa: E402

BAR = 0.5
"""CPU seconds that a second sync of 1,000 machines may take (load, check, render, compare)."""

BAR_OF_POLICIES = 1.5
"""The same for the policies: 0.5 s beside load and check of 2,500 machines."""

PER_DOMAIN = 50


def infra(machines: int) -> str:
    """A project of so many machines, 50 to a domain, each like one of the quick start."""
    lines = ["project_name: bench", "global:", '  base_subnet: "10.100"', "domains:"]
    for number in range((machines + PER_DOMAIN - 1) // PER_DOMAIN):
        lines += [
            f"  dom-{number}:",
            f'    description: "Domain {number}"',
            f"    subnet_id: {number}",
            "    profiles:",
            "      limits:",
            "        config:",
            "          limits.memory: 4GiB",
            "    machines:",
        ]
        for machine in range(1, min(PER_DOMAIN, machines - number * PER_DOMAIN) + 1):
            lines += [
                f"      dom-{number}-m{machine}:",
                f'        description: "Machine {machine} — speech to text"',
                "        type: lxc",
                f'        ip: "10.100.{number}.{machine}"',
                "        profiles: [default, limits]",
                "        config:",
                '          limits.cpu: "2"',
                "        roles: [base_system, stt_server]",
            ]
    return "\n".join(lines) + "\n"


def measure(machines: int) -> dict[str, float]:
    """CPU seconds of each step; the median of five, but for the first write."""
    with tempfile.TemporaryDirectory() as folder:
        data = infra(machines).encode()
        Path(folder, "infra.yml").write_bytes(data)
        found: dict[str, list[float]] = {}

        def timed(name: str, clock: float) -> float:
            now = time.process_time()
            found.setdefault(name, []).append(now - clock)
            return now

        started = time.monotonic()
        clock = time.process_time()
        model, _ = read_project(folder)
        wanted = sync.plan(folder, model)
        writing = time.process_time()
        sync.apply(wanted)
        found["write"] = [time.process_time() - writing]
        timed("first", clock)
        seconds = time.monotonic() - started
        for _ in range(5):
            clock = time.process_time()
            root, _ = parse(data, "infra.yml")
            assert root is not None
            clock = timed("load", clock)
            checked, _ = check(root)
            assert checked is not None
            clock = timed("check", clock)
            render(checked)
            clock = timed("render", clock)
            model, _ = read_project(folder)
            plan = sync.plan(folder, model)
            sync.apply(plan)
            timed("second", clock)
            assert not plan.changes
        return {name: median(times) for name, times in found.items()} | {"wall": seconds}


def policies(machines: int, flows: int) -> str:
    """A project with so many policies, each from one machine to one of another domain."""
    domains = machines // PER_DOMAIN
    lines = ["network_policies:"]
    for number in range(flows):
        source, target, machine = number % domains, (number + 7) % domains, 1 + number // domains
        ports = f"[{8000 + number}]"
        lines.append(f"  - {{from: dom-{source}-m{machine}, to: dom-{target}-m{machine}, ports: {ports}}}")
    return infra(machines) + "\n".join(lines) + "\n"


def zones(domains: int) -> str:
    """So many domains in zones, each with one machine."""
    lines = [f"  d{number}: {{machines: {{d{number}-m: {{}}}}}}" for number in range(domains)]
    return "\n".join(["global: {addressing: {}}", "domains:", *lines]) + "\n"


def asked(text: str) -> float:
    """CPU seconds until it is known what Incus should hold; the least of three."""
    found = []
    for _ in range(3):
        clock = time.process_time()
        root, _ = parse(text.encode(), "infra.yml")
        assert root is not None
        checked, faults = check(root)
        assert checked is not None, faults
        desired(checked, Host())
        found.append(time.process_time() - clock)
    return min(found)


def main(sizes: list[int]) -> int:
    """Print the table; fails when 1,000 machines take more than the bar."""
    columns = ("load", "check", "render", "write", "first", "second", "wall")
    titles = ("load", "check", "render", "write", "1st sync", "2nd sync", "1st wall")
    print("CPU seconds (1st wall: seconds until all files are on the disk)")
    print(f"{'machines':>9} " + " ".join(f"{title:>9}" for title in titles) + "  2nd sync per 1,000")
    status = 0
    for machines in sizes:
        result = measure(machines)
        row = " ".join(f"{result[column]:9.3f}" for column in columns)
        print(f"{machines:9,} {row} {result['second'] * 1000 / machines:13.3f}", flush=True)
        if machines == 1000 and result["second"] > BAR:
            print(f"1,000 machines: {result['second']:.3f} s, and at most {BAR} s are allowed")
            status = 1
        if result["second"] > result["first"]:
            print(f"{machines:,} machines: the second sync is slower than the first")
            status = 1
    for what, text in (("200 policies, 2,500 machines", policies(2500, 200)), ("250 domains in zones", zones(250))):
        seconds = asked(text)
        print(f"{what}: {seconds:.3f} s until it is known what Incus should hold")
        if seconds > BAR_OF_POLICIES:
            print(f"{what}: at most {BAR_OF_POLICIES} s are allowed")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main([int(size) for size in sys.argv[1:]] or [10, 100, 1000, 10000]))
