# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Under which names browsers reach a page, and what the authority may sign for."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.filter.authority_names import FilterModule
from ansible_collections.anklume.stt.plugins.module_utils._services.names import (
    Place,
    found_names,
    host_names,
    is_private,
    origins,
    pages,
    permitted,
    trust_pages,
)
from ansible_collections.anklume.stt.plugins.modules.internal_certificate import may_sign_for

FILTERS = FilterModule().filters()
PUBLISHED = [
    {"port": 8443, "to": 443, "protocol": "tcp"},
    {"port": 9443, "to": 443, "protocol": "udp"},
    {"port": 8000, "to": 8000, "protocol": "tcp"},
]
HOST = ["voice.local", "192.168.1.5"]


@pytest.mark.parametrize("elsewhere", [{"ansible_incus_remote": "attic"}, {"instance_target": "n2"}])
def test_what_was_found_here_is_not_told_of_a_machine_elsewhere(elsewhere: dict[str, str]) -> None:
    machine = {"inventory_hostname": "web", "instance_published": PUBLISHED}
    assert pages(machine, HOST) != []
    assert pages({**machine, **elsewhere}, HOST) == []
    given = {**machine, **elsewhere, "infra_lan_names": ["attic.lan"]}
    assert pages(given, HOST) == ["https://attic.lan:8443"]


@pytest.mark.parametrize(
    ("arguments", "names", "ways"),
    [
        ({"address": "10.1.2.3"}, ["web", "10.1.2.3"], ["https://web", "https://10.1.2.3"]),
        ({}, ["web"], ["https://web"]),
        ({"chosen": ["chat.example.org"], "address": "10.1.2.3"}, ["chat.example.org"], ["https://chat.example.org"]),
        (
            {"address": "10.1.2.3", "published": PUBLISHED, "host": HOST},
            ["voice.local", "192.168.1.5", "web", "10.1.2.3"],
            ["https://voice.local:8443", "https://192.168.1.5:8443", "https://web", "https://10.1.2.3"],
        ),
        (
            {"published": PUBLISHED, "host": ["voice.local"], "found": ["192.168.1.6", "voice.local"]},
            ["voice.local", "192.168.1.6", "web"],
            ["https://voice.local:8443", "https://192.168.1.6:8443", "https://web"],
        ),
        ({"found": ["192.168.1.6"]}, ["web"], ["https://web"]),
        (
            {"chosen": ["chat.example.org"], "published": PUBLISHED, "host": HOST, "found": ["192.168.1.6"]},
            ["chat.example.org"],
            ["https://chat.example.org", "https://chat.example.org:8443"],
        ),
        ({"address": "10.1.2.3", "host": HOST}, ["web", "10.1.2.3"], ["https://web", "https://10.1.2.3"]),
        ({"address": "fd00::1"}, ["web", "fd00::1"], ["https://web", "https://[fd00::1]"]),
    ],
)
def test_names_and_origins(arguments: dict[str, Any], names: list[str], ways: list[str]) -> None:
    sites = Place("web", **arguments).sites(443)
    assert host_names(sites) == names
    assert origins(sites, https=True, port=443) == [*ways, "https://localhost", "https://127.0.0.1"]


def test_without_https_the_port_stands_in_the_origin_and_what_is_published_leads_there() -> None:
    place = Place(
        "web", "10.1.2.3", published=[{"port": 80, "to": 3100}, {"port": 443, "to": 443}], host=["voice.local"]
    )
    assert origins(place.sites(3100), https=False, port=3100) == [
        "http://voice.local",
        "http://web:3100",
        "http://10.1.2.3:3100",
        "http://localhost:3100",
        "http://127.0.0.1:3100",
    ]


MACHINES = {
    "lab-web": {
        "inventory_hostname": "lab-web",
        "ansible_host": "10.1.2.3",
        "open_webui_names": ["Chat.example.org", "203.0.113.5"],
    },
    "lab-ai": {
        "inventory_hostname": "lab-ai",
        "infra_lan_names": ["voice.local", "den"],
    },
}


def test_the_authority_may_sign_for_the_project_and_for_private_networks() -> None:
    names = permitted(MACHINES.values(), "host.lan")
    chosen = ["203.0.113.5", "chat.example.org", "den", "host", "host.lan", "lab-ai", "lab-web"]
    assert names[: len(chosen)] == chosen
    for name in ("voice.local", "later.local", "localhost", "lab-web.incus", "10.9.9.9", "192.168.178.20", "fd00::1"):
        assert may_sign_for(names, name), name
    for name in ("www.example.com", "example.org", "172.32.0.1", "8.8.8.8", "2001:db8::1", "169.254.1.1", "lan"):
        assert not may_sign_for(names, name), name


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("Den", ["192.168.1.5", "den.local", "den"]),
        ("den.fritz.box", ["192.168.1.5", "den.local", "den", "den.fritz.box"]),
        ("localhost", ["192.168.1.5"]),
        ("caf\xe9", ["192.168.1.5"]),
        ("", ["192.168.1.5"]),
    ],
)
def test_a_host_is_known_by_its_addresses_and_its_names(host: str, names: list[str]) -> None:
    assert found_names(host, ["192.168.1.5"]) == names


def test_a_public_address_that_was_found_is_permitted() -> None:
    assert may_sign_for(permitted([], "host", ["203.0.113.5"]), "203.0.113.5")


def test_the_filter_takes_the_machines_of_an_inventory_and_its_own_host() -> None:
    assert {"lab-web", "lab-ai", "den"} < set(FILTERS["authority_names"](list(MACHINES), MACHINES))


@pytest.mark.parametrize(("name", "private"), [("VOICE.LOCAL", True), ("local.example.org", False), ("web", False)])
def test_a_private_name_is_one_that_no_site_has(name: str, private: bool) -> None:
    assert is_private(name) is private


@pytest.mark.parametrize(
    ("variables", "pages"),
    [
        ({}, ["http://web/trust", "http://10.1.2.3/trust"]),
        ({"instance_published": [{"port": 80, "to": 80}]}, ["http://voice.local/trust"]),
        ({"instance_published": [{"port": 8443, "to": 443}]}, ["https://voice.local:8443/trust"]),
    ],
)
def test_the_page_for_devices_is_where_they_reach_it(variables: dict[str, Any], pages: list[str]) -> None:
    found = trust_pages(
        [{"inventory_hostname": "web", "ansible_host": "10.1.2.3", "infra_lan_names": ["voice.local"], **variables}]
    )
    assert found == list(dict.fromkeys([*pages, "http://web/trust", "http://10.1.2.3/trust"]))


def test_the_page_for_devices_is_at_what_was_found_on_the_host_too() -> None:
    web = {"web": {"inventory_hostname": "web", "instance_published": PUBLISHED[:1]}}
    assert FILTERS["trust_pages"](["web"], web, ["192.168.1.5"])[0] == "https://192.168.1.5:8443/trust"


@pytest.mark.parametrize(
    "variables",
    [
        {"open_webui_https": False},
        {"open_webui_tls_certificate": "/etc/ssl/chat.pem"},
        {"open_webui_acme_url": "https://acme.example.org/dir"},
    ],
)
def test_there_is_no_page_without_the_internal_authority(variables: dict[str, Any]) -> None:
    assert trust_pages([{"inventory_hostname": "web", **variables}]) == []
