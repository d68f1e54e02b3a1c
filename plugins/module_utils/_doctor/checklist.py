# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The doctor's rules, chosen for before an apply and for production, as a list of ✓, ✗ and skipped. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._doctor.examine import Finding, examine
from ansible_collections.anklume.stt.plugins.module_utils._doctor.rules import Rule, objects
from ansible_collections.anklume.stt.plugins.module_utils._doctor.snapshot import INCUS_HOST, Snapshot
from ansible_collections.anklume.stt.plugins.module_utils._services.hops import TELLS_NOBODY

OK, FAILED, SKIPPED = "ok", "failed", "skipped"
SIGNS = {OK: "✓", FAILED: "✗", SKIPPED: "-"}
Snapshots = Sequence[Snapshot]


@dataclass(frozen=True)
class Item:
    """A line of the list."""

    title: str
    codes: tuple[str, ...]
    """The rules that it asks, by their codes or patterns of codes."""
    skip: Callable[[Snapshots], str] = lambda _snapshots: ""
    """Why it cannot be asked; empty, it can."""


def _said(name: str, reason: str = "") -> Callable[[Snapshots], str]:
    """Skipped where nobody was asked for something of that name, for this reason or the command's own."""

    def skip(snapshots: Snapshots) -> str:
        found = [snapshot.said[name] for snapshot in snapshots if name in snapshot.said]
        if any(not said.skipped for said in found):
            return ""
        return reason or next((said.skipped for said in found), "it was not looked at")

    return skip


def _no_bridge(snapshots: Snapshots) -> str:
    host = _host(snapshots)
    if not objects(host, "networks")[1]:
        return "no instance has a bridge yet"
    return _said("nft")(snapshots)


def _no_gpu(snapshots: Snapshots) -> str:
    wanted = any(one["gpu"] for one in objects(_host(snapshots), "instances")[1])
    return "" if wanted else "no instance has a GPU"


def _no_hops(snapshots: Snapshots) -> str:
    """A machine that could not be asked is no reason to be content: its finding stands in another line."""
    hops = [snapshot.get("hops").text for snapshot in snapshots if snapshot.kind != INCUS_HOST]
    return "" if any(hops) else "no machine with a service was asked"


def _no_recordings(snapshots: Snapshots) -> str:
    said = any("recording of" in snapshot.get("hops").text for snapshot in snapshots)
    return "" if said else "it takes minutes: SLOW=1 asks"


def _no_alerts(snapshots: Snapshots) -> str:
    hops = [snapshot.get("hops").text for snapshot in snapshots]
    if not any("Prometheus has its rules" in one for one in hops):
        return "no machine has the role monitoring, or it is turned off"
    return next((f"Alertmanager takes them, {TELLS_NOBODY}" for one in hops if TELLS_NOBODY in one), "")


def _no_model_for_gpu(snapshots: Snapshots) -> str:
    fits = [said for _name, said in _host(snapshots).named("fit *")]
    if not fits:
        return "no machine with an STT server has a GPU in infra.yml"
    return "" if any(not said.skipped for said in fits) else fits[0].skipped


def _no_door(snapshots: Snapshots) -> str:
    return "" if objects(_host(snapshots), "instances")[1] else "no instance is here"


def _host(snapshots: Snapshots) -> Snapshot:
    return next((one for one in snapshots if one.kind == INCUS_HOST), Snapshot("localhost", INCUS_HOST))


INCUS = Item("Incus runs, and may be used", ("INC-0[1-3]", "INC-07"))
WARNINGS = Item("Incus has nothing to warn of", ("INC-06",), _said("warnings"))
CLOCK = Item("the clock is synchronised", ("CLK-01",), _said("clock"))
INVENTORY = Item("the inventory is that of infra.yml", ("CFG-03", "CFG-04"))
DRIVER = ("GPU-03", "GPU-04", "GPU-05", "GPU-06", "GPU-09")

BEFORE = (
    INCUS,
    INVENTORY,
    Item("infra.yml can be applied: subnets, ports, GPU and its tools", ("CFG-07",)),
    Item("the NVIDIA driver works", DRIVER, _said("nvidia-smi")),
    Item("the speech model fits the GPU's memory", ("GPU-15",), _no_model_for_gpu),
    Item("the storage pools have room", ("DSK-02",), _said("pools")),
    CLOCK,
)
AFTER = (
    INCUS,
    Item("every instance runs", ("INC-04", "INC-05", "INC-08", "DSK-04")),
    Item("every service runs", ("SVC-0[1-8]", "SVC-1?"), _no_hops),
    Item("every hop answers, from the unit to a recognised sentence", ("HOP-01", "STT-06", "MON-01"), _no_hops),
    Item("recordings of 10 and 30 minutes are transcribed", ("HOP-02",), _no_recordings),
    Item("models are whole and there", ("STT-0[1-4]",), _no_hops),
    Item("the GPU works", ("GPU-*",), _no_gpu),
    Item("settings are the project's", ("CFG-01", "CFG-05", "CFG-06"), _no_hops),
    INVENTORY,
    Item("the plan is empty", ("CFG-02", "CFG-07")),
    Item("the STT server asks for its key", ("STT-05", "STT-07"), _said("keyless", "stt_server_api_key is not set")),
    Item(
        "the certificate is trusted and valid for thirty days",
        ("TLS-0[1-4]",),
        _said("https", "no machine has Open WebUI with HTTPS"),
    ),
    Item("the page has HTTPS, and so the microphone", ("TLS-05",), _no_hops),
    Item(
        "the newest backup is whole and younger than two days", ("BAK-01",), _said("backups", "no Open WebUI is here")
    ),
    Item("services start with their machine", ("SVC-09",), _no_hops),
    Item("secrets are closed to others", ("CFG-08",), _said("secrets")),
    Item("disks have room, quotas included", ("DSK-0[1-3]", "DSK-05", "DSK-06")),
    Item("firewalls let the instances through", ("NET-0?", "NET-1[02]"), _no_bridge),
    Item("nothing but 80 and 443 is open to the network outside", ("NET-11",), _no_door),
    Item("alerts are loaded, and arrive", ("MON-02",), _no_alerts),
    WARNINGS,
    CLOCK,
)
LISTS = {"before": BEFORE, "after": AFTER}


def go_through(
    items: Iterable[Item], rules: Sequence[Rule], snapshots: Snapshots, ignore: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """Each item with its state, and in `detail` the reason."""
    passed = list(ignore)
    done = []
    for item in items:
        found = [one for code in item.codes for one in examine(rules, snapshots, check=code, ignore=passed)]
        reason = "" if found else item.skip(snapshots)
        state = FAILED if found else SKIPPED if reason else OK
        done.append({"title": item.title, "state": state, "detail": _detail(found) or reason})
    return done


def _detail(found: Iterable[Finding]) -> str:
    return "; ".join(dict.fromkeys(f"{one.rule.code} {one.host}: {one.rule.title}" for one in found))


def shown(done: Iterable[dict[str, Any]]) -> str:
    """The list for people, with the verdict as its last line."""
    lines, states = [], []
    for one in done:
        states.append(one["state"])
        lines.append(f"{SIGNS[one['state']]} {': '.join(filter(None, (one['title'], one['detail'])))}")
    failed, skipped = states.count(FAILED), states.count(SKIPPED)
    verdict = f"{failed} of {len(states)} are not as they should be" if failed else "ready"
    return "\n".join([*lines, "", verdict + (f", {skipped} skipped" if skipped else "")])
