# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing leaves the network: what the instances sent since they were made, against docs/reference/network.md."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shlex
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wire
from conftest import until_all_answer
from pip._internal.models.index import PyPI
from suite import LONG, ROOT

INSTALLED = time.time()  # this module is read after the installation, before the first test
IDLE = 600 if LONG else 25
NETWORK = ipaddress.ip_network("10.100.3.0/24")
PAGE = (ROOT / "docs/reference/network.md").read_text()
DOCUMENTED = {PyPI.netloc, PyPI.file_storage_domain}
DOCUMENTED |= set(re.findall(r"`([a-z0-9.-]+\.[a-z]+)`", PAGE.split("## During an installation")[1].split("\n\n")[1]))
REPORTER = "events.data.microsoft.com"


def ours(name: str) -> bool:
    """Whether a name is one of the project's own: the gateway answers it."""
    return "." not in name or name.endswith((".incus", ".in-addr.arpa", ".ip6.arpa", ".home.arpa"))


def stays(packet: wire.Sent) -> bool:
    """Whether a packet stays in the project's network: leases, neighbours, and DNS questions for its own names."""
    if packet.question:
        return ours(packet.question)
    address = ipaddress.ip_address(packet.destination)
    return address in NETWORK or address.is_link_local or address.is_multicast or packet.what == "udp/67"


@pytest.fixture(scope="module")
def capture(project: Path) -> Iterator[Path]:
    """What tcpdump has written since the instances were made; it ends with this module."""
    path = project / "wire.pcap"
    yield path
    os.kill(int(Path(f"{path}.pid").read_text()), signal.SIGTERM)


def between(capture: Path, start: float, end: float) -> list[wire.Sent]:
    return [packet for packet in wire.sent(capture) if start <= packet.time < end]


def test_the_installation_asks_for_documented_names_only(capture: Path, ai: Any) -> None:
    packets = between(capture, 0, INSTALLED)
    # apt asks for the services of a name too, as in _http._tcp.NAME
    questions = {re.sub(r"^_\w+\._tcp\.|\.incus$", "", packet.question) for packet in packets if packet.question}
    asked = {name for name in questions if not ours(name)}
    assert asked, "the watch saw nothing of the installation"
    mirrors = ai.check_output("cat /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/pip.conf 2>/dev/null; true")
    assert asked - DOCUMENTED - set(re.findall(r"://([^/:\s]+)", mirrors)) == set()
    assert {p.what for p in packets if not p.question and not stays(p)} <= {"tcp/80", "tcp/443"}


def chat(webui: Any, project: Path) -> str:
    """What the language model answers through Open WebUI, asked on its own machine."""
    password = (project / "secrets/homelab-webui-open-webui-admin-password").read_text()

    def post(path: str, body: dict[str, Any], *headers: str) -> Any:
        words = ["curl", "-sS", "-m", "60", f"http://127.0.0.1:8080{path}", "--json", json.dumps(body), *headers]
        return json.loads(webui.check_output(shlex.join(words)))

    token = post("/api/v1/auths/signin", {"email": "admin@localhost", "password": password})["token"]
    body = {"model": "stand-in:1b", "stream": False, "messages": [{"role": "user", "content": "Who are you?"}]}
    answer = post("/api/chat/completions", body, "-H", f"Authorization: Bearer {token}")
    return str(answer["choices"][0]["message"]["content"])


def test_from_the_first_start_on_nothing_leaves(capture: Path, make: Any, ai: Any, webui: Any, project: Path) -> None:
    """All that the tests before did, and once more a restart, a transcription, a chat and a time without work."""
    ai.check_output("systemctl restart speaches ollama")
    webui.check_output("systemctl restart open-webui")
    until_all_answer(ai, webui)
    run = make("verify")
    deadline = time.monotonic() + 120
    while run.status != 0 and time.monotonic() < deadline:
        time.sleep(2)
        run = make("verify")
    assert run.status == 0, run.why
    assert chat(webui, project) == "This is a stand-in."
    time.sleep(IDLE)
    packets = between(capture, INSTALLED, time.time())
    assert packets, "the watch has ended"
    assert [packet for packet in packets if not stays(packet)] == []


def test_the_watch_sees_a_library_that_reports(capture: Path, ai: Any) -> None:
    """Without its switch onnxruntime asks within seconds, and would in the tests above."""
    start = time.time()
    use = "from faster_whisper.vad import get_vad_model; import time; get_vad_model(); time.sleep(15)"
    ai.check_output(f"cd /tmp && env -u ORT_DISABLE_TELEMETRY HOME=/tmp /opt/stt-server/current/bin/python -c '{use}'")
    try:
        questions = {packet.question for packet in between(capture, start, time.time())}
        assert [name for name in questions if REPORTER in name], "the switch has become needless"
        assert ai.file("/tmp/.cache/Microsoft").exists
    finally:
        ai.check_output("rm -rf /tmp/.cache")


@pytest.mark.parametrize("unit", ["speaches", "ollama", "open-webui"])
def test_a_service_writes_into_its_own_folders_only(machine: Any, unit: str) -> None:
    host = machine("homelab-webui" if unit == "open-webui" else "homelab-ai")
    own = " ".join(f"-not -path '{folder}/{unit}*'" for folder in ("/var/lib", "/var/backups", "/run"))
    files = host.check_output(f"find / -xdev -user {unit} -not -path '/proc/*' {own}").split()
    assert [name for name in files if f"-{unit}.service-" not in name] == []
    assert host.check_output(f"find /var/lib/{unit} -ipath '*microsoft*' -o -ipath '*telemetry*' | head").split() == []
    environment = host.check_output(f"tr '\\0' '\\n' </proc/$(systemctl show -P MainPID {unit})/environ").split("\n")
    assert not {"CI", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST"} & {line.split("=")[0] for line in environment}
