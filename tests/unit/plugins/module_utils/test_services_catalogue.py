# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue of services against the roles and playbooks, and what follows from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import (
    BY_ROLE,
    MACHINE_ROLES,
    SERVICES,
    STAGES,
    Service,
    command_on,
    logs,
    machines_of_stage,
    roles_of_stage,
    services_left,
    stage,
)

ROOT = Path(__file__).resolve().parents[4]


def tasks_of(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All tasks of a file, those in blocks too."""
    for task in tasks:
        yield task
        for part in ("block", "rescue", "always"):
            yield from tasks_of(task.get(part, []))


def expanded(text: str, values: dict[str, Any]) -> str:
    """An expression with the role's own variables in it replaced by what they are made of."""
    known = [name for name in dict.fromkeys(re.findall(r"__\w+", text)) if name in values]
    rest = {name: value for name, value in values.items() if name not in known}
    return text + "".join(expanded(str(values[name]), rest) for name in known)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.role)
class TestRecord:
    def test_is_what_the_role_says(self, service: Service) -> None:
        role = ROOT / "roles" / service.role
        defaults = yaml.safe_load((role / "defaults/main.yml").read_text())
        everything = "".join(path.read_text() for path in role.rglob("*") if path.suffix in {".yml", ".j2"})
        default = str(defaults[service.port_variable])
        assert default.endswith(f":{service.port}") if service.port_in_address else default == str(service.port)
        own = () if service.packaged else (service.home, f"User={service.unit}")  # Debian's are in its packages
        for place in (*own, service.data):
            assert place in everything

    def test_the_role_s_looks_and_switches_are_about_what_is_written_here(self, service: Service) -> None:
        role = ROOT / "roles" / service.role
        values = yaml.safe_load((role / "vars/main.yml").read_text())
        # what tasks/plan.yml works out; the home is the catalogue's already
        plan = (ROOT / "plugins/module_utils/_services/open_webui_plan.py").read_text()
        values["__open_webui"] = plan.replace("{SERVICE.home}", BY_ROLE["open_webui"].home)
        calls = [
            task[f"anklume.stt.{module}"]
            for path in (role / "tasks").glob("*.yml")
            for task in tasks_of(yaml.safe_load(path.read_text()))
            for module in ("service_info", "service_release")
            if f"anklume.stt.{module}" in task
        ]
        if service.packaged:
            # no release to switch to; the exporter on the Incus host is a service of its own
            calls = [call for call in calls if call["service"] == service.unit]
            assert len(calls) == 2 and not any("release" in call for call in calls), "a look, and one of verify's"
        else:
            assert len(calls) >= 4, "a look, one of verify's, a switch and its end at least"
        for call in calls:
            assert call["service"] == service.unit == call.get("user", service.unit)
            assert service.packaged or service.home in expanded(call.get("home") or call["release"], values)
            if "port" in call:
                assert service.port_variable in expanded(call["port"], values)

    def test_its_port_is_the_variable_s_or_the_default(self, service: Service) -> None:
        environment = jinja2.Environment()
        environment.filters["split"] = str.split  # as Ansible has it
        expression = environment.from_string(f"{{{{ {service.port_expression} }}}}")
        wanted = "0.0.0.0:4321" if service.port_in_address else 4321
        assert expression.render({service.port_variable: wanted}) == "4321"
        assert expression.render() == str(service.port)

    def test_it_comes_after_all_that_it_talks_to(self, service: Service) -> None:
        assert all(stage(other) < stage(service.role) for other in service.talks_to)


@pytest.mark.parametrize(
    ("role", "machine", "port", "local", "enabled"),
    [
        ("stt_server", {}, 8000, False, True),
        ("stt_server", {"stt_server_port": 81, "stt_server_host": "::1", "stt_server_enabled": False}, 81, True, False),
        ("ollama_server", {"ollama_host": "0.0.0.0:4321"}, 4321, False, True),
        ("ollama_server", {"ollama_host": "127.0.0.1:1", "ollama_service_enabled": False}, 1, True, False),
        ("edge_tts", {"edge_tts_host": "localhost"}, 3002, True, True),
    ],
)
def test_what_a_machine_s_variables_say(
    role: str, machine: dict[str, Any], port: int, local: bool, enabled: bool
) -> None:
    service = BY_ROLE[role]
    said = (service.port_on(machine), service.is_local(machine), service.is_enabled(machine))
    assert said == (port, local, enabled)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.role)
def test_the_variable_that_turns_it_off_is_the_role_s(service: Service) -> None:
    defaults = yaml.safe_load((ROOT / "roles" / service.role / "defaults/main.yml").read_text())
    named = [name for name in defaults if name.endswith("_enabled")]
    assert named in ([], [service.enabled_variable or f"{service.role}_enabled"])


def test_the_playbook_has_a_play_for_each_stage() -> None:
    plays = yaml.safe_load((ROOT / "playbooks/services.yml").read_text())
    # the STT servers behind a balancer have a play of their own
    stages = [play["vars"].get("__stage") for play in plays]
    assert stages == [0, *range(STAGES), None], "what infra.yml no longer gives goes after all"


def test_what_infra_yml_no_longer_gives_is_found_where_it_may_go() -> None:
    looked = {"stdout_lines": ["speaches.service", "stt-balancer.service", "ready"]}
    machines = {
        "still": {"__python": looked, "instance_roles": ["anklume.stt.stt_balancer"]},
        "no longer": {"__python": looked, "instance_roles": ["mine"]},
        "nothing": {"__python": {"stdout_lines": ["ready"]}, "instance_roles": []},
        "not looked at": {"instance_roles": []},
        "of no infra.yml": {"__python": looked},
        "by a role of one's own": {"__python": looked, "instance_roles": ["mine"], "__stt_balancer_look": {}},
    }
    assert services_left(machines, machines) == {"no longer": ["stt_balancer"]}, "an STT server holds models"
    for role in (service.role for service in SERVICES if service.goes):
        assert (ROOT / f"roles/{role}/tasks/remove.yml").is_file()


def test_a_stage_has_the_machines_with_a_service_whose_turn_it_is() -> None:
    groups = {"all": ["a", "b", "c"], "role_stt_server": ["a", "b"], "role_stt_balancer": ["b"], "role_mine": ["c"]}
    groups |= {"role_wyoming": ["c"], "role_open_webui": ["c", "a"]}
    assert [machines_of_stage(groups, number) for number in range(STAGES)] == [["a", "b"], ["b"], ["c", "a"]]
    assert machines_of_stage({}, 1) == []


def test_all_roles_of_the_collection_are_known() -> None:
    # of the Incus host, of a host with Docker, and of other roles
    helpers = {"incus_host", "stt_compose", "uv"}
    assert {path.name for path in (ROOT / "roles").iterdir()} - helpers == set(MACHINE_ROLES)
    assert set(BY_ROLE) <= set(MACHINE_ROLES)


@pytest.mark.parametrize(
    ("roles", "stages"),
    [
        (["base_system", "mine", "open_webui", "after"], [["base_system", "mine"], [], ["open_webui", "after"]]),
        (["stt_server", "stt_balancer", "mine", "wyoming"], [["stt_server"], ["stt_balancer", "mine"], ["wyoming"]]),
        (["base_system"], [["base_system"], [], []]),
        (["open_webui", "stt_server"], [[], [], ["open_webui", "stt_server"]]),
        (["anklume.stt.open_webui"], [[], [], ["anklume.stt.open_webui"]]),
        ([], [[], [], []]),
    ],
)
def test_every_role_runs_once_and_the_order_of_a_machine_is_kept(roles: list[str], stages: list[list[str]]) -> None:
    assert [roles_of_stage(roles, number) for number in range(STAGES)] == stages


@pytest.mark.parametrize(
    ("machine", "command"),
    [
        (
            {"inventory_hostname": "ai", "ansible_incus_host": "ai", "ansible_incus_project": "home"},
            "incus exec ai --project home -- journalctl -u speaches -n 50",
        ),
        (
            {"inventory_hostname": "ai", "ansible_incus_project": "home", "ansible_incus_remote": "gpu-room"},
            "incus exec gpu-room:ai --project home -- journalctl -u speaches -n 50",
        ),
        ({"inventory_hostname": "ai", "ansible_host": "192.0.2.7"}, "ssh 192.0.2.7 journalctl -u speaches -n 50"),
        ({"inventory_hostname": "ai"}, "ssh ai journalctl -u speaches -n 50"),
        (
            {"inventory_hostname": "ai", "ansible_host": "192.0.2.7", "ansible_user": "alice", "ansible_port": 2222},
            "ssh -p 2222 alice@192.0.2.7 sudo journalctl -u speaches -n 50",
        ),
        ({"inventory_hostname": "ai", "ansible_user": "root"}, "ssh root@ai journalctl -u speaches -n 50"),
    ],
)
def test_the_log_is_read_as_the_machine_is_reached(machine: dict[str, str], command: str) -> None:
    assert logs(machine, "speaches") == command
    assert command_on(machine, "true") == command.replace("journalctl -u speaches -n 50", "true")
