# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bar of a thousand machines, apart from the unit tests: coverage would count in its time."""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / ".cache" / "collections"))

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
