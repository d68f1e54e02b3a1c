# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor sees: units, logs and a certificate of a machine; an Incus that is away; nvidia-smi in each mood."""

from __future__ import annotations

import os
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._doctor import look
from ansible_collections.anklume.stt.plugins.module_utils._doctor.catalogue import RULES
from ansible_collections.anklume.stt.plugins.module_utils._doctor.examine import examine
from ansible_collections.anklume.stt.plugins.module_utils._doctor.snapshot import INCUS_HOST, INSTANCE, read
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


def test_a_certificate_of_nobody_that_is_trusted(page: int) -> None:
    assert codes(see(roles=[], https={"port": page, "name": "127.0.0.1"})) == {"TLS-03"}


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
