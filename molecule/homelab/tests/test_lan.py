# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the phone on the sofa: another network namespace, behind a bridge that stands for the host's network at home.

After the watch of test_9: what is published is answered outside the machines' own network.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import browser
import lan
import pytest
import yaml
from conftest import Run
from suite import ROOT, long

LAN, HOME, MOVED, PHONE = "hl-lan", "172.30.100.1", "172.30.100.2", "172.30.100.50"
NAME = f"{socket.gethostname().partition('.')[0].lower()}.local"
AI, WEBUI = "10.100.3.10", "10.100.3.30"
LIMIT = "--limit homelab-webui,localhost"
PASSWORD = "secrets/homelab-webui-open-webui-admin-password"


@pytest.fixture(scope="module", autouse=True)
def phone() -> Iterator[str]:
    """A computer at home that knows the host by its name."""
    with (
        lan.network(LAN, f"{HOME}/24"),
        lan.computer("hl-phone", LAN, f"{PHONE}/24", gateway=HOME, hosts={NAME: HOME}) as name,
    ):
        yield name


@pytest.fixture(scope="module")
def write(project: Path) -> Iterator[Callable[..., None]]:
    """Write infra.yml with what the machine with the page publishes; as it was afterwards."""
    path = project / "infra.yml"
    before = path.read_text()

    def write(*publish: Any) -> None:
        infra = yaml.safe_load(before)
        if publish:
            infra["global"]["lan"] = {"networks": ["172.30.100.0/24"]}
            infra["domains"]["homelab"]["machines"]["homelab-webui"]["publish"] = list(publish)
        path.write_text(yaml.safe_dump(infra))

    yield write
    path.write_text(before)


def reached(phone: str) -> list[tuple[str, int]]:
    """What the phone finds open of the host's ports and the machines' own."""
    places = [(HOME, 443), (HOME, 80), (HOME, 8000), (WEBUI, 443), (AI, 8000), (AI, 11434)]
    return [place for place in places if lan.answers(phone, *place)]


def test_before_publish_nothing_answers(phone: str) -> None:
    assert reached(phone) == []


def test_after_publish_the_page_answers_alone(phone: str, write: Callable[..., None], make: Callable[..., Run]) -> None:
    write(443)
    assert make("sync").status == 0
    run = make("apply", LIMIT)
    assert run.status == 0, run.why
    assert f"https://{HOME}" in run.said
    assert f"https://{NAME}" in run.said
    assert reached(phone) == [(HOME, 443), (WEBUI, 443)]  # the machine itself too, as it has a route there


def test_a_person_speaks_to_it_by_the_host_s_name(phone: str, webui: Any, project: Path, tmp_path: Path) -> None:
    profile = browser.trust(tmp_path / "home", project / "secrets/ca/ca.crt")
    clip = ROOT / "tests/data/clips/en-fox.wav"
    own = {"password": project / PASSWORD, "folder": tmp_path, "shots": "from-the-lan"}
    seen = browser.speak(phone, profile, f"https://{NAME}", clip, **own)
    assert seen["secure"] is True
    assert seen["answer"] == seen["chat_input"] == "The quick brown fox jumps over the lazy dog."
    assert seen["sockets"] == [f"wss://{NAME}"], "the WebSocket is refused"
    assert seen["elsewhere"] == []
    log = webui.check_output("journalctl -u open-webui --since -5min -o cat")
    assert f"{PHONE}:" in log, "the service does not see the client's own address"


def test_the_second_apply_changes_nothing(make: Callable[..., Run]) -> None:
    run = make("apply", LIMIT)
    assert run.status == 0, run.why
    assert [run.changed(machine) for machine in ("localhost", "homelab-webui")] == [0, 0]


@long
def test_an_address_that_changed_is_seen_by_plan_and_mended_by_apply(make: Callable[..., Run], webui: Any) -> None:
    """Units and tests/integration/incus hold its parts in every suite."""
    lan.ip("addr", "del", f"{HOME}/24", "dev", LAN)
    lan.ip("addr", "add", f"{MOVED}/24", "dev", LAN)
    plan = make("plan", LIMIT)
    assert plan.status == 0, plan.why
    assert f"tcp:{MOVED}:443" in plan.said, "the device"
    assert f"{MOVED}, {NAME}" in plan.said, "the certificate"
    assert f"https://{MOVED};https://{NAME}" in plan.said, "the origins"
    run = make("apply", LIMIT)
    assert run.status == 0, run.why
    assert f"https://{MOVED}" in run.said
    assert f"https://{HOME}" not in run.said
    assert make("apply", LIMIT).changed("homelab-webui") == 0
    certificate = "openssl s_client -connect 127.0.0.1:443 </dev/null | openssl x509 -noout"
    assert "does match" in webui.check_output(f"{certificate} -checkip {MOVED}")
    lan.ip("addr", "add", f"{HOME}/24", "dev", LAN)


def test_without_publish_it_is_shut_again(phone: str, write: Callable[..., None], make: Callable[..., Run]) -> None:
    write()
    assert make("sync").status == 0
    assert make("apply-infra").changed("localhost") == 1
    assert reached(phone) == []
    assert not lan.answers(phone, MOVED, 443)
    assert make("apply-infra").changed("localhost") == 0
