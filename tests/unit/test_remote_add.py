# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where remote-add keeps what it is given, and what it asks the `incus` client for; a stand-in is that client."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "remote-add"
CLIENT = """#!/bin/sh
echo "$@" >>"$INCUS_CONF/asked"
[ "$2" = add ] || exit 0
mkdir -p "$INCUS_CONF/servercerts" && touch "$INCUS_CONF/client.key" "$INCUS_CONF/config.yml"
printf '%s\\n' '-----BEGIN CERTIFICATE-----' ZGVy '-----END CERTIFICATE-----' >"$INCUS_CONF/servercerts/$3.crt"
[ "$4" != old ] || { echo "Error: token expired" >&2; exit 1; }
[ "$4" != "$AGAIN" ] || { echo "Error: Failed to create certificate: Client is already trusted" >&2; exit 1; }
[ "$4" != https://off:8443 ] || { echo "Error: no route" >&2; exit 1; }
"""


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "incus").write_text(CLIENT)
    (folder / "incus").chmod(0o755)
    return folder


def add(project: Path, tools: Path, token: str = "t0k3n", again: str = "-") -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "INCUS_CONF"} | {"AGAIN": again}
    environment["PATH"] = f"{tools}:/usr/bin:/bin"
    command = [SCRIPT, project, "gpu-room", token]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_what_it_is_given_is_the_users_alone(tmp_path: Path, tools: Path) -> None:
    project = tmp_path / "my lab"
    done = add(project, tools)
    assert done.returncode == 0, done.stderr
    assert "global.remotes.gpu-room.address" in done.stdout
    folder = project / "secrets" / "incus"
    assert (folder / "asked").read_text() == "remote remove gpu-room\nremote add gpu-room t0k3n\n"
    assert [path.stat().st_mode & 0o777 for path in (folder, folder / "client.key")] == [0o700, 0o600]


def test_a_server_that_was_installed_anew_is_added_anew(tmp_path: Path, tools: Path) -> None:
    add(tmp_path, tools)
    assert add(tmp_path, tools).returncode == 0
    asked = (tmp_path / "secrets" / "incus" / "asked").read_text().splitlines()
    assert asked[2:] == ["remote remove gpu-room", "remote add gpu-room t0k3n"]


def test_a_token_that_is_too_old(tmp_path: Path, tools: Path) -> None:
    done = add(tmp_path, tools, "old")
    assert (done.returncode, done.stderr) == (1, "Error: token expired\n")
    assert not (tmp_path / "secrets/incus/servercerts").exists(), "it looks as if the server were known"


def test_what_was_known_stays_where_the_token_is_no_good(tmp_path: Path, tools: Path) -> None:
    add(tmp_path, tools)
    shown = tmp_path / "secrets/incus/servercerts/gpu-room.crt"
    shown.write_text("the first")
    assert add(tmp_path, tools, "old").returncode == 1
    assert shown.read_text() == "the first"


@pytest.mark.parametrize("same", [True, False])
def test_a_server_that_trusts_the_project_already(tmp_path: Path, tools: Path, same: bool) -> None:
    """The client refuses such a token; the server is known by the certificate that the token names."""
    fingerprint = hashlib.sha256(b"der" if same else b"another").hexdigest()
    said = {"fingerprint": fingerprint, "addresses": ["off:8443", "gpu:8443", "later:8443"]}
    token = base64.b64encode(json.dumps(said).encode()).decode()
    done = add(tmp_path, tools, token, again=token)
    folder = tmp_path / "secrets" / "incus"
    added = [line for line in (folder / "asked").read_text().splitlines() if " add " in line][1:]
    assert added == [f"remote add gpu-room https://{one}:8443 --accept-certificate" for one in ("off", "gpu")]
    if same:
        assert done.returncode == 0, done.stderr
        assert (folder / "servercerts/gpu-room.crt").exists()
    else:
        assert done.stderr == "gpu:8443 has another certificate than the server that made the token\n"
        assert not (folder / "servercerts").exists()
