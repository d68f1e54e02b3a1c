# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this Incus host can hand an NVIDIA GPU to a container: driver, container tools, device nodes, MIG."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

NVIDIA = "10de"
NODES = ("nvidiactl", "nvidia-uvm")


def nvidia_faults(
    cards: Sequence[Mapping[str, Any]], nodes: Collection[str], smi: str, *, tools: bool
) -> tuple[str, ...]:
    """What is wrong, each with the command that mends it.

    `cards` is what Incus tells of the host's GPUs, `nodes` the names in /dev, `tools` whether nvidia-container-cli is
    there, and `smi` what `nvidia-smi -L` and its question for MIG said.
    """
    ours = [card for card in cards if card.get("vendor_id") == NVIDIA]
    if not ours:
        return ()
    found = []
    for card in ours:
        if card.get("driver") != "nvidia":
            name = f"{card.get('product') or 'NVIDIA GPU'} ({card.get('pci_address', 'no address')})"
            driver = f"driven by {card['driver']}" if card.get("driver") else "without a driver"
            found.append(
                f"{name} is {driver}: install the package nvidia-driver (apt install nvidia-driver) and reboot"
            )
    if not tools:
        found.append(
            "nvidia-container-cli is not there, and without it a container has the GPU but not its libraries: "
            "add NVIDIA's package repository, then apt install libnvidia-container-tools"
        )
    missing = [f"/dev/{node}" for node in NODES if node not in nodes]
    if missing and not found:
        found.append(
            f"{' and '.join(missing)} not there: run nvidia-modprobe -u -c 0 (apt install nvidia-modprobe), "
            "and have nvidia-persistenced do so at boot"
        )
    if any(line.strip() == "Enabled" for line in smi.splitlines()) and "MIG " not in smi:
        found.append(
            "a GPU is in MIG mode and has no slice, so that no program finds a GPU: "
            "make one (nvidia-smi mig -cgi 0 -C) or leave MIG mode (nvidia-smi -mig 0)"
        )
    return tuple(found)


def read_nvidia_faults(cards: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The same, of this machine."""
    if not any(card.get("vendor_id") == NVIDIA for card in cards):
        return ()
    smi = "".join(
        _said("nvidia-smi", *options)
        for options in (("-L",), ("--query-gpu=mig.mode.current", "--format=csv,noheader"))
    )
    nodes = [path.name for path in Path("/dev").glob("nvidia*")]
    return nvidia_faults(cards, nodes, smi, tools=shutil.which("nvidia-container-cli") is not None)


def _said(program: str, *options: str) -> str:
    path = shutil.which(program)
    if path is None:
        return ""
    try:
        # pylint: disable-next=ansible-bad-function
        done = subprocess.run([path, *options], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + "\n"
