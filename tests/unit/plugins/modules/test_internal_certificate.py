# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of the internal authority, seen by a real TLS client."""

from __future__ import annotations

import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.modules import internal_certificate
from module_runner import result_of, run_module, spawn_module

NAMES = ["webui", "10.1.2.3"]


def params(folder: Path, **other: Any) -> dict[str, Any]:
    return {"authority": str(folder / "ca"), "path": str(folder / "webui.pem"), "names": NAMES, **other}


def run(folder: Path, *, check: bool = False, **other: Any) -> dict[str, Any]:
    return run_module(internal_certificate, check=check, **params(folder, **other))


def connect(folder: Path, name: str) -> None:
    """A client that trusts only the authority connects to a server with the certificate."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "webui.pem")
    client = ssl.create_default_context(cafile=folder / "ca/ca.crt")
    here, there = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(there, server_side=True).close()
        except OSError:
            there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client.wrap_socket(here, server_hostname=name).close()
    finally:
        here.close()
        thread.join()


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_trusts_the_authority_trusts_the_server(tmp_path: Path, name: str) -> None:
    assert run(tmp_path)["reason"] == "there is none yet"
    connect(tmp_path, name)


def test_another_name_is_not_trusted(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        connect(tmp_path, "other")


def test_the_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    run(tmp_path)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (tmp_path / "ca/ca.key", tmp_path / "webui.pem")}
    assert modes == {"ca.key": "0o600", "webui.pem": "0o600"}
    assert oct((tmp_path / "ca").stat().st_mode & 0o777) == "0o700"


def test_the_second_run_changes_nothing(tmp_path: Path) -> None:
    first = run(tmp_path)
    content = (tmp_path / "webui.pem").read_bytes()
    second = run(tmp_path)
    assert (second["changed"], second["fingerprint"]) == (False, first["fingerprint"])
    assert (tmp_path / "webui.pem").read_bytes() == content


def test_check_mode_makes_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, check=True)["changed"] is True
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"names": ["webui", "10.1.2.4"]}, "its names have changed"),
        ({"renew_days": 821}, "it is about to run out"),
    ],
)
def test_it_is_made_anew_in_time_and_for_other_names(tmp_path: Path, other: dict[str, Any], reason: str) -> None:
    first = run(tmp_path)
    again = run(tmp_path, **other)
    assert (again["reason"], again["fingerprint"]) == (reason, first["fingerprint"])


def test_a_certificate_of_another_authority_is_made_anew(tmp_path: Path) -> None:
    run(tmp_path)
    for path in (tmp_path / "ca").iterdir():
        path.unlink()
    assert run(tmp_path)["reason"] == "it is unreadable or from another authority"
    connect(tmp_path, "webui")


def test_a_lost_key_of_the_authority_is_told(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "ca/ca.key").unlink()
    (tmp_path / "webui.pem").unlink()
    assert "ca.key" in run(tmp_path)["msg"]


def test_several_at_once_make_one_authority(tmp_path: Path) -> None:
    def one(number: int) -> dict[str, Any]:
        other = {"path": str(tmp_path / f"{number}.pem")}
        return result_of(spawn_module(internal_certificate, **params(tmp_path, **other)))

    with ThreadPoolExecutor() as pool:
        fingerprints = {result["fingerprint"] for result in pool.map(one, range(4))}
    assert len(fingerprints) == 1
