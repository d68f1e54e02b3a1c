# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Debian 13 with systemd as PID 1 becomes an Incus host, and one that the monitor sees: a container stands for it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ansible_runs
import pytest

ROOT = Path(__file__).resolve().parents[3]
NAME, BRIDGE = "anklume-test-host", "10.78.0.1"
pytestmark = [
    pytest.mark.skipif(not os.environ.get("ANKLUME_TEST_LONG"), reason="minutes long: make test-long"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def host(nested: Any) -> Any:
    return nested(NAME)


def test_from_nothing_to_a_container_in_it(host: Any, tmp_path: Path) -> None:
    own = host("ip -4 -o addr show eth0 | awk '{print $4}'")
    refused = host.play(tmp_path, "incus_host", incus_host_bridge_address=own)
    assert refused.status != 0
    assert f"the bridge incusbr0 with {own} would overlap a network" in refused.said, refused.output

    first = host.play(tmp_path, "incus_host", incus_host_bridge_address=f"{BRIDGE}/24")
    assert first.status == 0, first.output
    again = host.play(tmp_path, "incus_host", incus_host_bridge_address=f"{BRIDGE}/24")
    assert again.changed() == 0, again.output

    assert host("cat /proc/1/comm") == "systemd"
    host("incus launch debian/13 inner --quiet")
    host("timeout 60 bash -c 'until incus list inner -c 4 -f csv | grep -q 10.78.0; do sleep 0.5; done'")
    host("systemctl restart incus && incus exec inner -- true")


@pytest.fixture
def monitor_host(host: Any, tmp_path: Path) -> Callable[..., ansible_runs.Run]:
    """`make monitor-host` of a project on it: the playbook, whose own machine is the container."""
    host("apt-get -qq install -y --no-install-recommends curl")
    done = host.play(tmp_path, "incus_host", incus_host_bridge_address=f"{BRIDGE}/24")
    assert done.status == 0, done.output
    # the project's folder is seen in it under the same path
    seen = ["project", "disk", f"source={tmp_path}", f"path={tmp_path}", "shift=true"]
    subprocess.run(["incus", "config", "device", "add", NAME, *seen], check=True, capture_output=True)
    inside = {"ansible_connection": "community.general.incus", "ansible_incus_host": NAME}
    watching = {
        "ansible_connection": "community.general.incus",
        "incus_network": {"gateway": BRIDGE},
        "monitoring_incus_metrics": True,
    }
    local = {"hosts": {"localhost": {**inside, "ansible_python_interpreter": "/usr/bin/python3"}}}
    inventory = {"all": {**local, "children": {"role_monitoring": {"hosts": {"inner": watching}}}}}
    tmp_path.joinpath("hosts.json").write_text(json.dumps(inventory))

    def run(*arguments: str) -> ansible_runs.Run:
        command = ["ansible-playbook", "-i", tmp_path / "hosts.json", "anklume.stt.monitor_host", *arguments]
        done = ansible_runs.run(command, cwd=ROOT, environment={**os.environ, "PROJECT": str(tmp_path)})
        assert done.status == 0, done.output
        return done

    return run


def test_it_is_seen_by_the_monitor_and_then_no_more(
    monitor_host: Callable[..., ansible_runs.Run], host: Any, tmp_path: Path
) -> None:
    def left() -> list[str]:
        return [
            host("incus config get core.metrics_address"),
            host("incus config trust list -f csv"),
            host("dpkg-query -Wf '${Package} ${Status}\n' | grep node-exporter || true"),
            host("systemctl list-unit-files 'prometheus*' 'anklume*' -q --no-legend || true"),
            host("ss -Hltn | awk '{print $4}' | sort"),
        ]

    before = left()
    monitor_host("--check")
    assert left() == before
    monitor_host()
    assert monitor_host().changed() == 0
    assert "node_memory_MemTotal_bytes" in host(f"curl -sf http://{BRIDGE}:9100/metrics")
    shown = " ".join(
        f"--{what} {tmp_path}/secrets/incus-metrics.{end}" for what, end in (("cert", "crt"), ("key", "key"))
    )
    told = host(f"curl -sfk {shown} https://{BRIDGE}:8444/1.0/metrics")
    assert set(re.findall('name="(.*?)"', told)) >= {"inner"}
    host("systemctl restart incus prometheus-node-exporter")
    assert monitor_host().changed() == 0
    monitor_host("-e", "wanted_state=absent")
    assert left() == before
    assert not list(tmp_path.glob("secrets/incus-metrics*"))
    assert monitor_host("-e", "wanted_state=absent").changed() == 0
