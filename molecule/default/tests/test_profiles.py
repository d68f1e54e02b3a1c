# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenario does not install: the larger profiles, and everything from a folder of wheels without a network."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable

import pytest
from conftest import Machine
from suite import ROOT, download, long, uv_wheel

pytestmark = [long, pytest.mark.timeout(1800)]
LOCKS = ROOT / "roles/open_webui/files/locks"
TORCH_WHEEL = os.environ.get("TORCH_WHEEL", "")
INDEX = """
import functools, hashlib, http.server, pathlib
folder = pathlib.Path("/srv/index/torch")
wheel = next(folder.glob("*.whl"))
digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
name = wheel.name.replace("+", "%2B")
(folder / "index.html").write_text(f'<!DOCTYPE html><a href="{name}#sha256={digest}">{wheel.name}</a>')
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="/srv/index")
http.server.HTTPServer(("127.0.0.1", 8099), handler).serve_forever()
"""
PACKAGES = "import importlib.metadata as m, json; print(json.dumps([d.name.lower() for d in m.distributions()]))"


def installs(machine: Machine, profile: str, **variables: str) -> set[str]:
    """The packages of a profile, once it serves, keeps serving within its memory, and a second run changes nothing."""
    variables |= {"open_webui_profile": profile}
    status, output = machine.apply(**variables)
    assert status == 0, output[-3000:]
    assert machine.serves() == "0.12.4"
    assert machine.host.check_output("readlink /opt/open-webui/current") == f"0.12.4-{profile}"
    assert machine.host.check_output("systemctl show -P NRestarts open-webui") == "0"
    assert machine.apply(**variables).changed() == 0
    current = "/opt/open-webui/current/bin/python"
    print("MemoryCurrent:", machine.host.check_output("systemctl show -P MemoryCurrent open-webui"))
    return set(json.loads(machine.host.check_output(f"cd / && {current} -c %s", PACKAGES)))


def test_from_a_folder_of_wheels_without_a_network(machine_of: Callable[..., Machine]) -> None:
    machine = machine_of("mdef-closed", "debian/12", "10.176.1.60", cached=False)
    machine.host.check_output("apt-get -qy install --no-install-recommends python3-pip-whl")
    disk = [
        f"source={download(LOCKS / '0.12.4-slim.txt', '3.11.2')}",
        "path=/srv/wheels",
        "readonly=true",
        "shift=true",
    ]
    add = ["incus", "config", "device", "add", "mdef-closed", "wheels", "disk", *disk, "--project", "mdef"]
    subprocess.run(add, check=True)
    machine.close()
    packages = installs(machine, "slim", open_webui_wheels="/srv/wheels", uv_wheel=uv_wheel())
    assert "chromadb" not in packages


def test_documents_without_pytorch(machine_of: Callable[..., Machine]) -> None:
    packages = installs(machine_of("mdef-no-torch", "debian/12", "10.176.1.61"), "no_torch")
    assert "chromadb" in packages
    assert "torch" not in packages


@pytest.mark.skipif(
    not TORCH_WHEEL, reason="TORCH_WHEEL names no wheel of PyTorch for the processor, torch-2.13.0+cpu-cp311-….whl"
)
def test_pytorch_for_the_processor(machine_of: Callable[..., Machine]) -> None:
    """From a stand-in for PyTorch's own index, which holds this one wheel."""
    machine = machine_of("mdef-full", "debian/12", "10.176.1.62")
    push = ["incus", "file", "push", "--quiet", "--create-dirs", "--project", "mdef"]
    subprocess.run([*push, TORCH_WHEEL, "mdef-full/srv/index/torch/"], check=True)
    machine.host.run_expect([0], "systemd-run --quiet --unit torch-index python3 -c %s", INDEX)
    packages = installs(machine, "full", open_webui_torch_index_url="http://127.0.0.1:8099/")
    assert {"chromadb", "torch", "sentence-transformers"} <= packages
    assert not [name for name in packages if name.startswith("nvidia-")]
    program = "import torch; print(torch.__version__, torch.backends.cuda.is_built())"
    said = machine.host.check_output("cd / && /opt/open-webui/current/bin/python -c %s", program)
    assert said == "2.13.0+cpu False"
