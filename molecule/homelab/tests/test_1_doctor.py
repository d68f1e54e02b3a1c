# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The doctor on the real thing: a healthy homelab has no finding, faults are named, and their fix mends."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import quota
from conftest import started, until_all_answer
from suite import ROOT

OBJECTS = ("instances", "profiles", "networks", "network-acls", "storage-pools/default/volumes/custom", "projects")
WRITTEN = r"^/(var/log|run|tmp|proc|sys|dev|root/\.ansible|var/lib/(systemd|open-webui|lxcfs|dhcp))|/\.cache/"
"""What a machine writes by itself; Open WebUI keeps when an account was last seen, as verify signs in."""
DOCTOR = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}


@pytest.fixture
def doctor(project: Path, tmp_path: Path) -> Callable[..., dict[str, dict[str, Any]]]:
    """scripts/doctor with its findings, by code and machine; the exit code has to fit them."""

    def ask(*options: str, **environment: str) -> dict[str, dict[str, Any]]:
        told = tmp_path / "told.json"
        done = subprocess.run(
            [ROOT / "scripts/doctor", *options],
            env=DOCTOR | {"PROJECT": str(project), "JSON": str(told), "ANSIBLE_NOCOLOR": "1", **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 1), done.stdout + done.stderr
        found = json.loads(told.read_text())["findings"]
        assert done.returncode == int(any(one["severity"] == "error" for one in found)), done.stdout
        print(done.stdout)
        return {f"{one['code']}={one['host']}": one for one in found}

    return ask


def mend(found: dict[str, Any], project: Path) -> None:
    """The commands of a finding, as they stand there."""
    for command in found["fix"]:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=ROOT,
            env=DOCTOR | {"PROJECT": str(project)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (command, done.stdout[-1500:], done.stderr)


def objects() -> list[Any]:
    """What Incus holds, less what moves by itself: interfaces that are not its own, and the order of lists."""
    asked = [f"/1.0/{kind}?recursion=1" + ("" if "network" in kind else "&all-projects=true") for kind in OBJECTS]
    found = [
        json.loads(subprocess.run(["incus", "query", path], check=True, capture_output=True).stdout) for path in asked
    ]
    return [in_order([one for one in kind if one.get("managed", True)]) for kind in found]


def in_order(value: Any) -> Any:
    """With every list in one order: Incus tells by whom something is used as it finds them."""
    if isinstance(value, dict):
        return {name: in_order(one) for name, one in value.items()}
    return sorted(map(in_order, value), key=str) if isinstance(value, list) else value


def written(machine: Any, since: float) -> list[str]:
    """The files of a machine that were changed since."""
    find = f"find / -xdev -type f -newerct @{since:.0f} | grep -vE '{WRITTEN}' || true"
    return sorted(machine.check_output(find).split())


@pytest.fixture
def others() -> Iterator[None]:
    """What is somebody else's: a machine of Incus that does not run, and a bridge that is down."""
    made = (["incus", "init", "--empty", "somebody-elses"], ["ip", "link", "add", "others0", "type", "bridge"])
    for command in made:
        subprocess.run(command, check=True, capture_output=True)
    yield
    subprocess.run(["ip", "link", "delete", "others0"], check=True)
    subprocess.run(["incus", "delete", "somebody-elses"], check=True)


@pytest.mark.usefixtures("others")
def test_a_healthy_homelab_gives_no_finding_soon_and_stays_as_it_was(
    doctor: Callable[..., dict[str, Any]], ai: Any, webui: Any
) -> None:
    before, began = objects(), time.time()
    assert doctor() == {}
    took = time.time() - began
    assert objects() == before
    assert written(ai, began) == written(webui, began) == []
    assert took < 15 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@contextmanager
def port_taken(machine: Any, port: int) -> Iterator[None]:
    """Another program listens where Caddy wants to."""
    machine.check_output("systemctl stop caddy")
    machine.check_output(f"systemd-run -q --unit=thief python3 -m http.server {port}")
    machine.check_output(f"until ss -Hltn | grep -q ':{port} '; do sleep 0.1; done")
    machine.run("systemctl start caddy")
    try:
        yield
    finally:
        machine.check_output("systemctl stop thief; systemctl reset-failed caddy; systemctl restart caddy")


def test_a_service_stopped_settings_changed_and_a_port_taken(
    doctor: Callable[..., dict[str, Any]], ai: Any, webui: Any, project: Path
) -> None:
    ai.check_output("systemctl stop ollama; echo '# by hand' >>/etc/speaches/speaches.env")
    with port_taken(webui, 443):
        found = doctor()
    assert sorted(found) == ["CFG-01=homelab-ai", "CFG-06=homelab-ai", "SVC-01=homelab-ai", "SVC-05=homelab-webui"]
    assert "/etc/speaches/speaches.env" in found["CFG-01=homelab-ai"]["evidence"]["line"]
    assert "ollama" in found["SVC-01=homelab-ai"]["evidence"]["line"]
    mend(found["SVC-01=homelab-ai"], project)
    assert ai.service("ollama").is_running


def test_a_damaged_model_is_the_one_cause_and_a_full_quota_is_seen(
    doctor: Callable[..., dict[str, Any]], ai: Any, project: Path
) -> None:
    model = ai.check_output("ls /var/lib/speaches/hub/models--*/snapshots/*/model.bin")
    ai.check_output(f"truncate -s 1000 $(readlink -f {model}); systemctl restart speaches; sleep 3")
    with quota.almost_reached("homelab", "homelab-webui"):
        found = doctor("-e", '{"doctor_ignore": ["CFG-02=localhost", "CFG-0?=homelab-ai"]}')
    assert sorted(found) == ["DSK-01=homelab-webui", "STT-01=homelab-ai"]
    mend(found["STT-01=homelab-ai"], project)
    assert ai.service("speaches").is_running


@contextmanager
def ends_at_once(machine: Any, unit: str) -> Iterator[None]:
    """A drop-in of somebody's keeps a unit from starting."""
    folder = f"/etc/systemd/system/{unit}.service.d"
    machine.check_output(f"mkdir -p {folder} && printf '[Service]\\nExecStartPre=/bin/false\\n' >{folder}/theirs.conf")
    machine.run(f"systemctl daemon-reload; systemctl restart {unit}")
    try:
        yield
    finally:
        machine.check_output(f"rm {folder}/theirs.conf; systemctl daemon-reload; systemctl reset-failed {unit}; true")
        machine.check_output(f"systemctl restart {unit}")


@contextmanager
def out_of_memory(machine: Any, name: str, unit: str) -> Iterator[None]:
    """The instance may use what it uses and little more, and something takes that: the kernel ends the unit first."""
    incus = ["incus", "config"]
    state = json.loads(subprocess.check_output(["incus", "query", f"/1.0/instances/{name}/state?project=homelab"]))
    size = state["memory"]["usage"] + 100 * 2**20
    subprocess.run([*incus, "set", name, f"limits.memory={size}B", "--project", "homelab"], check=True)
    try:
        machine.check_output(f"echo 1000 >/proc/$(systemctl show -P MainPID {unit})/oom_score_adj")
        # what is only cached gives way, so that it takes more than all
        machine.run(f"timeout 60 python3 -c 'taken = b\"x\" * {size}'")
        yield
    finally:
        subprocess.run([*incus, "unset", name, "limits.memory", "--project", "homelab"], check=True)


def test_a_service_that_ends_at_once_and_one_that_the_kernel_has_killed(
    doctor: Callable[..., dict[str, Any]], ai: Any, webui: Any, project: Path
) -> None:
    before = started(ai, "ollama")
    with ends_at_once(webui, "caddy"), out_of_memory(ai, "homelab-ai", "ollama"):
        found = doctor("-e", '{"doctor_ignore": ["CFG-02=localhost"]}')
        assert sorted(found) == ["SVC-02=homelab-webui", "SVC-03=homelab-ai"]
        mend(found["SVC-03=homelab-ai"], project)
        until_all_answer(ai, webui)
        assert started(ai, "ollama") != before
        assert doctor(CHECK="SVC-03") == {}


def test_after_the_fixes_it_is_ready_for_production(project: Path, tmp_path: Path) -> None:
    """preflight asks every rule of the doctor, and some of its own."""
    kept = tmp_path / "list.json"
    command = ["make", "-s", "preflight", f"PROJECT={project}", f"JSON={kept}"]
    done = subprocess.run(command, cwd=ROOT, env=DOCTOR, capture_output=True, text=True, check=False)
    found = {one["title"].partition(",")[0]: (one["state"], one["detail"]) for one in json.loads(kept.read_text())}
    backup = found.pop("the newest backup is whole and younger than two days")
    assert backup[0] == "failed" and "BAK-01 homelab-webui" in backup[1] and done.returncode, done.stdout
    assert [one for one in found.items() if one[1][0] == "failed"] == []
    skipped = {title: detail for title, (state, detail) in found.items() if state == "skipped"}
    assert skipped["alerts are loaded"] == "no machine has the role monitoring, or it is turned off"
    assert set(skipped) <= {
        "alerts are loaded",
        "the GPU works",
        "recordings of 10 and 30 minutes are transcribed",
        "the STT server asks for its key",
        "Incus has nothing to warn of",
        "the clock is synchronised",
    }
