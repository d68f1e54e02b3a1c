# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor sees: units, logs and a certificate of a machine; an Incus that is away; nvidia-smi in each mood."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._doctor import look
from ansible_collections.anklume.stt.plugins.module_utils._doctor.catalogue import RULES
from ansible_collections.anklume.stt.plugins.module_utils._doctor.examine import examine
from ansible_collections.anklume.stt.plugins.module_utils._doctor.snapshot import INCUS_HOST, INSTANCE, Said, read
from ansible_collections.anklume.stt.plugins.modules import doctor_info
from conftest import self_signed
from module_runner import run_module

SHOWN = """Id=speaches.service
LoadState=loaded
ActiveState={state}
SubState={sub}
Result=success
NRestarts={restarts}
ExecMainStatus=0
UnitFileState=enabled
InvocationID=abc
ActiveEnterTimestampMonotonic=1
"""
NVIDIA_SMI = """#!/bin/sh
# a stand-in: says what nvidia-smi says when something is wrong
case {mood} in
mismatch) echo "Failed to initialize NVML: Driver/library version mismatch"; exit 18 ;;
nodriver) echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."; exit 9 ;;
lost) echo "Unable to determine the device handle for GPU 0000:01:00.0: GPU is lost. Reboot the system"; exit 15 ;;
hang) exec sleep 60 ;;
unknown) echo "Failed to initialize NVML: Unknown Error"; exit 255 ;;
none) echo "No devices were found"; exit 6 ;;
*) echo "0, GPU-1f, NVIDIA GeForce RTX 3060, 12288" ;;
esac
"""


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path for stand-ins of systemctl and journalctl."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    program(folder, "systemctl", SHOWN.format(state="active", sub="running", restarts=0))
    program(folder, "journalctl", "")
    return folder


def program(folder: Path, name: str, text: str) -> None:
    """One that prints a text, and notes how it was called."""
    (folder / f"{name}.out").write_text(text)
    (folder / name).write_text(f'#!/bin/sh\necho "$*" >>{folder}/{name}.calls\ncat {folder}/{name}.out\n')
    (folder / name).chmod(0o755)


def smi(folder: Path, mood: str) -> str:
    path = folder / "smi"
    path.write_text(NVIDIA_SMI.format(mood=mood))
    path.chmod(0o755)
    return str(path)


def see(kind: str = INSTANCE, **params: Any) -> dict[str, Any]:
    seen = run_module(doctor_info, host="m", kind=kind, **params)
    assert seen["changed"] is False, seen
    return seen


def codes(seen: dict[str, Any]) -> set[str]:
    return {finding.rule.code for finding in examine(RULES, [read(seen, {})])}


def test_units_and_their_logs_since_the_last_start(programs: Path) -> None:
    program(programs, "journalctl", "STT_API_KEY=verysecret\ncannot listen there: Address already in use\n")
    seen = see(roles=["stt_server"])
    assert seen["said"]["units"]["command"] == "systemctl show speaches"
    assert "RunsFor=" in seen["said"]["units"]["text"]
    assert "_SYSTEMD_INVOCATION_ID=abc" in (programs / "journalctl.calls").read_text()
    assert "verysecret" not in str(seen)
    assert codes(seen) == {"SVC-05"}


def test_of_a_service_that_ends_again_and_again_the_last_minutes_are_read(programs: Path) -> None:
    program(programs, "systemctl", SHOWN.format(state="activating", sub="auto-restart", restarts=7))
    seen = see(roles=["stt_server"])
    assert "--since -10min -u speaches" in (programs / "journalctl.calls").read_text()
    assert codes(seen) == {"SVC-02"}


def test_a_machine_without_systemd_is_looked_at_all_the_same(programs: Path) -> None:
    (programs / "systemctl").write_text("#!/bin/sh\necho 'Failed to connect to bus'; exit 1\n")
    assert codes(see(roles=["stt_server"])) == set()


@pytest.mark.parametrize(
    ("kind", "mood", "code"),
    [
        (INCUS_HOST, "mismatch", {"GPU-03"}),
        (INCUS_HOST, "nodriver", {"GPU-04"}),
        (INCUS_HOST, "lost", {"GPU-06"}),
        (INCUS_HOST, "hang", {"GPU-09"}),
        (INCUS_HOST, "none", set()),
        (INCUS_HOST, "fine", set()),
        (INSTANCE, "unknown", {"GPU-07"}),
        (INSTANCE, "fine", set()),
    ],
)
def test_each_mood_of_nvidia_smi(
    programs: Path, monkeypatch: pytest.MonkeyPatch, kind: str, mood: str, code: set[str]
) -> None:
    run = look.run
    monkeypatch.setattr(look, "run", lambda *command, patience=10.0: run(*command, patience=min(patience, 1)))
    seen = see(kind, nvidia_smi=smi(programs, mood), socket=str(programs / "none"))
    assert {one for one in codes(seen) if one.startswith("GPU")} == code


def test_an_incus_that_is_away_is_the_one_cause(tmp_path: Path) -> None:
    wanted = [{"host": "a", "instance": "a", "project": "p"}]
    assert codes(see(INCUS_HOST, socket=str(tmp_path / "none"), instances=wanted)) == {"INC-01"}


def test_what_is_not_installed_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert look.run("systemctl", "show").skipped == "systemctl is not installed"


@pytest.fixture
def page(certificate: Path) -> Any:
    """A page over HTTPS, for a day."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_a_certificate_that_ends_soon(page: int, certificate: Path) -> None:
    seen = see(roles=[], https={"port": page, "name": "127.0.0.1", "authority": certificate.read_text()})
    assert codes(seen) == {"TLS-04"}


def test_a_certificate_that_is_not_of_our_authority(page: int, certificate: Path, tmp_path: Path) -> None:
    other = self_signed(tmp_path / "other.pem", -1, 1).read_text()
    assert codes(see(roles=[], https={"port": page, "name": "127.0.0.1", "authority": other})) == {"TLS-03"}


def test_of_a_certificate_of_others_it_is_not_known_who_trusts_it(page: int) -> None:
    seen = see(roles=[], https={"port": page, "name": "127.0.0.1"})
    assert "self-signed" in seen["said"]["https"]["skipped"]
    assert codes(seen) == set()


def test_a_certificate_of_another_name(page: int, certificate: Path) -> None:
    https = {"port": page, "name": "127.0.0.2", "authority": certificate.read_text()}
    assert codes(see(roles=[], https=https)) == {"TLS-03"}


@pytest.mark.parametrize(("days", "code"), [((-9, -2), "TLS-01"), ((2, 9), "TLS-02")])
def test_a_certificate_with_shifted_dates(tmp_path: Path, days: tuple[int, int], code: str) -> None:
    pem = self_signed(tmp_path / "shifted.pem", *days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    https = {"port": server.server_address[1], "name": "127.0.0.1", "authority": pem.read_text()}
    assert codes(see(roles=[], https=https)) == {code}
    server.shutdown()
    server.server_close()


class Client:
    """A stand-in for the client of Incus: answers from a dictionary of paths."""

    def __init__(self, source: str) -> None:
        attached = {
            "root": {"type": "disk", "path": "/", "pool": "default"},
            "data": {"type": "disk", "source": source, "path": "/data"},
            "maybe": {"type": "disk", "source": source, "path": "/maybe", "required": "false"},
            "eth0": {"type": "nic", "network": "net-home"},
            "gpu": {"type": "gpu"},
        }
        instance = {
            "name": "ai",
            "project": "home",
            "status": "Running",
            "expanded_devices": attached,
            "expanded_config": {"nvidia.runtime": "true", "cloud-init.user-data": "password: verysecret"},
            "state": {"disk": {"root": {"usage": 9_700_000_000, "total": 10_000_000_000}}},
        }
        bridge = {"name": "net-home", "managed": True, "type": "bridge", "config": {"ipv4.address": "127.0.0.1/24"}}
        other = {"name": "theirs", "managed": True, "type": "bridge", "config": {"ipv4.address": "127.0.0.2/24"}}
        self.asked: list[str] = []
        self.answers: dict[str, Any] = {
            "/1.0": {"environment": {"server_version": "6.0.4", "firewall": "nftables"}},
            "/1.0/instances": [instance],
            "/1.0/networks": [bridge, other],
            "/1.0/resources": {"gpu": {"cards": []}},
            "/1.0/storage-pools": ["/1.0/storage-pools/default"],
            "/1.0/storage-pools/default/resources": {"space": {"used": 97, "total": 100}},
            "/1.0/warnings": [],
        }

    def get(self, path: str, **_query: str) -> Any:
        self.asked.append(path)
        return self.answers[path]


def test_what_incus_tells_of_our_instances_and_bridges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "_dns", lambda one: f"{one['name']}: 127.0.0.1 port 53: refused")
    monkeypatch.setattr(look, "_links", lambda networks: Said("ip addr show", ""))
    wanted = [
        {"host": "ai", "instance": "ai", "project": "home"},
        {"host": "web", "instance": "web", "project": "home"},
    ]
    said = look._incus(Client(str(tmp_path / "gone")), wanted)  # type: ignore[arg-type]
    assert "verysecret" not in str(said)
    assert "theirs" not in said["networks"].text
    told = {name: one.data() for name, one in said.items()}
    host = read({"host": "localhost", "kind": INCUS_HOST, "said": told}, {})
    found = {(finding.rule.code, finding.host) for finding in examine(RULES, [host])}
    assert found == {
        ("DSK-02", "localhost"),
        ("DSK-04", "ai"),
        ("GPU-01", "ai"),
        ("INC-05", "web"),
        ("NET-06", "localhost"),
    }


def test_bridges_as_the_kernel_has_them(programs: Path) -> None:
    up = {"ifname": "up", "flags": ["UP"], "addr_info": [{"family": "inet", "local": "10.0.0.1"}]}
    program(programs, "ip", json.dumps([up, {"ifname": "down", "flags": ["NO-CARRIER"], "addr_info": []}]))
    said = look._links([{"name": "up"}, {"name": "down"}, {"name": "lost"}])
    assert said.text.splitlines() == ["up: up 10.0.0.1", "down: down", "lost: gone"]


def test_another_name_server_in_the_place_of_the_bridges_own(monkeypatch: pytest.MonkeyPatch) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    connect = socket.create_connection
    monkeypatch.setattr(socket, "create_connection", lambda _to, wait: connect(server.getsockname(), wait))
    bridge = {"name": "net-of-nobody", "address": "127.0.0.1/24", "dns": "managed"}
    processes: list[list[str]] = []
    monkeypatch.setattr(look, "_command", lambda _path: processes.pop() if processes else [])
    for seen, told in (
        ([["/usr/libexec/incus/incusd", "--group"], ["dnsmasq", "--interface=net-of-all"]], True),
        ([["/usr/libexec/incus/incusd", "--group"], ["dnsmasq", "--interface=net-of-nobody"]], False),
        ([["bash"]], False),  # where the processes of others are not seen, it is not known
    ):
        processes[:] = seen
        line = "net-of-nobody: 127.0.0.1 port 53: open"
        assert look._dns(bridge) == line + (", and Incus's dnsmasq for this bridge does not run" if told else "")
    server.close()


def test_an_instance_without_an_address(tmp_path: Path) -> None:
    client = Client(str(tmp_path))
    inside = {"host_name": "veth1", "addresses": [{"family": "inet6", "scope": "link", "address": "fe80::1"}]}
    docker = {"addresses": [{"family": "inet", "scope": "global", "address": "172.17.0.1"}]}
    (body,) = client.answers["/1.0/instances"]
    body |= {
        "last_used_at": "2026-01-01T00:00:00.123456789Z",
        "state": {"network": {"eth0": inside, "docker0": docker}},
    }
    wanted = [{"host": "ai", "instance": "ai", "project": "home"}]
    (seen,) = json.loads(look._incus(client, wanted)["instances"].text)  # type: ignore[arg-type]
    assert seen["ipv4"] == [] and seen["runs_for"] > 3600
    inside["addresses"].append({"family": "inet", "scope": "global", "address": "10.1.1.1"})
    (seen,) = json.loads(look._incus(client, wanted)["instances"].text)  # type: ignore[arg-type]
    assert seen["ipv4"] == ["10.1.1.1"]


def test_a_pool_of_which_nothing_is_known_is_not_full(tmp_path: Path) -> None:
    client = Client(str(tmp_path))
    client.answers["/1.0/storage-pools/default/resources"] = {}
    assert '"total": 0' in look._incus(client, [])["pools"].text  # type: ignore[arg-type]


def test_without_a_gpu_wanted_hardware_is_not_asked_for(tmp_path: Path) -> None:
    client = Client(str(tmp_path))
    look._incus(client, [])  # type: ignore[arg-type]
    assert "/1.0/resources" not in client.asked


def test_backups_keys_and_secrets(tmp_path: Path) -> None:
    backups, secrets = tmp_path / "backups", tmp_path / "secrets"
    for folder in (backups, secrets):
        folder.mkdir(mode=0o700)
    assert look.newest(str(backups)).text == "no backup"
    (backups / "open-webui-1.tar.gz").write_bytes(b"\x1f\x8b no archive")
    assert "open-webui-1.tar.gz is damaged" in look.newest(str(backups)).text
    (secrets / "key").write_text("x")
    (secrets / "key").chmod(0o644)
    assert look._open_files(str(secrets)).text == ""
    secrets.chmod(0o755)
    assert look._open_files(str(secrets)).text == f"644 {secrets}/key"


def test_an_stt_server_that_wants_no_key(page_without_tls: int) -> None:
    assert codes(see(keyless_port=page_without_tls)) == {"STT-07"}
    assert codes(see(keyless_port=1)) == set()


@pytest.fixture
def page_without_tls() -> Any:
    """A server that answers everybody."""

    class Everybody(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_words: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Everybody)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
