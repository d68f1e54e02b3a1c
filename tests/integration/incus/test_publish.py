# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`publish` and the endpoints lan and internet, with packets from a network namespace that stands for a phone."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.lookup.lan_names import LookupModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError, InfraError
from ansible_collections.anklume.stt.plugins.module_utils._incus.host_reader import LocalHost
from ansible_collections.anklume.stt.plugins.module_utils._incus.observe import observe
from ansible_collections.anklume.stt.plugins.module_utils._services.names import found_names
from conftest import LONG, ROOT, Lab
from lan import computer, ip, network

LAN, HOME, PHONE = "it-lan", "172.30.178.1", "172.30.178.50"
MOVED = "172.30.178.2"
VPN_HOME, VPN_PHONE = "172.30.179.1", "172.30.179.50"
A, B = "10.178.1.10", "10.178.2.10"
KILLS = 20 if LONG else 2

SERVER = r"""
use IO::Socket::INET; use IO::Select;
my %tcp; my $all = IO::Select->new;
for my $port (8000, 8001) {
  my $t = IO::Socket::INET->new(LocalPort => $port, Listen => 9, ReuseAddr => 1, Proto => "tcp") or die $!;
  my $u = IO::Socket::INET->new(LocalPort => $port, Proto => "udp") or die $!;
  $tcp{fileno $t} = 1; $all->add($t, $u);
}
my $me = `hostname`; chomp $me;
while (1) { for my $s ($all->can_read) {
  if ($tcp{fileno $s}) { my $c = $s->accept; print $c "$me sees ".$c->peerhost; close $c }
  else { $s->recv(my $data, 9); $s->send("$me sees ".$s->peerhost) }
} }
"""

UNIT = """serve.service <<'E'
[Service]
ExecStart=perl /root/server.pl
[Install]
WantedBy=multi-user.target
E"""

CLIENT = """
import socket, sys
protocol, source, address, port = sys.argv[1:]
with socket.socket(type=socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM) as client:
    client.settimeout(2)
    client.bind((source, 0))
    try:
        client.connect((address, int(port)))
        client.send(b"x")
        print(client.recv(99).decode())
    except OSError:
        print("nothing")
"""


@pytest.fixture(scope="module")
def home() -> Iterator[None]:
    """A bridge that stands for the host's network at home, and a phone in it that sends the host what is elsewhere."""
    addresses = (f"{PHONE}/24", f"{VPN_PHONE}/24")
    with network(LAN, f"{HOME}/24", f"{VPN_HOME}/24"), computer("it-phone", LAN, *addresses, gateway=HOME):
        yield


def phone(address: str, port: int, protocol: str = "tcp", source: str = PHONE) -> str:
    """What the phone hears at a port."""
    command = ["ip", "netns", "exec", "it-phone", sys.executable, "-c", CLIENT, protocol, source, address, str(port)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def hears(machine: str, source: str = PHONE) -> str:
    return f"{machine} sees {source}"


@pytest.fixture(scope="module")
def two(lab: Lab, home: None) -> Lab:
    lab.infra["global"]["lan"] = {"networks": ["172.30.178.0/24"]}
    lab.infra["domains"] = {
        "it-a": {"subnet_id": 1, "machines": {"it-a1": {"ip": A}}},
        "it-b": {"subnet_id": 2, "machines": {"it-b1": {"ip": B}}},
    }
    lab.apply()
    for name, domain in (("it-a1", "it-a"), ("it-b1", "it-b")):
        lab.run(name, f"cat >/root/server.pl <<'E'\n{SERVER}\nE\ncat >/etc/systemd/system/{UNIT}", domain)
        lab.run(name, "systemctl -q enable --now serve", domain)
    assert eventually(lambda: all(from_host(address, 8001) for address in (A, B)))
    return lab


def eventually(true: Any) -> bool:
    deadline = time.monotonic() + 15
    while not (done := true()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return bool(done)


def from_host(address: str, port: int) -> str:
    try:
        with socket.create_connection((address, port), timeout=2) as connection:
            return connection.recv(99).decode()
    except OSError:
        return ""


def test_a_name_is_known_in_its_domain_alone(two: Lab) -> None:
    assert two.run("it-a1", "getent hosts it-a1.incus").split()[0] == A
    assert two.run("it-b1", "getent hosts it-b1.incus", "it-b").split()[0] == B
    assert two.run("it-b1", "getent hosts it-a1 || getent hosts it-a1.incus", "it-b", ok=False) == "2"


def publish(lab: Lab, name: str, *entries: Any, **options: Any) -> dict[str, Any]:
    machines = lab.infra["domains"][name[:4]]["machines"]
    machines[name] = {key: value for key, value in machines[name].items() if key != "publish"}
    if entries:
        machines[name]["publish"] = list(entries)
    return lab.apply(**options)


NAMES = found_names(socket.gethostname(), [])


def lan_names(lab: Lab) -> list[str]:
    """Under which names the host is in the certificate."""
    return LookupModule().run([str(lab.folder)])


def test_without_publish_nothing_answers(two: Lab) -> None:
    assert lan_names(two) == []
    for address in (HOME, A, B):
        for port in (8000, 8443):
            assert phone(address, port) == "nothing"


def test_a_published_port_answers_and_sees_the_client_s_own_address(two: Lab) -> None:
    result = publish(two, "it-a1", "8443:8000")
    assert result["published"] == [
        {"address": HOME, "port": 8443, "protocol": "tcp", "machine": "it-a1", "to": 8000, "from": ["lan"]}
    ]
    assert phone(HOME, 8443) == hears("it-a1")
    two.unchanged()
    for address, port in ((HOME, 8000), (HOME, 8001), (A, 8001), (B, 8000)):
        assert phone(address, port) == "nothing"
    assert phone(HOME, 8443, "udp") == "nothing"
    assert phone(HOME, 8443, source=VPN_PHONE) == "nothing"  # not lan
    assert from_host(HOME, 8443) == hears("it-a1", HOME)
    # the machine itself comes back from its gateway; another domain is as closed as before
    script = f"timeout 3 bash -c 'cat </dev/tcp/{HOME}/8443'"
    assert two.run("it-a1", script) == hears("it-a1", "10.178.1.254")
    assert two.run("it-b1", script, "it-b", ok=False) != "0"


def test_for_whom_a_port_is(two: Lab) -> None:
    publish(two, "it-a1", {"port": 8443, "to": 8000, "from": "172.30.179.0/24"})
    assert phone(HOME, 8443) == "nothing"
    assert phone(HOME, 8443, source=VPN_PHONE) == hears("it-a1", VPN_PHONE)
    publish(two, "it-a1", {"port": 8443, "to": 8000, "from": ["lan", VPN_PHONE]})
    assert phone(HOME, 8443) == hears("it-a1")
    assert phone(HOME, 8443, source=VPN_PHONE) == hears("it-a1", VPN_PHONE)
    publish(two, "it-a1", {"port": 8000, "from": "any"}, {"port": 53000, "to": 8001, "protocol": "udp"})
    assert phone(HOME, 8443) == "nothing"
    assert phone(HOME, 8000, source=VPN_PHONE) == hears("it-a1", VPN_PHONE)
    assert phone(HOME, 53000, "udp") == hears("it-a1")
    assert phone(HOME, 53000) == "nothing"
    script = f"timeout 3 bash -c 'cat </dev/tcp/{HOME}/8000'"
    assert two.run("it-b1", script, "it-b", ok=False) != "0"
    two.unchanged()


def test_two_machines_publish_at_one_address_and_a_port_moves(two: Lab) -> None:
    publish(two, "it-a1", "8443:8000")
    publish(two, "it-b1", "8444:8000")
    assert [phone(HOME, 8443), phone(HOME, 8444)] == [hears("it-a1"), hears("it-b1")]
    two.infra["domains"]["it-a"]["machines"]["it-a1"]["publish"] = ["8444:8000"]
    publish(two, "it-b1", "8443:8000")
    assert [phone(HOME, 8443), phone(HOME, 8444)] == [hears("it-b1"), hears("it-a1")]
    two.unchanged()
    publish(two, "it-b1")
    assert [phone(HOME, 8443), phone(HOME, 8444)] == ["nothing", hears("it-a1")]
    two.unchanged()


def test_another_address_of_the_host_is_seen_by_plan(two: Lab) -> None:
    publish(two, "it-a1", "8443:8000")
    assert lan_names(two) == [HOME, *NAMES]
    ip("addr", "del", f"{HOME}/24", "dev", LAN)
    assert lan_names(two) == NAMES  # as on a laptop that is in no network now
    ip("addr", "add", f"{MOVED}/24", "dev", LAN)
    assert lan_names(two) == [MOVED, *NAMES]
    try:
        result = two.apply(check=True)
        changes = {change["path"]: change for step in result["plan"] for change in step["changes"]}
        listen = changes["devices/publish-tcp-8443/listen"]
        assert (listen["before"], listen["after"]) == (f"tcp:{HOME}:8443", f"tcp:{MOVED}:8443")
        two.apply()
        assert phone(MOVED, 8443) == hears("it-a1")
        two.unchanged()
    finally:
        ip("addr", "del", f"{MOVED}/24", "dev", LAN)
        ip("addr", "add", f"{HOME}/24", "dev", LAN)
    two.apply()
    assert phone(HOME, 8443) == hears("it-a1")


def test_a_named_address_that_the_host_does_not_have_is_refused(two: Lab) -> None:
    lan = two.infra["global"]["lan"]
    two.infra["global"]["lan"] = {"addresses": [MOVED]}
    with pytest.raises(InfraError, match=f"global.lan: this host has no address {MOVED}; it has .*{HOME}"):
        two.apply(check=True)
    two.infra["global"]["lan"] = {"addresses": [HOME]}
    assert not two.apply(check=True)["changed"]  # its network is found
    two.infra["global"]["lan"] = lan


def test_the_network_behind_a_default_route_is_lan(two: Lab) -> None:
    ip("route", "add", "default", "via", PHONE, "dev", LAN, "metric", "4242")
    found = observe(two.client, LocalHost())[1].lan
    ip("route", "del", "default", "via", PHONE, "dev", LAN, "metric", "4242")
    assert f"{HOME}/24" in map(str, found)
    assert not [one for one in map(str, found) if one.startswith(("10.178.", "127."))]
    assert f"{HOME}/24" not in map(str, observe(two.client, LocalHost())[1].lan)


def test_a_port_that_is_taken_is_refused_with_its_owner(two: Lab) -> None:
    publish(two, "it-a1", "8443:8000")
    where = r"infra\.yml:\d+:\d+: port 8500 of 172\.30\.178\.1 is taken"
    for address in ("0.0.0.0", HOME):
        with socket.create_server((address, 8500)):
            with pytest.raises(IncusError, match=rf"{where} on this host by \S+ \(pid \d+\): stop it there"):
                publish(two, "it-a1", "8500:8000")
            assert two.transport.writes == []
    with socket.create_server(("127.0.0.1", 8500)):  # out of the way
        publish(two, "it-a1", "8500:8000", check=True)
    web = {"type": "proxy", "listen": f"tcp:{HOME}:8500", "connect": f"tcp:{B}:8000", "nat": "true"}
    two.client.send("PATCH", "/1.0/instances/it-b1?project=it-b", {"devices": {"web": web}})
    with pytest.raises(IncusError, match=rf"{where} by device web of instance it-b1 in it-b: remove that"):
        publish(two, "it-a1", "8500:8000")
    assert two.transport.writes == []
    body = two.instance("it-b1", "it-b")
    del body["devices"]["web"]
    two.client.send("PUT", "/1.0/instances/it-b1?project=it-b", body)
    publish(two, "it-a1", "8443:8000")
    two.unchanged()


def test_published_machines_exchange_their_addresses(two: Lab) -> None:
    machines = two.infra["domains"]["it-a"]["machines"]
    machines["it-a2"] = {"ip": "10.178.1.11", "ephemeral": True, "publish": ["8445:8000"]}
    publish(two, "it-a1", "8443:8000")
    machines["it-a1"]["ip"], machines["it-a2"]["ip"] = machines["it-a2"]["ip"], A
    two.apply()
    assert eventually(lambda: phone(HOME, 8443) == hears("it-a1"))
    two.unchanged()
    machines["it-a1"]["ip"] = A
    del machines["it-a2"]  # the stale one has the address and its own port
    two.apply(prune=True)
    assert eventually(lambda: phone(HOME, 8443) == hears("it-a1"))
    assert phone(HOME, 8445) == "nothing"
    two.unchanged()


def test_what_is_no_longer_published_is_shut(two: Lab) -> None:
    publish(two, "it-a1", "8443:8000")
    assert phone(HOME, 8443) == hears("it-a1")
    result = publish(two, "it-a1")
    assert result["published"] == []
    assert phone(HOME, 8443) == phone(A, 8000) == "nothing"
    assert not [name for name in two.instance("it-a1")["devices"] if name.startswith("publish")]
    two.unchanged()


def test_a_policy_from_lan_opens_the_machine_and_one_to_lan_not_the_host(two: Lab) -> None:
    two.infra["network_policies"] = [
        {"from": "lan", "to": "it-a1", "ports": [8001]},
        {"from": "it-a", "to": "lan"},
        {"from": "internet", "to": "it-b"},
    ]
    two.apply()
    two.unchanged()
    assert phone(A, 8001) == hears("it-a1")
    assert phone(A, 8001, source=VPN_PHONE) == phone(A, 8000) == "nothing"
    assert phone(B, 8001) == "nothing"  # lan is private, and not of the internet
    with socket.create_server(("0.0.0.0", 0)) as server:
        for address in (HOME, "10.178.1.254"):
            script = f"timeout 2 bash -c 'cat </dev/tcp/{address}/{server.getsockname()[1]}'"
            assert two.run("it-a1", script, ok=False) not in {"0", "124"}
    assert two.run("it-a1", f"ping -c1 -W2 {PHONE}", ok=False) == "0"
    del two.infra["network_policies"]
    two.apply()
    assert phone(A, 8001) == "nothing"
    two.unchanged()


RUN = """
import sys
sys.path[:0] = [{collections!r}, {here!r}]
from pathlib import Path
from conftest import Lab
import json
lab = Lab(Path({folder!r}), {name!r})
lab.infra = json.loads(Path({folder!r}, "infra.yml").read_text())
lab.apply()
"""


def test_killed_while_ports_change_the_next_apply_converges(two: Lab) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    here = str(Path(__file__).parent)
    code = RUN.format(collections=str(ROOT / ".cache/collections"), here=here, folder=str(two.folder), name=two.name)
    for round_number in range(KILLS):
        port = 8450 + round_number
        two.infra["domains"]["it-a"]["machines"]["it-a1"]["publish"] = [f"{port}:8000"]
        two.infra["domains"]["it-b"]["machines"]["it-b1"]["publish"] = [f"{port + 100}:8001"]
        two.write()
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.2 + chance.random() * 0.8)
        process.send_signal(signal.SIGKILL)
        process.wait()
        two.apply()
        two.unchanged()
        assert [phone(HOME, port), phone(HOME, port + 100)] == [hears("it-a1"), hears("it-b1")]
        assert phone(HOME, port - 1) == phone(HOME, port + 99) == "nothing"
