# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Isolation and policies, with packets: what no policy opens does not pass, and what one opens is all it opens."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Lab

SERVER = r"""
use IO::Socket::INET; use IO::Select;
my %tcp; my $all = IO::Select->new;
for my $port (8000, 8001) {
  my $t = IO::Socket::INET->new(LocalPort => $port, Listen => 9, ReuseAddr => 1, Proto => "tcp") or die $!;
  my $u = IO::Socket::INET->new(LocalPort => $port, Proto => "udp") or die $!;
  $tcp{fileno $t} = 1; $all->add($t, $u);
}
while (1) { for my $s ($all->can_read) {
  if ($tcp{fileno $s}) { my $c = $s->accept; print $c "hello\n"; close $c }
  else { $s->recv(my $data, 9); $s->send("hello\n") }
} }
"""

CLIENT = r"""
use IO::Socket::INET; use IO::Select;
my ($proto, $address, $port) = @ARGV;
my $s = IO::Socket::INET->new(PeerAddr => $address, PeerPort => $port, Proto => $proto, Timeout => 2) or exit 1;
$s->send("x") if $proto eq "udp";
IO::Select->new($s)->can_read(2) or exit 1;
$s->recv(my $data, 9);
exit($data =~ /hello/ ? 0 : 1);
"""

A, B = "10.178.1.10", "10.178.2.10"


def machine(ip: str) -> dict[str, Any]:
    return {"ip": ip}


@pytest.fixture(scope="module")
def two(lab: Lab) -> Lab:
    lab.infra["domains"] = {
        "it-a": {"subnet_id": 1, "machines": {"it-a1": machine(A), "it-a2": machine("10.178.1.11")}},
        "it-b": {"subnet_id": 2, "machines": {"it-b1": machine(B)}},
    }
    lab.apply()
    for name, domain in (("it-a1", "it-a"), ("it-b1", "it-b")):
        lab.run(name, f"cat >/root/server.pl <<'E'\n{SERVER}\nE\ncat >/root/client.pl <<'E'\n{CLIENT}\nE", domain)
        lab.run(name, "systemd-run -q perl /root/server.pl", domain)
    lab.run("it-a2", f"cat >/root/client.pl <<'E'\n{CLIENT}\nE")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not all(host_reaches(address, 8001) for address in (A, B)):
        time.sleep(0.2)
    return lab


@pytest.fixture(scope="module")
def host_port() -> Iterator[int]:
    """A service of the host, on all its addresses."""
    with socket.create_server(("0.0.0.0", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    server.accept()[0].sendall(b"hello\n")
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def host_reaches(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=2) as connection:
            return connection.recv(9) == b"hello\n"
    except OSError:
        return False


def reaches(lab: Lab, name: str, address: str, port: int, proto: str = "tcp") -> bool:
    return lab.run(name, f"perl /root/client.pl {proto} {address} {port}", name[:4], ok=False) == "0"


def pings(lab: Lab, name: str, address: str) -> bool:
    return lab.run(name, f"ping -c1 -W1 {address}", name[:4], ok=False) == "0"


def with_policies(lab: Lab, *policies: dict[str, Any]) -> None:
    lab.infra["network_policies"] = list(policies)
    lab.apply()
    lab.unchanged()


def test_between_domains_nothing_passes(two: Lab) -> None:
    with_policies(two)
    for proto in ("tcp", "udp"):
        assert not reaches(two, "it-a1", B, 8000, proto)
        assert not reaches(two, "it-b1", A, 8000, proto)
    assert not pings(two, "it-a1", B)
    assert reaches(two, "it-a2", A, 8000)  # its own domain
    assert reaches(two, "it-a2", "it-a1", 8000)  # by name
    assert host_reaches(A, 8000)


def test_nobody_speaks_with_another_s_address(two: Lab) -> None:
    two.run("it-a2", f"ip addr add {A}/32 dev lo")
    script = f"ping -c1 -W1 -I {A} 10.178.1.254"
    assert two.run("it-a2", script, ok=False) != "0"
    two.run("it-a2", f"ip addr del {A}/32 dev lo")


def test_a_policy_opens_its_port_in_its_direction_to_its_machine(two: Lab) -> None:
    policy = {"from": "it-a1", "to": "it-b1", "ports": [8000], "protocol": "tcp"}
    with_policies(two, policy)
    assert reaches(two, "it-a1", B, 8000)
    assert not reaches(two, "it-a1", B, 8001)
    assert not reaches(two, "it-a1", B, 8000, "udp")
    assert not reaches(two, "it-a2", B, 8000)
    assert not reaches(two, "it-b1", A, 8000)
    assert not pings(two, "it-a1", B)
    with_policies(two, {**policy, "from": "it-a", "protocol": "udp"})
    assert reaches(two, "it-a2", B, 8000, "udp")
    assert not reaches(two, "it-a1", B, 8000)
    with_policies(two)
    assert not reaches(two, "it-a1", B, 8000, "udp")


def test_everything_both_ways(two: Lab) -> None:
    with_policies(two, {"from": "it-a", "to": "it-b", "ports": "all", "bidirectional": True})
    assert reaches(two, "it-a2", B, 8001)
    assert reaches(two, "it-b1", A, 8000)
    with_policies(two)
    assert not reaches(two, "it-b1", A, 8000)


def test_the_host_is_closed_but_for_what_a_policy_opens(two: Lab, host_port: int) -> None:
    with_policies(two)
    addresses = ("10.178.1.254", "10.178.2.254")
    for address in addresses:
        assert not reaches(two, "it-a1", address, host_port)
    with_policies(two, {"from": "it-a1", "to": "host", "ports": [host_port]})
    assert reaches(two, "it-a1", addresses[0], host_port)
    assert not reaches(two, "it-a2", addresses[0], host_port)
    assert not reaches(two, "it-b1", addresses[1], host_port)
    with_policies(two)
    assert not reaches(two, "it-a1", addresses[0], host_port)
