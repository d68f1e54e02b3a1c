# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenario does not install: the larger profiles, and everything from a folder of wheels without a network."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest
from conftest import Machine
from suite import ROOT, download, long, uv_wheel

pytestmark = [long, pytest.mark.timeout(1800)]
LOCKS = ROOT / "roles/open_webui/files/locks"
TORCH_INDEX_URL = os.environ.get("TORCH_INDEX_URL", "")
PACKAGES = "import importlib.metadata as m, json; print(json.dumps([d.name.lower() for d in m.distributions()]))"


def installs(machine: Machine, profile: str, **variables: str) -> set[str]:
    """The packages of a profile, once it serves, keeps serving within its memory, and a second run changes nothing."""
    variables |= {"open_webui_profile": profile}
    status, output = machine.apply(**variables)
    assert status == 0, output[-3000:]
    assert machine.serves() == "0.12.4"
    assert machine.host.check_output("readlink /opt/open-webui/current") == f"0.12.4-{profile}"
    assert machine.host.check_output("systemctl show -P NRestarts open-webui") == "0"
    status, output = machine.apply(**variables)
    assert "changed=0" in output, output[-3000:]
    current = "/opt/open-webui/current/bin/python"
    print(machine.host.check_output("systemctl show -P MemoryPeak -P MemoryMax open-webui"))
    return set(json.loads(machine.host.check_output(f"cd / && {current} -c %s", PACKAGES)))


def test_from_a_folder_of_wheels_without_a_network(machine_of: Callable[..., Machine]) -> None:
    wheels = download("open-webui-slim", "3.11", "--require-hashes", "-r", str(LOCKS / "0.12.4-slim.txt"))
    machine = machine_of("mow-closed", "debian/12", "10.175.1.60", cached=False)
    machine.close()
    packages = installs(machine, "slim", open_webui_wheels=str(wheels), uv_wheel=uv_wheel())
    assert "chromadb" not in packages


def test_documents_without_pytorch(machine_of: Callable[..., Machine]) -> None:
    packages = installs(machine_of("mow-no-torch", "debian/12", "10.175.1.61"), "no_torch")
    assert "chromadb" in packages
    assert "torch" not in packages


@pytest.mark.skipif(not TORCH_INDEX_URL, reason="TORCH_INDEX_URL names no index of PyTorch's builds for the processor")
def test_pytorch_for_the_processor(machine_of: Callable[..., Machine]) -> None:
    machine = machine_of("mow-full", "debian/12", "10.175.1.62")
    packages = installs(machine, "full", open_webui_torch_index_url=TORCH_INDEX_URL)
    assert {"chromadb", "torch", "sentence-transformers"} <= packages
    assert not [name for name in packages if name.startswith("nvidia-")]
    program = "import torch; print(torch.__version__, torch.backends.cuda.is_built())"
    said = machine.host.check_output("cd / && /opt/open-webui/current/bin/python -c %s", program)
    assert said == "2.13.0+cpu False"
