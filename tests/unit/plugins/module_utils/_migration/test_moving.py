# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of the move, there and back, from whatever a kill leaves."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.anklume.stt.plugins.filter.migration_plan import migration_plan
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._migration.container import Container, commands, inspected
from ansible_collections.anklume.stt.plugins.module_utils._migration.moving import STEPS, plan, waits

ROOT = Path(__file__).resolve().parents[5]
NOON, LATER, NEXT_DAY = "2026-01-01T12:00:00", "2026-01-01T20:30:00", "2026-01-02T12:00:01"
BEGUN = {"port": 8000, "container": "whisper", "restart": "always", "webui": "http://webui"}
ALL = ["beside", "compared", "switched", "stopped"]


def names(state: dict[str, Any], direction: str = "ahead") -> list[str]:
    return [step["name"] for step in plan(state, direction, NOON)]


def test_all_steps_are_done_in_order_and_then_none() -> None:
    assert names(BEGUN) == ALL
    after = plan(BEGUN, "ahead", NOON)[-1]["after"]
    assert after == {**BEGUN, "done": ALL, "begun": "", "stopped": NOON}
    assert names(after) == [] and waits(after) == ""


def test_the_way_back_is_the_inverse_from_the_last_to_the_first() -> None:
    back = plan({**BEGUN, "done": ALL, "begun": "", "stopped": NOON}, "back", NOON)
    assert [step["name"] for step in back] == ["stopped_back", "switched_back", "beside_back"]
    assert back[-1]["after"]["done"] == [] and names(back[-1]["after"]) == ALL


def test_what_was_begun_is_undone_too() -> None:
    assert names({**BEGUN, "done": ["beside", "compared"], "begun": "switched"}, "back") == [
        "switched_back",
        "beside_back",
    ]
    assert names(BEGUN, "back") == []


def test_nothing_is_stopped_while_it_is_not_known_who_asks() -> None:
    unknown = {**BEGUN, "webui": ""}
    assert names(unknown) == ["beside", "compared"]
    assert "WEBUI=" in waits(plan(unknown, "ahead", NOON)[-1]["after"])
    assert names(unknown | {"others_switched": True}) == ["beside", "compared", "stopped"]


def test_whatever_kills_leave_it_ends_right() -> None:
    """A stand-in for the world: steps that are done again, killed before, in and after each, in either direction."""
    chance = random.Random(19)
    for _ in range(300):
        state: dict[str, Any] = dict(BEGUN)
        world = {step.name: False for step in STEPS}

        def run(direction: str, kill: bool, world: dict[str, bool] = world) -> None:
            nonlocal state
            for step in plan(state, direction, NOON):
                if kill and chance.random() < 0.2:
                    return
                state = step["before"]
                if kill and chance.random() < 0.2:
                    return
                name = step["name"].removesuffix("_back")
                # whoever asks is never without a server
                if step["name"] == "stopped":
                    assert world["switched"] and world["beside"]
                if step["name"] == "switched_back":
                    assert not world["stopped"]
                if step["name"] == "beside_back":
                    assert not world["switched"] and not world["stopped"]
                world[name] = not step["name"].endswith("_back")
                if kill and chance.random() < 0.2:
                    return
                state = step["after"]

        for _ in range(chance.randrange(6)):
            run(chance.choice(("ahead", "back")), kill=True)
        run("ahead", kill=False)
        assert all(world.values()) and state["done"] == ALL
        run("back", kill=False)
        assert not any(world[name] for name in ("beside", "switched", "stopped")) and state["done"] == []


def test_the_old_server_is_kept_for_a_day() -> None:
    moved = {**BEGUN, "done": ALL, "stopped": NOON}
    with pytest.raises(Error, match="kept for a day: come back in 16 hours, or say NOW=1"):
        plan(moved, "finish", LATER)
    (step,) = plan(moved, "finish", LATER, at_once=True)
    assert plan(moved, "finish", NEXT_DAY) == [step]
    finished = step["after"]
    assert plan(finished, "finish", LATER) == []
    with pytest.raises(AnsibleFilterError, match="the old server is gone"):
        migration_plan(finished, "back", LATER)
    with pytest.raises(Error, match="the move is not done"):
        plan(BEGUN, "finish", NEXT_DAY)


def test_each_step_has_its_tasks_and_no_tasks_are_left_over() -> None:
    wanted = {step.name for step in STEPS} | {f"{step.name}_back" for step in STEPS if step.back} | {"finished"}
    assert {path.stem for path in (ROOT / "playbooks/moves").glob("*.yml")} == wanted


INSPECTED = """[{"Name": "/whisper", "State": {"Running": true},
 "Config": {"Labels": {"com.docker.compose.project": "old"}},
 "HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}}]"""
RUNS = Container("whisper", True, "always", "")
STOPPED = Container("whisper", False, "no", "")


def test_a_container_is_seen_as_it_is() -> None:
    assert inspected(INSPECTED) == Container("whisper", True, "on-failure:3", "old")
    bound = '"PortBindings": {"8000/tcp": [{"HostIp": "192.168.1.5", "HostPort": "8000"}]}, "RestartPolicy"'
    assert inspected(INSPECTED.replace('"RestartPolicy"', bound)).host == "192.168.1.5"
    everywhere = bound.replace("192.168.1.5", "")
    assert inspected(INSPECTED.replace('"RestartPolicy"', everywhere)).host == "127.0.0.1"
    with pytest.raises(Error, match="something else than of a container"):
        inspected("[]")


@pytest.mark.parametrize(
    ("there", "state", "wanted"),
    [
        (RUNS, "found", []),
        (RUNS, "stopped", [("update", "--restart=no", "whisper"), ("stop", "--time", "600", "whisper")]),
        (STOPPED, "stopped", []),
        (STOPPED, "started", [("update", "--restart=always", "whisper"), ("start", "whisper")]),
        (RUNS, "started", []),
        (STOPPED, "removed", [("rm", "whisper")]),
        (None, "removed", []),
    ],
)
def test_it_is_brought_where_it_is_wanted(there: Container | None, state: str, wanted: list[tuple[str, ...]]) -> None:
    assert list(commands(there, state, "always", 600)) == [("docker", *one) for one in wanted]


def test_what_runs_is_not_removed_and_what_is_gone_is_not_started() -> None:
    with pytest.raises(Error, match="whisper runs"):
        list(commands(RUNS, "removed", "", 600))
    with pytest.raises(Error, match="gone"):
        list(commands(None, "started", "", 600))
