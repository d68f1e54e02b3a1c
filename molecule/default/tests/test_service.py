# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands there after an apply: hardened units, HTTPS, closed doors, a sentence, backups, retention."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import socket
import ssl
import time
import wave
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from conftest import ADDRESS, CLIPS, Api, Run


@pytest.mark.parametrize("unit", ["open-webui", "caddy", "open-webui-backup"])
def test_units_may_do_little(webui: Any, unit: str) -> None:
    verdict = webui.run_expect([0], f"systemd-analyze security --no-pager {unit}").stdout.splitlines()[-1]
    assert float(re.search(r"level for \S+: ([\d.]+)", verdict)[1]) <= 2.0, verdict


def test_nothing_of_ours_runs_as_root(webui: Any) -> None:
    lines = webui.run_expect([0], "ps -eo user:20=,comm=").stdout.splitlines()
    users = {comm: user for user, comm in map(str.split, lines) if comm in ("open-webui", "caddy")}
    assert users.keys() == {"open-webui", "caddy"}
    assert "root" not in users.values()


def test_only_the_proxy_is_reached_from_outside(webui: Any) -> None:
    listening = set(re.findall(r"(\S+):(\d+)\s", webui.run_expect([0], "ss -Hltn | awk '{print $4\" \"}'").stdout))
    outside = {port for address, port in listening if not address.startswith(("127.", "[::1]"))}
    assert outside - {"53", "5355"} == {"80", "443", "3000"}


@pytest.mark.parametrize("name", ["mdef-webui", ADDRESS])
def test_the_certificate_is_for_the_name_and_the_address(project: Path, name: str) -> None:
    context = ssl.create_default_context(cafile=project / "secrets/ca/ca.crt")
    with socket.create_connection((ADDRESS, 443), 10) as plain, context.wrap_socket(plain, server_hostname=name) as tls:
        names = {value for _kind, value in tls.getpeercert()["subjectAltName"]}
    assert names == {"mdef-webui", ADDRESS, "localhost", "127.0.0.1"}


def test_a_browser_that_trusts_only_the_public_authorities_is_warned() -> None:
    with (
        socket.create_connection((ADDRESS, 443), 10) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        ssl.create_default_context().wrap_socket(plain, server_hostname=ADDRESS)


def test_the_authority_is_exported_with_its_fingerprint(role: Callable[..., Run], project: Path) -> None:
    exported = role(playbook="anklume.stt.ca")
    assert exported.status == 0, exported.said
    certificate = (project / "ca.crt").read_text()
    assert certificate == (project / "secrets/ca/ca.crt").read_text()
    assert hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).digest().hex(":").upper() in exported.said
    assert f"http://mdef-webui/trust or http://{ADDRESS}/trust" in exported.said


@pytest.mark.parametrize("port", [80, 3000])
def test_plain_http_leads_to_https(port: int) -> None:
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=10)
    connection.request("GET", "/c/1?x=y")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (308, f"https://{ADDRESS}/c/1?x=y")


def test_no_stranger_gets_in(project: Path) -> None:
    stranger = Api(project)
    account = {"name": "x", "email": "x@example.org", "password": "a-long-password"}
    assert stranger.refusal("POST", "/api/v1/auths/signup", account) == 403
    assert stranger.refusal("GET", "/api/v1/chats/") in (401, 403)
    with pytest.raises(json.JSONDecodeError):  # the page of the app, not the API's documentation
        stranger.call("GET", "/openapi.json")


@pytest.mark.parametrize(("origin", "status"), [(f"https://{ADDRESS}", 101), ("https://evil.example.org", 403)])
def test_websockets_pass_for_our_own_pages_only(project: Path, origin: str, status: int) -> None:
    context = ssl.create_default_context(cafile=project / "secrets/ca/ca.crt")
    connection = http.client.HTTPSConnection(ADDRESS, timeout=10, context=context)
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Origin": origin}
    upgrade |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    connection.request("GET", "/ws/socket.io/?EIO=4&transport=websocket", headers=upgrade)
    assert connection.getresponse().status == status


def test_a_larger_upload_than_allowed_is_refused(project: Path, api: Api) -> None:
    context = ssl.create_default_context(cafile=project / "secrets/ca/ca.crt")
    connection = http.client.HTTPSConnection(ADDRESS, timeout=60, context=context)
    connection.putrequest("POST", "/api/v1/audio/transcriptions")
    connection.putheader("Authorization", f"Bearer {api.token}")
    connection.putheader("Content-Type", "multipart/form-data; boundary=x")
    connection.putheader("Content-Length", str(201 * 2**20))
    connection.endheaders()
    try:
        for _megabyte in range(201):
            connection.send(b"x" * 2**20)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
        return  # refused before it was all sent
    assert connection.getresponse().status in (400, 413, 500, 502)


def test_a_spoken_sentence_is_recognised(api: Api) -> None:
    assert "quick brown fox" in api.transcribe((CLIPS / "en-fox.wav").read_bytes()).lower()


def test_silence_gives_no_sentence(api: Api) -> None:
    silent = BytesIO()
    with wave.open(silent, "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(b"\0\0" * 48000)
    assert api.transcribe(silent.getvalue()).strip() == ""


def test_the_address_was_brought_into_form_and_the_key_found(api: Api) -> None:
    stt = api.call("GET", "/api/v1/audio/config")["stt"]
    assert (stt["ENGINE"], stt["OPENAI_API_BASE_URL"], stt["MODEL"]) == (
        "openai",
        "http://10.176.1.10:8000/v1",
        "whisper-1",
    )
    assert len(stt["OPENAI_API_KEY"]) == 40


def test_a_scheduled_backup_is_made_and_old_ones_go(webui: Any) -> None:
    folder = "/var/backups/open-webui"
    for day in range(1, 10):
        webui.run_expect([0], f"touch {folder}/open-webui-2020010{day}T000000Z-0.1.0-slim-scheduled.tar.gz")
    webui.run_expect([0], "systemctl start open-webui-backup")
    kept = sorted(Path(path).name for path in webui.run_expect([0], f"ls {folder}/*-scheduled.tar.gz").stdout.split())
    assert len(kept) == 7
    assert not kept[-1].startswith("open-webui-2020")
    webui.run_expect([0], f"rm {folder}/open-webui-2020*")
    assert "open-webui-backup.timer" in webui.run_expect([0], "systemctl list-timers --no-pager").stdout


@pytest.mark.parametrize(
    ("folder", "kinds"), [("transcriptions", ["wav", "json"]), ("speech", ["mp3", "mime", "json"])]
)
def test_old_recordings_and_what_was_read_aloud_go_and_new_ones_stay(webui: Any, folder: str, kinds: list[str]) -> None:
    path = f"/var/lib/open-webui/cache/audio/{folder}"
    old = " ".join(f"{path}/old.{kind}" for kind in kinds)
    webui.run_expect([0], f"install -d -o open-webui -g open-webui {path}")
    webui.run_expect([0], f"touch -d '8 days ago' {old} && touch {path}/new.wav")
    webui.run_expect([0], "systemd-tmpfiles --clean /etc/tmpfiles.d/open-webui.conf")
    left = webui.run_expect([0], f"ls {path}").stdout.split()
    assert "new.wav" in left
    assert not [name for name in left if name.startswith("old.")]


def test_signing_in_is_limited(project: Path) -> None:
    """Last in this file: it uses up the sign-ins of an account that is not there."""
    stranger = Api(project)
    wrong = {"email": f"guess{time.time()}@example.org", "password": "wrong"}
    assert any(stranger.refusal("POST", "/api/v1/auths/signin", wrong) == 429 for _attempt in range(20))
