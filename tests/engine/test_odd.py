# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Odd sounds, the whole way of a request, with each engine: all are answered, and the next sentence is heard."""

from __future__ import annotations

import collections
import json
import os
import struct
from typing import Any, NoReturn

import httpx
import numpy as np
import pytest

from .conftest import CLIPS, SENTENCES, Server, Start, clip
from .odd_sounds import odd_file

LONG = bool(os.environ.get("ANKLUME_TEST_LONG"))
long = pytest.mark.skipif(not LONG, reason="part of make test-long")
FOX = (CLIPS / "en-fox.wav").read_bytes()
TEXT = SENTENCES["en-fox.wav"]["text"]
WAYS: tuple[dict[str, Any], ...] = (
    {"response_format": "json"},
    {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]},
    {"response_format": "srt"},
    {"response_format": "json", "stream": "true"},
    {"response_format": "text", "language": "en"},
)
SECONDS = 3 * 3600


def whole(text: str) -> Any:
    """JSON as the rules have it, in which there is no NaN."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def check(recipe: str, way: dict[str, Any], answer: httpx.Response) -> None:
    """What an answer has to be, whatever the sound."""
    said = f"{recipe}: {answer.status_code} {answer.text[:300]}"
    assert answer.status_code in (200, 400, 413, 415), said
    assert "server_error" not in answer.text, said
    if answer.status_code != 200:
        assert whole(answer.text)["error"]["type"] == "invalid_request_error", said
    elif way["response_format"] == "verbose_json":
        found = whole(answer.text)
        parts = [*found["segments"], *found["words"]]
        assert all(0 <= part["start"] <= part["end"] <= found["duration"] + 0.001 for part in parts), said
    elif "stream" in way:
        events = [line for line in answer.text.splitlines() if line.startswith("data: ") and line != "data: [DONE]"]
        assert events and [whole(line.removeprefix("data: ")) for line in events], said


@pytest.mark.timeout(1500)
def test_odd_sounds_are_answered(server: Server) -> None:
    """500 of them in the long series, and 58 else: each sound twice."""
    speech, seen, before = clip("en-fox.wav"), collections.Counter[int](), len(server.text())
    with httpx.Client(timeout=120) as client:
        for number in range(500 if LONG else 58):
            recipe, content = odd_file(number, speech)
            way = WAYS[number % len(WAYS)]
            data = {"model": "whisper-1", **way}
            answer = client.post(server.url + "/v1/audio/transcriptions", files={"file": content}, data=data)
            check(recipe, way, answer)
            seen[answer.status_code] += 1
    print(dict(seen))
    assert seen[200] > 15 and seen[400] + seen[415] > 5, "they are all alike"
    assert server.post(FOX).json()["text"] == TEXT
    assert "Traceback" not in server.text()[before:]


def low(samples: np.ndarray, rate: int) -> bytes:
    """A file of so few samples a second, of eight bits."""
    data = (np.clip(samples, -1, 1) * 127 + 128).astype(np.uint8).tobytes()
    form = struct.pack("<HHIIHH", 1, 1, rate, rate, 1, 8)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


@long
def test_three_hours_are_more_than_the_settings_allow(server: Server) -> None:
    answer = server.post(low(np.zeros(SECONDS * 1000), 1000))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "audio_too_long")


@long
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", ["a steady level", "noise", "speech"])
def test_three_hours_are_heard_to_their_end(start: Start, name: str) -> None:
    """As telephones have it, with eight bits and 8 kHz."""
    server, rate = start(STT_MAX_AUDIO_SECONDS=SECONDS + 60), 8000
    rng = np.random.default_rng(1)
    minute = np.full(60 * rate, 0.6)
    if name == "noise":
        minute = rng.normal(0, 0.1, 60 * rate)
    if name == "speech":
        parts = [np.concatenate([clip("en-fox.wav")[::2], np.zeros(rate)]) for _ in range(20)]
        minute = np.resize(np.concatenate(parts)[: 60 * rate], 60 * rate)
    content = low(np.tile(minute, SECONDS // 60), rate)
    url, data = server.url + "/v1/audio/transcriptions", {"model": "whisper-1", **WAYS[1]}
    answer = httpx.post(url, files={"file": content}, data=data, timeout=2400)
    check(name, WAYS[1], answer)
    found = answer.json()
    assert answer.status_code == 200 and found["duration"] == pytest.approx(SECONDS, abs=1)
    assert name != "speech" or found["segments"][-1]["end"] > SECONDS - 60
    assert server.post(FOX).json()["text"] == TEXT
    assert "Traceback" not in server.text()
