# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Incus host's side of a GPU: each fault names what mends it, and stops an apply before anything is made."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._incus.desired import desired
from ansible_collections.anklume.stt.plugins.module_utils._incus.gpu import nvidia_faults
from ansible_collections.anklume.stt.plugins.module_utils._incus.host import Host
from ansible_collections.anklume.stt.plugins.module_utils._incus.observe import Observed
from ansible_collections.anklume.stt.plugins.module_utils._incus.preflight import faults
from incus_models import domain, machine, model

CARD = {"vendor_id": "10de", "driver": "nvidia", "product": "RTX 3060", "pci_address": "0000:01:00.0"}
NODES = ["nvidia0", "nvidiactl", "nvidia-uvm"]
SLICE = "GPU 0: NVIDIA H200 (UUID: GPU-1)\n  MIG 1g.18gb Device 0: (UUID: MIG-1)\n"


@pytest.mark.parametrize(
    ("card", "tools", "nodes", "smi", "told"),
    [
        ({"driver": "nouveau"}, True, NODES, "", "driven by nouveau: install the package nvidia-driver"),
        ({"driver": ""}, True, NODES, "", "without a driver: install the package nvidia-driver"),
        ({}, False, NODES, "", "apt install libnvidia-container-tools"),
        ({}, True, ["nvidia0", "nvidiactl"], "", "/dev/nvidia-uvm not there: run nvidia-modprobe"),
        ({}, True, NODES, "GPU 0: NVIDIA H200 (UUID: GPU-1)\nEnabled\n", "nvidia-smi -mig 0"),
    ],
)
def test_each_fault_names_what_mends_it(
    card: dict[str, str], tools: bool, nodes: list[str], smi: str, told: str
) -> None:
    found = nvidia_faults([CARD | card], nodes, smi, tools=tools)
    assert len(found) == 1
    assert told in found[0]


@pytest.mark.parametrize(
    ("cards", "smi"),
    [([CARD], "Disabled\n"), ([CARD], "[N/A]\n"), ([CARD], SLICE + "Enabled\n"), ([{"vendor_id": "8086"}], "")],
)
def test_nothing_wrong(cards: list[dict[str, Any]], smi: str) -> None:
    assert nvidia_faults(cards, NODES if cards[0] is CARD else [], smi, tools=cards[0] is CARD) == ()


def test_a_fault_stops_only_who_wants_the_gpu() -> None:
    host = Host(gpus=1, gpu_faults=("the driver is missing: install it",))
    with_gpu = desired(model(domain("lab", 3, machine(gpu=True))), host)
    without = desired(model(domain("lab", 3, machine())), host)
    assert [fault for fault in faults(with_gpu, Observed(), host, adopt=False) if "the driver is missing" in fault]
    assert faults(without, Observed(), host, adopt=False) == []
