# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a voice command waits while a long recording is worked on, and what the recording loses by it.

The engine faster_whisper on loopback with the real Whisper base of bench_accuracy: one command of 2 to 4 s each two
seconds, alone and beside a recording, and the recording alone. What the recording pays is told in CPU seconds too,
which depend less on what else the machine does. With --speaches RELEASE, a folder of Speaches as the role makes it, the
same is asked of Speaches as it is and with our factory. Run by `make bench-lanes`.
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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from bench_accuracy import PACKAGE, by_joe, whisper_base
from bench_stt import CARD, cpu_seconds

PORT = 18431
URL = f"http://127.0.0.1:{PORT}"
EVERY = 2.0  # seconds from one command to the next
ENGINE, STOCK, OURS = "faster_whisper", "stock Speaches", "speaches"
MODELS = {ENGINE: "whisper-1", STOCK: "bench/base", OURS: "bench/base"}


def body(samples: Any, model: str = MODELS[ENGINE]) -> bytes:
    """A request with the sound as WAV."""
    target = io.BytesIO()
    with wave.open(target, "wb") as out:
        out.setparams((1, 2, 16000, 0, "NONE", ""))
        out.writeframes((samples * 32767).astype("<i2").tobytes())
    fields = {"model": model, "language": "en"}
    head = "".join(f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items())
    head += '--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    return head.encode() + target.getvalue() + b"\r\n--b--\r\n"


def ask(content: bytes) -> float:
    """The seconds until the answer."""
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    began = time.monotonic()
    request = urllib.request.Request(f"{URL}/v1/audio/transcriptions", content, headers)
    with urllib.request.urlopen(request, timeout=3600) as answer:
        json.load(answer)
    return time.monotonic() - began


def in_a_hub(scratch: Path) -> Path:
    """The folder of Whisper base in a hub cache."""
    folder = scratch / "hub" / "models--bench--base"
    snapshot = whisper_base(folder / "snapshots" / "0")
    (snapshot / "README.md").write_text(CARD)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0")
    return snapshot


def serve(
    system: str, snapshot: Path, options: argparse.Namespace, **changes: str
) -> tuple[subprocess.Popen[bytes], float]:
    """A server that serves, and what it had used of the processor by then."""
    settings: dict[str, object] = {"STT_PORT": PORT, "STT_MODEL": snapshot, "STT_COMPUTE_TYPE": "int8"}
    settings |= {"STT_CPU_THREADS": options.threads, "STT_AUDIO_CONTEXT": options.context, "PYTHONPATH": PACKAGE}
    command, folder = [sys.executable, "-m", "anklume_stt_server"], "."
    if system != ENGINE:
        settings = {"UVICORN_PORT": PORT, "HF_HOME": snapshot.parents[3], "HF_HUB_OFFLINE": 1, "STT_MODEL_TTL": -1}
        settings |= {"WHISPER__INFERENCE_DEVICE": "cpu", "WHISPER__COMPUTE_TYPE": "int8", "ENABLE_UI": "false"}
        settings |= {"WHISPER__CPU_THREADS": options.threads, "ANKLUME_AUDIO_CONTEXT": options.context}
        settings |= {"ANKLUME_RESIDENT_MODELS": MODELS[OURS], "UVICORN_LOG_LEVEL": "warning", "LOG_LEVEL": "warning"}
        stock = ["uvicorn", "--factory", "speaches.main:create_app"]
        command = [f"{options.speaches}/bin/python", "-m", *(stock if system == STOCK else ["anklume_speaches"])]
        folder = f"{options.speaches}/run"
    environment: Mapping[str, str] = os.environ | changes | {name: str(value) for name, value in settings.items()}
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, env=environment, cwd=folder, stdout=quiet, stderr=quiet)
    while server.poll() is None:
        try:
            urllib.request.urlopen(f"{URL}/health").close()
        except OSError:
            time.sleep(0.2)
        else:
            return server, cpu_seconds(server.pid)
    sys.exit(f"{' '.join(command)} did not start")


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


def measure(system: str, snapshot: Path, clips: list[Any], long: Any, options: argparse.Namespace) -> None:
    """Ask one server, and print what it took."""
    recording = body(long, MODELS[system])
    short = [body(clip, MODELS[system]) for clip in clips if 32_000 < len(clip) < 64_000]
    server, _ = serve(system, snapshot, options)
    try:
        ask(short[0])  # stock Speaches loads the model at the first request
        cpu, over, whole = [cpu_seconds(server.pid)], threading.Event(), [ask(recording)]
        cpu.append(cpu_seconds(server.pid))
        alone = commands(short, threading.Event())
        cpu.append(cpu_seconds(server.pid))

        def record() -> None:
            whole.append(ask(recording))
            over.set()

        thread = threading.Thread(target=record)
        thread.start()
        beside = commands(short * 1000, over)
        thread.join()
        cpu.append(cpu_seconds(server.pid))
    finally:
        server.terminate()
        server.wait()
    kind = "" if system == STOCK else f", {options.context} context"
    print(f"\n| a recording of {options.minutes:g} min, {system}{kind} | |\n|---|---|")
    for name, taken in (("commands alone", alone), ("commands beside the recording", beside)):
        print(f"| {name}: median, p95, s | {np.median(taken):.2f}, {np.quantile(taken, 0.95):.2f} ({len(taken)}) |")
    print(f"| recording alone, beside commands, s | {whole[0]:.0f}, {whole[1]:.0f} |")
    recorded, command, both = np.diff(cpu) / (1, len(alone), 1)
    print(f"| CPU: a command, the recording, it beside commands, s | {command:.2f}, {recorded:.0f}, {both:.0f} |")
    goal = 2 * np.quantile(alone, 0.95) + 1
    print(f"\np95 beside the recording {np.quantile(beside, 0.95):.2f} s; goal {goal:.2f} s")
    for unit, one, before, after in (("s", np.mean(alone), *whole), ("CPU s", command, recorded, both)):
        more = (after - len(beside) * one - before) / before
        print(f"the recording takes the commands' own work and {100 * more:.0f} % more {unit}; goal 15 %", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--context", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--speaches", metavar="RELEASE", type=os.path.abspath, help="measure Speaches too")
    options = parser.parse_args()
    clips = [samples for _, samples in by_joe(60)]
    pause = np.zeros(8000, np.float32)
    once = np.concatenate([part for clip in clips for part in (clip, pause)])
    length = int(options.minutes * 960_000)
    long = np.tile(once, length // len(once) + 1)[:length]
    with tempfile.TemporaryDirectory() as scratch:
        snapshot = in_a_hub(Path(scratch))
        for system in (ENGINE, STOCK, OURS) if options.speaches else (ENGINE,):
            measure(system, snapshot, clips, long, options)


if __name__ == "__main__":
    main()
