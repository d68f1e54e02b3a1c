# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The web page of Speaches in a real browser, with a key and behind HTTPS: a file is transcribed, a sentence spoken."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import DATA, FOX, NAME, PROJECT, Ask, speaches_itself
from suite import ROOT

pytestmark = speaches_itself
PAGE, HTTPS = 8103, 8443
CURRENT = "/opt/stt-server/current"
CADDY = f"""{{
  admin off
  skip_install_trust
  auto_https disable_redirects
}}
https://localhost:{HTTPS}, https://{{$ADDRESS}}:{HTTPS} {{
  tls internal
  reverse_proxy 127.0.0.1:{PAGE}
}}"""


@pytest.fixture(scope="module")
def page(ai: Any) -> Iterator[str]:
    """The address of the same service with its page, on a port of its own, behind Caddy."""
    address = str(ai.check_output("hostname -I")).split()[0]
    settings = f"ENABLE_UI=true UVICORN_PORT={PAGE} LOOPBACK_HOST_URL=http://127.0.0.1:{PAGE}"
    ai.check_output("apt-get -qy install --no-install-recommends caddy && systemctl disable --now caddy")
    ai.check_output(
        "systemd-run --collect --unit page --property User=speaches"
        " --property EnvironmentFile=/etc/speaches/speaches.env"
        f" --property WorkingDirectory={CURRENT}/run /bin/sh -c"
        f" 'TMPDIR=/tmp {settings} exec {CURRENT}/bin/python -m anklume_speaches'"
    )
    ai.check_output(f"cat > /run/Caddyfile <<'END'\n{CADDY}\nEND")
    ai.check_output(
        f"systemd-run --collect --unit proxy --setenv=ADDRESS={address} --setenv=HOME=/root"
        " caddy run --adapter caddyfile --config /run/Caddyfile"
    )
    ai.check_output(f"timeout 120 sh -c 'until curl -skf https://localhost:{HTTPS}/health; do sleep 1; done'")
    yield f"https://{address}:{HTTPS}/"
    ai.run("systemctl stop page proxy")


def test_a_file_is_transcribed_and_a_sentence_spoken(ai: Any, ask: Ask, key: str, page: str) -> None:
    voice = next(model["id"] for model in ask("/v1/models").json["data"] if model.get("task") == "text-to-speech")
    speaker = ask(f"/v1/models/{voice}").json["voices"][0]["name"]
    words = [page, key, f"{DATA}/clips/en-fox.wav", "anklume/whisper-test", voice, speaker, FOX]
    run = subprocess.run(
        ["node", "speaches.mjs", *words], cwd=ROOT / "tests/browser", capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    assert seen["heard"].strip() == FOX
    assert seen["elsewhere"] == [], "the page is to load nothing from elsewhere"
    subprocess.run(
        ["incus", "exec", NAME, "--project", PROJECT, "--", "sh", "-c", "base64 -d > /srv/clips/page.wav"],
        input=seen["spoken"].encode(),
        check=True,
    )
    heard = ask("/v1/audio/transcriptions", file="@/srv/clips/page.wav", model="whisper-1")
    assert heard.json["text"] == FOX
