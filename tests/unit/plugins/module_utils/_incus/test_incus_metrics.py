# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Incus tells its numbers and to whom: what is asked of it, what is left as it is, and what is refused."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus.metrics import Reader, changes
from conftest import self_signed

ADDRESS = ":8444"


@pytest.fixture
def pem(tmp_path: Path) -> str:
    text = self_signed(tmp_path / "monitor.pem", -1, 9).read_text()
    end = "-----END CERTIFICATE-----\n"
    return text[: text.index(end) + len(end)]


def asked(address: str, certificates: list[dict[str, Any]], reader: Reader) -> list[tuple[str, str]]:
    server = {"config": {"core.metrics_address": address} if address else {}}
    return [(change.method, change.path) for change in changes(server, certificates, reader)]


def trusted(pem: str, **more: Any) -> dict[str, Any]:
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    kept = {"name": "monitor", "type": "metrics", "restricted": True, "projects": ["home"], "fingerprint": fingerprint}
    return kept | more


def test_an_incus_that_tells_nobody_anything(pem: str) -> None:
    reader = Reader("monitor", ADDRESS, pem, ("home",))
    address, trust = changes({"config": {}}, [], reader)
    assert address.body == {"config": {"core.metrics_address": ADDRESS}}
    assert (trust.method, trust.path) == ("POST", "/1.0/certificates")
    # it opens nothing but the numbers, and shows the projects of the monitor alone
    assert {key: trust.body[key] for key in ("type", "restricted", "projects")} == {
        "type": "metrics",
        "restricted": True,
        "projects": ["home"],
    }
    assert "BEGIN" not in trust.body["certificate"]


def test_the_second_run_changes_nothing(pem: str) -> None:
    other = trusted(pem, name="somebody", fingerprint="1" * 64)
    assert asked(ADDRESS, [trusted(pem), other], Reader("monitor", ADDRESS, pem, ("home",))) == []


def test_what_differs_is_mended(pem: str) -> None:
    found = trusted(pem)
    path = f"/1.0/certificates/{found['fingerprint']}"
    two = Reader("monitor", ADDRESS, pem, ("home", "office"))
    assert asked(ADDRESS, [found], two) == [("PATCH", path)]
    assert asked(ADDRESS, [trusted(pem, restricted=False)], Reader("monitor", ADDRESS, pem, ("home",))) == [
        ("PATCH", path)
    ]
    old = trusted(pem, fingerprint="0" * 64)
    assert asked(ADDRESS, [old], two) == [("DELETE", f"/1.0/certificates/{'0' * 64}"), ("POST", "/1.0/certificates")]


def test_an_address_of_somebody_else_is_left_alone(pem: str) -> None:
    with pytest.raises(IncusError, match=r"at :9999 already, to somebody else"):
        asked(":9999", [], Reader("monitor", ADDRESS, pem, ("home",)))
    assert asked(":9999", [trusted(pem)], Reader("monitor", ADDRESS)) == [
        ("DELETE", f"/1.0/certificates/{trusted(pem)['fingerprint']}")
    ]


def test_it_is_taken_back(pem: str) -> None:
    gone = Reader("monitor", ADDRESS)
    path = f"/1.0/certificates/{trusted(pem)['fingerprint']}"
    assert asked(ADDRESS, [trusted(pem)], gone) == [("DELETE", path), ("PATCH", "/1.0")]
    # an address that was there before, for others
    assert asked(ADDRESS, [], gone) == asked("", [], gone) == []
