# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration that the role stt_balancer makes, looked at by HAProxy itself."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parents[3] / "tests"))
import haproxy

KEY = "k#%\"'\\key"
ONE, TWO = (
    {"ansible_host": "10.1.1.11"},
    {"ansible_host": "10.1.1.12", "stt_server_workers": 2, "stt_server_port": 8001},
)
OFFICE = {"name": "office", "url": "https://speech.example.org/v1", "api_key": KEY, "workers": 4}


def case(hosts: dict[str, Any], **given: Any) -> dict[str, Any]:
    return {"given": given, "groups": {"role_stt_server": list(hosts)}, "hostvars": {"lb": {}, **hosts}}


CASES = {
    "plain": case({"one": ONE, "two": TWO}),
    "same key": case({"one": ONE | {"stt_server_api_key": KEY}, "two": TWO | {"stt_server_api_key": KEY}}),
    "own keys": case({"one": ONE | {"stt_server_api_key": "first-key"}, "two": TWO | {"stt_server_api_key": KEY}}),
    "office": case({"one": ONE | {"stt_server_api_key": "first-key"}}, stt_balancer_extra_servers=[OFFICE]),
    "open office": case({"one": ONE}, stt_balancer_extra_servers=[{"name": "office", "url": "http://10.9.9.9:8000"}]),
    "clients": case({"one": ONE}, stt_balancer_api_key="theirs"),
    "IPv6": case({"one": {"ansible_host": "fd42::7"}}, stt_balancer_host="::1"),
    "models": case(
        {
            "one": ONE | {"stt_server_model": "small", "stt_server_extra_models": ["base"]},
            "two": TWO | {"stt_server_model": "large-v3", "stt_server_extra_models": ["base"]},
            "three": {"ansible_host": "10.1.1.13", "stt_server_model": "small"},
        }
    ),
    "small": case({"one": ONE}, stt_balancer_short_kib=64),
}


@pytest.fixture(scope="module")
def made() -> dict[str, dict[str, str]]:
    return dict(zip(CASES, haproxy.render(*CASES.values()), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_haproxy_takes_it_without_a_word(made: dict[str, Any], name: str, tmp_path: Path) -> None:
    assert haproxy.check(haproxy.write(tmp_path, made[name])) == ""


def section(config: str, head: str) -> list[str]:
    """The lines of a section."""
    (found,) = re.findall(rf"^{head}.*\n((?:  .*\n)*)", config, re.M)
    return [line.strip() for line in found.splitlines()]


def servers(config: str, lane: str) -> list[str]:
    return [line for line in section(config, f"backend {lane} ") if line.startswith("server ")]


def test_each_lane_has_every_server_with_a_limit_of_its_own(made: dict[str, Any]) -> None:
    files = made["plain"]
    config = files["haproxy.cfg"]
    assert servers(config, "short") == [
        "server one 10.1.1.11:8000 check maxconn 15",
        "server two 10.1.1.12:8001 check maxconn 15",
    ]
    assert servers(config, "long") == [
        "server one 10.1.1.11:8000 check maxconn 2",
        "server two 10.1.1.12:8001 check maxconn 3",
    ]
    assert servers(config, "rest") == [
        "server one 10.1.1.11:8000 track short/one",
        "server two 10.1.1.12:8001 track short/two",
    ]
    assert "option http-server-close" in section(config, "defaults lane "), "a cut is noticed by a new connection"
    assert "tarpit" not in "".join(section(config, "frontend stt ")), "nobody has a key"
    assert (files["client.keys"], "listen server_" in config) == ("", False)


def test_a_key_that_all_servers_have_goes_through(made: dict[str, Any]) -> None:
    files = made["same key"]
    assert "tarpit deny_status" not in files["haproxy.cfg"] and "listen server_" not in files["haproxy.cfg"]


def test_keys_of_their_own_are_given_to_the_servers_and_compared_before(made: dict[str, Any]) -> None:
    files = made["own keys"]
    config = files["haproxy.cfg"]
    assert "server one unix@" in config and "server two unix@" in config
    assert files["server.keys"].endswith(f"\none first-key\ntwo {KEY}\n")
    assert files["client.keys"].split() == [
        hashlib.sha256(key.encode()).hexdigest().upper() for key in ("first-key", KEY)
    ]
    assert KEY not in config and "first-key" not in config
    assert "tarpit deny_status 401" in config
    instead = "server two unix@/run/stt-balancer/two.sock track server_two/two backup"
    assert section(config, "listen server_one ")[-1] == instead
    assert (files["key"], made["clients"]["key"], made["plain"]["key"]) == ("first-key", "theirs", "")


def test_a_server_elsewhere_gets_its_own_key_and_nobody_elses(made: dict[str, Any]) -> None:
    files = made["office"]
    config = files["haproxy.cfg"]
    assert "server one 10.1.1.11:8000 check maxconn 15" in servers(config, "short"), "it looks at the key itself"
    lines = section(config, "listen server_office ")
    assert "http-request del-header Authorization" in lines and "http-request del-header X-API-Key" in lines
    assert 'http-request set-header Authorization "Bearer %[str(office),map(server.keys)]"' in lines
    assert "http-request set-header Host speech.example.org:443" in lines
    assert " ssl verify required " in lines[-1]
    assert "tarpit deny_status 401" in config, "or all would be let in by the office's key"
    assert "resolvers system" in config


def test_a_server_elsewhere_without_a_key_gets_none(made: dict[str, Any]) -> None:
    files = made["open office"]
    assert "http-request del-header Authorization" in section(files["haproxy.cfg"], "listen server_office ")
    assert "set-header Authorization" not in files["haproxy.cfg"]


def test_a_key_for_clients_alone(made: dict[str, Any]) -> None:
    files = made["clients"]
    assert files["client.keys"].strip() == hashlib.sha256(b"theirs").hexdigest().upper()
    assert "http-request del-header Authorization" in section(files["haproxy.cfg"], "listen server_one ")


def test_addresses_of_ipv6_are_written_as_haproxy_reads_them(made: dict[str, Any]) -> None:
    assert servers(made["IPv6"]["haproxy.cfg"], "short") == ["server one [fd42::7]:8000 check maxconn 15"]


def test_the_release_tells_its_own_name_and_changes_with_all_that_it_is_made_of(made: dict[str, Any]) -> None:
    names = {re.findall(r'"release": "(haproxy-\w{12})"', files["haproxy.cfg"])[0] for files in made.values()}
    assert len(names) == len(CASES)


def test_requests_go_by_the_model_that_they_name_where_servers_have_others(made: dict[str, Any]) -> None:
    config = made["models"]["haproxy.cfg"]
    routes = dict(re.findall(r"acl model(-\d) var\(txn.model\) -m str (.*)", config))
    having = {name: [line.split()[1] for line in servers(config, f"short{name}")] for name in ("", *routes)}
    by_model = {name: having[route] for route, models in routes.items() for name in models.split()}
    assert having[""] == ["one", "three"], "those with the first one's model"
    assert (by_model["base"], by_model["large-v3"]) == (["one", "two"], ["two"])
    assert by_model["Systran/faster-whisper-large-v3"] == ["two"] and "small" not in by_model
    assert "server two 10.1.1.12:8001 track short-" in config
    assert "acl model" not in made["plain"]["haproxy.cfg"] and "lua" not in made["plain"]["haproxy.cfg"]
