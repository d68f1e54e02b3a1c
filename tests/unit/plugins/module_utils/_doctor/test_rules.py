# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule of the doctor: an ill machine and one that looks alike (cases.yml), its words, its section in the docs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import doctor_docs
import pytest
import yaml
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._doctor.catalogue import RETIRED, RULES
from ansible_collections.anklume.stt.plugins.module_utils._doctor.examine import CRASHED, PAGE, examine
from ansible_collections.anklume.stt.plugins.module_utils._doctor.rules import SEVERITIES, Rule
from ansible_collections.anklume.stt.plugins.module_utils._doctor.snapshot import (
    INCUS_HOST,
    INSTANCE,
    Said,
    Snapshot,
    without_secrets,
)
from ansible_collections.anklume.stt.plugins.module_utils._doctor.table import table

ROOT = Path(__file__).resolve().parents[5]
CASES: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("cases.yml").read_text())
BY_CODE = {rule.code: rule for rule in RULES}
EXAMPLE = {
    "host": "homelab-ai",
    "instance": "homelab-ai",
    "project": "homelab",
    "status": "Running",
    "disk_used": 0,
    "disk_total": 0,
    "gpu": False,
    "nvidia_runtime": False,
    "sources_missing": {},
    "bridges": ["net-homelab"],
    "doors": [],
    "ipv4": ["10.100.3.10"],
    "runs_for": 300,
    "memory_limit": 0,
}
UNIT = {
    "Id": "speaches.service",
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "Result": "success",
    "NRestarts": 0,
    "ExecMainStatus": 0,
    "UnitFileState": "enabled",
    "RunsFor": 60,
}
HEALTHY: dict[str, dict[str, Any]] = {
    INCUS_HOST: {
        "incus": "server_version 6.0.4",
        "firewall": "nftables",
        "instances": [EXAMPLE],
        "networks": [{"name": "net-homelab", "address": "10.100.3.254/24", "dns": "managed"}],
        "pools": [],
        "warnings": [],
        "nft": ["incus"],
        "ip_forward": "1\n",
        "mtu": "eth0 1500 default\nnet-homelab 1500\n",
        "gpus": "NVIDIA GeForce RTX 3060",
        "nvidia_tools": "/usr/bin/nvidia-container-cli",
        "subuid": "root:1000000:1000000000\n",
        "subgid": "root:1000000:1000000000\n",
    },
    INSTANCE: {"units": [UNIT], "nvidia-smi": "0, GPU-1f", "devices": "", "hops": "ok      port 8000: healthy"},
}


def chain(table: str, name: str, hook: str, policy: str, family: str = "ip") -> dict[str, Any]:
    return {"chain": {"family": family, "table": table, "name": name, "hook": hook, "policy": policy, "type": "filter"}}


def accept(table: str, name: str, *matches: tuple[dict[str, Any], Any], family: str = "ip") -> dict[str, Any]:
    expression = [{"match": {"op": "==", "left": left, "right": right}} for left, right in matches]
    return {"rule": {"family": family, "table": table, "chain": name, "expr": [*expression, {"accept": None}]}}


def jump(table: str, name: str, target: str, family: str = "ip") -> dict[str, Any]:
    return {"rule": {"family": family, "table": table, "chain": name, "expr": [{"jump": {"target": target}}]}}


META = {"meta": {"key": "iifname"}}
SOURCE = {"payload": {"protocol": "ip", "field": "saddr"}}
STATE = {"ct": {"key": "state"}}
SUBNET = {"prefix": {"addr": "10.100.0.0", "len": 16}}
NFT: dict[str, list[dict[str, Any]]] = {
    "incus": [
        {"table": {"family": "inet", "name": "incus"}},
        chain("incus", "fwd.net-homelab", "forward", "accept", "inet"),
    ],
    "docker": [
        {"table": {"family": "ip", "name": "filter"}},
        chain("filter", "FORWARD", "forward", "drop"),
        accept("filter", "DOCKER-FORWARD", (META, "docker0")),
        accept("filter", "FORWARD", (STATE, ["established", "related"])),
    ],
    "accept-bridge": [jump("filter", "FORWARD", "DOCKER-USER"), accept("filter", "DOCKER-USER", (META, "net-*"))],
    "ufw": [
        {"table": {"family": "ip", "name": "filter"}},
        chain("filter", "INPUT", "input", "drop"),
        chain("filter", "FORWARD", "forward", "drop"),
        {"chain": {"family": "ip", "table": "filter", "name": "ufw-user-input"}},
        accept("filter", "ufw-before-input", (META, "lo")),
        accept("filter", "ufw-before-input", (STATE, ["established"])),
    ],
    "ufw-bridge": [
        jump("filter", "INPUT", "ufw-user-input"),
        jump("filter", "FORWARD", "ufw-user-forward"),
        accept("filter", "ufw-user-input", (META, "net-homelab")),
        accept("filter", "ufw-user-forward", (META, "net-homelab")),
    ],
    "own-input": [
        {"table": {"family": "inet", "name": "mine"}},
        chain("mine", "input", "input", "drop", "inet"),
        accept("mine", "input", (META, {"set": ["lo", "eth0"]}), family="inet"),
    ],
    "accept-subnet": [accept("mine", "input", (SOURCE, SUBNET), family="inet")],
}


def text(name: str, value: Any) -> str:
    """What a machine says, from the short form of cases.yml."""
    if name == "nft":
        return json.dumps({"nftables": [entry for part in value for entry in NFT[part]]})
    if name == "units":
        return "\n\n".join("\n".join(f"{key}={one}" for key, one in {**UNIT, **unit}.items()) for unit in value)
    if name == "instances":
        return json.dumps([{**EXAMPLE, **one} for one in value])
    return value if isinstance(value, str) else json.dumps(value)


def told_by(name: str, value: Any) -> Said:
    """Of a fit, that it is none; of all others that they ended well."""
    return Said(f"command of {name}", text(name, value), int(name.startswith("fit ")))


def snapshot(rule: Rule, case: dict[str, Any], roles: tuple[str, ...]) -> Snapshot:
    machine = case.get("machine", {})
    said = {**HEALTHY[rule.kind], **{name: value for name, value in case.items() if name != "machine"}}
    told = {name: told_by(name, value) for name, value in said.items()}
    return Snapshot("homelab-ai", rule.kind, told, machine or {"ansible_incus_project": "homelab"}, roles)


@pytest.mark.parametrize("code", [rule.code for rule in RULES if rule.code != CRASHED])
def test_a_rule_sees_what_is_ill_and_nothing_else(code: str) -> None:
    rule, case = BY_CODE[code], CASES[code]
    roles = tuple(case.get("roles", ["stt_server"]))
    check = code if rule.preflight else ""
    (found,) = [finding.data() for finding in examine(RULES, [snapshot(rule, case["bad"], roles)], check=check)]
    assert found["code"] == code
    assert found["evidence"]["line"] and found["evidence"]["command"].strip()
    assert found["fix"]
    assert not any("{" in command for command in found["fix"])
    assert [finding.data() for finding in examine(RULES, [snapshot(rule, case["good"], roles)], check=check)] == []


def test_there_is_a_case_for_each_rule_and_no_other() -> None:
    assert set(CASES) == {rule.code for rule in RULES} - {CRASHED}


def test_codes_are_used_once_and_never_again() -> None:
    codes = [rule.code for rule in RULES]
    assert len(codes) == len(set(codes))
    assert not RETIRED.intersection(codes)
    assert all(re.fullmatch(r"[A-Z]{3}-\d\d", code) for code in codes)
    assert {rule.severity for rule in RULES} == set(SEVERITIES)


def test_a_pattern_of_what_is_hidden_fits_a_rule() -> None:
    for rule in RULES:
        for pattern in rule.hides:
            assert any(re.fullmatch(pattern.replace("*", ".*"), code) for code in BY_CODE), (rule.code, pattern)


def test_the_page_has_a_section_for_every_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor_docs.main(check=True) == 0, capsys.readouterr().err
    sections = re.findall(r"(?m)^#+ ([A-Z]{3}-\d\d)$", (ROOT / PAGE).read_text())
    assert sections == [rule.code for rule in RULES]


def said(host: str, kind: str = INSTANCE, roles: tuple[str, ...] = (), **texts: str) -> Snapshot:
    told = {name.replace("_", " "): Said(name, value) for name, value in texts.items()}
    return Snapshot(host, kind, told, roles=roles)


BROKEN_HOP = "FAILED  Open WebUI: the STT server does not answer next: make apply"
QUOTA = "Disk quota exceeded"


def codes(*snapshots: Snapshot, **options: Any) -> list[tuple[str, str]]:
    return [(finding.rule.code, finding.host) for finding in examine(RULES, snapshots, **options)]


def test_a_broken_hop_is_told_where_nothing_explains_it() -> None:
    page = said("webui", roles=("open_webui",), hops=f"ok      HTTPS: x\n{BROKEN_HOP}")
    assert codes(page) == [("HOP-01", "webui")]


def test_what_is_wrong_with_a_service_explains_the_hops_of_those_that_talk_to_it() -> None:
    page = said("webui", roles=("open_webui",), hops=f"ok      HTTPS: x\n{BROKEN_HOP}")
    speech = said("ai", roles=("stt_server",), journal_speaches=QUOTA)
    other = said("other", roles=("wyoming",), journal_wyoming=QUOTA)
    assert codes(page, speech) == [("DSK-03", "ai")]
    assert codes(page, other) == [("DSK-03", "other"), ("HOP-01", "webui")]


def test_a_bridge_whose_packets_are_not_translated_any_more() -> None:
    bridge = {"name": "net-homelab", "address": "10.100.3.254/24", "dns": "managed"}
    rules = text("nft", ["incus"])
    for nat, found in ((True, [("NET-02", "localhost")]), (False, [])):
        networks = json.dumps([{**bridge, "nat": nat}])
        assert codes(said("localhost", INCUS_HOST, nft=rules, networks=networks, firewall="nftables")) == found


def test_a_service_that_was_stopped_for_good_is_missed_by_its_hop() -> None:
    unit = text("units", [{"ActiveState": "inactive", "SubState": "dead", "UnitFileState": "disabled"}])
    assert codes(said("ai", units=unit, hops="FAILED  unit speaches: not running next: x")) == [("SVC-01", "ai")]
    assert codes(said("ai", units=unit, hops="ok      port 10300: x")) == []


def test_an_instance_that_does_not_run_explains_what_the_plan_would_do() -> None:
    stopped = json.dumps([{**EXAMPLE, "status": "Stopped"}])
    host = said("localhost", INCUS_HOST, instances=stopped, plan="* start instance homelab-ai")
    assert codes(host, said("homelab-ai")) == [("INC-04", "homelab-ai")]


def test_a_plan_that_is_refused_is_why_an_instance_is_not_there() -> None:
    missing = json.dumps([{**EXAMPLE, "status": "Missing"}])
    host = said("localhost", INCUS_HOST, instances=missing, plan_refused="its subnet overlaps")
    assert codes(host, said("homelab-ai")) == [("CFG-07", "localhost")]


def test_a_rule_that_crashes_is_a_finding_and_the_others_are_asked() -> None:
    def crash(_snapshot: Snapshot) -> Any:
        raise KeyError("gone")

    rules = [*RULES, replace(BY_CODE["STT-01"], code="XXX-01", look=crash)]
    found = examine(rules, [said("ai", journal_speaches=QUOTA)])
    assert [finding.rule.code for finding in found] == ["DSK-03", CRASHED]
    assert "XXX-01: KeyError" in found[1].data()["evidence"]["line"]


def test_one_rule_can_be_asked_even_where_another_explains_it() -> None:
    page = said("webui", hops=BROKEN_HOP, journal_caddy=QUOTA)
    assert codes(page, check="HOP-01") == [("HOP-01", "webui")]
    assert codes(page, check="NET-*") == []
    with pytest.raises(Error, match="no rule has the code NET-99"):
        codes(page, check="NET-99")


def test_what_is_known_can_be_ignored_and_then_explains_nothing() -> None:
    page = said("webui", hops=BROKEN_HOP, journal_caddy=QUOTA)
    assert codes(page, ignore=["DSK-03=webui"]) == [("HOP-01", "webui")]
    assert codes(page, ignore=["DSK-*=web*", "HOP-01=*"]) == []
    assert codes(page, ignore=["DSK-03=ai"]) == [("DSK-03", "webui")]
    with pytest.raises(Error, match="CODE=host"):
        codes(page, ignore=["DSK-03"])


# as these machines said it
REAL = {
    "port 443 is taken on this instance by python3, pid 4949: stop it, or set open_webui_https to false": "SVC-05",
    "port 8000 is taken by python3, pid 17: stop it, or set stt_server_port": "SVC-05",
    "Module result deserialization failed: FileNotFoundError: [Errno 2] No usable temporary directory found": "DSK-03",
    "STT_MODEL=a/b: neither a folder nor in the hub cache /var/lib/speaches/hub": "STT-03",
}


@pytest.mark.parametrize("line", list(REAL))
def test_what_was_really_said_is_one_finding(line: str) -> None:
    units = text("units", [{"ActiveState": "activating", "SubState": "auto-restart", "NRestarts": 4}])
    host = said("ai", refused_open_webui=line, units=units)
    (found,) = examine(RULES, [host])
    assert found.rule.code == REAL[line]
    assert not any("PID" in command for command in found.fix)


def test_a_fix_is_a_whole_command_for_the_machine() -> None:
    machine = {"ansible_incus_project": "homelab", "ansible_incus_host": "homelab-ai"}
    model = CASES["STT-01"]["bad"]["journal speaches"]
    ill = Snapshot("homelab-ai", INSTANCE, {"journal speaches": Said("journalctl", model)}, machine)
    (found,) = examine(RULES, [ill])
    assert found.fix[0] == "incus exec homelab-ai --project homelab -- rm -r /var/lib/speaches/hub/models--a--b"


@pytest.mark.parametrize(
    "line",
    [
        "STT_API_KEY=verysecret x",
        '"api_key": "verysecret"',
        "Authorization: Bearer verysecret",
        "https://me:verysecret@host/",
        "OPEN_WEBUI_PASSWORD=verysecret",
        "key sk-verysecret123",
        "initial token: verysecret",
    ],
)
def test_secrets_are_taken_out(line: str) -> None:
    assert "verysecret" not in without_secrets(line)
    assert "***" in without_secrets(line)


def test_a_table_says_what_why_where_and_how() -> None:
    (found,) = examine(RULES, [said("ai", journal_speaches=QUOTA)])
    lines = table([found.data()], ["ai: nft: only root may ask it"]).splitlines()
    assert lines[0] == "ERROR  DSK-03  ai: a write has failed, as the disk is full"
    assert "        > Disk quota exceeded" in lines
    assert "  more  docs/reference/doctor.md#dsk-03" in lines
    assert lines[-3:] == ["not looked at: ai: nft: only root may ask it", "", "1 error"]
    assert table([]) == "nothing is wrong"
