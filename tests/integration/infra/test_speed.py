# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bar of a thousand machines, apart from the unit tests: coverage would count in its time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / ".cache" / "collections"))

from ansible_collections.anklume.stt.plugins.module_utils._incus.desired import desired
from ansible_collections.anklume.stt.plugins.module_utils._incus.host import Host
from ansible_collections.anklume.stt.plugins.module_utils._infra import sync
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import read_project


def test_a_thousand_machines_within_the_bar(tmp_path):
    lines = ["domains:"]
    for number in range(20):
        lines += [f"  d{number}:", f"    subnet_id: {number}", "    machines:"]
        for machine in range(1, 51):
            lines += [
                f"      d{number}-m{machine}:",
                f'        description: "Machine {machine}"',
                "        type: lxc",
                f'        ip: "10.100.{number}.{machine}"',
                "        profiles: [default]",
                '        config: {limits.cpu: "2"}',
                "        roles: [base_system, stt_server]",
            ]
    (tmp_path / "infra.yml").write_text("\n".join(lines), encoding="utf-8")
    model, _ = read_project(str(tmp_path))
    for name, change in sync.plan(str(tmp_path), model).changes.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(change.after)
    times = []
    for _ in range(5):
        start = time.process_time()
        model, _ = read_project(str(tmp_path))
        made = sync.plan(str(tmp_path), model)
        times.append(time.process_time() - start)
        assert len(model.machines) == 1000
        assert not made.changes
    assert min(times) <= 0.5, times


def test_policies_between_single_machines_cost_what_they_are(tmp_path):
    """200 of them over 2,500 machines: what Incus should hold is known within half a second."""
    lines = ["domains:"]
    for number in range(50):
        machines = ", ".join(f'd{number}-m{n}: {{ip: "10.100.{number}.{n}"}}' for n in range(1, 51))
        lines.append(f"  d{number}: {{subnet_id: {number}, machines: {{{machines}}}}}")
    lines.append("network_policies:")
    for number in range(200):
        lines.append(f"  - {{from: d{number % 50}-m1, to: d{(number + 7) % 50}-m2, ports: [{8000 + number}]}}")
    (tmp_path / "infra.yml").write_text("\n".join(lines), encoding="utf-8")
    times = []
    for _ in range(3):
        model, _ = read_project(str(tmp_path))
        start = time.process_time()
        assert len(desired(model, Host()).resources) == 2500 + 4 * 50
        times.append(time.process_time() - start)
    assert min(times) <= 0.5, times


def test_a_plan_of_250_new_machines_asks_none_of_them(tmp_path):
    """What a plan costs beside Incus: no connection to machines that are not there."""
    lines = ["project_name: bench-plan", "global: {base_subnet: '10.177'}", "domains:"]
    lines += [f"  bp{n}: {{subnet_id: {n}, machines: {{bp{n}-m: {{roles: [base_system]}}}}}}" for n in range(250)]
    (tmp_path / "infra.yml").write_text("\n".join(lines), encoding="utf-8")
    environment = os.environ | {"PROJECT": str(tmp_path), "ANSIBLE_NOCOLOR": "true"}
    seconds = []
    for command in (["anklume.stt.sync"], ["-i", str(tmp_path / "inventory"), "anklume.stt.plan", "--check", "--diff"]):
        before = os.times()
        done = subprocess.run(
            ["ansible-playbook", *command], env=environment, cwd="/", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr
        after = os.times()
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert "+ create instance bp249-m in bp249" in done.stdout
    assert "bp249-m " not in done.stdout.partition("PLAY RECAP")[2]
    sync, plan = seconds
    assert plan <= 2.5 * sync, f"{plan} s of CPU for the plan, {sync} s for sync"
