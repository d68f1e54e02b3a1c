# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault of infra.yml is told at its place, with a way out; right files have none."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from ansible_collections.anklume.stt.plugins.module_utils._infra import project
from ansible_collections.anklume.stt.plugins.module_utils._infra.check import check
from ansible_collections.anklume.stt.plugins.module_utils._infra.diagnostic import Diagnostic
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import parse
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import (
    Domain,
    Endpoint,
    Machine,
    Model,
    Policy,
    Publication,
    ResourcePolicy,
    SharedVolume,
)
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import judge_project
from ansible_collections.anklume.stt.plugins.module_utils._infra.render import render
from infra_cases import FORM, MEANING, RIGHT, Case, domain, machine, policy, published, settings, two


@pytest.fixture(params=["libyaml", "pure"])
def either_parser(request, monkeypatch):
    """Both of PyYAML's parsers: places must be the same."""
    if request.param == "pure":
        monkeypatch.delattr(yaml, "CSafeLoader")
    else:
        assert yaml.__with_libyaml__, "this test needs PyYAML with libyaml"


def judge(text: str, folder, **files: str) -> tuple[Model | None, tuple[Diagnostic, ...]]:
    (folder / "infra.yml").write_text(text, encoding="utf-8")
    return judge_project(str(folder))


def errors(found: tuple[Diagnostic, ...]) -> list[Diagnostic]:
    return [diagnostic for diagnostic in found if diagnostic.level == "error"]


def warnings(found: tuple[Diagnostic, ...]) -> list[str]:
    return [diagnostic.message for diagnostic in found if diagnostic.level == "warning"]


@pytest.mark.parametrize("case", FORM + MEANING, ids=lambda case: case.name)
def test_fault_is_told_where_it_stands(case: Case, tmp_path, either_parser):
    model, found = judge(case.text, tmp_path)
    assert model is None
    told = errors(found)
    text = "\n".join(one.render() for one in told)
    assert len(told) == 1, text
    assert case.says in told[0].message, text
    assert (told[0].line, told[0].column) == case.place, text
    if case.hint:
        assert any(case.hint in hint for hint in told[0].hints), text


@pytest.mark.parametrize("name", RIGHT)
def test_right_files_have_no_fault(name, tmp_path, either_parser):
    model, found = judge(RIGHT[name], tmp_path)
    assert errors(found) == []
    assert model is not None


def test_a_backslash_in_double_quotes(tmp_path, either_parser):
    """The two parsers name neighbouring columns."""
    (told,) = errors(judge(machine('description: "C:\\dir"'), tmp_path)[1])
    assert told.line == 6
    assert "a backslash is written twice" in told.hints[0]


def test_all_faults_in_one_run_in_the_order_of_the_file(tmp_path):
    text = (
        "global:\n  base_subnet: 10.100\n  gpu_polcy: shared\ndomains:\n  Lab:\n    subnet_id: true\n    machines:\n"
        '      one:\n        ip: "10.100.3.999"\n      two:\n'
    )
    _, found = judge(text, tmp_path)
    assert [(one.line, one.column) for one in errors(found)] == [(2, 16), (3, 3), (5, 3), (6, 16), (9, 13), (10, 7)]


def test_rendered_like_a_compiler(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, found = judge(machine("⟦rols: [base_system]").replace("⟦", ""), tmp_path)
    lines = found[0].render().split("\n")
    assert lines[0] == 'infra.yml:6:9: domains.lab.machines.one: unknown key "rols"'
    assert lines[1] == "  6 |         rols: [base_system]"
    assert lines[2] == "    |         ^^^^"
    assert lines[3] == "    did you mean roles?"
    assert lines[4].startswith("    allowed: boot_autostart, boot_priority, config")


def test_caret_stands_below_the_text_after_a_tab():
    told = Diagnostic("error", "f", 1, 3, "", "m", "a\tbc", 2)
    assert told.render().split("\n")[2] == "    |  \t^^"


def test_the_caret_stands_below_wide_characters():
    told = Diagnostic("error", "f", 1, 4, "", "m", "日本\u0301xé", 1)
    assert told.render().split("\n")[2] == "    |     ^"
    wide = Diagnostic("error", "f", 1, 1, "", "m", "日本", 2)
    assert wide.render().split("\n")[2] == "    | ^^^^"


def test_nothing_of_the_file_steers_the_terminal(tmp_path):
    _, found = judge(machine('ty\u202epe: 1\nroles: ["\\e[31m"]\n\u200fb: {}'), tmp_path)
    rendered = "\n".join(one.render() for one in found)
    assert all(line.isprintable() for line in rendered.split("\n")), rendered
    assert "\\u202e" in rendered and "\\x1b" in rendered


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_is_a_fault_and_nothing_to_wait_for(make, tmp_path):
    make(tmp_path / "infra.yml")
    model, found = judge_project(str(tmp_path))
    assert model is None
    assert "cannot be read: is " in found[0].message


def test_long_lines_are_cut():
    told = Diagnostic("error", "f", 1, 3, "", "m", "x" * 5000, 4000)
    assert max(map(len, told.render().split("\n"))) < 200


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (machine('ip: "10.100.3.150"'), "10.100.3.150 is among the addresses that DHCP hands out"),
        (settings('base_subnet: "11.1"'), "11.1 is not a private range"),
        (settings('base_subnet: "10.1"\naddressing: {}'), "is not used: addressing decides"),
        ("global:\ndomains:\n  a: {subnet_id: 1}\n", "is empty, which counts as left out"),
        (machine("ip:"), "is empty, which counts as left out"),
        ("domains: {}\n", "there is no domain yet"),
        ("domains: {a: {subnet_id: 1, machines: {a: {}}}}\n", "the machine has the name of domain a"),
        ("domains: {host: {subnet_id: 1}}\n", "policies cannot name this domain"),
        ("domains: {internet: {subnet_id: 1, machines: {lan: {}}}}\n", "policies cannot name this machine: lan means"),
        ("domains: {internet: {subnet_id: 1}}\n", "policies cannot name this domain: internet means all but private"),
        (policy("from: pro\nto: pro"), "from and to are both pro"),
        (machine("roles: [base_system, base_system]"), "role base_system is already in this list"),
        (machine("boot_autostart: true\nconfig: {boot.autostart: false}"), "config.boot.autostart says it too, line 7"),
        (machine("config: {memory: 8GiB}"), "has no config key memory"),
        (
            machine("devices: {d: {type: disk, source: /s, path: /x, bogus: 1}}"),
            "has no key bogus of a device of type disk",
        ),
        (domain("subnet_id: 3\ndesktop: {mode: 0755}"), "0755 without quotes is the number 493, base 8"),
        (
            domain(
                "subnet_id: 3\nmachines:\n  a: {storage_volumes: {data: {path: /x}}}\n"
                "  b: {storage_volumes: {data: {pool: ssd, path: /x}}}"
            ),
            "is the volume of a, line 5, where the machines' root disks are in pool ssd",
        ),
        ("global: {gpu_policy: shared}\n" + two("{gpu: true}", "{gpu: true}"), "2 machines share the GPU (m1, m2)"),
        ("global: {firewall_mode: vm}\ndomains: {admin: {subnet_id: 0}}\n", "sys-firewall is added to domain admin"),
    ],
)
def test_warnings(text, says, tmp_path):
    model, found = judge(text, tmp_path)
    assert model is not None, [one.render() for one in found]
    assert any(says in message for message in warnings(found)), found


def test_a_disabled_domain_has_no_gpu_and_keeps_its_numbers(tmp_path):
    text = two("{gpu: true}", "{gpu: true}").replace("  b:\n", "  b:\n    enabled: false\n")
    model, found = judge(text, tmp_path)
    assert errors(found) == []
    assert [one.name for one in model.domains] == ["a"]
    assert model.disabled == {"b": ("m2",)}
    model, found = judge(text.replace("subnet_id: 1", "subnet_id: 2"), tmp_path)
    assert "already the subnet_id" in errors(found)[0].message


def test_a_disabled_domain_is_left_out_of_policies_and_volumes(tmp_path):
    text = policy("from: pro\nto: tools").replace("  tools:\n", "  tools:\n    enabled: false\n")
    model, found = judge(text + "shared_volumes: {a: {consumers: {tools: ro, pro-dev: rw}}}\n", tmp_path)
    assert model.policies == ()
    assert model.shared_volumes[0].consumers == {"pro-dev": "rw"}
    assert sum("domain tools is disabled" in message for message in warnings(found)) == 2


def test_notes_name_a_carried_key_once(tmp_path):
    text = domain("subnet_id: 3\nmachines:\n  a: {export_apps: [x]}\n  b: {export_apps: [y]}\ndesktop: {a: 1}")
    model, found = judge(text, tmp_path)
    notes = [one.message for one in found if one.level == "note"]
    assert notes == ["export_apps: carried, not acted on", "desktop: carried, not acted on"]
    assert model.domains[0].carried == {"ai_provider": "local", "desktop": {"a": 1}, "ai_sanitize": False}
    assert model.machines[0].carried == {"export_apps": ["x"]}


def test_unknown_roles_are_one_note_each(tmp_path):
    (tmp_path / "roles" / "mine").mkdir(parents=True)
    text = machine("roles: [base_system, mine, lobechat, lobechat, ns.coll.there, stt_servr]")
    model, found = judge(text, tmp_path)
    assert model is not None
    notes = [one.message.split('"')[1] for one in found if one.level == "note"]
    assert notes == ["lobechat", "stt_servr"]
    assert "did you mean stt_server?" in found[-1].hints


def test_config_values_become_the_text_of_incus(tmp_path):
    text = machine("config: {a: 4, b: true, c: Off, d: 0755, e: '', f: 1.50, g: 2026-01-01}")
    model, _ = judge(text, tmp_path)
    assert model.machines[0].config == {
        "a": "4", "b": "true", "c": "false", "d": "0755", "e": "", "f": "1.50", "g": "2026-01-01",
    }  # fmt: skip


def test_project_name_defaults_to_the_folder(tmp_path):
    folder = tmp_path / "my infra (2)"
    folder.mkdir()
    model, _ = judge("domains: {}\n", folder)
    assert model.project_name == "my-infra-2"


def test_zones_give_addresses(tmp_path):
    text = """
global: {addressing: {zone_base: 50}}
domains:
  zeta: {trust_level: trusted, machines: {z1: {}, z2: {ip: "10.60.2.1"}, z3: {}}}
  beta: {trust_level: trusted, machines: {b1: {}}}
  mid: {trust_level: trusted, subnet_id: 1}
  idle: {trust_level: trusted, enabled: false}
  plain: {machines: {p1: {}}}
"""
    model, found = judge(text, tmp_path)
    assert errors(found)[0].message.startswith("10.60.2.1 is outside the domain's subnet 10.60.3.0/24")
    model, found = judge(text.replace("10.60.2.1", "10.60.3.1"), tmp_path)
    assert errors(found) == []
    assert {one.name: one.network.subnet for one in model.domains} == {
        "zeta": "10.60.3.0/24",
        "beta": "10.60.0.0/24",
        "mid": "10.60.1.0/24",
        "plain": "10.70.0.0/24",
    }
    assert {one.name: one.ip for one in model.machines} == {
        "z1": "10.60.3.2",
        "z2": "10.60.3.1",
        "z3": "10.60.3.3",
        "b1": "10.60.0.1",
        "p1": "10.70.0.1",
    }
    assert model.domains[0].trust_level == "trusted"
    assert model.base_subnet is None


def test_a_full_zone_domain(tmp_path):
    lines = "".join(f"      m{number}: {{}}\n" for number in range(100))
    _, found = judge(f"global: {{addressing: {{}}}}\ndomains:\n  a:\n    machines:\n{lines}", tmp_path)
    assert [one.line for one in errors(found)] == [104]
    assert "no address from 10.120.0.1 to 10.120.0.99 is left" in errors(found)[0].message


@pytest.mark.parametrize(
    ("domains", "settings_", "name", "address"),
    [
        ("admin: {subnet_id: 7}", "", "sys-firewall", "10.100.7.253"),
        ("anklume: {subnet_id: 8}", "", "anklume-firewall", "10.100.8.253"),
        ("anklume: {trust_level: admin}", ", addressing: {}", "anklume-firewall", "10.100.0.253"),
    ],
)
def test_firewall_machine(domains, settings_, name, address, tmp_path):
    (tmp_path / "roles" / "firewall_router").mkdir(parents=True)
    model, found = judge(f"global: {{firewall_mode: vm{settings_}}}\ndomains: {{{domains}}}\n", tmp_path)
    assert found == ()
    (made,) = model.machines
    assert (made.name, made.ip, made.type, made.roles) == (name, address, "vm", ("base_system", "firewall_router"))


def test_a_declared_firewall_is_kept(tmp_path):
    text = "global: {firewall_mode: vm}\ndomains: {net: {subnet_id: 1, machines: {sys-firewall: {type: vm}}}}\n"
    model, found = judge(text, tmp_path)
    assert found == ()
    assert [one.name for one in model.machines] == ["sys-firewall"]


def test_every_default_of_the_model_is_the_one_of_the_schema(tmp_path):
    """The schema fills them in; the model has them too, so that one can be written down in short."""
    text = "project_name: p\ndomains: {lab: {subnet_id: 3, machines: {one: {}}}}\n"
    text += "shared_volumes: {s: {source: /s, path: /x, consumers: {lab: rw}}}\n"
    text += "network_policies: [{from: lab, to: host}]\n"
    made, _ = judge(text, tmp_path)
    parts = {"domains": made.domains, "policies": made.policies, "shared_volumes": made.shared_volumes}
    assert made == replace(Model("p"), base_subnet="10.100", **parts)
    lab = made.domains[0]
    assert lab == Domain("lab", lab.network, 3, machines=lab.machines, carried=lab.carried)
    assert lab.machines == (Machine("one", "lab"),)
    assert made.shared_volumes == (SharedVolume("s", "/s", "/x", {"one": "rw"}),)
    assert made.policies == (Policy(Endpoint("domain", "lab"), Endpoint("host", "host"), protocol="any"),)
    resources, _ = judge(text.replace("domains:", "global: {resource_policy: true}\ndomains:"), tmp_path)
    assert resources.resource_policy == ResourcePolicy()


def test_policies_and_volumes(tmp_path):
    text = policy("from: host\nto: pro-dev\nports: [80, 443]").replace(
        "network", "shared_volumes:\n  a: {consumers: {pro: ro, pro-dev: rw}}\nnetwork"
    )
    model, found = judge(text, tmp_path)
    assert errors(found) == []
    (made,) = model.policies
    assert (made.source, made.target) == (Endpoint("host", "host"), Endpoint("machine", "pro-dev"))
    assert (made.ports, made.protocol) == (("80", "443"), "tcp")
    (volume,) = model.shared_volumes
    assert volume.consumers == {"pro-dev": "rw", "pro-lease": "ro"}
    assert (volume.source, volume.path) == ("/srv/anklume/shares/a", "/shared/a")


def test_a_protocol_without_ports_opens_this_protocol_alone(tmp_path):
    model, found = judge(policy("from: pro\nto: tools\nprotocol: udp"), tmp_path)
    assert (model.policies[0].protocol, model.policies[0].ports) == ("udp", None)
    assert [one.message for one in found] == ["opens every port of udp, and no other protocol"]
    model, _ = judge(policy("from: pro\nto: tools\nports: all\nprotocol: tcp"), tmp_path)
    assert (model.policies[0].protocol, model.policies[0].ports) == ("tcp", None)
    model, found = judge(policy("from: pro\nto: tools\nports: all"), tmp_path)
    assert (model.policies[0].protocol, model.policies[0].ports, found) == ("any", None, ())


def test_what_is_published(tmp_path):
    text = published("443, 8443:80, {port: 53, to: 5353, protocol: udp, from: [lan, 10.8.0.5]}, {port: 80, from: any}")
    model, found = judge(text, tmp_path)
    assert found == ()
    assert model.machines[0].publish == (
        Publication(443, 443),
        Publication(8443, 80),
        Publication(53, 5353, "udp", ("lan", "10.8.0.5")),
        Publication(80, 80, "tcp", ("any",)),
    )
    assert [one.where.rpartition("/")[2] for one in model.machines[0].publish[:2]] == [
        "infra.yml:7:19",
        "infra.yml:7:24",
    ]


def test_lan_and_internet_are_ends_of_policies(tmp_path):
    model, _found = judge(policy("from: lan\nto: pro-dev\nports: [80]\nbidirectional: true"), tmp_path)
    assert model.policies[0].source == Endpoint("lan", "lan")
    model, found = judge(policy("from: pro\nto: internet"), tmp_path)
    assert model.policies[0].target == Endpoint("internet", "internet")
    assert [one.message for one in found] == ["is open anyway: machines reach all but other domains and the host"]


KEYED = published("8000", "roles: [stt_server]")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("host_vars/one.yml", "stt_server_api_key: auto\n"),
        ("host_vars/one.yml", "---\nstt_server_api_key: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n"),
        ("host_vars/one/keys.yaml", 'stt_server_api_key: \'{{ lookup("env", "KEY") }}\'\n'),
        ("host_vars/one.json", '{"stt_server_api_key": "secret"}'),
        ("group_vars/all", "stt_server_api_key: auto\n"),
        ("group_vars/lab.yml", "stt_server_api_key: auto\n"),
        ("group_vars/role_stt_server.yml", "stt_server_api_key: auto\n"),
        ("host_vars/one.yml", "stt_server_port: 9000\n"),
    ],
)
def test_a_key_is_found_where_ansible_finds_it(file, content, tmp_path):
    _, found = judge(KEYED, tmp_path)
    assert "has no key" in errors(found)[0].message
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(content, encoding="utf-8")
    model, found = judge(KEYED, tmp_path)
    assert model is not None, errors(found)
    assert found == ()


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("host_vars/one.yml", "stt_server_api_key: ''\n", "which has no key"),
        ("host_vars/two.yml", "stt_server_api_key: auto\n", "which has no key"),
        ("group_vars/other.yml", "stt_server_api_key: auto\n", "which has no key"),
        ("host_vars/one.yml.orig", "stt_server_api_key: auto\n", "which has no key"),
        ("host_vars/one.yml", "stt_server_port: '{{ port }}'\n", "which has no key"),
    ],
)
def test_a_key_elsewhere_is_none(file, content, says, tmp_path):
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(content, encoding="utf-8")
    model, found = judge(KEYED, tmp_path)
    assert model is None
    assert says in errors(found)[0].message


def test_the_host_s_own_variable_wins_over_its_groups(tmp_path):
    for file, value in (("group_vars/role_stt_server.yml", "auto"), ("host_vars/one.yml", "''")):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text(f"stt_server_api_key: {value}\n", encoding="utf-8")
    assert "has no key" in errors(judge(KEYED, tmp_path)[1])[0].message


@pytest.mark.parametrize("content", ["$ANSIBLE_VAULT;1.1;AES256\n6162\n", "a: [\n", "- a\n"])
def test_a_key_that_may_be_in_an_encrypted_file_is_asked_for(content, tmp_path):
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "one.yml").write_text(content, encoding="utf-8")
    model, found = judge(KEYED, tmp_path)
    assert model is not None
    assert "whether stt_server_api_key is set cannot be seen" in warnings(found)[0]
    assert judge(KEYED + "        publish_without_key: true\n", tmp_path)[1] == ()


def test_a_key_that_no_role_makes_is_to_be_set(tmp_path):
    edge = published("3002", "roles: [edge_tts]")
    _, found = judge(edge, tmp_path)
    assert "port 3002 leads to edge_tts, which has no key" in errors(found)[0].message
    assert errors(found)[0].hints[0] == "set edge_tts_api_key in host_vars/one.yml"
    assert errors(judge(KEYED, tmp_path)[1])[0].hints[0] == "set stt_server_api_key: auto in host_vars/one.yml"
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars/one.yml").write_text("edge_tts_api_key: k\n", encoding="utf-8")
    model, found = judge(edge, tmp_path)
    assert model is not None and errors(found) == []
    (line,) = (line for line in render(model)["group_vars/all.yml"].split("\n") if "infra_edge_tts_url" in line)
    assert line.endswith(""":{{ hostvars['one'].edge_tts_port | default(3002) }}/v1\"""")


@pytest.mark.parametrize(
    ("machines", "variable", "url"),
    [
        ({"one": "stt_server", "two": "stt_server"}, "infra_stt_url", ""),
        (
            {"one": "stt_server", "two": "stt_server", "lb": "stt_balancer"},
            "infra_stt_url",
            "http://10.1.1.13:{{ hostvars['lb'].stt_balancer_port | default(8000) }}/v1",
        ),
        (
            {"one": "stt_balancer", "two": "stt_server"},
            "infra_stt_url",
            "http://10.1.1.11:{{ hostvars['one'].stt_balancer_port | default(8000) }}/v1",
        ),
        (
            {"one": "ollama_server", "two": "ollama_server"},
            "infra_ollama_url",
            "http://10.1.1.11:{{ hostvars['one'].ollama_host | default(':11434') | split(':') | last }};"
            "http://10.1.1.12:{{ hostvars['two'].ollama_host | default(':11434') | split(':') | last }}",
        ),
    ],
)
def test_where_several_have_a_service_its_address_is_the_balancers_or_a_list(machines, variable, url, tmp_path):
    lines = [
        f'      {name}: {{ip: "10.1.1.1{number}", roles: [{role}]}}'
        for number, (name, role) in enumerate(machines.items(), 1)
    ]
    head = 'project_name: p\nglobal: {base_subnet: "10.1"}\ndomains:\n  lab:\n    subnet_id: 1\n    machines:\n'
    model, found = judge(head + "\n".join(lines) + "\n", tmp_path)
    assert model is not None and errors(found) == []
    written = yaml.safe_load(render(model)["group_vars/all.yml"])
    assert written.get(variable, "") == url


def test_variables_are_read_of_machines_that_publish_such_a_service_only(tmp_path, monkeypatch):
    def read(*_arguments: object) -> None:
        raise AssertionError

    monkeypatch.setattr(project, "read_variables", read)
    assert judge(machine("roles: [stt_server]"), tmp_path)[0] is not None
    assert judge(published("443", "roles: [open_webui]"), tmp_path)[0] is not None
    with pytest.raises(AssertionError):
        judge(KEYED, tmp_path)


def test_exclusive_ai_access_adds_a_policy(tmp_path):
    text = "global: {ai_access_policy: exclusive, ai_access_default: pro}\n"
    text += "domains: {ai-tools: {subnet_id: 1}, pro: {subnet_id: 2}}\n"
    model, found = judge(text, tmp_path)
    assert errors(found) == []
    (made,) = model.policies
    assert (made.source.name, made.target.name, made.ports, made.bidirectional) == ("pro", "ai-tools", None, True)


def test_resource_policy(tmp_path):
    text = settings('resource_policy: {host_reserve: {cpu: 2, memory: "4GiB"}, mode: equal}')
    model, _ = judge(text, tmp_path)
    assert model.resource_policy.host_reserve_cpu == "2"
    assert model.resource_policy.host_reserve_memory == "4GiB"
    assert model.resource_policy.mode == "equal"
    assert model.resource_policy.memory_enforce == "soft"


def test_ephemeral_comes_from_the_domain(tmp_path):
    model, _ = judge(domain("subnet_id: 3\nephemeral: true\nmachines: {a: {}, b: {ephemeral: false}}"), tmp_path)
    assert [one.ephemeral for one in model.machines] == [True, False]


@pytest.mark.parametrize("depth", [70, 30_000])
def test_deep_nesting_is_a_fault_and_not_a_crash(depth, tmp_path, either_parser):
    _, found = judge("domains: " + "[" * depth, tmp_path)
    assert "nested more than 64 deep" in found[0].message


def test_exploding_aliases_are_a_fault(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    _, found = judge("\n".join(lines) + "\ndomains: {}\n", tmp_path)
    assert "too large once its aliases are followed" in found[0].message


def test_bytes_that_are_not_utf8(tmp_path):
    (tmp_path / "infra.yml").write_bytes(b"domains: {}\n# caf\xe9\n")
    _, found = judge_project(str(tmp_path))
    assert (found[0].line, found[0].column) == (2, 6)
    assert "byte 0xe9 is not UTF-8" in found[0].message


def test_a_byte_order_mark_and_crlf_are_fine(tmp_path):
    (tmp_path / "infra.yml").write_bytes(b"\xef\xbb\xbfdomains:\r\n  a:\r\n    subnet_id: 300\r\n")
    _, found = judge_project(str(tmp_path))
    assert (found[0].line, found[0].column, found[0].source) == (3, 16, "    subnet_id: 300")


def test_malformed_values_do_not_start_a_cascade(tmp_path):
    text = 'global: {base_subnet: 10.5}\ndomains: {a: {subnet_id: 1, machines: {m: {ip: "10.5.1.1"}}}}\n'
    _, found = judge(text, tmp_path)
    assert len(errors(found)) == 1


def test_check_never_changes_the_tree():
    root, _ = parse(b"global: {firewall_mode: vm}\ndomains: {admin: {subnet_id: 0}}\n", "infra.yml")
    first, _ = check(root)
    second, _ = check(root)
    assert first == second
