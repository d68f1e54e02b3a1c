# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of preflight: what is ✓, what is ✗ and why, and what is skipped for which reason."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._doctor.catalogue import RULES
from ansible_collections.anklume.stt.plugins.module_utils._doctor.checklist import LISTS, Item, go_through, shown
from ansible_collections.anklume.stt.plugins.module_utils._doctor.snapshot import INCUS_HOST, INSTANCE, Said, Snapshot
from ansible_collections.anklume.stt.plugins.module_utils._services.hops import TELLS_NOBODY

EXAMPLE = {
    "project": "p",
    "status": "Running",
    "disk_used": 0,
    "disk_total": 0,
    "nvidia_runtime": False,
    "sources_missing": {},
    "ipv4": [],
    "runs_for": 0,
    "memory_limit": 0,
}
HOPS = "ok      unit speaches: active\nok      HTTPS: https://x"


def machine(**texts: str) -> Snapshot:
    return Snapshot("ai", INSTANCE, {name: Said(name, text) for name, text in {"hops": HOPS, **texts}.items()})


def host(**texts: str) -> Snapshot:
    return Snapshot("localhost", INCUS_HOST, {name: Said(name, text) for name, text in texts.items()})


def states(when: str, *snapshots: Snapshot, ignore: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    return {one["title"].partition(",")[0]: one for one in go_through(LISTS[when], RULES, snapshots, ignore)}


@pytest.mark.parametrize("when", list(LISTS))
def test_every_item_asks_rules_that_there_are(when: str) -> None:
    done = go_through(LISTS[when], RULES, [host(), machine()])  # a pattern that fits no rule is an error
    assert [one["state"] for one in done if one["state"] == "failed"] == []


def test_production_asks_every_rule_of_the_doctor_but_its_own() -> None:
    asked = {code for item in LISTS["after"] for code in item.codes}
    left = [rule.code for rule in RULES if not any(fnmatchcase(rule.code, code) for code in asked)]
    assert left == ["DOC-01"]


def test_what_is_wrong_is_named() -> None:
    found = states("after", host(plan="+ create instance x"), machine(units=""))
    assert found["the plan is empty"]["state"] == "failed"
    assert found["the plan is empty"]["detail"] == "CFG-02 localhost: Incus does not hold what infra.yml says"
    assert found["every service runs"]["state"] == "ok"


def test_a_consequence_is_no_tick() -> None:
    broken = machine(hops="FAILED  STT server: no answer next: x", **{"journal speaches": "Disk quota exceeded"})
    assert states("after", host(), broken)["every hop answers"]["state"] == "failed"


def test_what_is_skipped_has_its_reason() -> None:
    found = states("after", host(), machine())
    assert found["the STT server asks for its key"]["detail"] == "stt_server_api_key is not set"
    assert found["the GPU works"]["detail"] == "no instance has a GPU"
    assert states("after", host())["every hop answers"]["detail"] == "no machine with a service was asked"
    seen = {"gpu": True, "nvidia_runtime": False, "status": "Running", "host": "ai", "instance": "ai", "project": "p"}
    gpu = json.dumps(
        [
            {
                **seen,
                "disk_used": 0,
                "disk_total": 0,
                "sources_missing": {},
                "bridges": [],
                "ipv4": [],
                "runs_for": 0,
                "memory_limit": 0,
                "doors": [],
            }
        ]
    )
    assert states("after", host(instances=gpu, gpus="RTX"), machine())["the GPU works"]["state"] == "ok"


def test_long_recordings_are_asked_where_there_is_time() -> None:
    title = "recordings of 10 and 30 minutes are transcribed"
    assert states("after", host(), machine())[title]["detail"] == "it takes minutes: SLOW=1 asks"
    done = "ok      recording of 10 minutes: 60 s, word error rate 0.00"
    assert states("after", host(), machine(hops=done))[title]["state"] == "ok"
    lost = "FAILED  recording of 30 minutes: 900 s, word error rate 0.80 next: journalctl"
    found = states("after", host(), machine(hops=f"{done}\n{lost}"))
    assert found[title]["state"] == "failed"
    assert found["every hop answers"]["state"] == "ok"


ALERTS = "ok      Prometheus has its rules: 21 alerts\n%s"


@pytest.mark.parametrize(
    ("hops", "state", "detail"),
    [
        (HOPS, "skipped", "no machine has the role monitoring, or it is turned off"),
        (ALERTS % "ok      Alertmanager: takes alerts", "ok", ""),
        (
            ALERTS % f"ok      Alertmanager: takes alerts, {TELLS_NOBODY}",
            "skipped",
            f"Alertmanager takes them, {TELLS_NOBODY}",
        ),
        (
            ALERTS % "FAILED  Alertmanager: alerts cannot be told by webhook next: x",
            "failed",
            "MON-02 ai: alerts are not loaded, or do not arrive",
        ),
    ],
)
def test_alerts_are_loaded_and_arrive(hops: str, state: str, detail: str) -> None:
    found = states("after", host(), machine(hops=hops))["alerts are loaded"]
    assert (found["state"], found["detail"]) == (state, detail)


@pytest.mark.parametrize(
    ("instance", "state"),
    [
        ({"doors": ["tcp:0.0.0.0:443", "tcp:0.0.0.0:80"]}, "ok"),
        ({"doors": ["tcp:127.0.0.1:8000", "tcp:[::1]:9090", "unix:/run/x"]}, "ok"),
        ({"doors": ["tcp:0.0.0.0:443", "tcp:192.168.1.5:8000"]}, "failed"),
        ({"doors": ["tcp:[::]:80-90"]}, "failed"),
        ({"doors": ["udp:0.0.0.0:443"]}, "failed"),
        ({"bridges": ["br0"]}, "failed"),
    ],
)
def test_what_is_open_to_the_network_outside(instance: dict[str, Any], state: str) -> None:
    seen = {"host": "ai", "instance": "ai", "gpu": False, "doors": [], "bridges": ["net-homelab"], **instance}
    inside = json.dumps([{"name": "net-homelab", "address": "10.100.3.254/24"}])
    snapshot = host(instances=json.dumps([{**EXAMPLE, **seen}]), networks=inside)
    found = states("after", snapshot)["nothing but 80 and 443 is open to the network outside"]
    assert found["state"] == state


def test_backups_are_asked_here() -> None:
    found = states("after", host(), machine(backups="no backup"))
    assert found["the newest backup is whole and younger than two days"]["state"] == "failed"
    ignored = states("after", host(), machine(backups="no backup"), ignore=("BAK-01=ai",))
    assert ignored["the newest backup is whole and younger than two days"]["state"] == "ok"


def test_the_list_as_people_see_it() -> None:
    items = [Item("a", ("CFG-02",)), Item("b", ("CFG-03",)), Item("c", ("CLK-01",), lambda _seen: "no clock")]
    done = go_through(items, RULES, [host(plan="+ x y", inventory="")])
    assert shown(done).splitlines() == [
        "✗ a: CFG-02 localhost: Incus does not hold what infra.yml says",
        "✓ b",
        "- c: no clock",
        "",
        "1 of 3 are not as they should be, 1 skipped",
    ]
    assert shown(done[1:2]).splitlines()[-1] == "ready"
