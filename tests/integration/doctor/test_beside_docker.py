# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role stt_compose warns of, on rulesets that nft itself has loaded, in a network namespace of their own."""

from __future__ import annotations

import subprocess

import pytest
from test_rulesets import BRIDGE, DOCKER, INCUS, UFW  # which names the folder of the collections

from ansible_collections.anklume.stt.plugins.module_utils._doctor.beside_docker import warnings  # isort: skip

CUT = "another program drops what the host forwards, and so cuts the instances of Incus at net-homelab (NET-03)"
PAST = "ufw is active here, and a port that Docker publishes goes past it"


def loaded(rules: str) -> list[str]:
    """The ruleset as nft prints it, and the interfaces as ip does, with a bridge of Incus."""
    bridge = "ip link add net-homelab type bridge; ip address add 10.100.3.254/24 dev net-homelab"
    script = f"nft -f - <<'END'\n{rules}\nEND\n{bridge}; nft -j -t list ruleset; echo ---; ip -j -4 address"
    command = ["unshare", "--net", "sh", "-ec", script]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("---\n")


@pytest.mark.parametrize(
    ("rules", "host", "said"),
    [
        ("", "0.0.0.0", []),
        (INCUS, "0.0.0.0", []),
        (DOCKER % "", "0.0.0.0", []),
        (INCUS + DOCKER % "", "0.0.0.0", [CUT]),
        (INCUS + DOCKER % BRIDGE, "0.0.0.0", []),
        (UFW % ("", ""), "0.0.0.0", [PAST]),
        (UFW % ("", ""), "127.0.0.1", []),
        (UFW % ("", ""), "::1", []),
        (UFW % ("", ""), "localhost", []),
        (UFW % ("", ""), "attic.lan", [PAST]),
        (INCUS + UFW % (BRIDGE, ""), "192.168.1.20", [PAST, CUT]),
    ],
)
def test_a_host_with_docker(rules: str, host: str, said: list[str]) -> None:
    found = list(warnings(*loaded(rules), host))
    assert len(found) == len(said) and all(one.startswith(two) for one, two in zip(found, said, strict=True))


def test_it_names_what_mends_it() -> None:
    (said,) = warnings(*loaded(INCUS + DOCKER % ""), "0.0.0.0")
    assert "iptables -I DOCKER-USER -i net-homelab -j ACCEPT; iptables -I DOCKER-USER -o net-homelab" in said


def test_where_nothing_is_known_nothing_is_said() -> None:
    assert list(warnings("", "", "0.0.0.0")) == []
