# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The move from an old server to a new one: its steps, what undoes each, and where a move stands. Pure.

A step is noted as begun before it is done, and each can be done again: whatever a kill leaves, the next run goes on
from there, in either direction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error

State = Mapping[str, Any]
"""`done`, the steps; `begun`, one that may be done; when it was `stopped`; and what the steps need to know."""

KEPT = timedelta(days=1)
"""How long the old server is kept at least."""


@dataclass(frozen=True)
class Step:
    """One step. `back` says what undoes it; empty where there is nothing to undo."""

    name: str
    ahead: str
    back: str = ""


STEPS = (
    Step("beside", "the new server starts beside the old one", "the new server is stopped, and kept"),
    Step("compared", "both write down the same recording"),
    Step("switched", "Open WebUI asks the new one", "Open WebUI asks the old one again"),
    Step("stopped", "the old server is stopped, and kept", "the old server starts again"),
)
"""In the order in which they are done; they are undone from the last to the first."""


def plan(state: State, direction: str, now: str, *, at_once: bool = False) -> list[dict[str, Any]]:
    """What is to be done, each with the file of its tasks, and with what is noted before it and after it.

    `direction` is ahead, back or finish; `now` is a time in ISO 8601; `at_once` finishes before the day is over.
    """
    if direction == "finish":
        return _finish(state, now, at_once)
    if state.get("finished"):
        raise Error("the move is finished, and the old server is gone: there is nothing to move, and no way back")
    return _ahead(state, now) if direction == "ahead" else _back(state)


def _planned(step: Step, state: State, done: list[str], *, back: bool) -> dict[str, Any]:
    """While a step is begun, in either direction, it is not done: both ways lead through it again."""
    others = [name for name in done if name != step.name]
    before = {**state, "done": others, "begun": step.name}
    after = {**before, "done": others if back else [*others, step.name], "begun": ""}
    name, says = (f"{step.name}_back", step.back) if back else (step.name, step.ahead)
    return {"name": name, "says": says, "before": before, "after": after}


def _ahead(state: State, now: str) -> list[dict[str, Any]]:
    done, planned = list(state.get("done", [])), []
    for step in STEPS:
        if step.name in done or (step.name == "switched" and not state.get("webui")):
            continue
        if step.name == "stopped" and not (state.get("webui") or state.get("others_switched")):
            break  # who asks the old one is not known here
        one = _planned(step, state, done, back=False)
        if step.name == "stopped":
            one["after"] |= {"stopped": now}
        done = one["after"]["done"]
        planned.append(one)
    return planned


def _back(state: State) -> list[dict[str, Any]]:
    done, begun, planned = list(state.get("done", [])), state.get("begun", ""), []
    for step in reversed(STEPS):
        if step.name in (*done, begun):
            one = _planned(step, state, done, back=True)
            done = one["after"]["done"]
            planned += [one] if step.back else []
    return planned


def waits(state: State) -> str:
    """What a move waits for that cannot go on; empty for one that is done."""
    if state.get("finished") or "stopped" in state.get("done", []):
        return ""
    return (
        "the old server still runs, for it is not known who asks it: WEBUI=http://… has Open WebUI switched; or give"
        " the clients the new address yourself, and then SWITCHED=1 stops the old one"
    )


def _finish(state: State, now: str, at_once: bool) -> list[dict[str, Any]]:
    if state.get("finished"):
        return []
    if "stopped" not in state.get("done", []):
        raise Error("the move is not done, so that there is nothing to finish: run make migrate with APPLY=1 first")
    passed = datetime.fromisoformat(now) - datetime.fromisoformat(state["stopped"])
    if passed < KEPT and not at_once:
        hours = -(-(KEPT - passed).total_seconds() // 3600)
        raise Error(f"the old server is kept for a day: come back in {hours:.0f} hours, or say NOW=1")
    says = "the old server's container is removed; its volumes and its image stay"
    return [{"name": "finished", "says": says, "before": dict(state), "after": {**state, "finished": True}}]
