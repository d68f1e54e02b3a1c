# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role incus_host from nothing on a Debian 13 with systemd as PID 1: a container of its own stands for the host."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not os.environ.get("ANKLUME_TEST_LONG"), reason="minutes long: make test-long")


@pytest.mark.timeout(900)
def test_from_nothing_to_a_container_in_it(nested: Any, tmp_path: Path) -> None:
    host = nested("anklume-test-host")
    own = host("ip -4 -o addr show eth0 | awk '{print $4}'")
    refused = host.play(tmp_path, "incus_host", incus_host_bridge_address=own)
    assert refused.status != 0
    assert f"the bridge incusbr0 with {own} would overlap a network" in refused.said, refused.output

    first = host.play(tmp_path, "incus_host", incus_host_bridge_address="10.78.0.1/24")
    assert first.status == 0, first.output
    again = host.play(tmp_path, "incus_host", incus_host_bridge_address="10.78.0.1/24")
    assert again.changed() == 0, again.output

    assert host("cat /proc/1/comm") == "systemd"
    host("incus launch debian/13 inner --quiet")
    host("timeout 60 bash -c 'until incus list inner -c 4 -f csv | grep -q 10.78.0; do sleep 0.5; done'")
    host("systemctl restart incus && incus exec inner -- true")
