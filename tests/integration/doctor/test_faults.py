# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of an Incus host, made on a real one: the doctor names each, and its fix, run as it stands, mends it.

The table in docs/reference/doctor.md is written by these tests; with WRITE_DOCS=1 it is written anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / ".cache" / "collections"))

from ansible_collections.anklume.stt.plugins.module_utils._doctor.catalogue import RULES  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._doctor.examine import Finding, examine  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._doctor.snapshot import read  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not os.environ.get("ANKLUME_TEST_LONG"), reason="minutes long: make test-long"),
    pytest.mark.timeout(900),
]

PAGE = ROOT / "docs/reference/doctor.md"
BEGIN, END = "<!-- tried: written by tests/integration/doctor/test_faults.py -->\n", "<!-- tried: end -->\n"
INNER = {"host": "inner", "instance": "inner", "project": "default"}
BRIDGE = "10.78.0.1"
# What goes wrong for people, each with a time limit: the fault is real where it fails, and mended where it does not.
OUT = "timeout 10 incus exec inner -- bash -c 'exec 3<>/dev/tcp/{gateway}/53'"
NAMES = f"timeout 10 incus exec inner -- bash -c 'exec 3<>/dev/tcp/{BRIDGE}/53'"
LEASE = (
    "incus restart inner --force; timeout 30 bash -c 'until incus list inner -c 4 -f csv | grep -q 10.78.0; do sleep 1;"
    " done'"
)
STARTS = "incus restart inner --force"
LARGE = (
    "incus restart inner --force; test $(incus exec inner -- cat /sys/class/net/eth0/mtu) -le"
    " $(cat /sys/class/net/eth0/mtu)"
)
# Debian tells its dnsmasq, in a file of the package of Incus, to leave the bridge alone
ON_THE_BRIDGE = (
    "mv /etc/dnsmasq.d/incus /root; printf 'interface=incusbr0\\nbind-interfaces\\n' >/etc/dnsmasq.d/theirs.conf"
)
OFF_THE_BRIDGE = "systemctl stop dnsmasq; rm /etc/dnsmasq.d/theirs.conf; mv /root/incus /etc/dnsmasq.d"
# as the bridge has it; the way out of the container that stands for the host may take less
WAY_OUT = "ip link set eth0 mtu 1500"


@dataclass(frozen=True)
class Fault:
    """Something that is done to a host."""

    what: str
    code: str
    inject: str
    symptom: str
    """A script that fails while the fault is there."""
    undo: str = "true"
    """What the fix leaves of it."""
    about: str = "localhost"


FAULTS = (
    Fault("`net.ipv4.ip_forward` is 0", "NET-01", "sysctl -qw net.ipv4.ip_forward=0", OUT),
    Fault("`nft flush ruleset`", "NET-02", "nft flush ruleset", OUT),
    Fault(
        "Docker's chain FORWARD drops",
        "NET-03",
        "iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER; iptables -P FORWARD DROP",
        OUT,
        "iptables -P FORWARD ACCEPT; iptables -F; iptables -X DOCKER-USER",
    ),
    Fault(
        "ufw is turned on",
        "NET-04",
        "ufw --force enable",
        LEASE,
        "ufw --force reset; iptables -F; iptables -X; iptables -P INPUT ACCEPT; iptables -P FORWARD ACCEPT",
    ),
    Fault(
        "firewalld is started",
        "NET-05",
        "systemctl start firewalld",
        LEASE,
        "systemctl stop firewalld; systemctl restart incus",
    ),
    Fault("the bridge's dnsmasq is killed", "NET-06", "pkill -KILL -x dnsmasq; sleep 1", NAMES),
    Fault(
        "the way out takes packets of 1,300 bytes",
        "NET-07",
        "ip link set eth0 mtu 1300; incus network set incusbr0 bridge.mtu=1500",
        LARGE,
        f"incus network unset incusbr0 bridge.mtu; {WAY_OUT}",
    ),
    Fault(
        "a firewall of one's own drops what comes in",
        "NET-08",
        "nft 'table inet mine { chain input { type filter hook input priority filter; policy drop;"
        ' iifname { "lo", "eth0" } accept; ct state established,related accept; }; }\'',
        LEASE,
        "nft delete table inet mine",
    ),
    Fault("the bridge is taken down", "NET-09", "ip link set incusbr0 down", OUT),
    Fault("the bridge's address is taken away", "NET-09", "ip addr flush dev incusbr0", OUT),
    Fault(
        "Incus's chain that translates addresses is deleted",
        "NET-02",
        "nft delete chain inet incus pstrt.incusbr0",
        OUT,
    ),
    Fault(
        "another dnsmasq has taken the port of the bridge's",
        "INC-07",
        f"pkill -KILL -x dnsmasq; sleep 1; {ON_THE_BRIDGE}; systemctl start dnsmasq",
        LEASE,
        OFF_THE_BRIDGE,
    ),
    Fault("the daemon is stopped", "INC-01", "systemctl stop incus.socket incus", "timeout 10 incus list"),
    Fault(
        "root has no range in /etc/subuid",
        "INC-03",
        "cp /etc/subuid /tmp; : >/etc/subuid; systemctl restart incus",
        STARTS,
        "mv /tmp/subuid /etc/subuid; echo root:1000000:500000000 >/etc/subgid; systemctl restart incus",
    ),
    Fault("an instance is stopped", "INC-04", "incus stop inner --force", "incus exec inner -- true", about="inner"),
    Fault("an instance is paused", "INC-04", "incus pause inner", "timeout 10 incus exec inner -- true", about="inner"),
    Fault(
        "an instance's own network service is stopped",
        "INC-08",
        "incus exec inner -- sh -c 'systemctl stop systemd-networkd.socket systemd-networkd; ip addr flush dev eth0';"
        " sleep 65",
        f'timeout 30 bash -c "until {NAMES}; do sleep 1; done"',
        about="inner",
    ),
    Fault(
        "a folder that an instance mounts is gone",
        "DSK-04",
        "mkdir /srv/shared; incus config device add inner shared disk source=/srv/shared path=/mnt;"
        " incus stop inner --force; rmdir /srv/shared",
        "incus exec inner -- true",
        "incus config device remove inner shared",
        about="inner",
    ),
)


@pytest.fixture(scope="module")
def host(nested: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An Incus host with one container, and what breaks it."""
    made = nested("anklume-test-doctor")
    made("apt-get -qq install -y --no-install-recommends iptables nftables ufw firewalld procps dnsmasq")
    made("systemctl disable --now -q firewalld ufw nftables dnsmasq; ufw --force disable; true")
    folder = tmp_path_factory.mktemp("host")
    done = made.play(folder, "incus_host", incus_host_bridge_address=f"{BRIDGE}/24")
    assert done.status == 0, done.output
    made("incus launch debian/13 inner --quiet")
    made(LEASE)
    made(WAY_OUT)
    return made


@pytest.fixture(scope="module")
def gateway(host: Any) -> str:
    """What answers beyond the host."""
    return str(host("ip -4 route show default | awk '{print $3}'"))


@pytest.fixture
def doctor(host: Any, tmp_path: Path) -> Callable[[], list[Finding]]:
    """What the doctor finds on the host."""

    asked = {"host": "localhost", "kind": "incus_host", "instances": [INNER]}
    keep = {"content": "{{ seen | to_json }}", "dest": str(tmp_path / "seen.json"), "mode": "0600"}
    tasks = [
        {"anklume.stt.doctor_info": asked, "register": "seen"},
        {"ansible.builtin.copy": keep, "delegate_to": "localhost", "connection": "local"},
    ]
    tmp_path.joinpath("look.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))

    def ask() -> list[Finding]:
        command = ["ansible-playbook", "-i", host.inventory(tmp_path), tmp_path / "look.yml"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stdout
        return examine(RULES, [read(json.loads(tmp_path.joinpath("seen.json").read_text()), {})])

    return ask


def told(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(one.rule.code, one.host) for one in findings]


ACCEPTED = "iifname incusbr0 accept;"
HEALTHY = {
    "nothing else": ("true", "true"),
    "Docker that lets the bridge through": (
        "iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER; iptables -P FORWARD DROP;"
        " iptables -A DOCKER-USER -i incusbr0 -j ACCEPT; iptables -A DOCKER-USER -o incusbr0 -j ACCEPT",
        "iptables -P FORWARD ACCEPT; iptables -F; iptables -X DOCKER-USER",
    ),
    "ufw with the rules": (
        "ufw --force enable; ufw allow in on incusbr0; ufw route allow in on incusbr0; ufw route allow out on incusbr0",
        "ufw --force reset; iptables -F; iptables -X; iptables -P INPUT ACCEPT; iptables -P FORWARD ACCEPT",
    ),
    "rules of one's own that accept the bridge": (
        "nft 'table inet mine { chain input { type filter hook input priority filter; policy drop;"
        f' iifname {{ "lo", "eth0" }} accept; ct state established,related accept; {ACCEPTED} }}; }};\'',
        "nft delete table inet mine",
    ),
    # as Debian 13 sets it up it serves the host alone, and is in nobody's way
    "Debian's own dnsmasq": ("systemctl start dnsmasq; systemctl restart incus", "systemctl stop dnsmasq"),
    "another bridge, of Incus and not": (
        "incus network create theirs ipv4.address=10.79.0.1/24; ip link add others0 type bridge",
        "incus network delete theirs; ip link delete others0",
    ),
    "a machine of somebody else that does not run": ("incus init --empty theirs", "incus delete theirs"),
}


@pytest.fixture
def variant(host: Any, request: pytest.FixtureRequest) -> Iterator[None]:
    done, undone = HEALTHY[request.param]
    host(done)
    yield
    host(undone)


@pytest.mark.parametrize("variant", list(HEALTHY), indirect=True)
def test_a_healthy_host_has_no_finding(
    variant: None, host: Any, gateway: str, doctor: Callable[[], list[Finding]]
) -> None:
    assert told(doctor()) == []
    host(OUT.replace("{gateway}", gateway))
    host(LEASE)


@pytest.fixture
def broken(host: Any, request: pytest.FixtureRequest) -> Iterator[Fault]:
    fault: Fault = request.param
    host(fault.inject)
    yield fault
    host(fault.undo)
    host("timeout 30 bash -c 'until incus list >/dev/null; do sleep 1; done'; incus start inner 2>/dev/null || true")


@pytest.mark.parametrize("broken", FAULTS, indirect=True, ids=lambda fault: f"{fault.code}-{fault.what}")
def test_a_fault_is_named_and_mended(
    broken: Fault, host: Any, gateway: str, doctor: Callable[[], list[Finding]]
) -> None:
    symptom = broken.symptom.replace("{gateway}", gateway)
    found = doctor()
    assert told(found) == [(broken.code, broken.about)]
    assert host.run(symptom).returncode != 0, "nothing is wrong"
    for command in found[0].fix:
        host.run(command)  # some only show something
    host("timeout 30 bash -c 'until incus list >/dev/null; do sleep 1; done'")
    host(symptom)
    assert told(doctor()) == []


def test_the_table_in_the_docs_says_so() -> None:
    lines = ["| done to the host | found | mended by |", "|---|---|---|"]
    fixes = {rule.code: rule.fix for rule in RULES}
    for fault in FAULTS:
        commands = "; ".join(f"`{command}`" for command in fixes[fault.code])
        lines.append(f"| {fault.what} | [{fault.code}](#{fault.code.lower()}) | {commands} |")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    table, end, after = rest.partition(END)
    assert end, "the page has lost the marks of the table"
    written = "\n".join(lines) + "\n"
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(before + BEGIN + written + END + after)
    else:
        assert table == written
