# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Published ports and the local network: what they become in Incus, and what stands in their way."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError, InfraError
from ansible_collections.anklume.stt.plugins.module_utils._incus import reconcile as reconcile_module
from ansible_collections.anklume.stt.plugins.module_utils._incus.desired import desired
from ansible_collections.anklume.stt.plugins.module_utils._incus.flows import acl_rules
from ansible_collections.anklume.stt.plugins.module_utils._incus.host import Host, behind_default_routes
from ansible_collections.anklume.stt.plugins.module_utils._incus.host_reader import LocalHost
from ansible_collections.anklume.stt.plugins.module_utils._incus.listeners import Listener, listeners, read_listeners
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import Key
from ansible_collections.anklume.stt.plugins.module_utils._incus.observe import Observed
from ansible_collections.anklume.stt.plugins.module_utils._incus.plan import Options, Plan, plan
from ansible_collections.anklume.stt.plugins.module_utils._incus.published import (
    Lan,
    announced,
    local_network,
    published,
    takes,
)
from ansible_collections.anklume.stt.plugins.module_utils._incus.servers import Server
from ansible_collections.anklume.stt.plugins.module_utils._infra import model as infra
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Endpoint, Policy, Publication
from incus_models import HOST, applied, domain, instance, machine, model

HOME = Lan((IPv4Address("192.168.1.5"),), (IPv4Network("192.168.1.0/24"),))
WEB = Publication(8443, 443, where="infra.yml:7:19")


def publishing(*ports: Publication, **more: Any) -> infra.Model:
    return model(domain("lab", 3, machine(publish=ports)), **more)


def planned(some: infra.Model, observed: Observed, host: Host = HOST, **options: Any) -> Plan:
    return plan(desired(some, host), observed, host, Options(**options))


# ---------------------------------------------------------------- objects


def test_a_published_port_is_a_device_and_a_rule() -> None:
    wanted = desired(publishing(WEB), HOST)
    device = {k: v for k, v in wanted.resources[instance()].fields.items() if "publish" in k}
    assert device == {
        "devices/publish-tcp-8443/type": "proxy",
        "devices/publish-tcp-8443/nat": "true",
        "devices/publish-tcp-8443/listen": "tcp:192.168.1.5:8443",
        "devices/publish-tcp-8443/connect": "tcp:10.100.3.10:443",
    }
    assert wanted.resources[Key("acl", "default", "net-lab")].fields["ingress"][1:] == [
        {
            "action": "allow",
            "state": "enabled",
            "source": "192.168.1.0/24",
            "destination": "10.100.3.10/32",
            "protocol": "tcp",
            "destination_port": "443",
            "description": "published at port 8443 of the host",
        }
    ]
    assert [one.data() for one in wanted.published] == [
        {"address": "192.168.1.5", "port": 8443, "protocol": "tcp", "machine": "lab-ai", "to": 443, "from": ["lan"]}
    ]


def test_a_name_is_announced_for_each_address_of_the_host() -> None:
    two = replace(HOME, addresses=(*HOME.addresses, IPv4Address("192.168.2.5")))
    some = model(domain("lab", 3, machine(publish=(WEB,), publish_name="voice")))
    wanted = [{"name": "voice.local", "address": address} for address in ("192.168.1.5", "192.168.2.5")]
    assert list(announced(some, two)) == wanted
    assert list(desired(some, HOST).announced) == wanted[:1]
    assert desired(publishing(WEB), HOST).announced == ()


def test_a_name_is_refused_where_nothing_keeps_it_announced() -> None:
    bare = replace(HOST, systemd=False)
    named = model(domain("lab", 3, machine(publish=(WEB,), publish_name="voice")))
    with pytest.raises(IncusError, match=r"voice\.local cannot be announced: this host does not run systemd"):
        planned(named, Observed(), bare)
    assert planned(publishing(WEB), Observed(), bare).steps


def test_each_address_of_the_host_has_its_device() -> None:
    two = replace(HOME, addresses=(*HOME.addresses, IPv4Address("192.168.2.5")))
    found = published(publishing(WEB, Publication(53, 53, "udp")), two)
    assert [(one.device, one.proxy()["listen"]) for one in found] == [
        ("publish-tcp-8443", "tcp:192.168.1.5:8443"),
        ("publish-tcp-8443-2", "tcp:192.168.2.5:8443"),
        ("publish-udp-53", "udp:192.168.1.5:53"),
        ("publish-udp-53-2", "udp:192.168.2.5:53"),
    ]


@pytest.mark.parametrize(
    ("sources", "source"),
    [
        (("lan",), "192.168.1.0/24"),
        (("10.8.0.0/24", "lan"), "10.8.0.0/24,192.168.1.0/24"),
        (("10.8.0.5",), "10.8.0.5"),
        (("lan", "any"), None),
    ],
)
def test_from_whom(sources: tuple[str, ...], source: str | None) -> None:
    some = publishing(replace(WEB, sources=sources))
    ingress, _egress = acl_rules(some, some.domains[0], [], lan=HOME)
    assert ingress[1].get("source") == source


def test_what_publishes_nothing_asks_nothing_of_the_host() -> None:
    assert local_network(model(), Host()) == Lan()
    assert desired(model(), Host()).published == ()


# ---------------------------------------------------------------- the local network

BOTH = Host(
    links=(("eth0", IPv4Network("192.168.1.0/24")), ("br0", IPv4Network("192.168.7.0/24"))),
    addresses=(IPv4Address("192.168.1.5"), IPv4Address("192.168.7.1")),
    lan=(IPv4Interface("192.168.1.5/24"),),
)


@pytest.mark.parametrize(
    ("named", "addresses", "networks"),
    [
        (infra.Lan(), "192.168.1.5", "192.168.1.0/24"),
        (infra.Lan(networks=("192.168.7.0/24",)), "192.168.7.1", "192.168.7.0/24"),
        (infra.Lan(networks=("192.168.0.0/16",)), "192.168.1.5 192.168.7.1", "192.168.0.0/16"),
        (infra.Lan(addresses=("192.168.7.1",)), "192.168.7.1", "192.168.7.0/24"),
        (infra.Lan(("10.8.0.0/24",), ("192.168.7.1",)), "192.168.7.1", "10.8.0.0/24"),
    ],
)
def test_what_lan_is(named: infra.Lan, addresses: str, networks: str) -> None:
    found = local_network(publishing(WEB, lan=named), BOTH)
    assert (" ".join(map(str, found.addresses)), " ".join(map(str, found.networks))) == (addresses, networks)


@pytest.mark.parametrize(
    ("named", "host", "says"),
    [
        (infra.Lan(), Host(), "infra.yml:7:19: this host has no private network behind a default route: say in global"),
        (infra.Lan(networks=("10.8.0.0/24",)), BOTH, "infra.yml:7:19: this host has no address in its networks"),
        (
            infra.Lan(addresses=("10.8.0.1",)),
            BOTH,
            "no address 10.8.0.1; it has 192.168.1.5, 192.168.7.1",
        ),
    ],
)
def test_a_host_without_a_lan_is_told_with_the_way_out(named: infra.Lan, host: Host, says: str) -> None:
    with pytest.raises(InfraError, match=says.replace(".", r"\.")):
        desired(publishing(WEB, lan=named), host)


def test_a_policy_asks_for_the_lan_too() -> None:
    policy = Policy(Endpoint("lan", "lan"), Endpoint("domain", "lab"))
    with pytest.raises(InfraError, match=r"^this host has no private network"):
        desired(model(policies=(policy,)), Host())
    assert local_network(model(policies=(policy,)), Host(lan=HOST.lan)).networks == HOME.networks


ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
tun0\t00000000\t0100080A\t0003\t0\t0\t50\t00000000\t0\t0\t0
eth1\t00000000\t01080808\t0003\t0\t0\t90\t00000000\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
tun0\t0000080A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth1\t00080808\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


def test_lan_is_behind_a_default_route_private_and_no_tunnel() -> None:
    addresses = [IPv4Address(one) for one in ("192.168.1.5", "10.8.0.2", "8.8.8.5", "172.17.0.1")]
    found = behind_default_routes(ROUTES, addresses, {"eth0", "eth1", "docker0"})
    assert found == (IPv4Interface("192.168.1.5/24"),)


def test_another_address_of_the_host_is_one_change() -> None:
    moved = Host(lan=(IPv4Interface("192.168.1.9/24"),))
    found = planned(publishing(WEB), applied(publishing(WEB)), moved)
    (listen,) = [c for step in found.steps for c in step.changes if c.path.endswith("/listen")]
    assert listen == ("devices/publish-tcp-8443/listen", "tcp:192.168.1.5:8443", "tcp:192.168.1.9:8443")
    assert not [step for step in found.steps if step.what.action in ("stop", "start")]


def test_taken_away_the_device_goes_and_the_rule() -> None:
    found = planned(publishing(), applied(publishing(WEB)))
    gone = {c.path for step in found.steps for c in step.changes if c.path.startswith("devices/") and c.after is None}
    assert gone == {f"devices/publish-tcp-8443/{key}" for key in ("type", "nat", "listen", "connect")}
    assert "update acl net-lab" in [str(step.what) for step in found.steps]
    assert planned(publishing(WEB), applied(publishing(WEB))).steps == ()


# ---------------------------------------------------------------- policies


def rules(policy: Policy, lan: Lan = HOME) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    some = model(domain("lab", 3, machine()), domain("web", 4), policies=(policy,))
    ingress, egress = acl_rules(some, some.domains[0], [*HOME.addresses, IPv4Address("203.0.113.7")], lan=lan)
    return ingress[1:], egress[1:]


def covers(text: str, address: str) -> bool:
    for part in text.split(","):
        first, _dash, last = part.partition("-")
        if last and IPv4Address(first) <= IPv4Address(address) <= IPv4Address(last):
            return True
        if not last and IPv4Address(address) in IPv4Network(first):
            return True
    return False


def test_from_lan_is_an_ingress_of_its_networks() -> None:
    ingress, egress = rules(Policy(Endpoint("lan", "lan"), Endpoint("machine", "lab-ai"), ("8000",)))
    assert egress == []
    (rule,) = ingress
    assert (rule["source"], rule["destination"], rule["destination_port"]) == (
        "192.168.1.0/24",
        "10.100.3.10/32",
        "8000",
    )


def test_to_lan_leaves_the_host_and_other_domains_shut() -> None:
    wide = replace(HOME, networks=(*HOME.networks, IPv4Network("10.0.0.0/8")))
    ingress, egress = rules(Policy(Endpoint("domain", "lab"), Endpoint("lan", "lan"), None, "any"), wide)
    assert ingress == []
    (rule,) = egress
    for address in ("192.168.1.4", "192.168.1.6", "10.1.1.1"):
        assert covers(rule["destination"], address), address
    for address in ("192.168.1.5", "192.168.2.1", "10.100.4.10", "10.100.3.254", "1.1.1.1"):
        assert not covers(rule["destination"], address), address


def test_a_lan_that_is_the_host_alone_opens_nothing() -> None:
    alone = replace(HOME, networks=(IPv4Network("192.168.1.5/32"),))
    assert rules(Policy(Endpoint("domain", "lab"), Endpoint("lan", "lan")), alone) == ([], [])


def test_internet_is_all_but_private_networks() -> None:
    policy = Policy(Endpoint("internet", "internet"), Endpoint("machine", "lab-ai"), ("443",), bidirectional=True)
    ingress, egress = rules(policy)
    source, target = ingress[0]["source"], egress[0]["destination"]
    for address in ("1.1.1.1", "172.32.0.1", "223.255.255.255"):
        assert covers(source, address), address
        assert covers(target, address), address
    for address in ("10.100.4.10", "172.16.0.1", "192.168.1.7", "100.64.0.1", "169.254.1.1", "127.0.0.1", "224.0.0.1"):
        assert not covers(source, address), address
        assert not covers(target, address), address
    assert covers(source, "203.0.113.7")
    assert not covers(target, "203.0.113.7")  # the host itself


# ---------------------------------------------------------------- who has the port already


def refused(listener: Listener) -> bool:
    try:
        planned(publishing(WEB), Observed(), replace(HOST, listeners=(listener,)))
    except IncusError as error:
        assert str(error) == (
            "infra.yml:7:19: port 8443 of 192.168.1.5 is taken on this host by nginx (pid 9): "
            "stop it there, or publish another port that leads to 443"
        )
        return True
    return False


def test_a_port_of_the_host_that_is_taken_is_refused() -> None:
    assert refused(Listener("tcp", "0.0.0.0", 8443, "nginx (pid 9)"))
    assert refused(Listener("tcp", "192.168.1.5", 8443, "nginx (pid 9)"))
    for free in (("tcp", "127.0.0.1", 8443), ("tcp", "0.0.0.0", 443), ("udp", "0.0.0.0", 8443)):
        assert not refused(Listener(*free, "nginx (pid 9)"))


@pytest.mark.parametrize(
    ("listen", "taken"),
    [
        ("tcp:0.0.0.0:8443", True),
        ("tcp:192.168.1.5:8000-8500", True),
        ("tcp:[::]:80,8443", True),
        ("tcp:192.168.1.6:8443", False),
        ("udp:0.0.0.0:8443", False),
        ("tcp:0.0.0.0:443", False),
        ("unix:/run/x", False),
        ("", False),
    ],
)
def test_what_a_device_listens_to(listen: str, taken: bool) -> None:
    assert takes(listen, "tcp", "192.168.1.5", 8443) is taken


def test_a_device_of_somebody_else_that_has_the_port_is_refused() -> None:
    theirs = {"web": {"type": "proxy", "listen": "tcp:0.0.0.0:8443", "connect": "tcp:127.0.0.1:80"}}
    stranger = model(domain("other", 5, machine("other-a", "other", "10.100.5.10", devices=theirs)))
    observed = Observed({**applied(publishing()).found, **applied(stranger).found})
    with pytest.raises(IncusError, match=r"infra.yml:7:19: port 8443 .* by device web of instance other-a in other"):
        planned(publishing(WEB), observed)
    # one of this infra.yml's own
    own = model(domain("lab", 3, machine(publish=(WEB,), devices=theirs)))
    with pytest.raises(IncusError, match="by device web of instance lab-ai in lab"):
        planned(own, Observed())


def test_a_port_of_a_machine_that_is_gone_is_free_once_that_is_deleted() -> None:
    old = domain("web", 4, machine("web-a", "web", "10.100.4.10", ephemeral=True, publish=(WEB,)))
    observed = applied(model(domain("lab", 3, machine()), old))
    with pytest.raises(IncusError, match=r"device publish-tcp-8443 of instance web-a in web: .*PRUNE=1"):
        planned(publishing(WEB), observed)
    assert "delete instance web-a in web" in [str(s.what) for s in planned(publishing(WEB), observed, prune=True).steps]


def test_a_port_moves_from_one_machine_to_another() -> None:
    def with_port_on(name: str) -> infra.Model:
        ports = {one: (WEB,) if one == name else () for one in ("lab-a", "lab-b")}
        machines = (machine(one, ip=f"10.100.3.{at}", publish=ports[one]) for at, one in enumerate(ports, 1))
        return model(domain("lab", 3, *machines))

    assert planned(with_port_on("lab-b"), applied(with_port_on("lab-a"))).steps


# ---------------------------------------------------------------- listeners

TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1 0 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 101 1 0 100 0 0 10 0
   2: 0501A8C0:01BB 0701A8C0:C000 01 00000000:00000000 00:00000000 00000000     0        0 102 1 0 20 4 30 10 -1
"""
TABLE6 = """  sl  local_address                         remote_address                        st
   0: 00000000000000000000000000000000:20FB 00000000000000000000000000000000:0000 0A 0:0 00:0 0     0        0 103 1
   1: 00000000000000000000000001000000:0277 00000000000000000000000000000000:0000 0A 0:0 00:0 0     0        0 104 1
   2: 0000000000000000FFFF00000501A8C0:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0     0        0 105 1
"""


def test_listeners_from_the_tables_of_the_kernel() -> None:
    owners = {"100": "nginx (pid 9)", "103": "incusd (pid 1)"}
    assert list(listeners("tcp", TABLE, owners)) == [
        Listener("tcp", "127.0.0.1", 8080, "nginx (pid 9)"),
        Listener("tcp", "0.0.0.0", 22, "a process of user 1000"),
    ]
    assert list(listeners("tcp", TABLE6, owners)) == [
        Listener("tcp", "0.0.0.0", 8443, "incusd (pid 1)"),
        Listener("tcp", "192.168.1.5", 80, "a process of user 0"),
    ]


def test_listeners_of_this_host() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        found = {(one.protocol, one.port): one for one in read_listeners()}
        mine = found["tcp", server.getsockname()[1]]
        assert mine.address == "127.0.0.1"
        assert mine.owner.endswith(f"(pid {os.getpid()})")
        assert ("udp", datagrams.getsockname()[1]) in found


def test_listeners_are_looked_up_only_where_something_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = Listener("tcp", "0.0.0.0", 8443, "nginx (pid 9)")
    monkeypatch.setattr(LocalHost, "listeners", lambda _self, _doors: (taken,))
    monkeypatch.setattr(reconcile_module, "resolve", lambda *_arguments: ({}, []))
    monkeypatch.setattr(reconcile_module, "observe", lambda _client, _reader: (Observed(), HOST))
    with pytest.raises(IncusError, match="nginx"):
        reconcile_module.reconcile([Server("", None, LocalHost())], publishing(WEB), Options(), check=True)
    monkeypatch.setattr(LocalHost, "listeners", None)
    assert (
        reconcile_module.reconcile([Server("", None, LocalHost())], model(), Options(), check=True)["published"] == []
    )
