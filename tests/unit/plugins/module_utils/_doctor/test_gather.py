# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what modules answered to snapshots, and through the filters of the playbook to findings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.anklume.stt.plugins.filter import doctor
from ansible_collections.anklume.stt.plugins.module_utils._doctor import gather

INSTANCE = {"host": "ai", "instance": "ai", "project": "home", "status": "Running", "disk_used": 0, "disk_total": 0}
SEEN = {
    **INSTANCE,
    "gpu": False,
    "nvidia_runtime": False,
    "sources_missing": {},
    "bridges": ["net-home"],
    "ipv4": [],
    "runs_for": 0,
    "memory_limit": 0,
    "doors": [],
}
MACHINES: dict[str, Any] = {
    "ai": {
        "inventory_hostname": "ai",
        "ansible_connection": "community.general.incus",
        "ansible_incus_project": "home",
        "group_names": ["home", "role_stt_server"],
    },
    "own": {"inventory_hostname": "own", "ansible_host": "192.0.2.1", "group_names": ["role_ollama_server"]},
}
LOOK = {"differing": [], "needs_restart": False, "units": {}, "speech_models": {"differing": []}}


def host(**instance: Any) -> dict[str, Any]:
    said = {"command": "incus list", "text": json.dumps([{**SEEN, **instance}]), "status": 0, "skipped": ""}
    return {"host": "localhost", "kind": "incus_host", "said": {"instances": said}}


def told(**more: Any) -> dict[str, Any]:
    return {"seen": {"said": {"units": {"command": "systemctl", "text": ""}}}, **more}


def findings(planned: dict[str, Any] | None = None, asked: list[str] | None = None, **machines: Any) -> dict[str, Any]:
    hostvars = {name: {**MACHINES[name], "doctor_told": one} for name, one in machines.items()}
    answers = {
        "host": host(),
        "planned": planned or {"summary": []},
        "asked": list(machines) if asked is None else asked,
    }
    result = doctor.doctor_findings(answers, hostvars, list(machines))
    return {"codes": [f"{one['code']}={one['host']}" for one in result["findings"]], **result}


def test_what_runs_and_what_is_no_instance_is_asked() -> None:
    far = {"far": {**MACHINES["ai"], "ansible_incus_remote": "gpu-room"}}
    assert gather.instances(far) == []
    assert gather.asked(far, {}) == ["far"]
    assert gather.instances(MACHINES) == [{"host": "ai", "instance": "ai", "project": "home"}]
    assert doctor.doctor_asked(host(), MACHINES, ["ai", "own"]) == ["ai", "own"]
    assert doctor.doctor_asked(host(status="Stopped"), MACHINES, ["ai", "own"]) == ["own"]
    assert doctor.doctor_asked({"said": {}}, MACHINES, ["ai", "own"]) == ["own"]


def test_all_is_well() -> None:
    assert findings(ai=told(looks={"stt_server": LOOK}))["codes"] == []


def test_a_plan_that_is_refused_is_told_and_one_that_is_not_empty() -> None:
    # a task that may fail has a message and is not failed
    refused = {"failed": False, "msg": "nothing was changed:\nport 443 of 192.0.2.1 is taken on this host by nginx"}
    assert findings(refused, ai=told())["codes"] == ["CFG-07=localhost"]
    assert findings({"summary": ["~ update instance ai"]}, ai=told())["codes"] == ["CFG-02=localhost"]
    older = {"summary": [], "warnings": ["the inventory is older than infra.yml: run make sync"]}
    assert findings(older, ai=told())["codes"] == ["CFG-03=localhost"]


def test_without_an_infra_yml_nobody_misses_incus() -> None:
    away = host()
    away["said"]["incus"] = {"command": "incus info", "text": "Incus does not answer at /x", "status": 1, "skipped": ""}
    answers = {"host": away, "asked": []}
    skipped = doctor.doctor_findings({**answers, "planned": {"skipped": True}}, {}, [])
    assert skipped["findings"] == []
    (missed,) = doctor.doctor_findings({**answers, "planned": {"msg": "Incus does not answer"}}, {}, [])["findings"]
    assert missed["code"] == "INC-01"


def test_drift_is_by_the_unit_of_the_role() -> None:
    differs = {**LOOK, "differing": ["/etc/speaches/speaches.env"], "needs_restart": True}
    found = findings(ai=told(looks={"stt_server": differs}))
    assert found["codes"] == ["CFG-01=ai", "CFG-06=ai"]
    assert found["findings"][1]["fix"] == ["incus exec ai --project home -- systemctl restart speaches"]


def test_a_hop_and_a_refusal() -> None:
    hop = {"hop": "port 8000", "ok": False, "detail": "no\nanswer", "next_step": "make apply-stt"}
    found = findings(ai=told(hops=[hop]))
    assert found["codes"] == ["HOP-01=ai"]
    assert found["findings"][0]["fix"] == ["make apply-stt"]
    assert findings(ai=told(refused={"stt_server": "this cannot be"}))["codes"] == ["CFG-05=ai"]


def test_a_machine_on_which_nothing_can_run_any_more() -> None:
    full = {"seen": {"msg": "FileNotFoundError: No usable temporary directory found in ['/tmp']"}}
    found = findings(ai=full)
    assert found["codes"] == ["DSK-03=ai"]
    assert found["skipped"] == ["ai: it does not answer"]


def test_who_was_not_asked_is_named() -> None:
    assert findings(ai=told(), own={}, asked=["ai"])["skipped"] == ["own: it was not asked"]


def test_what_is_asked_in_vain_is_a_message() -> None:
    answers = {"host": host(), "planned": {"summary": []}, "asked": []}
    with pytest.raises(AnsibleFilterError, match="no rule has the code XX"):
        doctor.doctor_findings(answers, {}, [], check="XX")
    with pytest.raises(AnsibleFilterError, match="before or after an apply"):
        doctor.doctor_checklist(answers, {}, [], when="during")
    assert doctor.doctor_checklist(answers, {}, [], when="before")["text"].endswith("ready, 4 skipped")


FIT = {
    "item": {"name": "ai"},
    "verdict": "does_not_fit",
    "accepted": False,
    "device": "cuda",
    "explanation": "too\nlarge",
}


@pytest.mark.parametrize(
    ("more", "state", "detail"),
    [
        ({}, "failed", "GPU-15 ai: the speech model does not fit the GPU"),
        ({"accepted": True, "verdict": "tight"}, "ok", ""),
        ({"device": "cpu"}, "skipped", "no NVIDIA GPU can be used on this host"),
    ],
)
def test_before_an_apply_the_model_is_judged_by_the_gpu(more: dict[str, Any], state: str, detail: str) -> None:
    answers = {"host": host(), "planned": {"summary": []}, "asked": [], "judged": [{**FIT, **more}]}
    items = doctor.doctor_checklist(answers, MACHINES, list(MACHINES), when="before")["items"]
    (item,) = (one for one in items if "model fits" in one["title"])
    assert (item["state"], item["detail"]) == (state, detail)


def test_a_question_that_stt_fit_refuses_is_no_tick() -> None:
    refused = {"item": {"name": "ai"}, "msg": "x is no Parakeet"}
    answers = {"host": host(), "planned": {"summary": []}, "asked": [], "judged": [refused]}
    items = doctor.doctor_checklist(answers, MACHINES, list(MACHINES), when="before")["items"]
    assert [one["state"] for one in items if "model fits" in one["title"]] == ["failed"]


def test_who_is_judged_by_the_gpu_of_this_host() -> None:
    given = {"instance_gpu": True, "stt_server_model": "small"}
    machine = {**MACHINES["ai"], **given}
    assert doctor.doctor_fits(MACHINES, list(MACHINES)) == []
    (asked,) = doctor.doctor_fits({"ai": machine}, ["ai"])
    assert asked["name"] == "ai"
    assert (asked["variables"]["stt_server_model"], asked["variables"]["stt_server_quantization"]) == (
        "small",
        "float16",
    )
    for other in ({"stt_server_device": "cpu"}, {"stt_server_enabled": False}, {"ansible_incus_remote": "gpu-room"}):
        assert doctor.doctor_fits({"ai": {**machine, **other}}, ["ai"]) == []
