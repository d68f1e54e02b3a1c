# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What speech costs on a server that runs: time to first sound, CPU per second of it, and what a transcription waits.

usage: bench_speech.py --pid PID [--url ADDRESS] [--model tts-1] [--voice alloy] [--clip FILE] [--rounds 5]

The server's process is named for its CPU time and memory. Transcriptions are timed alone and while a long text is
spoken, in turns, so that what else runs on the machine meets both alike. STT_KEY holds the key, where one is asked for.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import threading
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLIP = Path(__file__).resolve().parents[2] / "tests" / "data" / "clips" / "en-fox.wav"
SENTENCE = "The answer is read aloud as soon as its first sentence is there."
LONG = " ".join(
    f"This is sentence number {number} of a longer answer, and it goes on for a while." for number in range(30)
)
RATE = 24000  # of pcm, two bytes a sample


class Server:
    """A server by its address and its process."""

    def __init__(self, url: str, pid: int) -> None:
        self.where, self.pid = urllib.parse.urlsplit(url), pid
        self.key = {"Authorization": f"Bearer {key}"} if (key := os.environ.get("STT_KEY")) else {}

    def cpu(self) -> float:
        """Seconds of all its cores."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """MiB that it holds."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) // 1024

    def post(self, path: str, body: bytes, kind: str) -> http.client.HTTPResponse:
        """The answer, its body still to come."""
        connection = http.client.HTTPConnection(self.where.hostname or "", self.where.port, timeout=300)
        connection.request("POST", path, body, {"Content-Type": kind, **self.key})
        answer = connection.getresponse()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {answer.read().decode()}")
        return answer

    def speak(self, text: str, model: str, voice: str) -> tuple[float, float]:
        """Seconds until the first sound, and seconds of sound."""
        began = time.monotonic()
        fields = {"model": model, "voice": voice, "input": text, "response_format": "pcm"}
        answer = self.post("/v1/audio/speech", json.dumps(fields).encode(), "application/json")
        first, size = answer.read(1), 1
        seconds = time.monotonic() - began
        while part := answer.read(65536):
            size += len(part)
        assert first, "nothing was spoken"
        return seconds, size / 2 / RATE

    def transcribe(self, clip: bytes) -> float:
        """Seconds that it takes."""
        edge = uuid.uuid4().hex
        head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="clip.wav"\r\n\r\n'
        body = head.encode() + clip + f"\r\n--{edge}--\r\n".encode()
        began = time.monotonic()
        self.post("/v1/audio/transcriptions", body, f"multipart/form-data; boundary={edge}").read()
        return time.monotonic() - began


@contextmanager
def speaking(server: Server, model: str, voice: str) -> Iterator[None]:
    """Somebody is spoken to all the while."""
    over = threading.Event()

    def go_on() -> None:
        while not over.is_set():
            server.speak(LONG, model, voice)

    thread = threading.Thread(target=go_on)
    thread.start()
    time.sleep(1)
    yield
    over.set()
    thread.join()


def main() -> None:
    """Measure, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--model", default="tts-1")
    parser.add_argument("--voice", default="alloy")
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    server, clip = Server(args.url, args.pid), args.clip.read_bytes()
    before = server.memory()
    cold, _ = server.speak(SENTENCE, args.model, args.voice)
    server.transcribe(clip)
    first, alone, beside = [], [], []
    for _ in range(args.rounds):
        first.append(server.speak(SENTENCE, args.model, args.voice)[0])
    spent = server.cpu()
    _, sound = server.speak(LONG, args.model, args.voice)
    spent = server.cpu() - spent
    for _ in range(args.rounds):
        alone += [server.transcribe(clip) for _ in range(3)]
        with speaking(server, args.model, args.voice):
            beside += [server.transcribe(clip) for _ in range(3)]
    print(f"first sound of a sentence: {statistics.median(first):.2f} s, {cold:.2f} s with the model loaded for it")
    print(f"CPU: {spent / sound:.2f} s for a second of sound ({sound:.0f} s of it)")
    print(f"a transcription: {statistics.median(alone):.2f} s alone, {statistics.median(beside):.2f} s beside speech")
    print(f"memory: {before} MiB before, {server.memory()} MiB after")


if __name__ == "__main__":
    main()
