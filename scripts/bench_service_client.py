# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bench_service.py sends to the machine of an STT server and runs there: asks the server, and says what it took.

It needs nothing but Python. What it is told comes as JSON on standard input; what it says are lines of JSON.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import itertools
import json
import os
import re
import statistics
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

RATE = 2 * 16000  # bytes of a second
PAUSE = bytes(RATE)  # between two sentences
SETTINGS = Path("/etc/speaches/speaches.env")
UNIT = "speaches"
HEARTBEAT = 5.0
BUSY = 10  # percent of a GPU, while the server has nothing to do
HEAD = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
)
TAIL = b"\r\n--b--\r\n"


class BenchError(Exception):
    """Why there is nothing to measure."""


def say(**told: Any) -> None:
    """A line for whoever started this."""
    sys.stdout.write(json.dumps(told) + "\n")  # at once: threads say something too
    sys.stdout.flush()


# --- the server --------------------------------------------------------------------------------


def settings(text: str) -> dict[str, str]:
    """An environment file of systemd, as the role writes it."""
    found = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", text, re.M):
        quoted = len(value) > 1 and value[0] == value[-1] == '"'
        found[name] = re.sub(r"\\(.)", r"\1", value[1:-1]) if quoted else value
    return found


def server_here() -> dict[str, Any]:
    """Address, key and process of the server that the role has set up on this machine."""
    try:
        known = settings(SETTINGS.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchError(f"{SETTINGS} cannot be read: {error.strerror}; is the role applied here?") from error
    host = known.get("STT_HOST") or known.get("UVICORN_HOST") or "127.0.0.1"
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    port = known.get("STT_PORT") or known.get("UVICORN_PORT") or "8000"
    shown = subprocess.run(
        ["systemctl", "show", "--property=MainPID", "--value", UNIT], stdout=subprocess.PIPE, text=True, check=False
    )
    pid = int(shown.stdout.strip() or 0)
    if not pid:
        raise BenchError(f"the unit {UNIT} does not run: make doctor says why")
    key = known.get("STT_API_KEY") or known.get("API_KEY") or ""
    return {"url": f"http://{f'[{host}]' if ':' in host else host}:{port}", "key": key, "pid": pid}


class Server:
    """The server as a client sees it."""

    def __init__(self, url: str, key: str) -> None:
        self.address = urllib.parse.urlsplit(url)
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def _ask(self, method: str, path: str, timeout: float, body: Any = None, **headers: str) -> tuple[int, bytes]:
        kind = http.client.HTTPSConnection if self.address.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.address.hostname or "", self.address.port, timeout=timeout)
        try:
            with contextlib.suppress(BrokenPipeError):  # it has refused already, and says why
                connection.request(method, path, body, {**self.headers, **headers})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise BenchError(f"{self.address.geturl()} does not answer: {error or type(error).__name__}") from error
        finally:
            connection.close()

    def numbers(self) -> str:
        """What it tells at /metrics."""
        status, text = self._ask("GET", "/metrics", 30)
        if status != 200:
            why = "the key is wrong" if status in (401, 403) else "it is older than its role: make apply-stt"
            raise BenchError(f"{self.address.geturl()}/metrics: {status}; {why}")
        return text.decode()

    def transcribe(self, clips: Sequence[bytes], seconds: float) -> float:
        """The seconds until the text of so much sound is there."""
        length = len(HEAD) + len(TAIL) + 44 + whole(seconds)
        headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(length)}
        began = time.monotonic()
        parts = itertools.chain([HEAD], recording(clips, seconds), [TAIL])
        status, body = self._ask("POST", "/v1/audio/transcriptions", 4 * 3600, parts, **headers)
        taken = time.monotonic() - began
        if status != 200:
            raise BenchError(f"{seconds:.0f} s of sound: {status} {body[:300].decode(errors='replace')}")
        if not json.loads(body)["text"].strip():
            raise BenchError(f"{seconds:.0f} s of sound: the text is empty")
        return taken


def model_of(numbers: str) -> dict[str, str]:
    """Engine, model, device and compute type."""
    found = re.search(r"^stt_model_info{(.*)} 1", numbers, re.M)
    return dict(re.findall(r'(\w+)="([^"]*)"', found[1])) if found else {}


def busy_server(numbers: str) -> bool:
    """Whether it has other requests."""
    found = re.search(r"^stt_requests_in_progress ([\d.]+)", numbers, re.M)
    return bool(found and float(found[1]))


# --- sound -------------------------------------------------------------------------------------


def whole(seconds: float) -> int:
    """The bytes of so many seconds."""
    return int(seconds * RATE) // 2 * 2


def recording(clips: Sequence[bytes], seconds: float) -> Iterator[bytes]:
    """A WAV of the clips, one after the other and again, with pauses, cut at its length."""
    left = whole(seconds)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE // 2, RATE, 2, 16)
    yield struct.pack("<4sI4s", b"RIFF", 36 + left, b"WAVE") + form + struct.pack("<4sI", b"data", left)
    for clip in itertools.cycle(clips):
        part = (clip + PAUSE)[:left]
        left -= len(part)
        yield part
        if not left:
            return


# --- the machine -------------------------------------------------------------------------------


def processes(pid: int) -> Iterator[int]:
    """A process and those that it has started."""
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                yield from processes(int(child))


def memory(pid: int) -> float:
    """MiB of the service; what processes share counts once."""
    kib = 0
    for each in processes(pid):
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{each}/smaps_rollup").read_text(encoding="ascii")
            kib += int((re.search(r"^Pss:\s+(\d+)", text, re.M) or ["", "0"])[1])
    return kib / 1024


class Gpu:
    """The GPU, asked twice a second by one process; nothing where there is none."""

    def __init__(self) -> None:
        self.name = self.driver = ""
        self.total = self.used = self.busy = 0.0
        asked = "name,driver_version,memory.total,memory.used,utilization.gpu"
        command = ["nvidia-smi", "--id=0", f"--query-gpu={asked}", "--format=csv,noheader,nounits", "--loop-ms=500"]
        try:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        except OSError:
            return
        self._read(self.process.stdout.readline() if self.process.stdout else "")
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        for line in self.process.stdout or ():
            self._read(line)

    def _read(self, line: str) -> None:
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 5:
            self.name, self.driver = fields[:2]
            with contextlib.suppress(ValueError):  # some cards do not tell all of it
                self.total, self.used, self.busy = (float(field) for field in fields[2:])

    def stop(self) -> None:
        """Ask no more."""
        if hasattr(self, "process"):
            self.process.terminate()


class Watch:
    """Memory of the service and of the GPU: now, and the most since it was last asked."""

    def __init__(self, pid: int, gpu: Gpu) -> None:
        self.pid, self.gpu = pid, gpu
        self.most = (0.0, 0.0)
        threading.Thread(target=self._watch, daemon=True).start()

    def now(self) -> tuple[float, float]:
        """MiB of both."""
        return memory(self.pid) if self.pid else 0.0, self.gpu.used

    def _watch(self) -> None:
        while True:
            seen = self.now()
            self.most = (max(self.most[0], seen[0]), max(self.most[1], seen[1]))
            time.sleep(0.5)


def processor() -> str:
    """Its name."""
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
    return found[1] if found else "processor"


# --- the bench ---------------------------------------------------------------------------------


def shown(what: str, work: Callable[[], Any]) -> Any:
    """The work, with a line each few seconds."""
    over, began = threading.Event(), time.monotonic()

    def tell() -> None:
        say(progress=what)
        while not over.wait(HEARTBEAT):
            say(progress=f"{what}: {time.monotonic() - began:.0f} s")

    threading.Thread(target=tell, daemon=True).start()
    try:
        return work()
    finally:
        over.set()


def commands(server: Server, clip: bytes, clients: int, told: Mapping[str, Any]) -> dict[str, float]:
    """So many clients send a command again and again, for a bounded time: what they wait."""
    taken: list[float] = []
    failed: list[BenchError] = []

    def client() -> None:
        try:
            for number in range(told["each"]):
                if number and time.monotonic() - began > told["command_time"]:
                    break
                taken.append(server.transcribe([clip], len(clip) / RATE))
        except BenchError as error:
            failed.append(error)

    began = time.monotonic()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    spent = time.monotonic() - began
    p95 = statistics.quantiles(taken, n=20, method="inclusive")[-1] if len(taken) > 1 else taken[0]
    numbers = {"p50": statistics.median(taken), "p95": p95, "each_second": len(taken) / spent}
    return {"clients": clients, "requests": len(taken), **numbers}


def others(server: Server, gpu: Gpu, told: Mapping[str, Any]) -> list[str]:
    """Who else is at work here; an error where that would make the numbers false."""
    notes = []
    looks = []
    for _ in range(6):
        looks.append(gpu.busy)
        if busy_server(server.numbers()):
            raise BenchError("the server has other requests: try again when it has none")
        time.sleep(0.5)
    busy = statistics.mean(looks)
    if gpu.name and busy > BUSY:
        why = f"others use the GPU: it is busy for {busy:.0f} % of the time while the server has nothing to do"
        if not told.get("force"):
            raise BenchError(f"{why}; stop them, or FORCE=1 measures beside them")
        notes.append(why)
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > 0.5 * cores:
        notes.append(f"the machine had other work: load {load:.1f} on {cores} cores")
    return notes


def bench(told: Mapping[str, Any]) -> dict[str, Any]:
    """All of it."""
    here = {name: told[name] for name in ("url", "key", "pid") if told.get(name)} if told.get("url") else server_here()
    server = Server(here["url"], here.get("key", ""))
    clips = [base64.b64decode(clip) for clip in told["clips"]]
    gpu = Gpu()
    try:
        numbers = server.numbers()
        notes = shown("looking who else is at work", lambda: others(server, gpu, told))
        shown("first command", lambda: server.transcribe(clips[:1], len(clips[0]) / RATE))
        watch = Watch(here.get("pid", 0), gpu)
        time.sleep(1.5)
        idle = watch.now()
        sounds = []
        for minutes in told["minutes"]:
            taken = shown(f"{minutes} min of sound", lambda: server.transcribe(clips, 60 * minutes))  # noqa: B023 run here
            sounds.append({"minutes": minutes, "seconds": taken, "times": 60 * minutes / taken})
        rows = []
        for clients in told["clients"]:
            what = f"commands of {clients} clients" if clients > 1 else "commands of one client"
            rows.append(shown(what, lambda: commands(server, clips[0], clients, told)))  # noqa: B023 run here
        time.sleep(3)
        after, most = watch.now(), watch.most
    finally:
        gpu.stop()
    kept = {
        kind: {"idle": idle[place], "peak": most[place], "after": after[place]}
        for place, kind in enumerate(("memory_mib", "vram_mib"))
    }
    machine = {"processor": processor(), "cores": os.cpu_count()}
    card = {"name": gpu.name, "driver": gpu.driver, "memory_mib": gpu.total} if gpu.name else None
    return {
        "machine": machine,
        "gpu": card,
        "model": model_of(numbers),
        "sounds": sounds,
        "command_seconds": len(clips[0]) / RATE,
        "commands": rows,
        **kept,
        "notes": notes,
    }


def main(told: Mapping[str, Any]) -> None:
    """Say the result, or why there is none."""
    try:
        say(result=bench(told))
    except BenchError as error:
        say(error=str(error))


if __name__ == "__main__":
    main(globals().get("told") or json.loads(sys.stdin.readline()))
