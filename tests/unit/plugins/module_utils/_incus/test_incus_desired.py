# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the model asks of Incus: objects, network rules, shares of the host, and what is read of the host."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import InfraError
from ansible_collections.anklume.stt.plugins.module_utils._incus.desired import desired
from ansible_collections.anklume.stt.plugins.module_utils._incus.flows import acl_rules
from ansible_collections.anklume.stt.plugins.module_utils._incus.host import Host, connected, local_addresses
from ansible_collections.anklume.stt.plugins.module_utils._incus.host_reader import LocalHost
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import Key, flatten, unflatten
from ansible_collections.anklume.stt.plugins.module_utils._incus.share import shares
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import (
    Endpoint,
    PersistentData,
    Policy,
    Profile,
    ResourcePolicy,
    SharedVolume,
    StorageVolume,
)
from incus_models import HOST, domain, instance, machine, model

GPU = {"gpu": {"type": "gpu", "gputype": "physical"}}


def fields(some: object, key: Key) -> dict[str, str]:
    return dict(desired(some, HOST).resources[key].fields)


# ---------------------------------------------------------------- objects


def test_a_domain_is_a_project_a_bridge_an_acl_and_a_default_profile() -> None:
    resources = desired(model(), HOST).resources
    assert list(resources) == [
        Key("project", "", "lab"),
        Key("acl", "default", "net-lab"),
        Key("network", "default", "net-lab"),
        Key("profile", "lab", "default"),
        instance(),
    ]
    bridge = resources[Key("network", "default", "net-lab")].fields
    assert bridge["config/ipv4.address"] == "10.100.3.254/24"
    assert bridge["config/ipv4.dhcp.ranges"] == "10.100.3.100-10.100.3.249"
    assert "config/bridge.mtu" not in bridge
    assert resources[Key("project", "", "lab")].create["config/features.networks"] == "false"


def test_everything_carries_our_mark() -> None:
    for resource in desired(model(), HOST).resources.values():
        assert resource.fields["config/user.anklume.project"] == "mine"
        assert "config/user.anklume.project" in resource.fields["config/user.anklume.keys"]


def test_a_narrow_default_route_narrows_the_bridge() -> None:
    bridge = desired(model(), Host(mtu=1400)).resources[Key("network", "default", "net-lab")]
    assert bridge.fields["config/bridge.mtu"] == "1400"


def test_the_address_is_fixed_on_the_interface_and_guarded() -> None:
    found = fields(model(), instance())
    assert found["devices/eth0/ipv4.address"] == "10.100.3.10"
    assert found["devices/eth0/network"] == "net-lab"
    assert found["devices/eth0/security.mac_filtering"] == found["devices/eth0/security.ipv4_filtering"] == "true"
    free = fields(model(domain("lab", 3, machine(ip=None))), instance())
    assert "devices/eth0/ipv4.address" not in free


def test_an_interface_of_the_user_s_own_is_left_alone() -> None:
    own = {"eth0": {"type": "nic", "nictype": "bridged", "parent": "br0"}}
    some = model(domain("lab", 3, machine(devices=own)))
    found = fields(some, instance())
    assert desired(some, HOST).resources[instance()].address == ""  # nobody waits for one
    assert {k: v for k, v in found.items() if k.startswith("devices/eth0")} == {
        "devices/eth0/type": "nic",
        "devices/eth0/nictype": "bridged",
        "devices/eth0/parent": "br0",
    }


@pytest.mark.parametrize(("written", "kept"), [("30d", "30d"), ("24h", "24H"), ("60m", "60M")])
def test_the_expiry_of_snapshots_is_in_the_letters_of_incus(written: str, kept: str) -> None:
    some = model(domain("lab", 3, machine(snapshots_expiry=written)))
    assert fields(some, instance())["config/snapshots.expiry"] == kept


def test_every_field_of_a_machine() -> None:
    one = machine(
        description="AI",
        config={"limits.memory": "2GiB"},
        devices={"web": {"type": "proxy", "listen": "tcp:0.0.0.0:80"}},
        profiles=("default", "big"),
        boot_autostart=False,
        boot_priority=7,
        snapshots_schedule="0 3 * * *",
        snapshots_expiry="7d",
        storage_volumes=(StorageVolume("models", "", "/srv/models", "20GiB"),),
        persistent_data=(PersistentData("keys", "/srv/anklume/data/lab/lab-ai/keys", "/keys", readonly=True),),
    )
    shared = SharedVolume("docs", "/srv/docs", "/shared/docs", {"lab-ai": "rw"})
    some = model(domain("lab", 3, one, profiles=(Profile("big", {"limits.cpu": "2"}),)), shared_volumes=(shared,))
    resources = desired(some, HOST).resources
    found = {k: v for k, v in resources[instance()].fields.items() if "eth0" not in k and "user." not in k}
    assert found == {
        "description": "AI",
        "profiles": ["default", "big"],
        "config/security.protection.delete": "true",
        "config/limits.memory": "2GiB",
        "config/boot.autostart": "false",
        "config/boot.autostart.priority": "7",
        "config/snapshots.schedule": "0 3 * * *",
        "config/snapshots.expiry": "7d",
        "devices/web/type": "proxy",
        "devices/web/listen": "tcp:0.0.0.0:80",
        "devices/models/type": "disk",
        "devices/models/pool": "default",
        "devices/models/source": "models",
        "devices/models/path": "/srv/models",
        "devices/pd-keys/type": "disk",
        "devices/pd-keys/source": "/srv/anklume/data/lab/lab-ai/keys",
        "devices/pd-keys/path": "/keys",
        "devices/pd-keys/shift": "true",
        "devices/pd-keys/readonly": "true",
        "devices/sv-docs/type": "disk",
        "devices/sv-docs/source": "/srv/docs",
        "devices/sv-docs/path": "/shared/docs",
        "devices/sv-docs/shift": "true",
    }
    assert resources[Key("volume", "lab", "default/models")].fields["config/size"] == "20GiB"
    folders = {key.name for key in resources if key.kind == "folder"}
    assert folders == {"/srv/docs", "/srv/anklume/data/lab/lab-ai/keys"}
    assert set(resources[instance()].needs) >= {Key("folder", "", "/srv/docs"), Key("profile", "lab", "big")}


def test_a_propagated_volume_reaches_nesting_instances_read_only() -> None:
    machines = (machine("lab-a", config={"security.nesting": "true"}), machine("lab-b", ip="10.100.3.11"))
    shared = SharedVolume("docs", "/srv/docs", "/docs", {}, propagate=True)
    some = model(domain("lab", 3, *machines), shared_volumes=(shared,))
    assert fields(some, instance("lab-a"))["devices/sv-docs/readonly"] == "true"
    assert "devices/sv-docs/type" not in fields(some, instance("lab-b"))


def test_a_volume_of_two_machines_is_refused_once_the_pool_is_known() -> None:
    machines = [
        machine(name, storage_volumes=(StorageVolume("data", pool, "/x"),))
        for name, pool in (("a", ""), ("b", HOST.root["pool"]))
    ]
    with pytest.raises(InfraError, match=r"volume default/data in lab is named by 2 machines"):
        desired(model(domain("lab", 3, *machines)), HOST)


def test_without_the_default_profile_the_instance_has_its_own_root_disk() -> None:
    profiles = (Profile("bare"),)
    found = fields(model(domain("lab", 3, machine(profiles=("bare",)), profiles=profiles)), instance())
    assert found["devices/root/pool"] == "default"


def test_the_host_s_default_profile_reaches_every_domain() -> None:
    host = Host(default_config={"raw.lxc": "x"}, root={"type": "disk", "path": "/", "pool": "fast"})
    profile = desired(model(), host).resources[Key("profile", "lab", "default")].fields
    assert profile["config/raw.lxc"] == "x"
    assert profile["devices/root/pool"] == "fast"


@pytest.mark.parametrize(
    ("asked", "device"),
    [
        (machine(gpu=True), True),
        (machine(gpu=True, profiles=("default", "nvidia")), False),
        (machine(gpu=True, devices=GPU), True),
        (machine(profiles=("default", "nvidia")), False),
    ],
)
def test_a_gpu_is_added_once(asked: object, device: bool) -> None:
    some = model(domain("lab", 3, asked, profiles=(Profile("nvidia", devices=GPU),)))
    wanted = desired(some, Host(gpus=1, nvidia_tools=True))
    found = wanted.resources[instance()].fields
    assert ("devices/gpu/type" in found) is device
    assert found["config/nvidia.runtime"] == "true"
    assert instance() in wanted.gpu
    assert "config/nvidia.runtime" not in desired(some, Host(gpus=1)).resources[instance()].fields


def test_flatten_and_back() -> None:
    body = {"description": "d", "config": {"a/b": "1"}, "devices": {"x": {"type": "nic"}}, "profiles": ["p"]}
    assert unflatten(flatten(body)) == body


# ---------------------------------------------------------------- network rules


def addresses(spans: str) -> list[tuple[IPv4Address, IPv4Address]]:
    pairs = [span.removesuffix("/32").partition("-") for span in spans.split(",")]
    return [(IPv4Address(first), IPv4Address(last or first)) for first, _, last in pairs]


def reaches(rules: list[dict[str, str]], address: str) -> bool:
    target = IPv4Address(address)
    return any(first <= target <= last for first, last in addresses(rules[0]["destination"]))


def two_domains(*policies: Policy) -> object:
    return model(
        domain("lab", 3, machine()),
        domain("web", 4, machine("web-a", "web", "10.100.4.10"), machine("web-b", "web", None)),
        policies=policies,
    )


def test_by_default_a_domain_reaches_the_world_and_itself_only() -> None:
    some = two_domains()
    ingress, egress = acl_rules(some, some.domains[0], [IPv4Address("192.0.2.2")])
    assert [rule["source"] for rule in ingress] == ["10.100.3.0/24"]
    assert len(egress) == 1
    for open_address in ("1.1.1.1", "192.0.2.1", "192.0.2.3", "10.100.3.10", "10.99.255.255", "10.101.0.0"):
        assert reaches(egress, open_address), open_address
    for closed in ("10.100.4.10", "10.100.0.1", "10.100.255.255", "10.100.3.254", "192.0.2.2"):
        assert not reaches(egress, closed), closed


def test_a_domain_more_changes_no_other_s_rules() -> None:
    some = two_domains()
    alone = model(some.domains[0])
    assert acl_rules(some, some.domains[0], []) == acl_rules(alone, some.domains[0], [])


def test_zones_close_each_network_by_itself() -> None:
    some = model(domain("lab", 3, machine()), domain("web", 4))
    zoned = type(some)("mine", some.domains)
    _ingress, egress = acl_rules(zoned, some.domains[0], [])
    assert not reaches(egress, "10.100.4.1")
    assert reaches(egress, "10.100.5.1")


def flow(policy: Policy) -> dict[str, list[dict[str, str]]]:
    some = two_domains(policy)
    found = {}
    for one in some.domains:
        ingress, egress = acl_rules(some, one, [IPv4Address("192.0.2.2")])
        found[f"into {one.name}"], found[f"out of {one.name}"] = ingress[1:], egress[1:]
    return {where: rules for where, rules in found.items() if rules}


def test_a_policy_to_a_machine_means_that_machine() -> None:
    policy = Policy(Endpoint("domain", "web"), Endpoint("machine", "lab-ai"), ("8000", "9000-9010"), description="stt")
    rule = {
        "action": "allow",
        "state": "enabled",
        "source": "10.100.4.0/24",
        "destination": "10.100.3.10/32",
        "protocol": "tcp",
        "destination_port": "8000,9000-9010",
        "description": "stt",
    }
    assert flow(policy) == {"out of web": [rule], "into lab": [rule]}


def test_a_protocol_without_ports_is_a_rule_of_that_protocol() -> None:
    some = model(
        domain("lab", 3, machine()),
        domain("office", 4),
        policies=(Policy(Endpoint("domain", "office"), Endpoint("domain", "lab"), protocol="udp"),),
    )
    rule = acl_rules(some, some.domains[0], ())[0][-1]
    assert (rule["protocol"], "destination_port" in rule) == ("udp", False)


def test_a_bidirectional_policy_is_two() -> None:
    policy = Policy(Endpoint("machine", "web-a"), Endpoint("machine", "lab-ai"), None, "any", bidirectional=True)
    found = flow(policy)
    assert sorted(found) == ["into lab", "into web", "out of lab", "out of web"]
    assert found["into web"][0]["source"] == "10.100.3.10/32"
    assert "protocol" not in found["into web"][0]


def test_the_host_is_reached_where_a_policy_says_so() -> None:
    policy = Policy(Endpoint("domain", "lab"), Endpoint("host", "host"), ("22",))
    assert [rule["destination"] for rule in flow(policy)["out of lab"]] == ["10.100.3.254/32,192.0.2.2/32"]
    # the host always reaches its instances
    assert flow(Policy(Endpoint("host", "host"), Endpoint("domain", "lab"))) == {}


def test_a_policy_within_a_domain_needs_no_rule() -> None:
    assert flow(Policy(Endpoint("machine", "web-a"), Endpoint("domain", "web"))) == {}


def test_a_policy_needs_a_fixed_address() -> None:
    with pytest.raises(InfraError, match="web-b needs a fixed address"):
        flow(Policy(Endpoint("domain", "lab"), Endpoint("machine", "web-b")))


def test_the_old_firewall_gets_prefixes() -> None:
    some = two_domains()
    _ingress, egress = acl_rules(some, some.domains[0], [], ranges=False)
    networks = [IPv4Network(one) for one in egress[0]["destination"].split(",")]
    assert not any(IPv4Address("10.100.4.10") in network for network in networks)
    assert any(IPv4Address("10.100.3.10") in network for network in networks)


# ---------------------------------------------------------------- shares of the host


def weighted(policy: ResourcePolicy) -> object:
    machines = (
        machine("lab-a", weight=3),
        machine("lab-b", ip="10.100.3.11"),
        machine("lab-c", ip="10.100.3.12", config={"limits.cpu": "1", "limits.memory": "1GiB"}),
    )
    return model(domain("lab", 3, *machines), resource_policy=policy)


def test_shares_by_weight_of_what_the_others_leave() -> None:
    found = shares(weighted(ResourcePolicy()), cpus=10, memory=10 << 30)
    assert found["lab-a"]["limits.cpu.allowance"] == "52%"  # 3/4 of 10 - 2 - 1
    assert found["lab-b"] == {
        "limits.cpu.allowance": "17%",
        "limits.memory": "1792MiB",  # 1/4 of 10 - 2 - 1 GiB
        "limits.memory.enforce": "soft",
    }
    assert found["lab-c"] == {"limits.memory.enforce": "soft"}


def test_shares_in_equal_parts_and_whole_cpus() -> None:
    policy = ResourcePolicy("2", "1GiB", "equal", "count", "hard")
    found = shares(weighted(policy), cpus=10, memory=10 << 30)
    assert found["lab-a"] == found["lab-b"] == {"limits.cpu": "3", "limits.memory": "4096MiB"}


def test_more_than_there_is_is_refused() -> None:
    with pytest.raises(InfraError, match=r"own limits take 1 of the 0\.8 CPUs"):
        shares(weighted(ResourcePolicy()), cpus=1, memory=10 << 30)
    with pytest.raises(InfraError, match="leaves no bytes of memory"):
        shares(weighted(ResourcePolicy(host_reserve_memory="20GiB")), cpus=10, memory=10 << 30)
    assert shares(weighted(ResourcePolicy(overcommit=True)), cpus=1, memory=10 << 30)


def test_without_a_policy_nothing_is_shared_out() -> None:
    assert shares(model(), 4, 1 << 30) == {}


# ---------------------------------------------------------------- the host

ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
net-lab\t0003640A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
tun0\t0000000A\t010200C0\t0003\t0\t0\t0\t000000FF\t0\t0\t0
"""

TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
     |-- 192.0.2.0
        /24 link UNICAST
        |-- 192.0.2.2
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
"""


def test_connected_networks() -> None:
    assert connected(ROUTES) == (("net-lab", IPv4Network("10.100.3.0/24")),)


def test_local_addresses() -> None:
    assert local_addresses(TRIE) == (IPv4Address("192.0.2.2"),)


def test_a_bridge_that_comes_or_goes_meanwhile_is_no_address_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    went, stays, came = map(IPv4Address, ("10.9.1.254", "192.0.2.2", "10.9.2.254"))
    monkeypatch.setattr(LocalHost, "addresses", lambda _self: (came, stays))
    assert LocalHost().interfaces([], before=(went, stays)).addresses == (stays,)
