# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine against direct use of faster-whisper: throughput and CPU per request, at 1 and at 8 clients.

Both run in processes of their own with the same random model of a true size, workers, threads, beam and voice
detection, in alternating rounds; this process is the client. Run by `make bench-stt`.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import random_model

ROOT = Path(__file__).resolve().parents[2]
CLIPS = ROOT / "tests" / "data" / "clips"
PACKAGE = ROOT / "roles" / "stt_server" / "files" / "faster_whisper"
GOAL = 0.9
TOKENS = 40
FIELDS = {"model": "whisper-1", "language": "en"}
Round = tuple[float, float]  # requests per second, CPU seconds per request


def speech() -> bytes:
    """Three spoken sentences, about ten seconds."""
    target = io.BytesIO()
    with wave.open(target, "wb") as out:
        out.setparams((1, 2, 16000, 0, "NONE", ""))
        for name in ("en-fox", "fr-bonjour", "en-ansible"):
            with wave.open(str(CLIPS / f"{name}.wav")) as clip:
                out.writeframes(clip.readframes(clip.getnframes()))
    return target.getvalue()


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_round(ask: Callable[[int], None], pid: int, clients: int, requests: int) -> Round:
    """So many requests from so many clients."""
    used, started = cpu_seconds(pid), time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, range(requests)))
    return requests / (time.monotonic() - started), (cpu_seconds(pid) - used) / requests


def direct(model: str, workers: int, threads: int) -> None:
    """The other side: faster-whisper without a server, told on stdin what to do."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    whisper, sound = (
        WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=threads, num_workers=workers),
        speech(),
    )

    def ask(_: int) -> None:
        pipeline = BatchedInferencePipeline(whisper)
        list(pipeline.transcribe(io.BytesIO(sound), language="en", vad_filter=True, batch_size=8, beam_size=5)[0])

    ask(0)
    print("ready", flush=True)
    for line in sys.stdin:
        clients, requests = map(int, line.split())
        print(json.dumps(run_round(ask, os.getpid(), clients, requests)), flush=True)


class Served:
    """The engine, and a client of it."""

    def __init__(self, model: str, workers: int, threads: int) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        settings = {"STT_MODEL": model, "STT_PORT": self.port, "STT_WORKERS": workers, "STT_CPU_THREADS": threads}
        settings |= {"STT_DEVICE": "cpu", "STT_COMPUTE_TYPE": "int8", "STT_LOG_LEVEL": "warning", "PYTHONPATH": PACKAGE}
        environment = os.environ | {name: str(value) for name, value in settings.items()}
        self.process = subprocess.Popen([sys.executable, "-m", "anklume_stt_server"], env=environment)
        parts = [f'--b\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in FIELDS.items()]
        parts.append('--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n')
        self.body = "".join(parts).encode() + speech() + b"\r\n--b--\r\n"
        while True:
            try:
                self.ask(0)
                return
            except ConnectionError:
                if self.process.poll() is not None:
                    sys.exit("the server did not start")
                time.sleep(0.2)

    def ask(self, _: int) -> None:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        connection.request("POST", "/v1/audio/transcriptions", self.body, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status != 200:
            sys.exit(f"the server answered {answer.status}: {text.decode()}")

    def round(self, clients: int, requests: int) -> Round:
        """One round of requests."""
        return run_round(self.ask, self.process.pid, clients, requests)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="base")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--direct", metavar="MODEL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.direct:
        direct(options.direct, options.workers, options.threads)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        model = str(Path(scratch) / options.size)
        random_model.build(options.size, Path(model), TOKENS)
        command = [sys.executable, __file__, "--direct", model, f"--workers={options.workers}"]
        command.append(f"--threads={options.threads}")
        other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        served = Served(model, options.workers, options.threads)
        try:
            return compare(served, other, options)
        finally:
            served.process.terminate()
            other.terminate()
            served.process.wait()
            other.wait()


def compare(served: Served, other: subprocess.Popen[str], options: argparse.Namespace) -> int:
    """Alternate between the two and print the medians."""
    assert other.stdin and other.stdout
    other.stdout.readline()
    print(
        f"{options.size} int8, random weights, {TOKENS} tokens per window, 10 s of speech, beam 5, voice detection on"
    )
    print(f"{os.cpu_count()} CPUs, {options.workers} workers of {options.threads} threads, {options.rounds} rounds\n")
    print("clients  server req/s  direct req/s  ratio  server CPU s/req  direct CPU s/req")
    worst = 1.0
    for clients, requests in ((1, 4), (8, 16)):
        ours: list[Round] = []
        theirs: list[Round] = []
        for number in range(options.rounds * 2):
            if (number + number // 2) % 2:  # ABBA: a machine that gets slower harms neither
                ours.append(served.round(clients, requests))
            else:
                other.stdin.write(f"{clients} {requests}\n")
                other.stdin.flush()
                theirs.append(tuple(json.loads(other.stdout.readline())))
        (rate, cpu), (direct_rate, direct_cpu) = (
            [statistics.median(column) for column in zip(*rounds, strict=True)] for rounds in (ours, theirs)
        )
        worst = min(worst, rate / direct_rate)
        print(
            f"{clients:7}{rate:14.3f}{direct_rate:14.3f}{rate / direct_rate:7.2f}{cpu:18.2f}{direct_cpu:18.2f}",
            flush=True,
        )
    if worst < GOAL:
        print(f"\nbelow the goal: at least {GOAL} of direct use", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
