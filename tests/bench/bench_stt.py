# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both engines, Speaches as it is, and direct use of faster-whisper: requests per second and CPU per request.

Each runs in a process of its own with the same random model of a true size, workers, threads, beam and voice detection,
in rounds that alternate; this process is the client. The two engines have different versions of faster-whisper, so each
has its own direct use beside it. Run by `make bench-stt`; with SPEACHES_ARCHIVE it installs both engines in the
instance of the scenario speaches, and measures there; without one, the engine faster_whisper alone is measured here.
On a GPU (--device cuda) it is run in the instance that has it, by the Python of the engine's release.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import random_model

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # for direct use in the processes that this one starts
ROOT = Path(__file__).resolve().parents[2]
CLIPS = ROOT / "tests" / "data" / "clips"
PACKAGE = ROOT / "roles" / "stt_server" / "files" / "server"
NAME, PROJECT = "mspc-ai", "mspc"
CARD = "---\nlibrary_name: ctranslate2\ntags: [automatic-speech-recognition]\n---\n"
TYPES = {"cpu": "int8", "cuda": "float16"}
Round = tuple[float, float]  # requests per second, CPU seconds per request


@dataclass(frozen=True)
class Work:
    """What is asked of all: a model's size, clips in one file, tokens per window, and requests by number of clients."""

    size: str
    clips: tuple[str, ...]
    tokens: int
    requests: dict[int, int]

    def sound(self) -> bytes:
        """The clips in one WAV file."""
        target = io.BytesIO()
        with wave.open(target, "wb") as out:
            out.setparams((1, 2, 16000, 0, "NONE", ""))
            for name in self.clips:
                with wave.open(str(CLIPS / f"{name}.wav")) as clip:
                    out.writeframes(clip.readframes(clip.getnframes()))
        return target.getvalue()


WORKS = {
    "tiny": Work("tiny", ("en-fox",), 12, {1: 6, 4: 12, 8: 16}),
    "base": Work("base", ("en-fox", "fr-bonjour", "en-ansible"), 40, {1: 3, 8: 8}),
}
# work, clients, who, how many times as fast as whom
GOALS = (
    ("tiny", 1, "speaches", 1.8, "stock Speaches"),
    ("tiny", 8, "speaches", 3.0, "stock Speaches"),
    ("base", 1, "speaches", 0.95, "direct use, 1.1.1"),
    ("base", 1, "faster_whisper", 0.9, "direct use, 1.2.1"),
    ("base", 8, "faster_whisper", 1.0, "direct use, 1.2.1"),
)


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


def serve_direct(work: Work, options: argparse.Namespace) -> None:
    """faster-whisper without a server, told on stdin what to do."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    place = {"device": options.device, "compute_type": TYPES[options.device]}
    whisper = WhisperModel(options.direct, cpu_threads=options.threads, num_workers=options.workers, **place)
    sound = work.sound()

    def ask(_: int) -> None:
        pipeline = BatchedInferencePipeline(whisper)
        list(pipeline.transcribe(io.BytesIO(sound), language="en", vad_filter=True, batch_size=8, beam_size=5)[0])

    ask(0)
    print("ready", flush=True)
    for line in sys.stdin:
        clients, requests = map(int, line.split())
        print(json.dumps(run_round(ask, os.getpid(), clients, requests)), flush=True)


class Direct:
    """Direct use, in a process of its own."""

    def __init__(self, python: str, model: Path, work: Work, options: argparse.Namespace) -> None:
        command = [python, __file__, "--direct", str(model), f"--only={work.size}"]
        command += [f"--{name}={getattr(options, name)}" for name in ("device", "workers", "threads")]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.process.stdout.readline()

    def round(self, clients: int, requests: int) -> Round:
        """One round of requests."""
        assert self.process.stdin
        assert self.process.stdout
        print(clients, requests, file=self.process.stdin, flush=True)
        rate, cpu = json.loads(self.process.stdout.readline())
        return rate, cpu


class Served:
    """A server, and a client of it."""

    def __init__(
        self, command: Sequence[str], settings: dict[str, object], model: str, work: Work, folder: str
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        quiet = subprocess.DEVNULL
        settings |= {"STT_PORT": self.port} if "STT_MODEL" in settings else {"UVICORN_PORT": self.port}
        environment = os.environ | {name: str(value) for name, value in settings.items()}
        self.process = subprocess.Popen(command, env=environment, cwd=folder, stdout=quiet, stderr=quiet)
        parts = [f'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n{model}\r\n']
        parts.append('--b\r\nContent-Disposition: form-data; name="language"\r\n\r\nen\r\n')
        parts.append('--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n')
        self.body = "".join(parts).encode() + work.sound() + b"\r\n--b--\r\n"
        while True:
            try:
                self.ask(0)
                return
            except ConnectionError:
                if self.process.poll() is not None:
                    sys.exit(f"{' '.join(command)} did not start")
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


def start(systems: dict[str, Direct | Served], work: Work, scratch: Path, options: argparse.Namespace) -> None:
    """Start all that is compared, by name."""
    model = f"bench/{work.size}"
    folder = scratch / "hub" / f"models--bench--{work.size}"
    snapshot = random_model.build(work.size, folder / "snapshots" / "0", work.tokens)
    (snapshot / "README.md").write_text(CARD)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0")
    settings: dict[str, object] = {"STT_MODEL": snapshot, "STT_WORKERS": options.workers, "PYTHONPATH": PACKAGE}
    device, kind = options.device, TYPES[options.device]
    settings |= {"STT_DEVICE": device, "STT_COMPUTE_TYPE": kind, "STT_CPU_THREADS": options.threads}
    engine = [sys.executable, "-m", "anklume_stt_server"]
    if options.speaches:
        python = f"{options.speaches}/bin/python"
        speaches = {"HF_HOME": scratch, "HF_HUB_OFFLINE": 1, "ENABLE_UI": "false", "LOG_LEVEL": "info"}
        speaches |= {"WHISPER__INFERENCE_DEVICE": device, "WHISPER__COMPUTE_TYPE": kind, "STT_MODEL_TTL": -1}
        speaches |= {"WHISPER__NUM_WORKERS": options.workers, "WHISPER__CPU_THREADS": options.threads}
        speaches |= {"UVICORN_LOG_LEVEL": "warning"}
        stock = ("uvicorn", "--factory", "speaches.main:create_app")
        for name, command in (("stock Speaches", stock), ("speaches", ("anklume_speaches",))):
            systems[name] = Served([python, "-m", *command], dict(speaches), model, work, f"{options.speaches}/run")
        systems["direct use, 1.1.1"] = Direct(python, snapshot, work, options)
    systems["faster_whisper"] = Served(engine, settings, "whisper-1", work, str(scratch))
    systems["direct use, 1.2.1"] = Direct(sys.executable, snapshot, work, options)


def compare(work: Work, options: argparse.Namespace) -> dict[tuple[str, int, str], float]:
    """Alternate between all, print the medians as a table, and give the rates."""
    seconds = len(work.sound()) / 32000
    model = f"{work.size} {TYPES[options.device]} with random weights"
    print(f"\n{model}, {seconds:.1f} s of speech, {work.tokens} tokens per window\n")
    print("| clients | | requests per s | CPU s per request |\n|---|---|---|---|")
    rates = {}
    systems: dict[str, Direct | Served] = {}
    with tempfile.TemporaryDirectory() as scratch:
        try:
            start(systems, work, Path(scratch), options)
            for clients, number in work.requests.items():
                requests = number * options.times
                rounds: dict[str, list[Round]] = {name: [] for name in systems}
                for turn in range(options.rounds):  # to and fro: a machine that gets slower harms nobody
                    for name in list(systems) if turn % 2 else reversed(systems):
                        rounds[name].append(systems[name].round(clients, requests))
                for name, results in rounds.items():
                    rate, cpu = (statistics.median(column) for column in zip(*results, strict=True))
                    rates[work.size, clients, name] = rate
                    print(f"| {clients} | {name} | {rate:.2f} | {cpu:.3f} |", flush=True)
        finally:
            for system in systems.values():
                system.process.kill()
                system.process.wait()
    return rates


def in_an_instance(arguments: Sequence[str]) -> int:
    """Install both engines with the role, beside each other, and measure with their own virtual environments."""
    project = ROOT / ".work/molecule/speaches"
    there = ["incus", "exec", NAME, "--project", PROJECT, "--"]
    other = {"stt_server_engine": "faster_whisper", "stt_server_aliases": {}}
    other |= {"stt_server_tts_model_ttl": 300, "stt_server_vad_model_ttl": -1}
    play = ["ansible-playbook", "-i", f"{project}/inventory", "anklume.stt.stt", "-e", json.dumps(other)]
    environment = os.environ | {"PROJECT": str(project), "MOLECULE_PROJECT_DIRECTORY": str(ROOT)}
    disk = ["incus", "config", "device", "add", NAME, "repository", "disk", "--project", PROJECT]
    disk += [f"source={ROOT}", f"path={ROOT}", "shift=true", "readonly=true"]
    releases = []
    try:
        for command in (["molecule", "converge", "-s", "speaches"], play):
            subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
            current = subprocess.run(
                [*there, "readlink", "-f", "/opt/stt-server/current"], check=True, capture_output=True, text=True
            )
            releases.append(current.stdout.strip())
        for command in (disk, [*there, "systemctl", "stop", "speaches"]):
            subprocess.run(command, check=True)
        bench = [f"{releases[1]}/bin/python", "-B", __file__, "--speaches", releases[0], *arguments]
        return subprocess.run([*there, *bench]).returncode
    finally:
        subprocess.run(["molecule", "destroy", "-s", "speaches"], cwd=ROOT, stdout=subprocess.DEVNULL)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=WORKS, help="one of the two")
    parser.add_argument("--device", choices=TYPES, default="cpu", help="cuda: float16, and int8 on a processor")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=1, help="so many times as many requests a round: fast machines")
    parser.add_argument("--speaches", metavar="RELEASE", help="a folder of Speaches as the role makes it, to compare")
    parser.add_argument("--direct", metavar="MODEL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.direct:
        serve_direct(WORKS[options.only], options)
        return 0
    if os.environ.get("SPEACHES_ARCHIVE") and not options.speaches:
        return in_an_instance(sys.argv[1:])
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="ascii"))
    machine = [processor[1] if processor else "unknown processor", f"{len(os.sched_getaffinity(0))} cores"]
    if options.device == "cuda":
        from ansible_collections.anklume.stt.plugins.module_utils._vram.probe import nvidia_gpus  # random_model's path

        machine = [nvidia_gpus()[0].name, *machine]
    print(", ".join(machine), end="; ")
    print(f"{options.workers} workers of {options.threads} threads, medians of {options.rounds} rounds")
    rates: dict[tuple[str, int, str], float] = {}
    for name in [options.only] if options.only else WORKS:
        rates |= compare(WORKS[name], options)
    print()
    for size, clients, who, times, whom in GOALS:
        if {(size, clients, who), (size, clients, whom)} <= rates.keys():
            ratio = rates[size, clients, who] / rates[size, clients, whom]
            print(f"{size}, {clients} clients: {who} is {ratio:.2f} times {whom}; goal {times}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
