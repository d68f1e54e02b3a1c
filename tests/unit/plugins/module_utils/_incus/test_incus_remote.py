# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An Incus on another machine: its facts come from it, and nothing of this machine is taken for one of its own.

The other machine is a stand-in that speaks the REST API over real TLS.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus import host_reader as reader_module
from ansible_collections.anklume.stt.plugins.module_utils._incus import https_transport as transport_module
from ansible_collections.anklume.stt.plugins.module_utils._incus import reconcile as reconcile_module
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import Client
from ansible_collections.anklume.stt.plugins.module_utils._incus.host_reader import HostReader, LocalHost, RemoteHost
from ansible_collections.anklume.stt.plugins.module_utils._incus.https_transport import HttpsTransport
from ansible_collections.anklume.stt.plugins.module_utils._incus.info import info_of_all
from ansible_collections.anklume.stt.plugins.module_utils._incus.listeners import Listener
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import Key
from ansible_collections.anklume.stt.plugins.module_utils._incus.observe import Found, Observed, observe
from ansible_collections.anklume.stt.plugins.module_utils._incus.plan import Options
from ansible_collections.anklume.stt.plugins.module_utils._incus.reconcile import reconcile
from ansible_collections.anklume.stt.plugins.module_utils._incus.servers import Server, servers
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import (
    IncusForbiddenError,
    IncusUnreachableError,
)
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import (
    Lan,
    Machine,
    Model,
    PersistentData,
    Publication,
    SharedVolume,
)
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Remote as RemoteServer
from incus_models import HOST, applied, domain, machine, model
from remote_stand_in import Remote, certificate

NETWORK = Key("network", "default", "net-lab")


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    with Remote(tmp_path).serving() as remote:
        yield remote


@pytest.fixture
def client(remote: Remote) -> Iterator[Client]:
    with Client(HttpsTransport("far", [remote.address], remote.credentials)).closing() as client:
        yield client


@pytest.fixture
def reader(client: Client) -> RemoteHost:
    return RemoteHost(client, "far", ["192.168.7.20"])


def settled(remote: Remote, client: Client, reader: HostReader) -> None:
    """An apply of the model was there before."""
    _observed, host = observe(client, reader)
    remote.observed = applied(model(), host=host)
    remote.bridges = {"net-lab"}


def test_no_network_of_another_machine_is_taken_for_a_ruin(
    remote: Remote, client: Client, reader: RemoteHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile_module, "PAUSE", 0)
    assert not Path("/sys/class/net/net-lab").exists(), "this machine has no such bridge"
    settled(remote, client, reader)
    answer = reconcile([Server("", client, reader)], model(), Options(), backup_dir=tmp_path)
    assert (answer["changed"], answer["summary"], remote.writes) == (False, [], [])
    # looked for on this machine, every one of them would go
    reconcile([Server("", client, LocalHost())], model(), Options(), backup_dir=tmp_path)
    assert remote.writes[0] == "DELETE /1.0/networks/net-lab"


def test_a_network_that_lost_its_bridge_there_is_made_anew(remote: Remote, client: Client, reader: RemoteHost) -> None:
    settled(remote, client, reader)
    remote.bridges = set()
    answer = reconcile([Server("", client, reader)], model(), Options(), check=True)
    assert "+ create network net-lab" in answer["summary"]


def test_trouble_is_no_sign_that_a_bridge_is_gone(remote: Remote, client: Client, reader: RemoteHost) -> None:
    settled(remote, client, reader)
    remote.broken["/1.0/networks/net-lab/state"] = 500
    with pytest.raises(IncusError, match="Incus refuses: broken"):
        reconcile([Server("", client, reader)], model(), Options())
    assert remote.writes == []


def test_what_another_machine_is_comes_from_it(remote: Remote, client: Client, reader: RemoteHost) -> None:
    remote.cards = [{"vendor_id": "10de", "driver": "nvidia", "nvidia": {"uuid": "GPU-1"}}]
    remote.driver = "lxc | qemu"
    _observed, host = observe(client, reader)
    assert (host.remote, host.cpus, host.memory, host.gpus) == ("far", 16, 64 << 30, 1)
    assert (host.nvidia_tools, host.gpu_faults, host.virtual_machines) == (True, (), True)
    assert host.lan == (IPv4Interface("192.168.7.20/24"),)
    assert host.mtu == 1400
    assert ("eno1", IPv4Network("192.168.7.0/24")) in host.links
    assert set(host.addresses) == set(map(IPv4Address, ("192.168.7.20", "10.66.0.2", "203.0.113.9")))
    assert reader.listeners(()) == (
        Listener("tcp", "127.0.0.1", int(remote.address.rpartition(":")[2]), "Incus itself"),
    )


def test_a_server_that_is_a_container_itself(remote: Remote, client: Client, reader: RemoteHost) -> None:
    """Incus does not know what its interface is; and a tunnel is no local network."""
    remote.interfaces["eno1"]["type"] = "unknown"
    assert observe(client, reader)[1].lan == (IPv4Interface("192.168.7.20/24"),)
    del remote.interfaces["eno1"], remote.interfaces["wan0"]
    assert observe(client, reader)[1].lan == ()


def test_without_the_container_tools_there_the_gpu_is_refused(
    remote: Remote, client: Client, reader: RemoteHost
) -> None:
    remote.cards = [{"vendor_id": "10de", "driver": "nvidia", "nvidia": {"model": "L4"}}]
    with pytest.raises(IncusError, match=r"lab-ai with a GPU: nvidia-container-cli is not there"):
        reconcile([Server("", client, reader)], model(domain("lab", 3, machine(gpu=True))), Options(), check=True)
    remote.cards = []
    with pytest.raises(IncusError, match=r"lab-ai asks for a GPU: server far has none that Incus sees"):
        reconcile([Server("", client, reader)], model(domain("lab", 3, machine(gpu=True))), Options(), check=True)


def test_the_addresses_of_our_own_bridges_are_not_the_hosts(remote: Remote, client: Client, reader: RemoteHost) -> None:
    settled(remote, client, reader)
    assert IPv4Address("10.100.3.254") not in observe(client, reader)[1].addresses
    theirs = replace(remote.observed.found[NETWORK], fields={"config/ipv4.address": "10.7.7.1/24"})
    remote.observed = replace(remote.observed, found={Key("network", "default", "other"): theirs})
    assert IPv4Address("10.7.7.1") in observe(client, reader)[1].addresses


FOLDER = r"lab-ai mounts /srv/d: a folder of the Incus host, and server far is another machine: take storage_volumes"


@pytest.mark.parametrize(
    ("given", "more"),
    [
        (machine(persistent_data=(PersistentData("d", "/srv/d", "/d"),)), {}),
        (machine(), {"shared_volumes": (SharedVolume("d", "/srv/d", "/d", {"lab-ai": "ro"}),)}),
    ],
)
def test_folders_are_refused_there(
    remote: Remote, client: Client, reader: RemoteHost, given: Machine, more: Any
) -> None:
    with pytest.raises(IncusError, match=FOLDER):
        reconcile([Server("", client, reader)], model(domain("lab", 3, given), **more), Options())
    assert remote.writes == []


def test_what_cannot_be_published_there(remote: Remote, client: Client, reader: RemoteHost) -> None:
    port = int(remote.address.rpartition(":")[2])
    named = machine(publish=(Publication(port, 443, where="infra.yml:7:1"),), publish_name="voice")
    remote.interfaces["eno1"]["state"]["addresses"][0]["address"] = "127.0.0.1"
    there = Server("", client, RemoteHost(client, "far", ["127.0.0.1"]))
    with pytest.raises(IncusError) as refused:
        reconcile([there], model(domain("lab", 3, named)), Options())
    assert f"port {port} of 127.0.0.1 is taken on server far by Incus itself" in str(refused.value)
    assert "voice.local cannot be announced: nothing of ours runs on another machine" in str(refused.value)


def test_who_answers_at_a_port_there_is_not_shut_out(
    remote: Remote, client: Client, reader: RemoteHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger, socket.create_server(("127.0.0.1", 0)) as closed:
        taken, free = stranger.getsockname()[1], closed.getsockname()[1]
        closed.close()
        doors = [("127.0.0.1", taken), ("127.0.0.1", free)]
        said = Listener("tcp", "127.0.0.1", taken, "somebody who answers there")
        assert reader.listeners(doors)[1:] == (said,)
        # something between here and there that answers for all
        monkeypatch.setattr(reader_module, "NOBODYS", taken)
        assert reader.listeners(doors)[1:] == ()
        monkeypatch.undo()
        remote.interfaces["eno1"]["state"]["addresses"][0]["address"] = "127.0.0.1"
        remote.images["debian/13"] = "f00"
        there = Server("", client, RemoteHost(client, "far", ["127.0.0.1"]))
        published = model(domain("lab", 3, machine(publish=(Publication(taken, 80),))))
        with pytest.raises(IncusError, match=f"port {taken} of 127.0.0.1 is taken on server far by somebody who"):
            reconcile([there], published, Options())
        assert remote.writes == []
        free_one = model(domain("lab", 3, machine(publish=(Publication(free, 80),))))
        assert reconcile([there], free_one, Options(), check=True)["new"] == ["lab-ai"]
        monkeypatch.setattr(reader_module, "answers", lambda _door: False)
        reconcile([there], published, Options())
        monkeypatch.undo()
        # that it is open now is our own doing
        assert reconcile([there], published, Options())["changed"] is False


def test_one_connection_for_many_requests_and_the_second_address(remote: Remote) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"127.0.0.1:{closed.getsockname()[1]}"
    with Client(HttpsTransport("far", [nobody, remote.address], remote.credentials)).closing() as client:
        assert [client.get("/1.0")["environment"]["server_name"] for _ in range(3)] == ["far"] * 3


def test_another_certificate_than_the_one_that_was_trusted(remote: Remote, tmp_path: Path) -> None:
    wrong = replace(remote.credentials, fingerprint="0" * 64)
    with (
        Client(HttpsTransport("far", [remote.address], wrong)).closing() as client,
        pytest.raises(IncusForbiddenError, match=rf"is not the one that was trusted .*{remote.fingerprint}"),
    ):
        client.get("/1.0")
    assert remote.asked == [], "nothing was sent to it"
    with pytest.raises(IncusForbiddenError, match="cannot use the certificate"):
        HttpsTransport("far", [remote.address], replace(wrong, certificate=tmp_path / "none.crt"))


def test_a_certificate_of_ours_that_is_not_trusted_there(remote: Remote, tmp_path: Path) -> None:
    crt, key, _fingerprint = certificate(tmp_path, "stranger")
    stranger = replace(remote.credentials, certificate=crt, key=key)
    with (
        Client(HttpsTransport("far", [remote.address], stranger)).closing() as client,
        pytest.raises((IncusForbiddenError, IncusUnreachableError)),
    ):
        client.get("/1.0")


def test_a_server_that_is_not_there(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(address: str) -> str:
        with (
            Client(HttpsTransport("far", [address], remote.credentials)).closing() as client,
            pytest.raises(IncusUnreachableError) as refused,
        ):
            client.get("/1.0")
        return str(refused.value)

    monkeypatch.setattr(transport_module, "CONNECT_TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert said(address) == f"server far ({address}) does not answer (0.05 s): is it on, and open in its firewall?"
    assert "nothing listens there" in said(address)
    assert "no such name" in said("no-such-host.invalid")


def test_a_line_that_carries_nothing_any_more(remote: Remote) -> None:
    transport = HttpsTransport("far", [remote.address], remote.credentials)
    assert transport.request("GET", "/1.0", None, {}, 5).status == 200
    remote.silent = 0.3
    with pytest.raises(IncusUnreachableError, match=r"server far .* did not answer within 0\.1 s: look at its log"):
        transport.request("GET", "/1.0", None, {}, 0.1)
    remote.silent = 0
    assert transport.request("GET", "/1.0", None, {}, 5).status == 200
    transport.close()


@pytest.mark.parametrize(
    ("address", "parted"),
    [
        ("gpu", ("gpu", 8443)),
        ("gpu:9000", ("gpu", 9000)),
        ("10.1.2.3", ("10.1.2.3", 8443)),
        ("fd00::1", ("fd00::1", 8443)),
        ("[fd00::1]:9000", ("fd00::1", 9000)),
        ("[fd00::1]", ("fd00::1", 8443)),
    ],
)
def test_addresses_with_and_without_a_port(address: str, parted: tuple[str, int]) -> None:
    assert transport_module.parted(address) == parted


def test_apply_a_second_time_a_change_and_away_with_it(remote: Remote, tmp_path: Path) -> None:
    remote.images["debian/13"] = "f00"
    stranger = Found(Key("acl", "default", "theirs"), {"description": "theirs"})
    remote.observed = Observed({stranger.key: stranger})
    (tmp_path / "two").mkdir()
    with Remote(tmp_path / "two").serving() as second:
        second.images["debian/13"] = "f00"
        there = [
            domain(name, number, machine(f"{name}-ai", name, f"10.100.{number}.10"), remote=name)
            for number, name in ((3, "attic"), (4, "cellar"))
        ]
        both = model(*there, remotes=(RemoteServer("attic", ()), RemoteServer("cellar", ())))
        with contextlib.ExitStack() as closing:
            found = []
            for name, server in (("attic", remote), ("cellar", second)):
                transport = HttpsTransport(name, [server.address], server.credentials)
                client = closing.enter_context(Client(transport).closing())
                found.append(Server(name, client, RemoteHost(client, name)))

            def apply(wanted: Model, **more: Any) -> dict[str, Any]:
                remote.writes.clear()
                second.writes.clear()
                log = str(tmp_path / "log")
                return reconcile(found, wanted, Options(**more), absent=bool(more), backup_dir=tmp_path, log_path=log)

            assert sorted(apply(both)["new"]) == ["attic-ai", "cellar-ai"]
            assert remote.writes and second.writes
            states = [json.loads(line) for line in (tmp_path / "log").read_text(encoding="utf-8").splitlines()]
            assert [one["state"] for one in states].count("begin") == 1
            assert states[0]["steps"] == sum(one["state"] == "done" and one["action"] != "ready" for one in states)
            assert "+ create project cellar on cellar" in {one.get("text") for one in states}
            assert apply(both)["changed"] is False
            assert (remote.writes, second.writes) == ([], [])
            larger = replace(there[1], machines=(replace(there[1].machines[0], config={"limits.memory": "2GiB"}),))
            changed = apply(replace(both, domains=(there[0], larger)))
            assert changed["summary"][-1] == "~ update instance cellar-ai in cellar on cellar: config/limits.memory"
            assert (remote.writes, second.writes[-1]) == ([], "PUT /1.0/instances/cellar-ai")
            apply(both, prune=True, confirm_all=True, backup=False)
    assert (list(remote.observed.found.values()), second.observed.found) == ([stranger], {})


class TestServers:
    """A project whose domains are on two servers."""

    @pytest.fixture
    def project(self, tmp_path: Path, remote: Remote, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.delenv("INCUS_CONF", raising=False)
        folder = tmp_path / "secrets" / "incus"
        (folder / "servercerts").mkdir(parents=True)
        (folder / "client.crt").write_bytes(remote.credentials.certificate.read_bytes())
        (folder / "client.key").write_bytes(remote.credentials.key.read_bytes())
        (folder / "servercerts" / "far.crt").write_bytes((tmp_path / "server.crt").read_bytes())
        return tmp_path

    @pytest.fixture
    def both(self, remote: Remote) -> Model:
        there = domain("far-lab", 4, machine("far-ai", "far-lab", "10.100.4.10"), remote="far")
        return model(domain("lab", 3, machine()), there, remotes=(RemoteServer("far", (remote.address,)),))

    @pytest.fixture
    def here(self, monkeypatch: pytest.MonkeyPatch) -> Server:
        """An Incus of this machine that holds all it should."""
        found = applied(model())
        real = reconcile_module.observe
        local = LocalHost()
        monkeypatch.setattr(local, "has_interface", lambda _name: True)
        monkeypatch.setattr(
            reconcile_module,
            "observe",
            lambda client, reader: (found, HOST) if reader is local else real(client, reader),
        )
        silent = SimpleNamespace(get=lambda _path: {"environment": {}})
        return Server("", silent, local)  # type: ignore[arg-type]

    def test_each_domain_is_on_its_server(self, project: Path, both: Model, here: Server, remote: Remote) -> None:
        with servers(both, str(project), None) as found:
            assert [one.name for one in found] == ["", "far"]
            there = found[1]
            remote.images["debian/13"] = "f00"
            answer = reconcile([here, there], both, Options(), check=True)
        assert answer["summary"][0] == "+ create project far-lab on far"
        assert {step["server"] for step in answer["plan"]} == {"far"}
        assert answer["new"] == ["far-ai"]
        assert all(entry["after_header"].startswith("create ") for entry in answer["diff"])
        assert " on far" in answer["diff"][0]["after_header"]
        assert remote.writes == []

    def test_a_domain_that_moves_is_made_there_and_told_of_here(
        self, project: Path, both: Model, here: Server, remote: Remote
    ) -> None:
        moved = replace(both, domains=(replace(both.domains[0], remote="far"),))
        with servers(both, str(project), None) as found:
            remote.images["debian/13"] = "f00"
            answer = reconcile([here, found[1]], moved, Options(), check=True)
            back = reconcile([here, found[1]], both, Options(), check=True)
        assert answer["new"] == ["lab-ai"]
        [note] = [note for note in answer["notes"] if note.startswith("instance lab-ai in lab is on server far")]
        assert "what this one holds stays here (to take it along: docs/how-to/another-machine.md" in note
        assert not any(note.endswith(" on far") for note in answer["notes"]), "nothing of it is there yet"
        assert back["notes"] == []

    def test_each_server_takes_its_own_addresses_of_the_local_network(
        self, project: Path, both: Model, here: Server, remote: Remote, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reader_module, "answers", lambda _door: False)
        remote.images["debian/13"] = "f00"
        door = (Publication(8000, 80),)
        machines = (machine("far-ai", "far-lab", "10.100.4.10", publish=door),)
        far = replace(both.domains[1], machines=machines)
        wanted = replace(both, domains=(both.domains[0], far), lan=Lan(addresses=("10.66.0.2", "192.168.1.5")))
        with servers(both, str(project), None) as found:
            answer = reconcile([here, found[1]], wanted, Options(), check=True)
        assert [(one["machine"], one["address"]) for one in answer["published"]] == [("far-ai", "10.66.0.2")]

    def test_one_that_is_not_reached_is_named_and_left(
        self, project: Path, both: Model, here: Server, remote: Remote, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            gone = f"127.0.0.1:{closed.getsockname()[1]}"
        both = replace(both, remotes=(RemoteServer("far", (gone,)),))
        with servers(both, str(project), None) as found:
            answer = reconcile([here, found[1]], both, Options(), check=True)
            assert answer["summary"] == []
            [note] = answer["notes"]
            assert note.startswith(f"server far ({gone}): nothing listens there")
            assert note.endswith("nothing was looked at or changed there")
            assert (answer["unreached"], answer["new"]) == (["far-ai"], [])
            monkeypatch.setattr(reconcile_module, "apply", None)  # there is nothing to be done on the other
            assert reconcile([here, found[1]], both, Options())["notes"] == [note]
            # without it nothing can be said at all
            with pytest.raises(IncusUnreachableError, match="nothing listens there"):
                reconcile(found[1:], both, Options())

    def test_a_server_that_does_not_trust_us_any_more(self, project: Path, both: Model, remote: Remote) -> None:
        remote.auth = "untrusted"
        with (
            servers(both, str(project), None) as found,
            pytest.raises(IncusError, match=r"server far does not trust this project .*: there, incus config trust"),
        ):
            reconcile(found, both, Options(), check=True)

    def test_a_certificate_for_some_projects_only(self, project: Path, both: Model, remote: Remote) -> None:
        remote.restricted = True
        with (
            servers(both, str(project), None) as found,
            pytest.raises(IncusError, match=r"lets this project into some of its Incus projects only"),
        ):
            reconcile(found[1:], both, Options(), check=True)
        remote.broken["/1.0/certificates/mine"] = 403
        with (
            servers(both, str(project), None) as found,
            pytest.raises(IncusError, match=r"lets this project into some of its Incus projects only"),
        ):
            reconcile(found[1:], both, Options(), check=True)

    def test_one_server_by_two_names(self, project: Path, both: Model, remote: Remote) -> None:
        with servers(both, str(project), None) as found:
            twice = [found[1], replace(found[1], name="attic")]
            with pytest.raises(
                IncusError, match=r"^server far and server attic are one and the same: take one of them"
            ):
                reconcile(twice, both, Options())
        assert remote.writes == []

    def test_a_server_that_was_never_added(self, project: Path, both: Model) -> None:
        unknown = replace(both, remotes=(RemoteServer("other", ("other",)),))
        with (
            pytest.raises(IncusError, match=r"server other and this project do not know each other yet .*remote-add"),
            servers(unknown, str(project), None),
        ):
            pass

    def test_what_is_there_is_told_of_all_servers(self, project: Path, both: Model, remote: Remote) -> None:
        with servers(both, str(project), None) as found:
            _observed, host = observe(found[1].client, found[1].reader)
            remote.observed = applied(both.on("far"), host=host)
            told = info_of_all(found[1:] * 2, "mine")
        assert told["projects"] == ["far-lab"] * 2
        assert [(one["name"], one["server"]) for one in told["instances"]] == [("far-ai", "far")] * 2

    def test_this_machine_needs_no_incus_where_nothing_is_on_it(
        self, project: Path, both: Model, remote: Remote
    ) -> None:
        far = replace(both, domains=both.domains[1:])
        with servers(far, str(project), str(project / "none")) as found:
            assert [one.name for one in found] == ["far"]
