# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a voice command waits while a long recording is worked on, and what the recording loses by it.

The engine faster_whisper on loopback with the real Whisper base of bench_accuracy: one command of 2 to 4 s each two
seconds, alone and beside a recording, and the recording alone. What the recording pays is told in CPU seconds too,
which depend less on what else the machine does. Run by `make bench-lanes`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import wave
from pathlib import Path
from typing import Any

import numpy as np
from bench_accuracy import PACKAGE, by_joe, whisper_base
from bench_stt import cpu_seconds

PORT = 18431
URL = f"http://127.0.0.1:{PORT}"
EVERY = 2.0  # seconds from one command to the next


def body(samples: Any) -> bytes:
    """A request with the sound as WAV."""
    target = io.BytesIO()
    with wave.open(target, "wb") as out:
        out.setparams((1, 2, 16000, 0, "NONE", ""))
        out.writeframes((samples * 32767).astype("<i2").tobytes())
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    return head + target.getvalue() + b"\r\n--b--\r\n"


def ask(content: bytes) -> float:
    """The seconds until the answer."""
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    began = time.monotonic()
    request = urllib.request.Request(f"{URL}/v1/audio/transcriptions", content, headers)
    with urllib.request.urlopen(request, timeout=3600) as answer:
        json.load(answer)
    return time.monotonic() - began


def wait() -> None:
    """Until the server serves."""
    while True:
        try:
            urllib.request.urlopen(f"{URL}/health").close()
        except OSError:
            time.sleep(0.2)
        else:
            return


def commands(contents: list[bytes], over: threading.Event) -> list[float]:
    """What commands took, one each two seconds, until it is over."""
    taken: list[float] = []
    threads = []
    for content in contents:
        thread = threading.Thread(target=lambda content=content: taken.append(ask(content)))
        thread.start()
        threads.append(thread)
        if over.wait(EVERY):
            break
    for thread in threads:
        thread.join()
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--context", default="full")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    clips = [samples for _, samples in by_joe(60)]
    pause = np.zeros(8000, np.float32)
    once = np.concatenate([part for clip in clips for part in (clip, pause)])
    long = body(np.tile(once, int(np.ceil(options.minutes * 960_000 / len(once))))[: int(options.minutes * 960_000)])
    short = [body(clip) for clip in clips if 32_000 < len(clip) < 64_000]
    with tempfile.TemporaryDirectory() as folder:
        settings = {"STT_MODEL": whisper_base(Path(folder)), "STT_PORT": PORT, "STT_COMPUTE_TYPE": "int8"}
        settings |= {"STT_LANGUAGE": "en", "STT_AUDIO_CONTEXT": options.context, "STT_CPU_THREADS": options.threads}
        environment = os.environ | {"PYTHONPATH": str(PACKAGE)} | {name: str(value) for name, value in settings.items()}
        server = subprocess.Popen(
            [sys.executable, "-m", "anklume_stt_server"], env=environment, stderr=subprocess.DEVNULL
        )
        try:
            wait()
            cpu = [cpu_seconds(server.pid)]
            alone = commands(short, threading.Event())
            cpu.append(cpu_seconds(server.pid))
            over, whole = threading.Event(), []
            whole.append(ask(long))
            cpu.append(cpu_seconds(server.pid))

            def record() -> None:
                whole.append(ask(long))
                over.set()

            recording = threading.Thread(target=record)
            recording.start()
            beside = commands(short * 1000, over)
            recording.join()
            cpu.append(cpu_seconds(server.pid))
        finally:
            server.terminate()
            server.wait()
    print(f"| a recording of {options.minutes:g} min, {options.context} context | |\n|---|---|")
    for name, taken in (("commands alone", alone), ("commands beside the recording", beside)):
        print(f"| {name}: median, p95, s | {np.median(taken):.2f}, {np.quantile(taken, 0.95):.2f} ({len(taken)}) |")
    print(f"| recording alone, beside commands, s | {whole[0]:.0f}, {whole[1]:.0f} |")
    command, recorded, both = np.diff(cpu) / (len(alone), 1, 1)
    print(f"| CPU: a command, the recording, it beside commands, s | {command:.2f}, {recorded:.0f}, {both:.0f} |")
    goal = 2 * np.quantile(alone, 0.95) + 1
    print(f"p95 beside the recording {np.quantile(beside, 0.95):.2f} s; goal {goal:.2f} s")
    for unit, one, before, after in (("s", np.mean(alone), *whole), ("CPU s", command, recorded, both)):
        more = (after - len(beside) * one - before) / before
        print(f"the recording takes the commands' own work and {100 * more:.0f} % more {unit}; goal 15 %")


if __name__ == "__main__":
    main()
