# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's configuration in Debian's HAProxy, before two real engines: nothing is lost where one is killed."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import http.client
import io
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import openai
import pytest

from .conftest import CLIPS, MODEL, ROOT, Server, clip, free_port, sentence_of, until, wav

sys.path.append(str(ROOT / "tests"))
import haproxy

LONG = bool(os.environ.get("ANKLUME_TEST_LONG"))
long = pytest.mark.skipif(not LONG, reason="part of make test-long")
FOX = (CLIPS / "en-fox.wav").read_bytes()
SENTENCE = "The quick brown fox jumps over the lazy dog."
KEYS = ("first-key", "second-key")
NAMES = ("first.one", "second.one")
"""What the model is called on one of the servers alone."""
PATIENCE = "req.hdr(content-length),add(300000)"
"""How long a short request may take, in milliseconds."""


class Pair:
    """Two engines on ports of their own, which come back there, and HAProxy before them."""

    def __init__(
        self, folder: Path, hub_home: Path, names: Sequence[str] = NAMES, patience: str = PATIENCE, **given: Any
    ) -> None:
        self.folder, self.hub_home, self.names, self.started = folder, hub_home, names, 0
        self.ports = [free_port(), free_port()]
        self.port, self.metrics = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.servers = [self.engine(index) for index in range(2)]
        machines = [f"server{index}" for index in range(2)]
        hostvars = {
            name: {
                "ansible_host": "127.0.0.1",
                "stt_server_port": port,
                "stt_server_api_key": key,
                "stt_server_model": MODEL,
                "stt_server_aliases": {alias: MODEL},
            }
            for name, port, key, alias in zip(machines, self.ports, KEYS, names, strict=True)
        }
        variables = {
            "given": {
                "stt_balancer_host": "127.0.0.1",
                "stt_balancer_port": self.port,
                "stt_balancer_metrics_port": self.metrics,
                **given,
            },
            "groups": {"role_stt_server": machines},
            "hostvars": {"lb": {}, **hostvars},
        }
        (files,) = haproxy.render(variables)
        assert PATIENCE in files["haproxy.cfg"]
        files["haproxy.cfg"] = files["haproxy.cfg"].replace(PATIENCE, patience)
        config = haproxy.write(folder / "lb", files)
        assert haproxy.check(config) == ""
        self.log = (folder / "haproxy.log").open("wb")
        self.haproxy = subprocess.Popen(
            [haproxy.BINARY, "-W", "-f", config],
            env=haproxy.ENVIRONMENT,
            stdout=self.log,
            stderr=self.log,
        )
        until(lambda: self.up() == 2, 60)

    def engine(self, index: int) -> Server:
        """One of the engines, started on its port."""
        self.started += 1
        return Server(
            self.hub_home,
            self.folder / f"engine{self.started}",
            STT_PORT=self.ports[index],
            STT_API_KEY=KEYS[index],
            STT_MODEL_ALIASES=self.names[index],
        )

    def up(self) -> int:
        """How many servers HAProxy sends requests to."""
        try:
            return int(httpx.get(f"{self.url}/balancer").json()["up"])
        except httpx.TransportError:
            return -1

    def number(self, name: str, lane: str) -> float:
        """One of HAProxy's own numbers of a lane."""
        numbers = httpx.get(f"http://127.0.0.1:{self.metrics}/metrics").text
        line = next(
            line for line in numbers.splitlines() if line.startswith(f'haproxy_backend_{name}{{proxy="{lane}"}}')
        )
        return float(line.rpartition(" ")[2])

    def state(self, index: int) -> str:
        """What HAProxy tells Prometheus of a server, as the alerts ask for it."""
        numbers = httpx.get(f"http://127.0.0.1:{self.metrics}/metrics").text
        label = rf'haproxy_server_status\{{proxy="rest",server="server{index}",state="(\w+)"\}} 1$'
        (found,) = re.findall(label, numbers, re.M)
        return str(found)

    def working(self, lane: str) -> float:
        """How many requests of a lane servers are working on."""
        return self.number("current_sessions", lane) - self.number("current_queue", lane)

    def has(self, index: int) -> float:
        """How many requests with sound a server has, as it says itself."""
        address, key = f"http://127.0.0.1:{self.ports[index]}/metrics", {"Authorization": f"Bearer {KEYS[index]}"}
        said = httpx.get(address, headers=key).text
        found = re.findall(r"^(?:stt_requests_in_progress|stt_queue_length) (\S+)", said, re.M)
        assert len(found) == 2, said
        return sum(map(float, found))

    def command(self, *words: str) -> str:
        """What the machine's command stt-balancer prints."""
        text = (haproxy.ROLE / "files/stt-balancer").read_text().replace("/run/stt-balancer", str(self.folder / "lb"))
        run = subprocess.run([sys.executable, "-c", text, *words], capture_output=True, text=True)
        return run.stdout + run.stderr

    def kill(self, index: int) -> None:
        self.servers[index].stop(signal.SIGKILL)

    def bring_back(self, index: int) -> None:
        self.servers[index] = self.engine(index)

    def post(self, content: bytes = FOX, key: str = KEYS[0]) -> httpx.Response:
        return httpx.post(
            f"{self.url}/v1/audio/transcriptions",
            files={"file": ("clip.wav", content)},
            data={"model": MODEL},
            headers={"Authorization": f"Bearer {key}"},
            timeout=120,
            verify=False,  # there is no certificate, and to load those that there are takes longer than the request
        )

    def close(self) -> None:
        self.haproxy.terminate()
        self.haproxy.wait(10)
        self.log.close()
        for each in self.servers:
            each.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def pair(hub_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    made = Pair(tmp_path_factory.mktemp("balancer"), hub_home)
    yield made
    made.close()


@pytest.fixture
def alike(hub_home: Path, tmp_path: Path) -> Iterator[Pair]:
    """Two that have the same models and a key each, and a balancer that is soon tired of waiting."""
    made = Pair(tmp_path, hub_home, names=(NAMES[0], NAMES[0]), patience="int(5000)")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def both_serve(pair: Pair) -> Iterator[None]:
    """Whatever a test does: both are there before the next."""
    yield
    for index, each in enumerate(pair.servers):
        if each.process.poll() is not None:
            pair.bring_back(index)
    until(lambda: pair.up() == 2, 60)


def recorded(minutes: int) -> np.ndarray:
    """A recording in which the sentence is said over and over."""
    spoken = np.concatenate([clip("en-fox.wav"), np.zeros(8000, np.float32)])
    return np.tile(spoken, minutes * 60 * 16000 // len(spoken))


def opus(samples: np.ndarray) -> bytes:
    """The same in few bytes."""
    target = io.BytesIO()
    with av.open(target, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=16000, layout="mono")
        stream.bit_rate = 16000
        frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16).reshape(1, -1), "s16", "mono")
        frame.sample_rate = 16000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return target.getvalue()


class Load:
    """Clients that send one sentence after the other; what came of each, and how long it took."""

    def __init__(
        self,
        pair: Pair,
        clients: int,
        content: bytes = FOX,
        heard: Callable[[str], bool] = lambda text: sentence_of(text) == SENTENCE,
    ) -> None:
        self.pair, self.content, self.heard = pair, content, heard
        self.results: collections.Counter[Any] = collections.Counter()
        self.seconds: list[float] = []
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(clients)]

    def run(self) -> None:
        while not self.stopped.is_set():
            start = time.monotonic()
            try:
                answer = self.pair.post(self.content)
                told = answer.json()["text"] if answer.status_code == 200 else answer.text
                well = answer.status_code == 200 and self.heard(told)
                result: Any = "heard" if well else (answer.status_code, told[:200])
            except httpx.TransportError as error:
                result = type(error).__name__
            self.seconds.append(time.monotonic() - start)
            self.results[result] += 1

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()
        print(dict(self.results), f"median {statistics.median(self.seconds):.2f} s, longest {max(self.seconds):.2f} s")

    def until(self, requests: int, seconds: float = 600) -> None:
        until(lambda: self.results.total() >= requests, seconds)


@pytest.mark.timeout(900)
def test_no_request_is_lost_where_servers_are_killed(pair: Pair) -> None:
    kills, requests = (9, 600) if LONG else (1, 30)
    with Load(pair, 6 if LONG else 4) as load:
        for number in range(kills):
            load.until(requests * (number + 1) // (kills + 1))
            pair.kill(number % 2)
            pair.bring_back(number % 2)
            until(lambda: pair.up() == 2, 60)
        load.until(requests)
    assert set(load.results) == {"heard"} and load.results["heard"] >= requests


def test_one_is_taken_out_and_in_again(pair: Pair) -> None:
    before = pair.number("sessions_total", "short")
    assert re.search(r"^server0  DRAIN  0 in work", pair.command("drain", "server0"), re.M)
    assert (pair.up(), pair.state(0), pair.state(1)) == (1, "DRAIN", "UP")
    for _ in range(4):
        assert pair.post().status_code == 200
    said = pair.command()
    assert pair.number("sessions_total", "short") == before + 4
    assert pair.command("drain", "server0") == said, "it had a request"
    assert re.search(r"^server0  UP ", pair.command("ready", "server0"), re.M)
    assert "there is no server third: server0, server1" in pair.command("drain", "third")
    assert "usage: stt-balancer" in pair.command("drain")


@long
def test_nothing_is_lost_where_one_after_the_other_is_changed(pair: Pair) -> None:
    with Load(pair, 6) as load:
        for index in (0, 1):
            load.until(load.results.total() + 20)
            pair.command("drain", f"server{index}")
            assert pair.servers[index].stop() == 0
            pair.bring_back(index)
            pair.servers[index].wait()
            assert "UP" in pair.command("ready", f"server{index}")
        load.until(load.results.total() + 20)
    assert set(load.results) == {"heard"}


def test_where_no_server_is_there_clients_are_told_to_come_again(pair: Pair) -> None:
    for index in range(2):
        pair.kill(index)
    until(lambda: pair.up() == 0)
    assert pair.state(0) == pair.state(1) == "DOWN"
    start = time.monotonic()
    answer = pair.post()
    assert time.monotonic() - start < 2
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    with pytest.raises(openai.InternalServerError) as told:
        client = openai.OpenAI(base_url=pair.url + "/v1", api_key=KEYS[0], max_retries=0)
        client.audio.transcriptions.create(model=MODEL, file=("clip.wav", FOX))
    assert (told.value.status_code, told.value.code) == (503, "no_server")
    for index in range(2):
        pair.bring_back(index)
    until(lambda: pair.up() == 2, 60)
    assert sentence_of(pair.post().json()["text"]) == SENTENCE


def test_a_key_of_any_server_opens_all_and_no_other_does(pair: Pair) -> None:
    for key in KEYS:
        assert {pair.post(key=key).status_code for _ in range(4)} == {200}
    named = httpx.get(f"{pair.url}/v1/models", headers={"X-API-Key": KEYS[1]})
    assert [model["id"] for model in named.json()["data"]] == [MODEL]
    start = time.monotonic()
    answer = pair.post(key="wrong")
    assert time.monotonic() - start > 0.9, "whoever tries keys has to wait"
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert httpx.get(f"{pair.url}/v1/models").status_code == 401
    assert httpx.get(f"{pair.url}/health").status_code == 200


def form(model: str, content: bytes, last: bool) -> bytes:
    """A form with the field before or after the file."""
    field = f'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n{model}\r\n'.encode()
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    file = head + content + b"\r\n"
    return b"".join([file, field] if last else [field, file]) + b"--b--\r\n"


@pytest.mark.parametrize(("name", "last"), [(NAMES[0], False), (NAMES[1], True)], ids=["before the file", "after it"])
def test_a_request_goes_where_its_model_is(pair: Pair, name: str, last: bool) -> None:
    headers = {"Authorization": f"Bearer {KEYS[0]}", "Content-Type": "multipart/form-data; boundary=b"}
    url = f"{pair.url}/v1/audio/transcriptions"
    for _ in range(3):
        answer = httpx.post(url, content=form(name, FOX, last), headers=headers, timeout=60)
        assert answer.status_code == 200, "the other one does not know it"
    if not last:  # of a long one only the beginning is looked at
        silence = wav(np.zeros(90 * 16000, np.float32))
        assert httpx.post(url, content=form(name, silence, last), headers=headers, timeout=60).status_code == 200
    strange = httpx.post(url, content=form("firstXone", FOX, last), headers=headers, timeout=60)
    assert strange.json()["error"]["code"] == "model_not_found"


def test_a_stream_comes_piece_by_piece(pair: Pair) -> None:
    client = openai.OpenAI(base_url=pair.url + "/v1", api_key=KEYS[0], max_retries=0)
    events = list(client.audio.transcriptions.create(model=MODEL, file=("clip.wav", FOX), stream=True))
    assert events[-1].type == "transcript.text.done"
    assert sentence_of(events[-1].text) == SENTENCE


def test_a_long_upload_takes_its_own_lane(pair: Pair) -> None:
    before = {lane: pair.number("sessions_total", lane) for lane in ("short", "long")}
    pair.post()
    long_one = pair.post(wav(np.zeros(90 * 16000, np.float32)))
    assert long_one.status_code == 200, long_one.text
    assert {lane: pair.number("sessions_total", lane) - before[lane] for lane in before} == {"short": 1, "long": 1}


@long
def test_commands_do_not_wait_behind_recordings(pair: Pair) -> None:
    """A recording for each server and one more in the queue, and commands of one after the other beside them."""

    def commands(number: int) -> float:
        seconds = []
        for _ in range(number):
            start = time.monotonic()
            assert sentence_of(pair.post().json()["text"]) == SENTENCE
            seconds.append(time.monotonic() - start)
            time.sleep(0.2)
        return statistics.quantiles(seconds, n=20)[-1]

    recording = wav(recorded(20))
    alone = commands(20)
    with Load(pair, 5, recording, heard=lambda text: "fox" in text) as load:
        until(lambda: pair.working("long") == 4, 60)
        beside = commands(20)
        still = pair.working("long")
    print(f"commands: {alone:.2f} s alone, {beside:.2f} s beside {still} recordings (95 % below)")
    assert still == 4, "they were done before the commands were"
    assert set(load.results) == {"heard"}
    assert beside <= 2 * alone + 1


def test_what_a_server_that_hangs_was_given_goes_to_another_one(alike: Pair) -> None:
    with Load(alike, 4) as load:
        load.until(8)
        alike.servers[0].process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        until(lambda: alike.up() == 1)
        noticed = time.monotonic() - stopped
        load.until(load.results.total() + 8)
    print(f"noticed after {noticed:.1f} s")
    assert set(load.results) == {"heard"}
    assert noticed < 12
    # what came before it was noticed waited for as long as it may, once or twice; a new one does not
    assert max(load.seconds) < 12
    start = time.monotonic()
    assert sentence_of(alike.post().json()["text"]) == SENTENCE
    assert time.monotonic() - start < 3
    alike.servers[0].process.send_signal(signal.SIGCONT)
    until(lambda: alike.up() == 2)


def test_a_long_upload_to_a_server_that_is_gone_goes_to_another_one(alike: Pair) -> None:
    """The servers have keys of their own, and no check has told HAProxy yet that one is gone."""
    content = wav(np.zeros(90 * 16000, np.float32))
    alike.kill(0)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answers = list(pool.map(alike.post, [content] * 4))
    assert [answer.status_code for answer in answers] == [200] * 4


def test_a_server_works_on_nothing_that_nobody_waits_for(pair: Pair) -> None:
    client = http.client.HTTPConnection("127.0.0.1", pair.port)
    headers = {"Authorization": f"Bearer {KEYS[0]}", "Content-Type": "multipart/form-data; boundary=b"}
    client.request("POST", "/v1/audio/transcriptions", form(MODEL, wav(recorded(9)), False), headers)
    until(lambda: pair.has(0) + pair.has(1) == 1)
    client.close()
    until(lambda: any("the client left" in server.text() for server in pair.servers))
    until(lambda: pair.has(0) + pair.has(1) == 0)


@long
def test_of_uploads_that_are_not_kept_those_are_lost_that_the_killed_server_had(alike: Pair) -> None:
    recording = wav(recorded(10))
    with Load(alike, 5, recording, heard=lambda text: "fox" in text) as load:
        until(lambda: load.results.total() >= 4 and alike.has(0) == 2, 120)
        alike.kill(0)
        load.until(load.results.total() + 8)
    answered = sum(number for result, number in load.results.items() if "server_lost" in str(result))
    assert answered == 2, load.results
    # each place that is free again may take one more there: a process that dies closes its door after its connections
    assert load.results.total() - load.results["heard"] - answered <= 2, load.results


@long
def test_of_streams_that_have_begun_those_are_lost_that_the_killed_server_had(pair: Pair) -> None:
    """Each is short enough to be kept, and was sent to another server had it not begun."""
    recording, begun, ended = opus(recorded(12)), [], []
    assert len(recording) < 2**21

    def listen() -> None:
        client = openai.OpenAI(base_url=pair.url + "/v1", api_key=KEYS[0], max_retries=0)
        kinds = []
        with contextlib.suppress(openai.APIError, httpx.TransportError):
            for event in client.audio.transcriptions.create(model=MODEL, file=("a.ogg", recording), stream=True):
                begun.append(1) if not kinds else None
                kinds.append(event.type)
        ended.append(kinds[-1] if kinds else "nothing")

    threads = [threading.Thread(target=listen) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: len(begun) == 2, 60)
    had = pair.has(0)
    pair.kill(0)
    for thread in threads:
        thread.join()
    assert had == 1
    assert sorted(ended) == ["transcript.text.delta", "transcript.text.done"]
