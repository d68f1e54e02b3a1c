# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""infra_init, run as Ansible runs it, and what it sees of this machine."""

from __future__ import annotations

import http.server
import os
import socket
import threading
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._incus.first_look import look, taken
from ansible_collections.anklume.stt.plugins.module_utils._incus.host import networks_of
from ansible_collections.anklume.stt.plugins.module_utils._incus.host_reader import routed
from ansible_collections.anklume.stt.plugins.module_utils._incus.listeners import Listener
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import read_project
from ansible_collections.anklume.stt.plugins.modules import infra_init, infra_sync
from module_runner import run_module

NO_HUB = "http://127.0.0.1:9"
ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
wg0\t0000640A\t0101A8C0\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


@pytest.fixture(autouse=True)
def warned(monkeypatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _self, text, **_options: said.append(text))
    return said


@pytest.fixture(autouse=True)
def no_incus(monkeypatch, tmp_path) -> None:
    """As before make host."""
    monkeypatch.setenv("INCUS_SOCKET", str(tmp_path / "none"))


@pytest.fixture
def hub() -> Iterator[str]:
    """Something that has every file."""

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_args: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def init(project: Path, **params: Any) -> dict[str, Any]:
    return run_module(infra_init, project_dir=str(project), **{"hub": NO_HUB, **params})


def tree(project: Path) -> dict[str, bytes]:
    return {str(path.relative_to(project)): path.read_bytes() for path in project.rglob("*") if path.is_file()}


def test_what_it_writes_is_synced_as_it_is_and_stays_below_the_block(tmp_path, hub, warned):
    made = init(tmp_path / "new", hub=hub)
    assert made["changed"] and warned == []
    mine = tree(tmp_path / "new")
    assert sorted(mine) == sorted(made["written"])
    model, _notes = read_project(str(tmp_path / "new"))
    assert [machine.name for machine in model.machines] == ["homelab-ai", "homelab-webui"]
    run_module(infra_sync, project_dir=str(tmp_path / "new"))
    for name in ("host_vars/homelab-ai.yml", "host_vars/homelab-webui.yml"):
        _block, _end, below = tree(tmp_path / "new")[name].partition(b"# === END MANAGED ===\n")
        assert below.strip() == mine[name].removeprefix(b"---\n").strip()


def test_check_mode_shows_all_and_writes_nothing(tmp_path):
    made = init(tmp_path / "new", check=True)
    assert made["changed"] and not (tmp_path / "new").exists()
    assert [one["after_header"] for one in made["diff"]] == made["written"]


@pytest.mark.parametrize("own", ["infra.yml", "infra/base.yml"])
def test_an_infra_yml_that_is_there_is_never_touched(tmp_path, own):
    (tmp_path / own).parent.mkdir(exist_ok=True)
    (tmp_path / own).write_text("domains: {}\n")
    before = tree(tmp_path)
    made = init(tmp_path, gpu=True, port=70000)  # whatever is asked for
    assert not made["changed"] and made["written"] == []
    assert "is there already: nothing was changed" in made["summary"][0]
    assert tree(tmp_path) == before


@pytest.mark.parametrize("own", ["homelab-ai.yml", "homelab-webui.yaml", "homelab-ai/main.yml"])
def test_host_vars_that_are_there_without_infra_yml_are_refused(tmp_path, own):
    (tmp_path / "host_vars" / own).parent.mkdir(parents=True)
    (tmp_path / "host_vars" / own).write_text("mine: 1\n")
    before = tree(tmp_path)
    made = init(tmp_path)
    assert made["failed"] and "is there already, but no infra.yml: nothing was changed" in made["msg"]
    assert tree(tmp_path) == before
    assert init(tmp_path, name="den")["changed"]


def test_a_folder_that_cannot_be_written_is_an_error_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    made = init(tmp_path / "file" / "new")
    assert made["failed"] and "not a directory" in made["msg"]


def test_the_test_model_is_taken_where_the_hub_does_not_answer_and_warned_of(tmp_path, warned):
    (tmp_path / "model.tar.xz").write_bytes(b"")
    init(tmp_path / "new", stand_in=str(tmp_path / "model.tar.xz"))
    assert "test model stands in" in warned[0] and "127.0.0.1:9" in warned[0]


def test_a_port_that_somebody_listens_at_is_seen(tmp_path):
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        made = init(tmp_path / "new", port=port)
    assert made["failed"] and f"port {port} of this host is taken by " in made["msg"]
    assert not (tmp_path / "new").exists()


@pytest.fixture
def smi(monkeypatch, tmp_path) -> Callable[[str], None]:
    """A stand-in for nvidia-smi: it runs a line of shell."""

    def write(line: str) -> None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/nvidia-smi").write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / "bin/nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")

    return write


def card(capability: str) -> str:
    return f"echo '0, GPU-0, NVIDIA Stand-in, 12288, 12000, 0, 250, {capability}, 550.00, [N/A], [N/A]'"


def test_a_gpu_that_answers_is_given_to_the_stt_server_with_ollama_beside_it(tmp_path, hub, smi):
    smi(card("8.6"))
    made = init(tmp_path / "new", hub=hub)
    assert made["summary"][0] == "GPU: NVIDIA Stand-in, 12288 MiB"
    assert made["summary"][1].startswith("model: large-v3-turbo in float16 on NVIDIA Stand-in")
    (domain,) = read_project(str(tmp_path / "new"))[0].domains
    assert next((one.gpu, one.roles) for one in domain.machines) == (
        True,
        ("base_system", "ollama_server", "stt_server"),
    )
    assert "stt_server_engine: speaches" in (tmp_path / "new/host_vars/homelab-ai.yml").read_text()


def test_a_gpu_that_is_not_to_be_used_is_not(tmp_path, hub, smi):
    smi(card("8.6"))
    made = init(tmp_path / "new", hub=hub, gpu=False)
    assert made["summary"][0].endswith("(as asked for)") and " on the processor " in made["summary"][1]
    assert "stt_server_device: cpu" in (tmp_path / "new/host_vars/homelab-ai.yml").read_text()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (card("3.5"), "compute capability 3.5"),
        ("echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18", "different versions"),
    ],
)
def test_a_gpu_that_would_not_work_leaves_speech_to_the_processor_and_is_told(tmp_path, hub, smi, line, why):
    smi(line)
    made = init(tmp_path / "new", hub=hub)
    assert "speech runs on the processor" in made["summary"][0] and why in made["summary"][0]
    assert "\n        # gpu: true" in (tmp_path / "new/infra.yml").read_text()
    assert init(tmp_path / "other", hub=hub, gpu=True)["msg"].startswith("gpu: ")


def test_who_has_a_port_at_the_addresses_of_the_local_network():
    listeners = (
        Listener("tcp", "0.0.0.0", 443, "nginx (pid 7)"),
        Listener("tcp", "127.0.0.1", 8443, "java (pid 8)"),
        Listener("udp", "0.0.0.0", 9443, "dns (pid 9)"),
    )
    devices = {"the Incus device web of old": "tcp:192.168.1.5:9000-9443"}
    found = taken(("192.168.1.5",), listeners, devices, (443, 8443, 9443))
    assert found == {443: "nginx (pid 7)", 9443: "the Incus device web of old"}


def test_every_route_but_the_default_one_is_a_network_of_the_host():
    assert networks_of(ROUTES) == (("eth0", IPv4Network("192.168.1.0/24")), ("wg0", IPv4Network("10.100.0.0/16")))


def test_this_machine_without_incus_is_seen_by_its_routes_alone():
    seen = look(gpu=False, port=None, language="", hub=NO_HUB, stand_in="")
    assert set(routed()) == set(seen.networks)
    assert seen.gpu == "" and " on the processor " in seen.choice and seen.short == ""
    assert seen.hub == NO_HUB and "127.0.0.1" in seen.no_hub
