# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which servers are behind a balancer, why one cannot be had, and what clients are told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.filter.stt_balancer_plan import stt_balancer_plan
from ansible_collections.anklume.stt.plugins.filter.stt_server import role_defaults
from ansible_collections.anklume.stt.plugins.module_utils._services.speech import (
    server_at,
    speaking_machine,
    spoken_clip,
    stt_machines,
)

ONE = {"ansible_host": "10.1.1.11", "group_names": ["role_stt_server"], "stt_server_api_key": "first"}
TWO = {"ansible_host": "10.1.1.12", "group_names": ["role_stt_server"], "stt_server_api_key": "second"}
BALANCER = {"ansible_host": "10.1.1.30", "group_names": ["role_stt_balancer"]}
HOSTS: dict[str, Any] = {"one": ONE, "two": TWO, "lb": BALANCER}
MACHINES = stt_machines({"role_stt_server": ["one", "two"], "role_stt_balancer": ["lb"]})
URL = "http://10.1.1.30:8000/v1"


def plan(hosts: dict[str, Any] | None = None, names: tuple[str, ...] = ("one", "two"), **given: Any) -> dict[str, Any]:
    variables = role_defaults("stt_balancer") | given
    balancer = {name: value for name, value in given.items() if name == "stt_balancer_machines"}
    return stt_balancer_plan(variables, "lb", names, HOSTS | {"lb": BALANCER | balancer} | (hosts or {}), "/none")


def test_the_servers_are_those_of_the_inventory_that_are_turned_on() -> None:
    assert [server["name"] for server in plan()["servers"]] == ["one", "two"]
    assert [server["name"] for server in plan({"two": TWO | {"stt_server_enabled": False}})["servers"]] == ["one"]
    assert [server["name"] for server in plan(stt_balancer_machines=["two"])["servers"]] == ["two"]
    assert plan()["refused"] == []


def test_each_server_is_proved_by_a_sentence_in_its_language() -> None:
    hosts = {
        "one": ONE | {"stt_server_language": "fr"},
        "two": TWO | {"stt_server_engine": "vosk", "stt_server_model": "auto", "stt_server_language": "de"},
    }
    office = extra(models=["vosk-small-pl"])
    spoken = [server["spoken"] for server in plan(hosts, stt_balancer_extra_servers=office)["servers"]]
    assert [(each["language"], bool(each["text"])) for each in spoken] == [("fr", True), ("de", False), ("pl", False)]
    assert [server["spoken"] for server in plan()["servers"]] == [spoken_clip("en")] * 2


def extra(**server: Any) -> list[dict[str, Any]]:
    return [{"name": "office", "url": "http://10.9.9.9:8000", **server}]


@pytest.mark.parametrize(
    ("hosts", "names", "given", "why"),
    [
        ({}, (), {}, "there is no STT server to send requests to: give a machine"),
        ({}, ("one",), {"stt_balancer_machines": ["three"]}, "stt_balancer_machines names three, which is no machine"),
        ({}, ("one",), {"stt_balancer_extra_servers": extra(url="office:8000")}, "the url of office in"),
        ({}, ("one",), {"stt_balancer_extra_servers": extra(url="http://office:8000/other")}, "the url of office in"),
        ({}, ("one",), {"stt_balancer_extra_servers": extra(url="http://office:80000")}, "the url of office in"),
        ({}, ("one",), {"stt_balancer_extra_servers": extra(name="one")}, "two STT servers are called one"),
        ({}, ("one",), {"stt_balancer_extra_servers": extra(name="the office")}, "has a name the office"),
        ({}, (), {"stt_balancer_extra_servers": extra(api_key="its")}, "clients of the balancer would need none"),
        ({}, ("one",), {"stt_balancer_extra_servers": extra(api_key="a b")}, "the api_key of office holds a space"),
        ({}, ("one",), {"stt_balancer_api_key": "a\nb"}, "stt_balancer_api_key holds a space or a line break"),
        ({"one": ONE | {"ansible_host": "127.0.0.1"}}, ("one",), {}, "one is reached at 127.0.0.1 alone"),
        ({}, ("one",), {"stt_balancer_short_kib": 1}, "stt_balancer_short_kib is 1, and 64 is the least"),
    ],
)
def test_what_cannot_be_had_says_why(
    hosts: dict[str, Any], names: tuple[str, ...], given: dict[str, Any], why: str
) -> None:
    (refused,) = plan(hosts, names, **given)["refused"]
    assert why in refused


def test_a_server_that_not_every_client_opens_gets_its_key_from_the_balancer() -> None:
    def own(hosts: dict[str, Any] | None = None, **given: Any) -> list[bool]:
        return [server["own"] for server in plan(hosts, **given)["servers"]]

    same = {"two": TWO | {"stt_server_api_key": "first"}}
    assert own() == [True, True] and plan()["asks_key"]
    assert own(same) == [False, False] and not plan(same)["asks_key"]
    assert own(same, stt_balancer_api_key="clients") == [True, True]
    assert own(same, stt_balancer_extra_servers=extra()) == [False, False, True]


def test_in_place_of_such_a_server_one_serves_that_has_all_its_models() -> None:
    both = TWO | {"stt_server_extra_models": ["base"]}
    hosts = {"one": ONE, "two": both, "three": {"ansible_host": "10.1.1.13", "stt_server_api_key": "third"}}
    servers = plan(hosts, ("one", "two", "three"))["servers"]
    assert {server["name"]: server["instead"] for server in servers} == {
        "one": ["two", "three"],
        "two": [],
        "three": ["one", "two"],
    }


def test_a_client_of_the_balancer_is_given_a_key_that_it_takes() -> None:
    assert server_at(URL, "", MACHINES, HOSTS, "/none") == {"url": URL, "api_key": "first", "aliases": ["whisper-1"]}
    own = HOSTS | {"lb": BALANCER | {"stt_balancer_api_key": "clients"}}
    assert server_at(URL, "", MACHINES, own, "/none")["api_key"] == "clients"
    assert server_at(URL, "given", MACHINES, own, "/none")["api_key"] == "given"
    some = HOSTS | {"lb": BALANCER | {"stt_balancer_machines": ["two"]}}
    assert server_at(URL, "", MACHINES, some, "/none")["api_key"] == "second"
    other = HOSTS | {"lb": BALANCER | {"stt_balancer_extra_servers": extra()}}
    assert server_at(URL, "", MACHINES, other, "/none")["aliases"] == [], "nobody knows what it calls its model"


def test_a_server_beside_a_balancer_on_one_machine_is_known_by_its_port() -> None:
    both = ONE | {"group_names": ["role_stt_server", "role_stt_balancer"], "stt_balancer_port": 8010}
    hosts = HOSTS | {"one": both, "lb": {}}
    assert server_at("http://one:8000/v1", "", ["one", "two"], hosts, "/none")["api_key"] == "first"
    behind = hosts | {"one": both | {"stt_balancer_api_key": "clients"}}
    assert server_at("http://one:8010/v1", "", ["one", "two"], behind, "/none")["api_key"] == "clients"
    assert server_at("http://one:8000/v1", "", ["one", "two"], behind, "/none")["api_key"] == "first"


def test_a_balancer_speaks_where_all_its_servers_do() -> None:
    speaks = {"stt_server_tts_models": ["auto"]}
    assert speaking_machine(URL, MACHINES, HOSTS | {"one": ONE | speaks}) == ""
    assert speaking_machine(URL, MACHINES, HOSTS | {"one": ONE | speaks, "two": TWO | speaks}) == "one"
    assert speaking_machine("http://10.1.1.30:9999/v1", MACHINES, HOSTS | {"one": ONE | speaks}) == ""


def test_keys_are_those_that_lie_on_the_controller(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/one-speaches-api-key").write_text("made\n")
    hosts = {"one": ONE | {"stt_server_api_key": "auto", "stt_server_api_keys": {"phone": "p"}}}
    found = stt_balancer_plan(role_defaults("stt_balancer"), "lb", ["one"], HOSTS | hosts, str(tmp_path))
    assert found["server_keys"] == {"one": "made"} and len(found["client_keys"]) == 2 and not found["asks_key"]
