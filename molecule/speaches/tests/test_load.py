# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An hour of speech in one file, and eight clients for ten minutes: what it takes in time and memory."""

from __future__ import annotations

import http.client
import statistics
import threading
import time
from collections import Counter
from typing import Any

import pytest
from conftest import DATA, FOX, PORT, Ask, speaches_itself, transcribe, wait
from suite import long

pytestmark = [long, speaches_itself]
ADDRESS = "10.179.1.10"
CLIENTS, MINUTES, WARM_UP = 8, 10, 120


def memory_mib(ai: Any, field: str = "VmRSS") -> int:
    """What the service's process holds, or held at most (VmHWM)."""
    pid = ai.check_output("systemctl show -P MainPID speaches")
    return int(ai.check_output(f"sed -n 's/^{field}:\\s*\\([0-9]*\\) kB/\\1/p' /proc/{pid}/status")) // 1024


def show(capsys: pytest.CaptureFixture[str], numbers: str) -> None:
    """For the documentation."""
    with capsys.disabled():
        print(f"\n{numbers}")


def test_an_hour_in_one_file(ai: Any, ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    """The fox, a pause of a second, and so on. The test model hears about one sentence in each window of 30 s."""
    ai.check_output(
        "cd /srv/clips && ffmpeg -y -loglevel error -i en-fox.wav -af apad=pad_dur=1 sentence.wav"
        " && ffmpeg -y -loglevel error -stream_loop -1 -i sentence.wav -t 3600 -c copy hour.wav && rm sentence.wav"
    )
    ai.check_output("systemctl restart speaches")
    wait(ask)
    began = time.monotonic()
    answer = transcribe(ask, "hour.wav", response_format="text")
    seconds = time.monotonic() - began
    ai.check_output("rm /srv/clips/hour.wav")
    assert answer.status == 200
    limit = int(ai.check_output("systemctl show -P MemoryMax speaches")) // 2**20
    peak = memory_mib(ai, "VmHWM")
    sentences = answer.text.count(FOX)
    show(
        capsys,
        f"60 minutes: {seconds:.0f} s, {sentences} sentences, {peak} MiB at most, limit {limit} MiB",
    )
    assert sentences >= 3600 / 30
    assert peak < limit
    assert ai.check_output("systemctl show -P NRestarts speaches") == "0"


@pytest.mark.timeout(MINUTES * 60 + 120)
def test_eight_clients_for_ten_minutes(ai: Any, ask: Ask, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No error but 503 beyond the limit, and memory that stays flat once all is warm."""
    wait(ask)
    clip = (DATA / "clips/en-fox.wav").read_bytes()
    parts = '--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b\r\n'
    parts += 'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body = parts.encode() + clip + b"\r\n--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b", "Authorization": f"Bearer {key}"}
    answers: Counter[object] = Counter()
    times: list[float] = []
    end = time.monotonic() + MINUTES * 60

    def client() -> None:
        while time.monotonic() < end:
            began = time.monotonic()
            connection = http.client.HTTPConnection(ADDRESS, PORT, timeout=120)
            try:
                connection.request("POST", "/v1/audio/transcriptions", body, headers)
                answer = connection.getresponse()
                text = answer.read().decode()
                right = answer.status == 503 or FOX in text
                answers[answer.status if right else text] += 1
            except OSError as error:
                answers[repr(error)] += 1
                continue
            finally:
                connection.close()
            if answer.status == 200:
                times.append(time.monotonic() - began)
            else:
                time.sleep(0.2)

    threads = [threading.Thread(target=client, daemon=True) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(WARM_UP)
    memory = []
    while time.monotonic() < end:
        memory.append(memory_mib(ai))
        time.sleep(10)
    for thread in threads:
        thread.join()
    third = len(memory) // 3
    early, late = statistics.median(memory[:third]), statistics.median(memory[-third:])
    show(
        capsys,
        f"{CLIENTS} clients, {MINUTES} minutes: {dict(answers)}, median {statistics.median(times):.2f} s,"
        f" memory after {WARM_UP} s {early} MiB, at the end {late} MiB, {min(memory)} to {max(memory)} MiB",
    )
    assert set(answers) <= {200, 503}
    assert answers[200] > 1000
    assert late < 1.05 * early
