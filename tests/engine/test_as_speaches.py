# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What programs written for Speaches rely on, and the differences that the engine's page names."""

from __future__ import annotations

import itertools
import json
import re

import httpx
import numpy as np
import pytest
from anklume_stt_server.audio import RATE

from .conftest import CLIPS, MODEL, SENTENCES, Server, Start, clip, until, wav

FOX = CLIPS / "en-fox.wav"
TEXT = SENTENCES["en-fox.wav"]["text"]
NAME = "timestamp_granularities[]"
CUE = r"(\d\d):(\d\d):(\d\d)[,.](\d{3})"


def ask(server: Server, **fields: str | list[str]) -> httpx.Response:
    data = {"model": MODEL, **fields}
    return httpx.post(f"{server.url}/v1/audio/transcriptions", files={"file": FOX.read_bytes()}, data=data, timeout=60)


@pytest.fixture(scope="module")
def locked(hub_home: object, tmp_path_factory: pytest.TempPathFactory) -> object:
    server = Server(hub_home, tmp_path_factory.mktemp("locked") / "log", STT_API_KEY="k").wait()
    yield server
    server.stop()


@pytest.mark.parametrize("granularities", [[], ["segment"], ["word"], ["word", "segment"], ["segment", "word"]])
def test_times_by_what_was_asked_for(server: Server, granularities: list[str]) -> None:
    """As OpenAI has them: segments unless words alone are asked for; json has no words."""
    answer = ask(server, response_format="verbose_json", **{NAME: granularities}).json()
    assert bool(answer.get("words")) == ("word" in granularities)
    assert bool(answer.get("segments")) == (granularities != ["word"])
    plain = ask(server, response_format="json", **{NAME: granularities})
    assert plain.status_code == (400 if "word" in granularities else 200)


@pytest.mark.parametrize("form", ["text", "json", "verbose_json", "srt", "vtt"])
def test_a_stream_by_its_format(server: Server, form: str) -> None:
    answer = ask(server, model="gpt-4o-transcribe", response_format=form, stream="true")
    if form in ("text", "json"):
        events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
        assert events[-1]["text"] == TEXT and all(event.get("delta", "-") for event in events)
    else:
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "response_format")


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles_that_a_player_reads(server: Server, form: str) -> None:
    answer = ask(server, response_format=form)
    assert answer.headers["content-type"] == {"srt": "text/plain", "vtt": "text/vtt"}[form] + "; charset=utf-8"
    blocks = answer.text.strip().split("\n\n")
    if form == "vtt":
        assert blocks.pop(0) == "WEBVTT"
    ends = [0.0]
    for number, block in enumerate(blocks, 1):
        lines = block.splitlines()
        assert form == "vtt" or lines.pop(0) == str(number)
        begin, end = (
            int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(thousandths) / 1000
            for hours, minutes, seconds, thousandths in re.findall(CUE, lines[0])
        )
        assert re.fullmatch(f"{CUE} --> {CUE}", lines[0]) and begin < end and lines[1:]
        ends += [begin, end]
    assert all(first <= second for first, second in itertools.pairwise(ends)) and len(ends) > 1


def test_open_addresses_and_closed_ones(locked: Server) -> None:
    for path in ("/health", "/docs", "/openapi.json"):
        assert httpx.get(locked.url + path).status_code == 200
    for path in ("/v1/models", "/api/ps"):
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "k"}):
            answer = httpx.get(locked.url + path, headers=given)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert answer.json()["error"]["code"] == "invalid_api_key"
        assert httpx.get(locked.url + path, headers={"Authorization": "Bearer k"}).status_code == 200


def test_models(server: Server) -> None:
    assert httpx.get(f"{server.url}/v1/models/{MODEL}").json()["id"] == MODEL
    assert httpx.get(f"{server.url}/v1/models/i-do-not-exist").status_code == 404
    for method in ("POST", "DELETE"):
        assert httpx.request(method, f"{server.url}/api/ps/{MODEL}").status_code == 404


def where(server: Server, content: bytes, **fields: str) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/audio/speech/timestamps", files={"file": content}, data=fields, timeout=60)


def test_where_somebody_speaks(server: Server) -> None:
    """In milliseconds, by each field that Speaches has for it."""

    def places(**fields: str) -> list[tuple[int, int]]:
        return [(place["start"], place["end"]) for place in where(server, sound, **fields).json()]

    pause, said = np.zeros(2 * RATE, np.float32), clip("en-ansible.wav")
    sound = wav(np.concatenate([pause, said, pause, said, pause]))
    length = int(len(said) / RATE * 1000)
    begins = [2000, 4000 + length]
    found = places()
    assert [start for start, _ in found] == pytest.approx(begins, abs=300)
    assert [end for _, end in found] == pytest.approx([begin + length for begin in begins], abs=500)
    assert places(model="silero_vad_v5", threshold="0.75", neg_threshold="", max_speech_duration_s="inf") == found
    assert len(places(min_silence_duration_ms="9000")) == 1
    assert places(min_speech_duration_ms="5000") == []
    assert places(threshold="1") == []
    assert len(places(max_speech_duration_s="1")) > 2
    assert places(speech_pad_ms="200") == [(start - 200, end + 200) for start, end in found]
    assert places(neg_threshold="0.01")[0][1] >= found[0][1]
    assert where(server, wav(pause)).json() == []


@pytest.mark.parametrize(
    ("fields", "status", "name"),
    [
        ({"threshold": "1.1"}, 400, "threshold"),
        ({"threshold": "nan"}, 400, "threshold"),
        ({"neg_threshold": "-1"}, 400, "neg_threshold"),
        ({"speech_pad_ms": "much"}, 400, "speech_pad_ms"),
        ({"model": "whisper-1"}, 404, "model"),
        ({"speech_pad_ms": "inf", "min_silence_duration_ms": "1e308", "min_speech_duration_ms": "inf"}, 200, ""),
        ({"speech_pad_ms": "1e308", "max_speech_duration_s": "0"}, 200, ""),
    ],
)
def test_fields_of_that_search_are_checked(server: Server, fields: dict[str, str], status: int, name: str) -> None:
    answer = where(server, FOX.read_bytes(), **fields)
    assert answer.status_code == status
    assert status == 200 or answer.json()["error"]["param"] == name


def test_that_search_takes_what_the_others_take(server: Server, locked: Server) -> None:
    assert where(server, b"no sound").json()["error"]["code"] == "unsupported_media"
    assert where(locked, FOX.read_bytes()).status_code == 401
    answer = httpx.post(f"{server.url}/audio/speech/timestamps/", data={"threshold": "0.5"}, files={"other": b"x"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")


def test_use_puts_off_the_end_of_a_model(start: Start) -> None:
    server = start(STT_MODEL_TTL=2)

    def loaded() -> list[str]:
        return httpx.get(server.url + "/api/ps").json()["models"]

    assert loaded() == [MODEL], "the server answers when its model has transcribed"
    until(lambda: loaded() == [])
    assert ask(server).json()["text"] == TEXT
    assert loaded() == [MODEL]
    until(lambda: loaded() == [])
