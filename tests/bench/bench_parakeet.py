# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Parakeet of the true size takes: memory and time by windows at once and their length, and an hour of sound.

The model has random weights (random_parakeet.py); it runs in the engine's own module, and for the hour in the server
itself. The memory is held against what stt_fit plans: the run fails where the most that was seen is more than 6 %
beside it. Run by `make bench-parakeet`, which gets all that is needed; on two cores it takes five minutes without the
hour, which `--minutes 60` adds.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import random_parakeet

ROOT = Path(__file__).resolve().parents[2]
CLIPS = ROOT / "tests" / "data" / "clips"
PACKAGE = ROOT / "roles" / "stt_server" / "files" / "server"
sys.path[:0] = [str(ROOT / ".cache" / "collections"), str(PACKAGE)]

from ansible_collections.anklume.stt.plugins.module_utils._vram import parakeet as plan  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import (  # noqa: E402
    AUDIO,
    MIB,
    USUAL,
    Bounds,
    Serving,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.parakeets import PARAKEETS, Precision  # noqa: E402

RATE = 16000
GROUPS = ((1, 5), (1, 10), (1, 20), (2, 20), (3, 20), (4, 20))  # windows at once, and seconds of each
WITHIN = 0.06
Row = dict[str, float]


def memory(pid: int | str = "self") -> dict[str, float]:
    """MiB of a process: now, at most so far, and now without what is read from files and can be dropped."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return {name: int(re.search(rf"^{name}:\s*(\d+)", text, re.M)[1]) / 1024 for name in ("VmRSS", "VmHWM", "RssAnon")}


def speech(seconds: float) -> Any:
    """The clips with pauses between them."""
    rng, parts, names = np.random.default_rng(0), list[Any](), itertools.cycle(("en-fox", "fr-bonjour", "en-ansible"))
    while sum(map(len, parts)) < seconds * RATE:
        with wave.open(str(CLIPS / f"{next(names)}.wav")) as file:
            parts.append(np.frombuffer(file.readframes(file.getnframes()), "<i2"))
        parts.append(np.zeros(int(rng.uniform(0.2, 1.2) * RATE), "<i2"))
    return np.concatenate(parts)[: int(seconds * RATE)]


def measure(folder: Path, precision: str, threads: int) -> Iterator[Row]:
    """The process at rest, with the model, and after each group of windows."""
    from anklume_stt_server import app, parakeet  # noqa: F401 the whole server, as far as memory goes
    from anklume_stt_server.settings import Settings

    yield memory()
    began = time.monotonic()
    model = parakeet.load(folder, Settings(engine="parakeet", compute_type=precision, cpu_threads=threads))
    model.prove()
    yield memory() | {"took": time.monotonic() - began}
    for windows, seconds in GROUPS:
        parts = [speech(seconds).astype(np.float32) / 32768] * windows
        began, spent = time.monotonic(), time.process_time()
        results = model.model.recognize(parts, sample_rate=RATE)
        tokens = sum(len(result.tokens) for result in results)
        times = {"took": time.monotonic() - began, "cpu": time.process_time() - spent}
        yield memory() | times | {"tokens": tokens}


def an_hour(folder: Path, precision: str, options: argparse.Namespace) -> Row:
    """A recording of so many minutes through the server itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"STT_ENGINE": "parakeet", "STT_MODEL": folder, "STT_PORT": port, "STT_CPU_THREADS": options.threads}
    settings |= {"STT_COMPUTE_TYPE": precision, "PYTHONPATH": PACKAGE}
    environment = os.environ | {name: str(value) for name, value in settings.items()}
    server = subprocess.Popen([sys.executable, "-m", "anklume_stt_server"], env=environment)
    sound = io.BytesIO()
    with wave.open(sound, "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes(speech(options.minutes * 60).tobytes())
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=3600) as client:
            while not ready(client):
                if server.poll() is not None:
                    sys.exit("the server did not start")
                time.sleep(0.5)
            began, fields = time.monotonic(), {"model": "whisper-1", "response_format": "verbose_json"}
            answer = client.post("/v1/audio/transcriptions", data=fields, files={"file": sound.getvalue()})
            took = time.monotonic() - began
        ends = [segment["end"] for segment in answer.json()["segments"]]
        if ends != sorted(ends) or ends[-1] < options.minutes * 60 - 10:
            sys.exit("the recording was not heard to its end")
        return memory(server.pid) | {"took": took, "segments": len(ends)}
    finally:
        server.terminate()
        server.wait()


def ready(client: httpx.Client) -> bool:
    """Whether the server can transcribe."""
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def beside(name: str, seen: float, planned: float) -> bool:
    """Say how far what was seen is from the plan; whether that is too far."""
    off = seen / planned - 1
    print(f"{name}: {seen:.0f} MiB seen, {planned:.0f} planned, {100 * off:+.1f} %", flush=True)
    return abs(off) > WITHIN


def bench(folder: Path, precision: Precision, options: argparse.Namespace) -> bool:
    """Measure one precision and print it; whether it is far from the plan."""
    began = time.monotonic()
    random_parakeet.build(folder, precision)
    files, listed = plan.folder_mib(folder, precision), PARAKEETS["parakeet-v3"].files[precision] / MIB
    print(f"\n{precision}, made in {time.monotonic() - began:.0f} s\n", flush=True)
    wrong = beside("files", files, listed)
    child = subprocess.run(
        [sys.executable, __file__, "--measure", str(folder), "--only", precision, "--threads", str(options.threads)],
        stdout=subprocess.PIPE,
        check=True,
    )
    rows: list[Row] = json.loads(child.stdout)
    names = ["the process", "the model"] + [f"{windows} × {seconds} s" for windows, seconds in GROUPS]
    heads = ["", "MiB now", "at most so far", "not of files", "s", "CPU s for a second of sound", "tokens for one"]
    print(f"\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for number, (name, row) in enumerate(zip(names, rows, strict=True)):
        line = [f"{row['VmRSS']:.0f}", f"{row['VmHWM']:.0f}", f"{row['RssAnon']:.0f}", f"{row.get('took', 0):.1f}"]
        if number < 2:
            line += ["", ""]
        else:
            windows, seconds = GROUPS[number - 2]
            line += [f"{row[name] / windows / seconds:.2f}" for name in ("cpu", "tokens")]
        print(f"| {name} | {' | '.join(line)} |")
    print(flush=True)
    planned: Bounds = plan.bounds(listed, precision, Serving(batch_size=8), "cpu", USUAL)
    wrong |= beside("four windows at once", rows[-1]["VmHWM"], planned.worst.peak)
    if options.minutes:
        row = an_hour(folder, precision, options)
        speed = options.minutes * 60 / row["took"]
        print(f"\n{options.minutes:g} minutes: {row['segments']:.0f} segments, {speed:.1f} times as fast as speech")
        print(f"the server: {row['VmHWM']:.0f} MiB at most, {planned.ram:.0f} planned with {AUDIO} for the sound")
        wrong |= row["VmHWM"] > planned.ram * (1 + WITHIN)
    return wrong


def main() -> int:
    """Measure and print; 1 where the plan is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("int8", "float32"), help="one of the precisions")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--minutes", type=float, default=0, help="so long a recording through the server")
    parser.add_argument("--folder", type=Path, help="where the models stay")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(list(measure(options.measure, options.only, options.threads))))
        return 0
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="ascii"))
    print(f"{processor[1] if processor else 'unknown processor'}, {options.threads} threads")
    wrong = False
    for precision in [options.only] if options.only else ("int8", "float32"):
        with tempfile.TemporaryDirectory() as scratch:
            wrong |= bench(options.folder or Path(scratch), precision, options)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
