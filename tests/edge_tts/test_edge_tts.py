# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client gets from the service: sound, or an error that says what is wrong, and who takes over."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import httpx
import openai
import pytest

from .conftest import CLIP, FILES, SENTENCE, Microsoft, Service, Start, free_port

FRAME = bytes.fromhex("fff364c4") + bytes(140)


def error(answer: httpx.Response, status: int) -> dict[str, str]:
    assert answer.status_code == status, answer.text
    body = answer.json()["error"]
    assert set(body) == {"message", "type", "param", "code"}
    return body


def test_the_official_client_hears_what_microsoft_sends(service: Service, microsoft: Microsoft) -> None:
    client = openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0)
    assert client.audio.speech.create(model="tts-1", voice="alloy", input=SENTENCE).content == CLIP.read_bytes()
    assert microsoft.seen()["texts"] == [{"voice": named("pl-PL", "Zofia"), "rate": "+0%", "text": SENTENCE}]
    assert [model.id for model in client.models.list()][:2] == ["tts-1", "tts-1-hd"]


def named(language: str, name: str) -> str:
    """A voice as Edge names it to Microsoft."""
    return f"Microsoft Server Speech Text to Speech Voice ({language}, {name}Neural)"


def test_voice_and_speed_are_passed_on(service: Service, microsoft: Microsoft) -> None:
    answer = service.speak(voice="pl-PL-MarekNeural", speed=1.25, model="edge-tts")
    assert (answer.headers["content-type"], answer.headers["x-spoken-by"]) == ("audio/mpeg", "edge")
    assert answer.content == FRAME * len("Dzień dobry.")
    service.speak(speed=0.5, voice={"id": "en-GB-SoniaNeural"})
    assert [(each["voice"], each["rate"]) for each in microsoft.seen()["texts"]] == [
        (named("pl-PL", "Marek"), "+25%"),
        (named("en-GB", "Sonia"), "-50%"),
    ]


def test_markdown_and_emoji_are_left_out(service: Service, microsoft: Microsoft) -> None:
    service.speak("## Ile to *jest*? 🎉\n\n```sh\nrm -rf /\n```\n\nA < B & C")
    assert [each["text"] for each in microsoft.seen()["texts"]] == ["Ile to jest?\nA < B & C."]
    silence = service.speak("🎉")
    assert (silence.status_code, silence.content, silence.headers["x-spoken-by"]) == (200, FRAME * 9, "nobody")
    assert microsoft.seen()["texts"] == []


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"input": ""}, 400, "input"),
        ({"input": 3}, 400, "input"),
        ({"input": "x" * 4097}, 400, "input"),
        ({"input": "\ud800"}, 400, "input"),
        ({"voice": "pl-PL-NobodyNeural"}, 400, "voice"),
        ({"voice": "gosia"}, 400, "voice"),
        ({"voice": 7}, 400, "voice"),
        ({"speed": 9}, 400, "speed"),
        ({"speed": "fast"}, 400, "speed"),
        ({"response_format": "opus"}, 400, "response_format"),
        ({"stream_format": "sse"}, 400, "stream_format"),
        ({"model": "kokoro"}, 404, "model"),
    ],
)
def test_what_cannot_be_had_is_refused_before_microsoft_hears_of_it(
    service: Service, microsoft: Microsoft, fields: dict[str, object], status: int, param: str
) -> None:
    assert error(service.speak(**{"text": "Hello."} | fields), status)["param"] == param
    assert microsoft.seen()["texts"] == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 50_000])
def test_a_body_that_is_no_json_object_is_refused(service: Service, body: bytes) -> None:
    error(httpx.post(f"{service.url}/v1/audio/speech", content=body), 400)


def test_addresses_that_are_none_and_methods_that_are_none(service: Service) -> None:
    error(httpx.get(f"{service.url}/nothing"), 404)
    error(httpx.get(f"{service.url}/v1/audio/speech"), 405)
    error(httpx.post(f"{service.url}/v1/audio/speech", content=b"x" * 200_000), 413)


def test_the_lists(service: Service, microsoft: Microsoft) -> None:
    voices = httpx.get(f"{service.url}/v1/audio/voices").json()["voices"]
    assert [voice["id"] for voice in voices] == [
        *("pl-PL-ZofiaNeural", "pl-PL-MarekNeural"),  # the usual one, then its language
        *("en-GB-SoniaNeural", "xx-XX-NewcomerNeural"),
    ]
    assert voices[1] == {"id": "pl-PL-MarekNeural", "name": "Marek, pl-PL", "language": "pl-PL", "gender": "Male"}
    assert httpx.get(f"{service.url}/api/edge-tts/voices").json()["voices"] == voices
    assert {"id": "tts-1"} in httpx.get(f"{service.url}/v1/audio/models").json()["models"]
    assert service.speak(voice="xx-XX-NewcomerNeural").status_code == 200
    assert microsoft.seen()["lists"] <= 1


def test_the_list_of_voices_is_there_where_microsoft_does_not_answer(microsoft: Microsoft, start: Start) -> None:
    microsoft.behaves("busy")
    service = start()
    voices = [voice["id"] for voice in httpx.get(f"{service.url}/v1/audio/voices").json()["voices"]]
    assert voices[:2] == ["pl-PL-ZofiaNeural", "pl-PL-MarekNeural"]
    assert len(voices) > 50
    httpx.get(f"{service.url}/v1/audio/voices")
    assert microsoft.seen()["lists"] == 1, "it is asked again at every request"
    microsoft.behaves()
    assert service.speak(voice="xx-XX-NewcomerNeural").status_code == 200, "nobody here can say that there is none"
    error(service.speak(voice="gosia"), 400)


def test_one_request_at_a_time(service: Service, microsoft: Microsoft) -> None:
    """The stand-in refuses, as Microsoft does, who comes while another is answered."""
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda number: service.speak(f"{number}. " + "a" * 200), range(6)))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert microsoft.seen()["refused"] == 0


def test_a_long_text_goes_in_several_parts(service: Service, microsoft: Microsoft) -> None:
    text = "ąę " * 1300
    answer = service.speak(text)
    assert answer.content == FRAME * (len(answer.content) // len(FRAME))
    assert len(microsoft.seen()["texts"]) == 2


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("forbidden", "HTTP 403"),
        ("busy", "HTTP 503"),
        ("silent", "nothing came for 1 s"),
        ("empty", "No audio was received"),
        ("odd", "Unknown path"),
    ],
)
def test_a_failure_is_a_502_that_says_why(service: Service, microsoft: Microsoft, how: str, why: str) -> None:
    microsoft.behaves(how)
    told = error(service.speak(), 502)
    assert told["code"] == "edge_tts_failed"
    assert told["message"].startswith("Microsoft: ") and why in told["message"]
    assert "no fallback is set" in told["message"]
    microsoft.behaves()
    assert service.speak().status_code == 200


def test_a_clock_that_is_wrong_is_put_right(start: Start, microsoft: Microsoft) -> None:
    service = start()
    microsoft.behaves("another hour")
    assert service.speak().status_code == 200


def test_sound_that_ends_too_early_is_no_whole_answer(service: Service, microsoft: Microsoft) -> None:
    microsoft.behaves("slow")
    breaking = threading.Timer(0.5, microsoft.behaves, ("breaks",))
    breaking.start()
    with pytest.raises(httpx.RemoteProtocolError):
        service.speak("a" * 40)
    breaking.join()


def test_nothing_at_that_address(tmp_path: Path) -> None:
    service = Service(tmp_path / "log", f"http://127.0.0.1:{free_port()}")
    assert "no connection" in error(service.speak(), 502)["message"]
    service.stop()


def test_who_leaves_is_spoken_to_no_more(service: Service, microsoft: Microsoft) -> None:
    microsoft.behaves("slow")
    with httpx.stream("POST", f"{service.url}/v1/audio/speech", json={"input": "a" * 2000}) as answer:
        assert next(answer.iter_raw())
    microsoft.behaves()
    end = time.monotonic() + 5
    while microsoft.seen()["answering"]:
        assert time.monotonic() < end, "Microsoft is still listened to"
        time.sleep(0.05)
    assert service.speak().status_code == 200
    assert "the client left" in service.text()


class Other(BaseHTTPRequestHandler):
    """Another server that speaks."""

    asked: ClassVar[list[tuple[str, str, bytes]]] = []
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.path, self.headers.get("Authorization", ""), body))
        answer = b"other" if self.status == 200 else b'{"error": {"message": "no voice"}}'
        self.send_response(self.status)
        self.send_header("Content-Type", "audio/wav" if self.status == 200 else "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def other() -> Iterator[str]:
    Other.asked.clear()
    Other.status = 200
    server = ThreadingHTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def with_fallback(start: Start, url: str, path: str = "/v1") -> Service:
    return start(EDGE_TTS_FALLBACK_URL=url + path, EDGE_TTS_FALLBACK_VOICE="gosia", EDGE_TTS_FALLBACK_API_KEY="secret")


def test_the_fallback_takes_over_and_gives_back(start: Start, microsoft: Microsoft, other: str) -> None:
    service = with_fallback(start, other)
    assert service.speak().headers["x-spoken-by"] == "edge"
    assert Other.asked == []
    microsoft.behaves("silent")
    answer = service.speak("**Dzień** dobry.")
    assert (answer.content, answer.headers["content-type"]) == (b"other", "audio/wav")
    assert answer.headers["x-spoken-by"] == "fallback"
    path, key, body = Other.asked[0]
    assert (path, key) == ("/v1/audio/speech", "Bearer secret")
    assert '"voice": "gosia"' in body.decode() and r'"input": "Dzie\u0144 dobry."' in body.decode()
    asked = microsoft.seen()["texts"]
    assert service.speak().headers["x-spoken-by"] == "fallback"
    assert asked and not microsoft.seen()["texts"], "the second request was Microsoft's too"
    microsoft.behaves()
    test = httpx.get(f"{service.url}/api/edge-tts/test").json()
    assert (test["status"], test["spoken_by"], test["error"]) == ("ok", "edge", "")
    assert service.speak().headers["x-spoken-by"] == "edge"


def test_a_text_that_no_voice_can_read_is_no_outage(start: Start, microsoft: Microsoft, other: str) -> None:
    service = with_fallback(start, other)
    microsoft.behaves("empty")
    assert service.speak().headers["x-spoken-by"] == "fallback"
    microsoft.behaves()
    assert service.speak().headers["x-spoken-by"] == "edge"


def test_where_both_fail_both_are_told(start: Start, microsoft: Microsoft, other: str) -> None:
    service = with_fallback(start, other, "/")
    microsoft.behaves("busy")
    Other.status = 400
    message = error(service.speak(), 502)["message"]
    assert message == "Microsoft: HTTP 503; the fallback: HTTP 400: no voice"


def test_two_that_name_each_other_do_not_ask_for_ever(start: Start, microsoft: Microsoft) -> None:
    microsoft.behaves("busy")
    port = free_port()
    service = start(EDGE_TTS_PORT=port, EDGE_TTS_FALLBACK_URL=f"http://127.0.0.1:{port}/v1")
    assert "the fallback: HTTP 502" in error(service.speak(), 502)["message"]


def test_the_short_api(service: Service, microsoft: Microsoft) -> None:
    test = httpx.get(f"{service.url}/api/edge-tts/test").json()
    assert test.pop("seconds") < 5
    assert test == {
        **{"status": "ok", "spoken_by": "edge", "voice": "pl-PL-ZofiaNeural", "error": ""},
        "bytes": len(FRAME) * len("Dzień dobry."),
    }
    made = httpx.post(f"{service.url}/api/edge-tts/synthesize", json={"text": "Raz.", "voice": "pl-PL-MarekNeural"})
    assert made.content == FRAME * 4
    error(httpx.post(f"{service.url}/api/edge-tts/synthesize", json={"input": "Raz."}), 400)
    microsoft.behaves("busy")
    failed = httpx.get(f"{service.url}/api/edge-tts/test")
    assert failed.status_code == 502
    assert failed.json()["error"].startswith("Microsoft: HTTP 503")


def test_with_a_key_the_lists_stay_open(start: Start, microsoft: Microsoft) -> None:
    service = start(EDGE_TTS_API_KEY="s3cret")
    assert error(service.speak(), 401)["code"] == "invalid_api_key"
    assert httpx.get(f"{service.url}/api/edge-tts/test").status_code == 401
    for path in ("/health", "/v1/audio/voices", "/v1/audio/models", "/api/edge-tts/voices"):
        assert httpx.get(service.url + path).status_code == 200
    assert microsoft.seen()["texts"] == []
    client = openai.OpenAI(base_url=f"{service.url}/v1", api_key="s3cret", max_retries=0)
    assert client.audio.speech.create(model="tts-1", voice="alloy", input="Raz.").content == FRAME * 4


def test_texts_stay_out_of_the_log(service: Service, microsoft: Microsoft) -> None:
    microsoft.behaves("busy")
    service.speak("Tajemnica.")
    assert "Tajemnica" not in service.text() and "HTTP 503" in service.text()


@pytest.mark.parametrize(
    ("settings", "said"),
    [({}, "EDGE_TTS_VOICE: not set"), ({"EDGE_TTS_VOICE": "x", "EDGE_TTS_TIMEOUT": "soon"}, "EDGE_TTS_TIMEOUT=soon")],
)
def test_a_setting_that_cannot_be_is_named(settings: dict[str, str], said: str) -> None:
    command = [sys.executable, "-P", "-m", "anklume_edge_tts"]
    done = subprocess.run(
        command,
        env={"PYTHONPATH": str(FILES), "PYTHONDONTWRITEBYTECODE": "1"} | settings,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and "Traceback" not in done.stderr
