# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An hour of sound passes every limit as the roles come, and the page about long recordings says what they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[4]
PAGE = (ROOT / "docs/how-to/long-recordings.md").read_text()
MIB = 2**20
WAV = 16_000 * 2  # bytes in a second of mono


def default(role: str, name: str) -> Any:
    return yaml.safe_load((ROOT / "roles" / role / "defaults/main.yml").read_text())[name]


def test_an_hour_passes_every_limit() -> None:
    assert default("open_webui", "open_webui_max_upload_mib") * MIB > 3600 * WAV
    # what the proxy lets through has to arrive
    assert default("stt_server", "stt_server_max_upload") >= default("open_webui", "open_webui_max_upload_mib")
    assert default("stt_server", "stt_server_max_audio") >= 3600


def test_the_proxy_waits_for_the_answer() -> None:
    """Caddy's own timeouts are off; none is set."""
    assert "timeout" not in (ROOT / "roles/open_webui/templates/Caddyfile.j2").read_text()


def test_the_page_says_the_limits_as_they_are() -> None:
    limits = dict(re.findall(r"^\| .* \| (.*?)(?:, .*?)? \| `(\w+)`.*\|$", PAGE, re.MULTILINE))
    assert {variable: limit for limit, variable in limits.items()} == {
        "open_webui_max_upload_mib": f"{default('open_webui', 'open_webui_max_upload_mib')} MiB",
        "stt_server_max_upload": f"{default('stt_server', 'stt_server_max_upload')} MiB",
        "stt_server_max_audio": f"{default('stt_server', 'stt_server_max_audio') // 3600} hours",
    }


def test_the_page_says_how_long_what_fits_is() -> None:
    seconds = default("open_webui", "open_webui_max_upload_mib") * MIB
    minutes = {"WAV, 16 kHz, mono": WAV, "WAV, 44.1 kHz, stereo": 44_100 * 4, "MP3, 128 kbit/s": 16_000}
    for name, rate in minutes.items():
        (hours,), (left,) = (re.findall(rf"\| {name} \| {time}", PAGE) for time in (r"(?:(\d+) h )?", r".*?(\d+) min"))
        assert int(hours or 0) * 60 + int(left) == seconds // rate // 60
