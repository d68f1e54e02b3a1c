# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The doctor's rules of the network on rulesets that nft itself has loaded, in a network namespace of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / ".cache" / "collections"))

from ansible_collections.anklume.stt.plugins.module_utils._doctor.catalogue import RULES  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._doctor.examine import examine  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._doctor.snapshot import (  # noqa: E402
    INCUS_HOST,
    Said,
    Snapshot,
)

NETWORKS = json.dumps([{"name": "net-homelab", "address": "10.100.3.254/24", "dns": "managed"}])
INCUS = """
table inet incus {
  chain fwd.net-homelab { type filter hook forward priority filter; policy accept; iifname "net-homelab" accept; }
  chain in.net-homelab { type filter hook input priority filter; policy accept; udp dport 67 accept; }
}
"""
DOCKER = """
table ip filter {
  chain DOCKER-USER { %s counter return; }
  chain DOCKER { ip daddr 172.17.0.2 iifname != "docker0" oifname "docker0" tcp dport 80 accept; }
  chain FORWARD {
    type filter hook forward priority filter; policy drop;
    jump DOCKER-USER;
    oifname "docker0" ct state established,related accept;
    oifname "docker0" jump DOCKER;
    iifname "docker0" oifname != "docker0" accept;
  }
}
"""
UFW = """
table ip filter {
  chain ufw-user-limit-accept { accept; }
  chain ufw-user-input { tcp dport 22 accept; %s }
  chain ufw-user-forward { %s }
  chain ufw-before-input { iifname "lo" accept; ct state related,established accept; icmp type echo-request accept; }
  chain INPUT {
    type filter hook input priority filter; policy drop;
    jump ufw-before-input;
    jump ufw-user-input;
  }
  chain FORWARD {
    type filter hook forward priority filter; policy drop;
    ct state related,established accept;
    jump ufw-user-forward;
  }
}
"""
OWN = """
table inet mine {
  set inside { type ifname; elements = { "lo" } }
  chain input {
    type filter hook input priority filter; policy drop;
    ct state established,related accept;
    iifname { "lo", "eth1" } accept;
    tcp dport { 22, 443 } accept;
    %s
  }
}
"""
BRIDGE = 'iifname "net-homelab" accept;'


def codes(rules: str) -> list[str]:
    """What the doctor says of a host with these rules."""
    script = f"nft -f - <<'END'\n{rules}\nEND\nnft -j -t list ruleset"
    done = subprocess.run(["unshare", "--net", "sh", "-ec", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = {"nft": Said("nft", done.stdout), "networks": Said("n", NETWORKS), "firewall": Said("f", "nftables")}
    return [finding.rule.code for finding in examine(RULES, [Snapshot("localhost", INCUS_HOST, said)])]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (INCUS, []),
        ("", ["NET-02"]),
        (INCUS + DOCKER % "", ["NET-03"]),
        (INCUS + DOCKER % 'iifname "net-other" accept;', ["NET-03"]),
        (INCUS + DOCKER % BRIDGE, []),
        (INCUS + DOCKER % 'iifname "net-*" accept;', []),
        (INCUS + DOCKER % "ip saddr 10.100.0.0/16 accept;", []),
        (INCUS + DOCKER % "accept;", []),
        (INCUS + UFW % ("", ""), ["NET-04"]),
        (INCUS + UFW % (BRIDGE, ""), ["NET-04"]),
        (INCUS + UFW % (BRIDGE, BRIDGE), []),
        (INCUS + OWN % "", ["NET-08"]),
        (INCUS + OWN % BRIDGE, []),
        (INCUS + OWN % "ip saddr 10.100.3.0/24 accept;", []),
        (INCUS + OWN % 'iifname != "eth0" accept;', []),
    ],
)
def test_a_ruleset(rules: str, expected: list[str]) -> None:
    assert codes(rules) == expected
