# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of the internal authority, seen by a real TLS client."""

from __future__ import annotations

import datetime
import socket
import ssl
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.modules import internal_certificate
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from module_runner import result_of, run_module, spawn_module

NAMES = ["webui", "10.1.2.3"]
PERMITTED = ["local", "10.0.0.0/8", "fc00::/7"]


def params(folder: Path, **other: Any) -> dict[str, Any]:
    wanted = {"path": str(folder / "webui.pem"), "names": NAMES, "found_names": [], "permitted": PERMITTED}
    return {"authority": str(folder / "ca"), **wanted, **other}


def run(folder: Path, *, check: bool = False, **other: Any) -> dict[str, Any]:
    return run_module(internal_certificate, check=check, **params(folder, **other))


def connect(folder: Path, name: str, certificate: str = "webui.pem") -> None:
    """A client that trusts only the authority connects to a server with the certificate."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / certificate)
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


def sign(folder: Path, name: str) -> Path:
    """A certificate for any name, as somebody makes it who stole the authority's key."""
    authority = x509.load_pem_x509_certificate((folder / "ca/ca.crt").read_bytes())
    key = serialization.load_pem_private_key((folder / "ca/ca.key").read_bytes(), None)
    path = folder / "stolen.pem"
    path.write_bytes(internal_certificate.make_certificate({"names": [name], "days": 2}, authority, key))
    return path


def verify(folder: Path, certificate: Path) -> str:
    """What openssl says of a certificate."""
    command = ["openssl", "verify", "-CAfile", str(folder / "ca/ca.crt"), str(certificate)]
    said = subprocess.run(command, capture_output=True, text=True)
    return (said.stdout + said.stderr).strip()


OURS = ["webui", "other.webui", "voice.local", "10.200.1.1", "fd12::1"]
STRANGE = ["www.example.com", "notwebui", "local.example.com", "11.1.2.3", "2001:db8::1"]


@pytest.mark.parametrize("name", OURS)
def test_the_authority_may_sign_for_the_names_and_networks_that_it_permits(tmp_path: Path, name: str) -> None:
    run(tmp_path)
    assert verify(tmp_path, sign(tmp_path, name)).endswith(": OK")
    connect(tmp_path, name, "stolen.pem")


@pytest.mark.parametrize("name", STRANGE)
def test_nobody_can_use_the_authority_for_another_site(tmp_path: Path, name: str) -> None:
    run(tmp_path)
    assert "permitted subtree violation" in verify(tmp_path, sign(tmp_path, name))
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        connect(tmp_path, name, "stolen.pem")


@pytest.mark.parametrize(("only", "strange"), [(["webui"], "10.1.2.3"), (["10.1.2.3"], "webui")])
def test_a_kind_of_name_that_nobody_permitted_is_shut(tmp_path: Path, only: list[str], strange: str) -> None:
    run(tmp_path, names=only, permitted=[])
    assert verify(tmp_path, tmp_path / "webui.pem").endswith(": OK")
    assert "subtree violation" in verify(tmp_path, sign(tmp_path, strange))


def test_the_constraints_are_critical_and_say_no_more_than_is_needed(tmp_path: Path) -> None:
    assert run(tmp_path)["permitted"] == [*PERMITTED, "webui"]
    authority = x509.load_pem_x509_certificate((tmp_path / "ca/ca.crt").read_bytes())
    assert authority.extensions.get_extension_for_class(x509.NameConstraints).critical


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("name", STRANGE)
def test_a_name_that_the_authority_does_not_permit_is_refused_with_the_way_out(
    tmp_path: Path, name: str, check: bool
) -> None:
    run(tmp_path)
    before = (tmp_path / "webui.pem").read_bytes()
    refused = run(tmp_path, names=[*NAMES, name], check=check)
    said = f"{tmp_path}/ca/ca.crt may not sign for {name} (it may for {', '.join(PERMITTED)}, webui)"
    assert said in refused["msg"] and "make ca-renew" in refused["msg"]
    assert (tmp_path / "webui.pem").read_bytes() == before


def unconstrained(folder: Path) -> None:
    """An authority of the time before it had name constraints."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        internal_certificate.builder("anklume.stt internal authority", None, key, 3650)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(internal_certificate.usage("key_cert_sign", "crl_sign"), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca").mkdir()
    (folder / "ca/ca.key").write_bytes(internal_certificate.private_pem(key))
    (folder / "ca/ca.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def test_names_that_were_found_are_in_it_where_the_authority_permits_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned: list[str] = []
    monkeypatch.setattr(internal_certificate.AnsibleModule, "warn", lambda _module, text: warned.append(text))
    run(tmp_path)
    assert run(tmp_path, found_names=["192.168.1.5", "den"])["changed"] is False
    assert "may not sign for 192.168.1.5, den, as this host is called now" in warned[0]
    assert run(tmp_path, found_names=["10.9.9.9", "den.local", "den"])["reason"] == "its names have changed"
    connect(tmp_path, "den.local")
    connect(tmp_path, "10.9.9.9")
    assert run(tmp_path, found_names=["10.9.9.9", "den.local", "den"])["changed"] is False
    assert run(tmp_path, check=True, found_names=["10.9.9.8", "den.local"])["reason"] == "its names have changed"


def test_an_authority_of_an_older_version_stays_and_goes_on_signing(tmp_path: Path) -> None:
    unconstrained(tmp_path)
    before = (tmp_path / "ca/ca.crt").read_bytes()
    result = run(tmp_path, names=["www.example.com"])
    assert (result["reason"], result["permitted"]) == ("there is none yet", [])
    assert (tmp_path / "ca/ca.crt").read_bytes() == before
    connect(tmp_path, "www.example.com")


def authority_alone(folder: Path, *, check: bool = False, **other: Any) -> dict[str, Any]:
    wanted = {"authority": str(folder / "ca"), "permitted": [*PERMITTED, "webui"], **other}
    return run_module(internal_certificate, check=check, **wanted)


def test_a_new_authority_takes_the_place_of_the_old_which_is_kept_beside(tmp_path: Path) -> None:
    old = run(tmp_path)
    files = {name: (tmp_path / "ca" / name).read_bytes() for name in ("ca.crt", "ca.key")}
    renewed = authority_alone(tmp_path, renew_authority=True)
    assert renewed["changed"] and renewed["fingerprint"] != old["fingerprint"]
    kept = Path(renewed["old_authority"])
    assert kept.name.startswith(f"ca-{datetime.date.today()}-")
    assert {name: (kept / name).read_bytes() for name in files} == files
    assert [oct(path.stat().st_mode & 0o777) for path in (kept, kept / "ca.key")] == ["0o700", "0o600"]

    assert run(tmp_path)["reason"] == "it is unreadable or from another authority"
    connect(tmp_path, "webui")
    assert run(tmp_path)["changed"] is False


def test_check_mode_renews_nothing(tmp_path: Path) -> None:
    old = run(tmp_path)
    said = authority_alone(tmp_path, renew_authority=True, check=True)
    assert (said["changed"], said["fingerprint"], said["old_authority"]) == (True, old["fingerprint"], "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca", "webui.pem"]


def test_a_renewal_that_was_cut_off_loses_nothing(tmp_path: Path) -> None:
    run(tmp_path)
    kept = internal_certificate.put_aside(tmp_path / "ca")
    assert (kept / "ca.crt").is_file()
    assert run(tmp_path)["changed"] is True
    connect(tmp_path, "webui")


def test_without_a_certificate_the_authority_alone_is_kept(tmp_path: Path) -> None:
    assert authority_alone(tmp_path)["reason"] == "there is none yet"
    again = authority_alone(tmp_path)
    assert (again["changed"], again["permitted"]) == (False, [*PERMITTED, "webui"])


def test_a_key_of_another_authority_is_told(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "ca/ca.key").write_bytes(internal_certificate.private_pem(ec.generate_private_key(ec.SECP256R1())))
    (tmp_path / "webui.pem").unlink()
    assert "ca/ca.key is not the key of" in run(tmp_path)["msg"]
