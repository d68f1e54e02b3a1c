# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: nothing for what is there, the difference for what is not, and nothing of what is not ours."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus.desired import Desired, desired
from ansible_collections.anklume.stt.plugins.module_utils._incus.host import Host
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import KEYS_MARK, PROJECT_MARK, Key
from ansible_collections.anklume.stt.plugins.module_utils._incus.observe import Found, Observed
from ansible_collections.anklume.stt.plugins.module_utils._incus.plan import Options, Plan, plan
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Profile, StorageVolume
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import read_project
from incus_models import HOST, LAN, after_apply, applied, clustered, domain, instance, machine, model, nothing, targets

PROJECT, NETWORK = Key("project", "", "lab"), Key("network", "default", "net-lab")


def steps(found: Plan) -> list[str]:
    return [str(step.what) for step in found.steps]


def planned(wanted: object, observed: Observed, host: Host = HOST, **options: object) -> Plan:
    return plan(desired(wanted, host), observed, host, Options(**options))


def changed(observed: Observed, key: Key, **fields: object) -> Observed:
    """`observed` with some fields of one object set by hand."""
    one = observed.found[key]
    return Observed({**observed.found, key: replace(one, fields={**one.fields, **fields})})


def test_from_nothing_everything_in_an_order_that_works() -> None:
    found = planned(model(), Observed())
    assert steps(found) == [
        "create project lab",
        "create acl net-lab",
        "create network net-lab",
        "create profile default in lab",
        "create instance lab-ai in lab",
    ]
    assert found.waits == {instance(): "10.100.3.10"}
    done: set[object] = set()
    for step in found.steps:
        assert done.issuperset(step.needs)
        done.add(step.what)
    assert {str(need) for need in found.steps[-1].needs} == {
        "create project lab",
        "create network net-lab",
        "create profile default in lab",
    }


def test_what_is_there_needs_nothing() -> None:
    found = planned(model(), applied(model()))
    assert (found.steps, found.notes, found.waits, found.diff()) == ((), (), {}, [])


def test_an_instance_that_was_just_started_is_waited_for() -> None:
    now = datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC)
    found = planned(model(), applied(model()), now=now)
    assert (found.steps, found.waits) == ((), {instance(): "10.100.3.10"})


def test_what_the_user_set_by_hand_stays() -> None:
    observed = applied(model())
    by_hand = {"config/limits.cpu": "1", "devices/web/type": "proxy", "devices/eth0/limits.max": "1Mbit"}
    observed = changed(observed, instance(), **by_hand)
    observed = changed(observed, NETWORK, **{"config/dns.domain": "lan"})
    assert planned(model(), observed).steps == ()


def test_drift_of_our_own_fields_is_put_right() -> None:
    observed = changed(applied(model()), NETWORK, **{"config/ipv4.nat": "false"})
    found = planned(model(), observed)
    assert steps(found) == ["update network net-lab"]
    assert found.steps[0].changes == (("config/ipv4.nat", "false", "true"),)
    assert found.diff() == [
        {
            "before_header": "network net-lab",
            "after_header": "update network net-lab",
            "before": "config/ipv4.nat: false\n",
            "after": "config/ipv4.nat: true\n",
        }
    ]


def with_config(**config: str) -> object:
    return model(domain("lab", 3, machine(config={key.replace("_", "."): value for key, value in config.items()})))


def test_a_live_key_is_changed_without_a_restart() -> None:
    found = planned(with_config(limits_memory="2GiB"), applied(with_config(limits_memory="1GiB")))
    assert steps(found) == ["snapshot instance lab-ai in lab", "update instance lab-ai in lab"]
    assert found.lines()[1] == "~ update instance lab-ai in lab: config/limits.memory"


def test_a_key_that_is_no_longer_named_is_removed() -> None:
    found = planned(with_config(), applied(with_config(limits_memory="1GiB")))
    change = next(c for step in found.steps for c in step.changes if c.path == "config/limits.memory")
    assert change == ("config/limits.memory", "1GiB", None)


def test_a_device_goes_as_a_whole() -> None:
    proxy = {"web": {"type": "proxy", "listen": "tcp:0.0.0.0:80", "connect": "tcp:127.0.0.1:80"}}
    observed = applied(model(domain("lab", 3, machine(devices=proxy))))
    observed = changed(observed, instance(), **{"devices/web/nat": "true"})
    found = planned(model(), observed)
    gone = {c.path for step in found.steps for c in step.changes if c.after is None}
    assert gone == {"devices/web/type", "devices/web/listen", "devices/web/connect", "devices/web/nat"}


@pytest.mark.parametrize("config", ["security_nesting", "raw_lxc", "nvidia_runtime", "linux_sysctl_net.x"])
def test_one_restart_for_a_key_that_needs_one(config: str) -> None:
    found = planned(with_config(**{config: "true"}), applied(model()))
    assert steps(found) == [
        "snapshot instance lab-ai in lab",
        "stop instance lab-ai in lab",
        "update instance lab-ai in lab",
        "start instance lab-ai in lab",
    ]
    assert found.steps[1].reason == f"to restart: config/{config.replace('_', '.')}"


def test_a_new_address_needs_a_restart() -> None:
    found = planned(model(domain("lab", 3, machine(ip="10.100.3.20"))), applied(model()))
    assert found.lines()[1] == "* stop instance lab-ai in lab: to restart: devices/eth0/ipv4.address"
    assert steps(found)[-1] == "start instance lab-ai in lab"
    assert found.waits == {instance(): "10.100.3.20"}


def test_a_new_subnet_stops_the_instances_before_and_starts_them_after() -> None:
    moved = model(domain("lab", 5, machine(ip="10.100.5.10")))
    found = planned(moved, applied(model()))
    assert [str(what) for what in (step.what for step in found.steps) if what.key.kind != "acl"] == [
        "snapshot instance lab-ai in lab",
        "stop instance lab-ai in lab",
        "update network net-lab",
        "update instance lab-ai in lab",
        "start instance lab-ai in lab",
    ]
    assert found.steps[1].reason == "to restart: net-lab is now 10.100.5.254/24"


def three(*ends: int) -> object:
    return model(domain("lab", 3, *(machine(f"lab-{n}", ip=f"10.100.3.{end}") for n, end in enumerate(ends))))


def test_addresses_that_change_hands_are_let_go_of_first() -> None:
    found = planned(three(12, 10, 11), applied(three(10, 11, 12)))
    done: set[object] = set()
    held = {"lab-0": 10, "lab-1": 11, "lab-2": 12}
    for step in found.steps:
        assert done.issuperset(step.needs)
        done.add(step.what)
        for change in step.changes:
            if change.path.endswith("ipv4.address"):
                end = int(change.after.rpartition(".")[2]) if change.after else None
                assert end not in held.values() or end is None
                held[step.what.key.name] = end
    assert held == {"lab-0": 12, "lab-1": 10, "lab-2": 11}


def test_an_address_of_a_machine_that_goes_waits_for_it_to_go() -> None:
    before = model(domain("lab", 3, machine("lab-0", ephemeral=True)))
    found = planned(model(domain("lab", 3, machine("lab-1"))), applied(before), prune=True)
    assert steps(found) == ["delete instance lab-0 in lab", "create instance lab-1 in lab"]


def with_profile(config: dict[str, str], machine_config: dict[str, str] | None = None) -> object:
    one = machine(profiles=("default", "p"), config=machine_config or {})
    return model(domain("lab", 3, one, profiles=(Profile("p", config),)))


def test_a_profile_s_change_restarts_its_instances_once() -> None:
    found = planned(with_profile({"security.nesting": "true", "raw.lxc": "x"}), applied(with_profile({})))
    assert steps(found) == [
        "snapshot instance lab-ai in lab",
        "stop instance lab-ai in lab",
        "update profile p in lab",
        "start instance lab-ai in lab",
    ]
    assert found.steps[1].reason == "to restart: config/raw.lxc, config/security.nesting"
    assert found.steps[1].what in found.steps[2].needs


def test_a_profile_s_change_that_the_instance_overrides_restarts_nothing() -> None:
    mine = {"security.nesting": "false"}
    found = planned(with_profile({"security.nesting": "true"}, mine), applied(with_profile({}, mine)))
    assert steps(found) == ["update profile p in lab"]


def test_a_stopped_instance_is_started_not_restarted() -> None:
    wanted = desired(with_config(security_nesting="true"), HOST)
    found = plan(wanted, after_apply(desired(model(), HOST), status="Stopped"), HOST, Options())
    assert steps(found)[-2:] == ["update instance lab-ai in lab", "start instance lab-ai in lab"]
    assert found.steps[-1].reason == "is stopped"


def test_another_image_is_only_told_until_confirmed() -> None:
    other = model(domain("lab", 3, machine(image="images:debian/12")))
    found = planned(other, applied(model()))
    assert found.steps == ()
    assert "was made from images:debian/13, infra.yml says images:debian/12" in found.notes[0]
    assert "confirm=lab-ai" in found.notes[0]
    found = planned(other, applied(model()), confirm=frozenset({"lab-ai"}))
    assert steps(found) == [
        "export instance lab-ai in lab",
        "delete instance lab-ai in lab",
        "create instance lab-ai in lab",
    ]
    ephemeral = model(domain("lab", 3, machine(image="images:debian/12", ephemeral=True)))
    found = planned(ephemeral, applied(model()))
    assert steps(found) == ["delete instance lab-ai in lab", "create instance lab-ai in lab"]


EXAMPLES = sorted(
    path for path in (Path(__file__).resolve().parents[5] / "docs" / "examples").iterdir() if path.is_dir()
)


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_every_example_converges_in_one_plan(folder: Path) -> None:
    some, _diagnostics = read_project(str(folder))
    host = clustered(some, Host(gpus=1, nvidia_tools=True, cpus=8, memory=64 << 30, **LAN))
    wanted = desired(some, host, targets(some))
    found = plan(wanted, nothing(wanted), host, Options())
    done: set[object] = set()
    for step in found.steps:
        assert done.issuperset(step.needs)
        done.add(step.what)
    assert len(found.steps) == len(wanted.resources)
    folders = [key for key in wanted.resources if key.kind == "folder"]
    assert plan(wanted, after_apply(wanted), host, Options(), folders).steps == ()


# ---------------------------------------------------------------- what infra.yml no longer names


def shrunk(*, ephemeral: bool, volume: bool = False) -> tuple[object, Observed]:
    volumes = (StorageVolume("data", "", "/data"),) if volume else ()
    old = machine("web-a", "web", "10.100.4.10", ephemeral=ephemeral, storage_volumes=volumes)
    before = model(domain("lab", 3, machine()), domain("web", 4, old))
    return model(), applied(before)


def test_without_prune_it_is_listed_and_left() -> None:
    found = planned(*shrunk(ephemeral=True))
    assert found.steps == ()
    assert [note.partition(" is no")[0] for note in found.notes] == [
        "project web",
        "acl net-web",
        "network net-web",
        "instance web-a in web",
    ]


def test_what_infra_yml_has_on_another_server_now_is_told_with_what_becomes_of_its_data() -> None:
    some, observed = shrunk(ephemeral=False, volume=True)
    wanted = replace(desired(some, HOST), elsewhere={"web": "server attic", "net-web": "server attic"})
    notes = plan(wanted, observed, HOST, Options()).notes
    told = {note.partition(" is ")[0]: note.partition(" is ")[2] for note in notes}
    assert told["network net-web"] == "on server attic in infra.yml now: prune=true (make: PRUNE=1) deletes it"
    for kept in ("instance web-a in web", "volume default/data in web"):
        assert told[kept].startswith(
            "on server attic in infra.yml now, and anew there: what this one holds stays here (to take it along: docs/"
        )
    [note, _volume] = sorted(plan(wanted, observed, HOST, Options(prune=True)).notes)
    assert note.startswith("instance web-a in web is on server attic in infra.yml now")
    assert note.endswith("and not ephemeral: confirm=web-a (make: CONFIRM=web-a) deletes it after an export")


def test_prune_deletes_users_before_what_they_use() -> None:
    found = planned(*shrunk(ephemeral=True), prune=True)
    assert steps(found) == [
        "delete instance web-a in web",
        "delete project web",
        "delete network net-web",
        "delete acl net-web",
    ]


def test_prune_keeps_an_instance_that_is_not_confirmed_and_all_it_uses() -> None:
    found = planned(*shrunk(ephemeral=False, volume=True), prune=True)
    assert found.steps == ()
    assert len(found.notes) == 2
    found = planned(*shrunk(ephemeral=False, volume=True), prune=True, confirm=frozenset({"web-a"}))
    assert steps(found) == ["export instance web-a in web", "delete instance web-a in web"]
    found = planned(*shrunk(ephemeral=False, volume=True), prune=True, confirm=frozenset({"web-a", "data"}))
    assert "export volume default/data in web" in steps(found)
    assert steps(found)[-3:] == ["delete project web", "delete network net-web", "delete acl net-web"]


def test_prune_deletes_at_once_what_an_instance_lets_go_of() -> None:
    before = machine(profiles=("default", "old"), storage_volumes=(StorageVolume("data", "", "/srv"),))
    observed = applied(model(domain("lab", 3, before, profiles=(Profile("old", {"user.x": "1"}, {}),))))
    found = planned(model(), observed, prune=True, confirm=frozenset({"data"}))
    done = steps(found)
    assert {"delete volume default/data in lab", "delete profile old in lab"} <= set(done)
    assert done.index("update instance lab-ai in lab") < done.index("delete profile old in lab")
    assert done.index("update instance lab-ai in lab") < done.index("delete volume default/data in lab")
    # so does one that is made anew
    other = replace(machine(), image="images:debian/12")
    found = planned(
        model(domain("lab", 3, other)), observed, prune=True, confirm=frozenset({"data", "lab-ai"}), backup=False
    )
    assert steps(found).index("delete instance lab-ai in lab") < steps(found).index("delete volume default/data in lab")


def test_prune_without_backup_exports_nothing() -> None:
    found = planned(*shrunk(ephemeral=False), prune=True, confirm=frozenset({"web-a"}), backup=False)
    assert steps(found)[0] == "delete instance web-a in web"


def test_a_project_with_a_stranger_in_it_is_kept() -> None:
    wanted, observed = shrunk(ephemeral=True)
    stranger = Found(instance("theirs", "web"), {"profiles": ["default"]}, status="Running", type="container")
    observed = Observed({**observed.found, stranger.key: stranger})
    found = planned(wanted, observed, prune=True)
    assert steps(found) == ["delete instance web-a in web"]
    assert found.notes == ("project web is kept: it holds instance theirs in web, which infra.yml did not make",)


STRANGERS = (
    Found(Key("project", "", "theirs"), {PROJECT_MARK: "other"}),
    Found(Key("project", "", "plain"), {}),
    Found(Key("profile", "plain", "default"), {}),
    Found(Key("network", "default", "net-theirs"), {PROJECT_MARK: "other"}, type="bridge"),
    Found(instance("a", "theirs"), {PROJECT_MARK: "other"}, status="Running"),
    Found(instance("b", "plain"), {}, status="Running"),
)


@pytest.mark.parametrize("absent", [False, True])
def test_prune_and_destroy_touch_nothing_of_others(absent: bool) -> None:
    wanted = Desired("mine") if absent else desired(model(), HOST)
    everything = Options(prune=True, adopt=True, confirm_all=True)
    found = plan(wanted, applied(model(), *STRANGERS), HOST, everything)
    assert not {step.what.key for step in found.steps} & {one.key for one in STRANGERS}
    assert bool(found.steps) is absent


# ---------------------------------------------------------------- what is refused


def refusal(wanted: object, observed: Observed, host: Host = HOST) -> str:
    with pytest.raises(IncusError) as raised:
        planned(wanted, observed, host)
    return str(raised.value)


def test_an_object_of_somebody_else() -> None:
    observed = Observed({PROJECT: Found(PROJECT, {"description": "x"})})
    assert "project lab exists and was not made from an infra.yml" in refusal(model(), observed)
    assert "adopt=true" in refusal(model(), observed)
    observed = Observed({PROJECT: Found(PROJECT, {PROJECT_MARK: "other"})})
    assert "belongs to project_name other" in refusal(model(), observed)
    found = planned(model(), observed, adopt=True)
    assert "update project lab" in steps(found)


def test_adoption_keeps_what_is_there() -> None:
    fields = {"config/features.images": "true", "config/user.x": "y"}
    observed = Observed({PROJECT: Found(PROJECT, fields)})
    found = planned(model(), observed, adopt=True)
    update = next(step for step in found.steps if str(step.what) == "update project lab")
    assert {change.path for change in update.changes} == {PROJECT_MARK, KEYS_MARK}


def test_all_refusals_at_once() -> None:
    gpu = {"gpu": {"type": "gpu"}}
    one = machine(gpu=True, profiles=("default", "nvidia-compute"), type="vm")
    some = model(domain("lab", 3, one, profiles=(Profile("nvidia-compute", devices=gpu),)))
    host = Host(links=(("eth0", IPv4Network("10.100.0.0/16")),), virtual_machines=False)
    text = refusal(some, Observed(), host)
    assert text.startswith("nothing was changed:\n")
    assert "subnet 10.100.3.0/24 overlaps 10.100.0.0/16 of the host's interface eth0" in text
    assert (
        "lab-ai asks for a GPU: this host has none that Incus sees; to run on CPU set gpu: false, "
        "drop profile nvidia-compute and set stt_server_quantization: int8"
    ) in text
    assert "lab-ai is a virtual machine: this host cannot run one" in text


def test_the_own_bridge_is_no_overlap_another_network_is() -> None:
    host = Host(links=(("net-lab", IPv4Network("10.100.3.0/24")),))
    assert planned(model(), applied(model()), host).steps == ()
    other = Found(Key("network", "default", "x"), {"config/ipv4.address": "10.100.3.1/25"}, type="bridge")
    assert "overlaps 10.100.3.0/25 of the host's interface x" in refusal(model(), Observed({other.key: other}))


def test_an_interface_that_incus_does_not_manage() -> None:
    assert "rename the domain" in refusal(model(), Observed({NETWORK: Found(NETWORK)}))


def test_nothing_is_refused_to_destroy() -> None:
    host = Host(links=(("eth0", IPv4Network("10.0.0.0/8")),))
    options = Options(prune=True, confirm_all=True, backup=False)
    found = plan(Desired("mine"), applied(model()), host, options)
    assert steps(found) == [
        "delete instance lab-ai in lab",
        "delete project lab",
        "delete network net-lab",
        "delete acl net-lab",
    ]
