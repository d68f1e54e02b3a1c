# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""/metrics in Speaches: the module of our own engine, behind the key, with the work that Speaches did."""

from __future__ import annotations

import re
import subprocess

from conftest import FOX, Ask, transcribe
from suite import ROOT

PROMTOOL = ROOT / ".cache/prometheus/usr/bin/promtool"  # `make molecule` puts it there


def numbers(ask: Ask) -> dict[str, float]:
    """Each series with its value."""
    lines = re.findall(r"^(stt_\S+(?:{.*})?) (\S+)$", ask("/metrics").text, re.M)
    return {series: float(value) for series, value in lines}


def test_it_is_behind_the_key(ask: Ask) -> None:
    for wrong in (None, "wrong"):
        assert ask("/metrics", key=wrong).status == 403


def test_what_was_done_is_counted(ask: Ask) -> None:
    before = numbers(ask)
    assert transcribe(ask).json["text"] == FOX
    assert transcribe(ask, stream="true").status == 200
    assert transcribe(ask, task="translations").status == 200
    assert transcribe(ask, "text.wav").status == 415
    assert ask("/nothing/odd-4711").status == 404
    after = numbers(ask)

    def more(series: str) -> float:
        return after[series] - before.get(series, 0)

    count = 'stt_request_duration_seconds_count{route="%s",status="%s"}'
    for route, status, times in (("transcriptions", 200, 2), ("translations", 200, 1), ("transcriptions", 415, 1)):
        assert more(count % (route, status)) >= times
    assert more(count % ("other", 404)) >= 1
    assert more('stt_errors_total{code="unsupported_media"}') >= 1
    assert more("stt_real_time_factor_count") >= 3
    assert more("stt_audio_seconds_total") > 9
    assert more("stt_processing_seconds_total") > 0
    assert after["stt_models_loaded"] >= 1
    assert after["stt_queue_limit"] > 0
    assert [series for series in after if series.startswith('stt_model_info{compute_type="') and "speaches" in series]
    assert "odd-4711" not in ask("/metrics").text


def odd(ask: Ask, numbers: str) -> None:
    """Requests that name something new wherever a client can; curl counts the numbers up by itself."""
    name = f"odd-{numbers}"
    ask(f"/{name}/{name.replace('[', '').replace(']', '')}")
    ask(f"/v1/models/{name}", "-X", "ODD")
    ask(f"/v1/audio/transcriptions?x={name}", "-F", "file=@/srv/clips/text.wav;filename=odd.wav", model="odd")


def test_a_thousand_odd_requests_make_no_series(ask: Ask) -> None:
    odd(ask, "[0-1]")
    before = numbers(ask)
    odd(ask, "[2-340]")
    after = numbers(ask)
    assert set(after) == set(before)
    counted = [name for name in after if name.startswith("stt_request_duration_seconds_count")]
    assert sum(after[name] - before[name] for name in counted) >= 1000
    assert "odd" not in ask("/metrics").text


def test_promtool_finds_nothing_to_say(ask: Ask) -> None:
    checked = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=ask("/metrics").text, text=True, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
