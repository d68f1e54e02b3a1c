# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles make of their look and their variables: nothing is left to do only where all is as it should be."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLES = Path(__file__).resolve().parents[3] / "roles"
RUNS = {"user_exists": True, "installed": True, "configured": True, "started": True}

SETTLED: dict[str, dict[str, Any]] = {
    "stt_server": {
        "__stt_server_look": {**RUNS, "moves": [], "speech_models": {"differing": [], "unnamed": ["old"]}},
        "__stt_server_missing_keys": [],
        "stt_server_remove_models": False,
    },
    "ollama_server": {
        "__ollama_server_look": RUNS,
        "__ollama_server_installed": True,
    },
    "open_webui": {
        "__open_webui_look": {**RUNS, "units": {"caddy": {"user_exists": True}}},
        "open_webui_https": True,
        "__open_webui": {"secrets_to_make": []},
        "__open_webui_seen_certificate": {},
    },
}
UNSETTLED: list[tuple[str, str, Any]] = [
    *((role, f"__{role}_look user_exists", False) for role in SETTLED),
    *((role, f"__{role}_look configured", False) for role in SETTLED),
    ("stt_server", "__stt_server_look installed", False),
    ("stt_server", "__stt_server_look started", False),
    ("stt_server", "__stt_server_look moves", ["/opt/speaches"]),
    ("stt_server", "__stt_server_look speech_models differing", ["a/model"]),
    ("stt_server", "stt_server_remove_models", True),
    ("stt_server", "__stt_server_missing_keys", ["key"]),
    ("ollama_server", "__ollama_server_installed", False),
    ("ollama_server", "__ollama_server_look started", False),
    ("open_webui", "__open_webui_look installed", False),
    ("open_webui", "__open_webui_look units caddy user_exists", False),
    ("open_webui", "__open_webui secrets_to_make", ["key"]),
    ("open_webui", "__open_webui_seen_certificate reason", "it ends soon"),
]


def value(role: str, name: str, given: dict[str, Any]) -> Any:
    """What Ansible makes of one of the role's values."""
    known = DataLoader().load_from_file(str(ROLES / role / "vars/main.yml"), trusted_as_template=True)
    return Templar(loader=DataLoader(), variables=known | given).template(trust_as_template("{{ " + name + " }}"))


@pytest.mark.parametrize("role", SETTLED)
def test_nothing_is_left_to_do_where_all_is_as_it_should_be(role: str) -> None:
    assert value(role, f"__{role}_settled", SETTLED[role]) is True


@pytest.mark.parametrize(("role", "where", "found"), UNSETTLED)
def test_one_thing_that_is_not_is_enough(role: str, where: str, found: Any) -> None:
    given = copy.deepcopy(SETTLED[role])
    *path, last = where.split()
    place = given
    for key in path:
        place = place[key]
    place[last] = found
    assert not value(role, f"__{role}_settled", given)


@pytest.mark.parametrize("role", ["stt_server", "ollama_server"])
@pytest.mark.parametrize("started", [True, False])
def test_verify_looks_again_at_what_was_not_as_it_should_be(role: str, started: bool) -> None:
    look = f"__{role}_look"
    given = SETTLED[role] | {look: {**SETTLED[role][look], "started": started}, f"__{role}_seen": {"again": True}}
    assert value(role, f"__{role}_known", given) == (given[look] if started else {"again": True})
    assert value(role, f"__{role}_is_seen", {f"__{role}_seen": {}}) is False


@pytest.mark.parametrize(
    ("role", "name", "given", "wanted"),
    [
        (
            "stt_server",
            "threads",
            {"stt_server_threads": 0, "stt_server_workers": 3, "__stt_server_fit": {"cores": 8}},
            2,
        ),
        (
            "stt_server",
            "threads",
            {"stt_server_threads": 0, "stt_server_workers": 4, "__stt_server_fit": {"cores": 2}},
            1,
        ),
        ("stt_server", "threads", {"stt_server_threads": 5}, 5),
        (
            "stt_server",
            "local_url",
            {"stt_server_host": "0.0.0.0", "stt_server_port": 8000},
            "http://127.0.0.1:8000/v1",
        ),
        ("stt_server", "local_url", {"stt_server_host": "10.0.0.2", "stt_server_port": 81}, "http://10.0.0.2:81/v1"),
        ("stt_server", "refused_verdicts", {"stt_server_vram_policy": "warn"}, ["does_not_fit", "unsupported"]),
        (
            *("stt_server", "refused_verdicts"),
            {"stt_server_vram_policy": "fits"},
            ["does_not_fit", "unsupported", "tight"],
        ),
        ("ollama_server", "models", {"ollama_default_model": "", "ollama_extra_models": ["b"]}, ["b"]),
        ("ollama_server", "models", {"ollama_default_model": "a", "ollama_extra_models": ["b"]}, ["a", "b"]),
    ],
)
def test_what_is_worked_out(role: str, name: str, given: dict[str, Any], wanted: Any) -> None:
    assert value(role, f"__{role}_{name}", given) == wanted


def test_verify_asks_for_nothing_that_an_apply_settles_first() -> None:
    """Hops are looked at without a verdict on the model."""
    settled = yaml.safe_load((ROLES / "stt_server/vars/main.yml").read_text())
    left = re.findall(r"__stt_server_\w+", (ROLES / "stt_server/tasks/hops.yml").read_text())
    needed: set[str] = set()
    while left:
        name = left.pop()
        if name not in needed:
            needed.add(name)
            left += re.findall(r"__stt_server_\w+", str(settled.get(name, "")))
    assert "__stt_server_spoken" in needed
    assert "__stt_server_fit" not in needed


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"msg": "Action failed.", "rc": 1, "stderr": " Container x  Created\nanother source\n"}, "another source"),
        ({"msg": "A 'failed_when' expression evaluated to 'True'.", "rc": 0, "stderr": "no memory"}, "no memory"),
        ({"msg": "it hears something else"}, "it hears something else"),
        ({"msg": "it hears something else", "stderr": ""}, "it hears something else"),
        ({}, "the service does not answer"),
    ],
)
def test_why_a_service_in_docker_failed_is_what_was_printed(result: dict[str, Any], said: str) -> None:
    assert value("stt_compose", "__stt_compose_failure", {"ansible_failed_result": result}) == said
