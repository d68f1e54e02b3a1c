# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators rely on: limits, the queue, keys, stopping, the model's life, and clear messages at start."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import uvicorn
from anklume_stt_server.__main__ import main
from anklume_stt_server.app import create_app
from anklume_stt_server.errors import ApiError
from anklume_stt_server.forms import Query
from anklume_stt_server.keys import WRONG_AT_ONCE, WRONG_SECONDS
from anklume_stt_server.recognizer import Abilities, Hurried, Step
from anklume_stt_server.settings import Settings
from anklume_stt_server.whisper import Whisper
from faster_whisper import BatchedInferencePipeline
from faster_whisper.vad import get_vad_model

from .conftest import CLIPS, MODEL, PACKAGE, SENTENCES, Server, Start, free_port, until, wav

FOX = CLIPS / "en-fox.wav"
TEXT = SENTENCES["en-fox.wav"]["text"]
URL = "/v1/audio/transcriptions"
BOUNDARY = "multipart/form-data; boundary=b"
HEAD = (
    f'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n{MODEL}\r\n'
    '--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
).encode()
TAIL = b"\r\n--b--\r\n"


def test_many_clients_at_once_get_their_own_answers(start: Start) -> None:
    server = start(STT_WORKERS=2)
    names = list(SENTENCES) * 4

    def ask(name: str) -> tuple[str, list[str]]:
        answer = server.client().audio.transcriptions.create(
            model=MODEL, file=CLIPS / name, response_format="verbose_json", timestamp_granularities=["word"]
        )
        return answer.text, [word.word for word in answer.words]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for name, (text, words) in zip(names, pool.map(ask, names), strict=True):
            assert text == SENTENCES[name]["text"] == " ".join(words)


@pytest.mark.skipif(not os.environ.get("ANKLUME_TEST_LONG"), reason="minutes long: make test-long")
@pytest.mark.timeout(1200)
def test_memory_stays_flat_over_two_thousand_requests(start: Start) -> None:
    server = start(STT_WORKERS=2, STT_AUDIO_CONTEXT="short")
    sounds = [(name, (CLIPS / name).read_bytes()) for name in ("en-fox.wav", "fr-bonjour.webm", "en-ansible.mp3")]

    def resident() -> int:
        status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) // 1024

    taken = []
    with httpx.Client(base_url=server.url, timeout=120) as client, concurrent.futures.ThreadPoolExecutor(4) as pool:

        def ask(number: int) -> None:
            name, content = sounds[number % len(sounds)]
            answer = client.post(URL, files={"file": (name, content)})
            assert answer.json()["text"] == SENTENCES[name]["text"]

        for _ in range(10):
            list(pool.map(ask, range(200)))
            taken.append(resident())
    print(f"MB after each 200 requests: {taken}")
    assert taken[-1] - taken[1] < 10, taken


def test_an_upload_over_the_limit_is_refused_while_it_comes_in(start: Start) -> None:
    server = start(STT_MAX_UPLOAD_BYTES=200_000)
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield HEAD
        for _ in range(100):
            sent += 50_000
            yield bytes(50_000)

    answer = httpx.post(server.url + URL, content=endless(), headers={"content-type": BOUNDARY}, timeout=30)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    answer = server.post(wav(np.zeros(16000 * 20)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    assert server.client().audio.transcriptions.create(model=MODEL, file=FOX).text == TEXT


def test_an_upload_that_announces_too_much_is_refused_before_it_is_sent(start: Start) -> None:
    server = start(STT_MAX_UPLOAD_BYTES=200_000)
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        head = f"POST {URL} HTTP/1.1\r\nHost: x\r\nContent-Type: {BOUNDARY}\r\nContent-Length: 900000000\r\n"
        connection.sendall((head + "Expect: 100-continue\r\n\r\n").encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_decoded_seconds_are_limited(start: Start) -> None:
    server = start(STT_MAX_AUDIO_SECONDS=3)
    answer = server.post(FOX.read_bytes())
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "audio_too_long")
    assert server.post((CLIPS / "en-ansible.wav").read_bytes()).status_code == 200


def test_numpy_has_one_thread() -> None:
    program = """
import anklume_stt_server, ctypes, numpy, pathlib
library, = (pathlib.Path(numpy.__file__).parent.parent / "numpy.libs").glob("*openblas*")
print(ctypes.CDLL(str(library)).scipy_openblas_get_num_threads64_())
"""
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    environment["PYTHONPATH"] = str(PACKAGE)
    assert subprocess.check_output([sys.executable, "-c", program], env=environment) == b"1\n"


def test_no_answer_waits_on_a_connection_that_is_kept(server: Server) -> None:
    """With Nagle's algorithm each takes the 40 ms in which Linux puts off an acknowledgement."""
    taken = []
    with httpx.Client(base_url=server.url) as client:
        for _ in range(21):
            assert client.get("/health").status_code == 200
            taken.append(client.get("/v1/models").elapsed.total_seconds())
    assert statistics.median(taken) < 0.03


def test_the_openai_client_waits_for_its_turn(start: Start) -> None:
    server = start(STT_QUEUE_LENGTH=0)
    client = server.client(retries=10)

    def ask(_: int) -> str:
        return client.audio.transcriptions.create(model=MODEL, file=FOX).text

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert set(pool.map(ask, range(3))) == {TEXT}


def leave_early(url: str, content: bytes, after: float) -> None:
    with pytest.raises(httpx.ReadTimeout):
        patience = httpx.Timeout(60, read=after)
        httpx.post(url, files={"file": ("a.wav", content)}, data={"model": MODEL}, timeout=patience)


def slowed(tmp_path: Path, seconds: int) -> str:
    """PYTHONPATH for a server that prints "begun" when it has a sound to transcribe, and waits before it does."""
    (tmp_path / "sitecustomize.py").write_text(
        "import time\n"
        "from faster_whisper import BatchedInferencePipeline as Pipeline\n"
        "transcribe = Pipeline.transcribe\n"
        "def slow(*args, **options):\n"
        "    if 'max_new_tokens' not in options:  # as the proof at the start has them\n"
        "        print('begun', flush=True)\n"
        f"        time.sleep({seconds})\n"
        "    return transcribe(*args, **options)\n"
        "Pipeline.transcribe = slow\n"
    )
    return f"{tmp_path}:{PACKAGE}"


def test_a_full_queue_is_a_503_that_says_when_to_come_back(start: Start, tmp_path: Path) -> None:
    server = start(STT_QUEUE_LENGTH=0, PYTHONPATH=slowed(tmp_path, 2))
    content = FOX.read_bytes()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(server.post, content)
        server.wait_for("begun")
        second = server.post(content)
        assert (second.status_code, second.json()["error"]["code"]) == (503, "queue_full")
        assert int(second.headers["retry-after"]) >= 1
        assert second.json()["error"]["type"] == "server_error"
        assert httpx.get(server.url + "/health").status_code == 200
        assert first.result().json()["text"] == TEXT
    assert server.post(content).json()["text"] == TEXT


def test_a_waiting_request_whose_client_leaves_is_never_run(start: Start, tmp_path: Path) -> None:
    server = start(PYTHONPATH=slowed(tmp_path, 2))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(server.post, FOX.read_bytes())
        server.wait_for("begun")
        leave_early(server.url + URL, FOX.read_bytes(), 0.3)
        assert first.result().json()["text"] == TEXT
    assert "given up" in server.text()
    assert server.text().count("begun") == 1


class SlowEngine:
    """An engine that says a word each 50 ms, for ever."""

    name, healthy, abilities = MODEL, True, Abilities(frozenset({"en"}))

    def __init__(self) -> None:
        self.words, self.closed = 0, 0

    def transcribe(self, samples: np.ndarray, query: Query, hurried: Hurried) -> Iterator[Step]:
        try:
            while True:
                time.sleep(0.05)
                self.words += 1
                yield Step(1.0, "en", [SimpleNamespace(text=" word")])
        finally:
            self.closed += 1


@contextlib.contextmanager
def served(engine: SlowEngine, **settings: Any) -> Iterator[str]:
    """The application in a thread, with an engine of ours; its address."""
    port = free_port()
    app = create_app(Settings(model=MODEL, **settings), engine)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize("streamed", [False, True])
def test_work_stops_between_segments_when_the_client_leaves(streamed: bool) -> None:
    engine = SlowEngine()
    with served(engine, queue_length=0) as url:
        if streamed:
            data = {"model": MODEL, "stream": "true"}
            with httpx.stream("POST", url + URL, files={"file": FOX.read_bytes()}, data=data) as answer:
                assert next(answer.iter_lines()).startswith("data: ")
        else:
            leave_early(url + URL, FOX.read_bytes(), 0.5)
        until(lambda: engine.closed == 1)
        words = engine.words
        time.sleep(0.3)
        assert engine.words == words
        leave_early(url + URL, FOX.read_bytes(), 0.3)  # a 503 if the first one still held its place


def test_of_long_sounds_one_is_decoded_ahead_of_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[float] = []

    def decode(_: object, most: float, nice: int) -> np.ndarray:
        assert bool(nice) == (most > 60)
        if most < 601:
            raise ApiError(413, "too long", "file", "audio_too_long")
        decoded.append(most)
        return np.zeros(16000, np.float32)

    monkeypatch.setattr("anklume_stt_server.app.decode", decode)
    engine = SlowEngine()
    with served(engine, workers=1) as url, concurrent.futures.ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(leave_early, url + URL, FOX.read_bytes(), 1) for _ in range(3)]
        until(lambda: len(decoded) == 2)
        time.sleep(0.3)
        assert decoded == [7200, 7200]
        assert engine.closed == 0
        for client in clients:
            client.result()


def test_a_key_is_asked_for_everywhere_but_where_the_server_tells_of_itself(start: Start) -> None:
    server = start(STT_API_KEY="sesame-4711", STT_LOG_LEVEL="debug")
    for path in ("/health", "/docs", "/openapi.json", "/health/"):
        assert httpx.get(server.url + path).status_code == 200
    for path in ("/api/ps", "/models", "/v1/models/", "/audio/transcriptions"):
        assert httpx.get(server.url + path).status_code == 401
    for headers in ({"Authorization": "bearer sesame-4711"}, {"X-API-Key": "sesame-4711"}, {"api-key": "sesame-4711"}):
        assert httpx.get(server.url + "/v1/models", headers=headers).status_code == 200
        assert httpx.get(server.url + "/v1/models", headers={**headers, next(iter(headers)): "x"}).status_code == 401
    for key in ("wrong", "sesame-471", "sesame-47111", "é"):
        with pytest.raises((openai.AuthenticationError, UnicodeEncodeError)):
            server.client(key).models.list()
    answer = server.post(FOX.read_bytes())
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert httpx.get(server.url + "/v1/nothing").status_code == 401
    client = server.client("sesame-4711")
    assert client.models.list().data[0].id == MODEL
    assert client.audio.transcriptions.create(model=MODEL, file=FOX).text == TEXT
    assert "sesame" not in server.text()


def test_each_of_several_keys_opens_and_can_be_withdrawn_alone(start: Start) -> None:
    server = start(STT_API_KEY="sesame-4711", STT_API_KEYS="phone-1, tablet-2")
    for key in ("sesame-4711", "phone-1", "tablet-2"):
        assert server.client(key).models.list().data[0].id == MODEL
    server = start(STT_API_KEY="sesame-4711", STT_API_KEYS="tablet-2")
    assert server.client("tablet-2").models.list().data[0].id == MODEL
    with pytest.raises(openai.AuthenticationError):
        server.client("phone-1").models.list()


def test_wrong_keys_are_answered_slowly_and_a_few_at_a_time(start: Start) -> None:
    server = start(STT_API_KEY="sesame-4711")

    def tried(key: str) -> tuple[int, float]:
        answer = httpx.get(server.url + "/v1/models", headers={"X-API-Key": key} if key else {}, timeout=60)
        return answer.status_code, answer.elapsed.total_seconds()

    assert tried("")[1] < WRONG_SECONDS  # no key is no try
    with concurrent.futures.ThreadPoolExecutor(2 * WRONG_AT_ONCE) as pool:
        tries = list(pool.map(tried, ["wrong"] * 2 * WRONG_AT_ONCE))
    assert WRONG_AT_ONCE <= sum(status == 401 for status, _ in tries) < 2 * WRONG_AT_ONCE  # a late one finds a place
    assert {status for status, _ in tries} == {401, 429}
    assert min(seconds for status, seconds in tries if status == 401) >= WRONG_SECONDS
    assert tried("sesame-4711")[0] == 200


def test_a_key_may_hold_any_letters(start: Start) -> None:
    server = start(STT_API_KEY="clé-ключ")
    for headers in ({"Authorization": "Bearer clé-ключ".encode()}, {"X-API-Key": "clé-ключ".encode()}):
        assert httpx.get(server.url + "/v1/models", headers=headers).status_code == 200
    assert httpx.get(server.url + "/v1/models", headers={"X-API-Key": b"cl\xe9-????"}).status_code == 401


def test_neither_texts_nor_prompts_are_logged(server: Server) -> None:
    assert server.post(FOX.read_bytes(), response_format="verbose_json").json()["text"] == TEXT
    assert server.post(FOX.read_bytes(), prompt="my secret words").status_code == 200
    assert server.post(FOX.read_bytes(), language="my secret language").status_code == 400
    log = server.text()
    assert "real-time factor" in log
    for secret in ("brown", "secret"):
        assert secret not in log


def test_an_address_cannot_paint_over_the_log(server: Server) -> None:
    assert httpx.get(server.url + "/v1/%1b%5b2J%0d%00%0aERROR").status_code == 404
    server.wait_for("GET /v1/%1b%5b2J%0d%00%0aERROR: 404")
    assert "\x1b" not in server.text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_what_runs(start: Start, tmp_path: Path, number: int) -> None:
    server = start(PYTHONPATH=slowed(tmp_path, 2))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.post, FOX.read_bytes())
        server.wait_for("begun")
        assert server.stop(number) == 0
        assert running.result().json()["text"] == TEXT
    assert "Traceback" not in server.text()


def test_a_stop_is_bounded(start: Start, tmp_path: Path) -> None:
    server = start(STT_STOP_TIMEOUT=1, PYTHONPATH=slowed(tmp_path, 60))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.post, FOX.read_bytes())
        server.wait_for("begun")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 8
        assert (running.result().status_code, running.result().json()["error"]["code"]) == (503, "stopping")
    assert "Traceback" not in server.text()


@pytest.mark.parametrize("ttl", [0, 1])
def test_an_idle_model_is_unloaded_and_comes_back(start: Start, ttl: int) -> None:
    server = start(STT_MODEL_TTL=ttl)
    server.wait_for("model unloaded")
    assert httpx.get(server.url + "/health").status_code == 200
    assert server.post(FOX.read_bytes()).json()["text"] == TEXT
    assert server.text().count(" loaded in ") == 2


@pytest.fixture
def folder(hub_home: Path, tmp_path: Path) -> Path:
    """A copy of the model for tests that damage it."""
    return Path(shutil.copytree(next((hub_home / "hub").rglob("snapshots/0")), tmp_path / "model"))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("tokenizer.json", lambda content: content[:1000]),
        ("model.bin", lambda content: content[:-1]),
        ("model.bin", lambda _: b"<html>Not Found</html>"),
        ("model.bin", lambda _: b""),
    ],
)
def test_a_damaged_model_is_one_line_and_exit_code_1(
    start: Start, folder: Path, name: str, damage: Callable[[bytes], bytes]
) -> None:
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    server = start(wait=False, STT_MODEL=folder)
    assert server.process.wait(60) == 1
    assert len(server.text().splitlines()) == 1
    assert f"{folder / name} is damaged" in server.text()
    assert f"remove {folder} and install the model again" in server.text()


def test_a_model_that_cannot_come_back_is_a_503(folder: Path, start: Start) -> None:
    server = start(STT_MODEL=folder, STT_MODEL_TTL=0, STT_MODEL_ALIASES="mine, tiny")
    assert [model.id for model in server.client().models.list()] == ["model"]
    ask = server.client().audio.transcriptions.create
    assert ask(model="tiny", file=FOX).text == ask(model="mine", file=FOX).text == TEXT
    for name, bad in (("model.bin", 1000), ("tokenizer.json", 1000)):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:bad])
        answer = server.post(FOX.read_bytes(), model="model")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_not_loaded")
        assert f"{folder / name} is damaged" in answer.json()["error"]["message"]
        answer = httpx.get(server.url + "/health")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_not_loaded")
        assert httpx.get(server.url + "/api/ps").json() == {"models": []}
        (folder / name).write_bytes(content)
        assert server.post(FOX.read_bytes(), model="model").json()["text"] == TEXT
        assert httpx.get(server.url + "/health").status_code == 200
    assert "Traceback" not in server.text()


def test_a_language_set_for_all_is_used(start: Start) -> None:
    server = start(STT_LANGUAGE="fr")
    for language, told in (("", "fr"), ("auto", "en"), ("English", "en")):
        answer = server.post(FOX.read_bytes(), response_format="verbose_json", language=language)
        assert answer.json()["language"] == told


def test_origins_of_browsers(start: Start) -> None:
    server = start(STT_CORS_ORIGINS="http://chat.example", STT_API_KEY="k")
    headers = {"Origin": "http://chat.example", "Access-Control-Request-Method": "POST"}
    answer = httpx.options(server.url + URL, headers=headers)
    assert answer.headers["access-control-allow-origin"] == "http://chat.example"
    answer = httpx.options(server.url + URL, headers={**headers, "Origin": "http://other.example"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    answer = httpx.get(server.url + "/v1/models", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert answer.headers["access-control-allow-origin"] == "http://chat.example"


def test_a_port_in_use_is_said_clearly(start: Start, server: Server) -> None:
    second = start(wait=False, STT_PORT=server.port)
    assert second.process.wait(60) == 2
    assert f"STT_PORT={server.port}: cannot listen there: Address already in use" in second.text()
    assert len(second.text().splitlines()) == 1


BAD_SETTINGS = [
    ({"STT_PORT": "http"}, "STT_PORT=http: must be a number"),
    ({"STT_PORT": "70000"}, "STT_PORT=70000: must be from 0 to 65535"),
    ({"STT_WORKERS": "0"}, "STT_WORKERS=0: must be from 1 to 64"),
    ({"STT_MAX_AUDIO_SECONDS": "nan"}, "STT_MAX_AUDIO_SECONDS=nan: must be from 1"),
    ({"STT_LOG_LEVEL": "loud"}, "STT_LOG_LEVEL=loud: must be one of info, debug, warning, error"),
    ({"STT_API_KEYS": "one,two"}, "STT_API_KEYS: keys beside STT_API_KEY, which is not set: set it too"),
    ({"STT_MODELL": "x"}, "STT_MODELL: no such setting; did you mean STT_MODEL?"),
    ({"STT_MODEL": ""}, "STT_MODEL: not set"),
    (
        {"STT_MODEL": "Systran/faster-whisper-base"},
        "STT_MODEL=Systran/faster-whisper-base: neither a folder nor in the hub",
    ),
    ({"STT_MODEL": "/etc"}, "STT_MODEL=/etc: /etc has no model.bin"),
    ({"STT_LANGUAGE": "klingon"}, "STT_LANGUAGE=klingon: not a language code"),
    ({"STT_COMPUTE_TYPE": "float16", "STT_DEVICE": "cpu"}, "STT_COMPUTE_TYPE=float16: on cpu it must be one of"),
    ({"STT_DEVICE": "cuda"}, "STT_DEVICE=cuda: no CUDA device found"),
]


@pytest.mark.parametrize(("settings", "message"), BAD_SETTINGS)
def test_a_bad_setting_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    hub_home: Path,
    settings: dict[str, str],
    message: str,
) -> None:
    folder = next(hub_home.rglob("snapshots/0"))
    monkeypatch.setattr("os.environ", {"STT_MODEL": str(folder), **settings})
    assert main() == 2
    said = capsys.readouterr().err
    assert said.startswith("anklume_stt_server: " + message)
    assert len(said.splitlines()) == 1


def test_numpy_has_one_thread_where_nobody_says_otherwise() -> None:
    code = "import anklume_stt_server.__main__, os; print(os.environ['OPENBLAS_NUM_THREADS'])"
    for said, got in (({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3")):
        environment = os.environ | {"PYTHONPATH": str(PACKAGE)} | said
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == got


def test_the_first_request_finds_what_the_later_ones_find(hub_home: Path) -> None:
    get_vad_model.cache_clear()
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        generate = BatchedInferencePipeline.generate_segment_batched
        patch.setattr(
            BatchedInferencePipeline,
            "generate_segment_batched",
            lambda *args: calls.append(1) or generate(*args),
        )
        Whisper(next((hub_home / "hub").rglob("snapshots/0")), Settings(model=MODEL, cpu_threads=1)).prove()
    assert get_vad_model.cache_info().currsize == 1
    assert calls == [1]


def test_an_empty_setting_is_the_default() -> None:
    assert Settings.from_env({"STT_MODEL": "m", "STT_PORT": "", "STT_LANGUAGE": " ", "PATH": "/bin"}) == Settings(
        model="m"
    )
