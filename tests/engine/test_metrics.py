# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a monitor reads at /metrics: true numbers, behind the key, in few series whatever clients send."""

from __future__ import annotations

import asyncio
import concurrent.futures
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from anklume_stt_server import metrics
from prometheus_client.parser import text_string_to_metric_families

from .conftest import CLIPS, MODEL, ROOT, SENTENCES, Server, Start, clip, until, wav
from .test_operation import slowed

FOX = CLIPS / "en-fox.wav"
SECONDS = len(clip("en-fox.wav")) / 16000
TEXT = SENTENCES["en-fox.wav"]["text"]
PROMTOOL = ROOT / ".cache/prometheus/usr/bin/promtool"  # `make engine-test` puts it there

Labels = frozenset[tuple[str, str]]


class Numbers:
    """What a server tells now."""

    def __init__(self, server: Server) -> None:
        answer = httpx.get(server.url + "/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
        self.text = answer.text
        self.series: dict[tuple[str, Labels], float] = {}
        for family in text_string_to_metric_families(answer.text):
            assert family.documentation and family.type != "unknown", family.name
            self.series |= {(each.name, frozenset(each.labels.items())): each.value for each in family.samples}

    def __call__(self, name: str, **labels: str) -> float:
        return self.series.get((name, frozenset(labels.items())), 0)

    def requests(self, route: str, status: int) -> float:
        return self("stt_request_duration_seconds_count", route=route, status=str(status))


def test_what_was_done_is_counted(start: Start) -> None:
    server = start(STT_AUDIO_CONTEXT="short", STT_COMPUTE_TYPE="int8")
    before = Numbers(server)
    assert {value for (name, _), value in before.series.items() if name == "stt_errors_total"} == {0}
    assert before("stt_model_info", engine="faster_whisper", model=MODEL, device="cpu", compute_type="int8") == 1
    assert before("stt_models_loaded") == 1
    assert before("stt_audio_seconds_total") == before("stt_processing_seconds_total") == 0
    for _ in range(2):
        assert server.post(FOX.read_bytes(), language="en").json()["text"] == TEXT
    assert server.post(FOX.read_bytes(), path="translations").status_code == 200
    assert server.post(FOX.read_bytes(), stream="true").status_code == 200
    assert server.post(b"no sound").status_code == 415
    assert httpx.get(server.url + "/v1/models/anything").status_code == 404
    after = Numbers(server)
    assert (after.requests("transcriptions", 200), after.requests("translations", 200)) == (3, 1)
    assert (after.requests("transcriptions", 415), after.requests("models", 404)) == (1, 1)
    assert after("stt_request_duration_seconds_bucket", route="transcriptions", status="200", le="+Inf") == 3
    assert after("stt_errors_total", code="unsupported_media") == after("stt_errors_total", code="model_not_found") == 1
    assert after("stt_audio_seconds_total") == pytest.approx(4 * SECONDS, abs=0.1)
    assert 0 < after("stt_processing_seconds_total") < 60
    assert after("stt_real_time_factor_sum") == pytest.approx(after("stt_processing_seconds_total") / SECONDS, rel=0.05)
    assert after("stt_real_time_factor_count") == 4
    assert after("stt_short_context_total") >= 2
    assert 0 <= after("stt_short_context_redone_total") <= after("stt_short_context_total")
    assert (after("stt_requests_in_progress"), after("stt_queue_length"), after("stt_queue_limit")) == (0, 0, 32)
    assert after("process_resident_memory_bytes") > 2**20


def test_who_waits_and_who_is_refused(start: Start, tmp_path: Path) -> None:
    server = start(STT_QUEUE_LENGTH=1, PYTHONPATH=slowed(tmp_path, 1))
    content = FOX.read_bytes()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        two = [pool.submit(server.post, content) for _ in range(2)]
        until(lambda: Numbers(server)("stt_queue_length") == 1)
        assert server.post(content).status_code == 503
        now = Numbers(server)
        assert (now("stt_requests_in_progress"), now("stt_queue_length"), now("stt_queue_limit")) == (1, 1, 1)
        assert now("stt_errors_total", code="queue_full") == 1
        assert all(each.result().json()["text"] == TEXT for each in two)
    assert Numbers(server)("stt_queue_length") == 0


def test_a_client_that_leaves_is_no_error_of_the_server(start: Start, tmp_path: Path) -> None:
    server = start(PYTHONPATH=slowed(tmp_path, 1))
    with pytest.raises(httpx.ReadTimeout):
        data, patience = {"model": MODEL}, httpx.Timeout(60, read=0.3)
        url = f"{server.url}/v1/audio/transcriptions"
        httpx.post(url, files={"file": FOX.read_bytes()}, data=data, timeout=patience)
    until(lambda: Numbers(server).requests("transcriptions", metrics.LEFT) == 1)
    assert not [value for (name, _), value in Numbers(server).series.items() if name == "stt_errors_total" and value]


def test_an_unloaded_model_is_told(start: Start) -> None:
    server = start(STT_MODEL_TTL=1)
    until(lambda: Numbers(server)("stt_models_loaded") == 0)
    assert server.post(FOX.read_bytes()).json()["text"] == TEXT
    assert Numbers(server)("stt_models_loaded") == 1


def test_it_is_behind_the_key(start: Start) -> None:
    server = start(STT_API_KEY="sesame-4711")
    for path in ("/metrics", "/metrics/", "//metrics"):
        assert httpx.get(server.url + path).status_code == 401
        answer = httpx.get(server.url + path, headers={"Authorization": "Bearer sesame-4711"})
        assert answer.status_code == 200
    assert 'stt_errors_total{code="invalid_api_key"} 3.0' in answer.text
    assert "sesame" not in answer.text


def odd(client: httpx.Client, number: int) -> None:
    """A request that names something new in each place where a client can name something."""
    name = f"odd{number}"
    match number % 40:
        case 1:
            client.get(f"/v1/models/{name}", headers={"Authorization": f"Bearer {name}"})
        case 2:
            client.request(f"ODD{number}", f"/v1/audio/{name}")
        case 3:
            client.post("/v1/audio/transcriptions", files={"file": (f"{name}.wav", b"x")}, data={"model": name})
        case 4:
            client.post("/v1/audio/transcriptions", files={"file": (name, b"x")}, data={"prompt": name})
        case 5:
            client.post(f"/openai/deployments/{name}/audio/{name}", content=name)
        case 6:
            client.get(f"/metrics?name[]={name}", headers={"Host": name})
        case 7:
            client.post("/v1/audio/translations", files={"file": (name, b"x")}, data={"language": name})
        case _:
            client.get(f"/{name}/{name}")


def test_a_thousand_odd_requests_make_no_series(start: Start) -> None:
    server = start()
    with httpx.Client(base_url=server.url) as client:
        for number in range(9):
            odd(client, number)
        before = Numbers(server)
        for number in range(9, 1009):
            odd(client, number)
    for line in (b"ODD nonsense\r\n\r\n", b"GET / HTTP/9.odd\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
            connection.sendall(line)
            assert b" 400 " in connection.recv(1000)
    after = Numbers(server)
    assert {name for name, _ in after.series} == {name for name, _ in before.series}
    assert {labels for _, labels in after.series} - {labels for _, labels in before.series} <= {
        frozenset({("code", "400")})
    }
    assert "odd" not in after.text.lower()
    assert sum(value for (name, _), value in after.series.items() if name.endswith("_seconds_count")) >= 1009


def test_none_of_it_can_be_chosen_by_a_service_behind() -> None:
    """Speaches passes on what a language model's server answers."""
    told = b'{"error": {"message": "x", "code": "whatever-it-likes"}}'

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": told})

    before = metrics.errors.labels("418")._value.get()
    ask(metrics.Measure(app), "/v1/chat/completions")
    assert metrics.errors.labels("418")._value.get() == before + 1
    assert b"whatever" not in metrics.answer().body


def ask(app: Any, path: str, times: int = 1) -> float:
    """The processor seconds of so many requests."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(_: object) -> None:
        pass

    async def run() -> float:
        began = time.process_time()
        for _ in range(times):
            await app({"type": "http", "path": path, "method": "GET", "headers": []}, receive, send)
        return time.process_time() - began

    return asyncio.run(run())


@pytest.mark.parametrize("status", [200, 503])
def test_a_request_is_measured_in_less_than_a_millisecond(status: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b'{"error": {"code": "queue_full"}}'})

    alone, measured = (ask(each, "/v1/audio/transcriptions", 2000) / 2000 for each in (app, metrics.Measure(app)))
    assert measured - alone < 0.001


def test_sound_in_which_nobody_speaks_is_counted_too(start: Start) -> None:
    server = start()
    assert server.post(wav(np.zeros(16000 * 5))).json()["text"] == ""
    assert Numbers(server)("stt_audio_seconds_total") == pytest.approx(5, abs=0.01)


def test_promtool_finds_nothing_to_say(server: Server) -> None:
    server.post(FOX.read_bytes())
    checked = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=Numbers(server).text, text=True, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
