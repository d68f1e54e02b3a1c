# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the memory of Whisper models of true size under CTranslate2, beside what the memory model says.

usage: measure_memory.py [--device auto|cuda|cpu] [--models tiny,small] [--types float16,int8] [--out FILE.csv]
       measure_memory.py --dry-run     every phase once, with the smallest model on the processor

Needs numpy, ctranslate2 and tokenizers, on a GPU also nvidia-cublas-cu12. Every model and type runs in a process of
its own; weights are random (tests/bench/random_model.py). Columns in MiB, all above what was there before:
  measured       on a GPU the rise of NVML's "used" on the whole card, on a processor the rise of anonymous memory; the
                 highest of a phase
  pool_used, pool_reserved   high marks of CUDA's memory pool: what CTranslate2 asked for, what the pool took
Shown only: what plugins/module_utils/_vram/estimate.py says of the same, and how far measured is above that.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import ctypes
import gc
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / ".cache" / "collections"), str(ROOT / "tests" / "bench")]

from ansible_collections.anklume.stt.plugins.module_utils._vram.compute_types import parse_capability  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import (  # noqa: E402
    MIB,
    PROCESS,
    USUAL,
    Device,
    Estimate,
    Serving,
    estimate,
    overhead_on,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import MODELS  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._vram.probe import nvidia_gpus  # noqa: E402

FIELDS = (
    "machine device driver capability ctranslate2 cublas model requested effective phase batch_size beam_size tokens "
    "measured pool_used pool_reserved seconds note"
)
DEFAULTS = {
    "cuda": ("tiny,small,medium,large-v3-turbo,distil-large-v3,large-v3", "float16,int8,int8_float32,float32,bfloat16"),
    "cpu": ("tiny,small", "float32,int8"),
}


# --- what is measured ------------------------------------------------------------------------------------------------
class Processor:
    """Anonymous memory of this process; the kernel keeps the high mark."""

    device: Device = "cpu"
    driver = capability = ""

    def __init__(self) -> None:
        self.name = next(
            iter(re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())), platform.machine()
        )
        self.base = 0.0

    def used(self) -> float:
        """MiB now, after the C library has given back what it can."""
        ctypes.CDLL(None).malloc_trim(0)
        return self._status("RssAnon") - self.base

    def start(self) -> None:
        """Forget the high mark."""
        Path("/proc/self/clear_refs").write_text("5")

    def highest(self) -> float:
        """MiB at most since start(): the kernel has a mark of all resident memory, less its part of files."""
        return self._status("VmHWM") - self._status("RssFile") - self._status("RssShmem") - self.base

    def pool(self) -> tuple[float, float]:
        """No pool."""
        return 0.0, 0.0

    @staticmethod
    def _status(name: str) -> float:
        text = Path("/proc/self/status").read_text()
        return int(re.findall(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)[0]) / 1024


class Card:
    """The whole card through NVML, sampled every 5 ms, and the marks of CUDA's pool, which miss nothing."""

    device: Device = "cuda"
    _RESERVED_HIGH, _USED_HIGH = 6, 8  # CUmemPool_attribute in cuda.h

    class _Memory(ctypes.Structure):  # nvmlMemory_v2_t in nvml.h
        _fields_ = (
            ("version", ctypes.c_uint),
            ("total", ctypes.c_ulonglong),
            ("reserved", ctypes.c_ulonglong),
            ("free", ctypes.c_ulonglong),
            ("used", ctypes.c_ulonglong),
        )

    def __init__(self) -> None:
        first = nvidia_gpus()[0]
        self.name, self.driver, self.capability = first.name, first.driver, first.compute_capability
        self._nvml, self._cuda = ctypes.CDLL("libnvidia-ml.so.1"), ctypes.CDLL("libcuda.so.1")
        self._handle, self._pool = ctypes.c_void_p(), ctypes.c_void_p()
        self._call(self._nvml.nvmlInit_v2)
        self._call(self._nvml.nvmlDeviceGetHandleByIndex_v2, 0, ctypes.byref(self._handle))
        self.base = 0.0
        self._stop = threading.Event()
        self._peak = 0.0
        self._watch: threading.Thread | None = None
        self._read()

    def open_context(self) -> None:
        """Make the process's CUDA context, as its first use would."""
        context = ctypes.c_void_p()
        self._call(self._cuda.cuInit, 0)
        self._call(self._cuda.cuDevicePrimaryCtxRetain, ctypes.byref(context), 0)
        self._call(self._cuda.cuCtxSetCurrent, context)
        self._call(self._cuda.cuDeviceGetDefaultMemPool, ctypes.byref(self._pool), 0)

    def used(self) -> float:
        """MiB now."""
        return self._read() - self.base

    def start(self) -> None:
        """Forget the high marks and begin to sample."""
        zero = ctypes.c_ulonglong(0)
        for attribute in (self._RESERVED_HIGH, self._USED_HIGH):
            self._call(self._cuda.cuMemPoolSetAttribute, self._pool, attribute, ctypes.byref(zero))
        self._peak = self._read()
        self._stop.clear()
        self._watch = threading.Thread(target=self._sample, daemon=True)
        self._watch.start()

    def highest(self) -> float:
        """MiB at most since start()."""
        self._stop.set()
        if self._watch is not None:
            self._watch.join()
        return max(self._peak, self._read()) - self.base

    def pool(self) -> tuple[float, float]:
        """High marks of the pool: used, reserved."""
        marks = []
        for attribute in (self._USED_HIGH, self._RESERVED_HIGH):
            value = ctypes.c_ulonglong(0)
            self._call(self._cuda.cuMemPoolGetAttribute, self._pool, attribute, ctypes.byref(value))
            marks.append(value.value / MIB)
        return marks[0], marks[1]

    def _sample(self) -> None:
        while not self._stop.wait(0.005):
            self._peak = max(self._peak, self._read())

    def _read(self) -> float:
        memory = self._Memory(version=ctypes.sizeof(self._Memory) | 2 << 24)
        self._call(self._nvml.nvmlDeviceGetMemoryInfo_v2, self._handle, ctypes.byref(memory))
        return float(memory.used) / MIB

    @staticmethod
    def _call(function: Any, *arguments: object) -> None:
        status = function(*arguments)
        if status:
            raise SystemExit(f"{function.__name__} failed with status {status}")


_MALLINFO = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"


def heap() -> float:
    """MiB that the C library has handed out to this process."""

    class Info(ctypes.Structure):  # struct mallinfo2 in malloc.h
        _fields_ = tuple((name, ctypes.c_size_t) for name in _MALLINFO.split())

    read = ctypes.CDLL(None).mallinfo2
    read.restype = Info
    info = read()
    return float(info.uordblks + info.hblkhd) / MIB


# --- one model in one type -------------------------------------------------------------------------------------------
class Run:
    """The phases of one model in one type; each adds a row."""

    def __init__(
        self, meter: Processor | Card, name: str, folder: str, requested: str, rows: list[dict[str, Any]]
    ) -> None:
        self.meter, self.name, self.folder, self.requested, self.rows = meter, name, folder, requested, rows
        self.dims = MODELS[name].dims
        self.version = tuple(int(part) for part in ctranslate2.__version__.split(".")[:3])
        self.effective = ""
        self.model: Any = None

    def ours(self, parts: Estimate, value: float) -> float:
        """Our figure for what the meter reads: a processor's meter starts with the process already there."""
        return value - (PROCESS if self.meter.device == "cpu" else 0)

    def parts(self, batch: int = 1, beam: int = 5, tokens: int = 100, fallback: bool = False) -> Estimate:
        """Our figures for a phase."""
        serving = Serving(batch, beam, 1, self.version)
        overhead = overhead_on(parse_capability(self.meter.capability)) if self.meter.device == "cuda" else USUAL
        options: dict[str, Any] = {"tokens": tokens, "fallback": fallback, "overhead": overhead}
        return estimate(self.dims, self.effective, serving, self.meter.device, **options)

    @contextlib.contextmanager
    def phase(self, name: str, **columns: Any) -> Iterator[dict[str, Any]]:
        """Measure what happens inside; `row` may be filled further, `measured` too."""
        row: dict[str, Any] = {"phase": name, **columns}
        begin = time.monotonic()
        self.meter.start()
        try:
            yield row
        except (RuntimeError, ValueError) as error:
            row["note"] = f"failed: {' '.join(str(error).split())[:200]}"
        row.setdefault("measured", round(self.meter.highest(), 1))
        used, reserved = self.meter.pool()
        row |= {"pool_used": round(used, 1), "pool_reserved": round(reserved, 1)}
        row["seconds"] = round(time.monotonic() - begin, 2)
        row["effective"] = self.effective
        if "ours" in row:
            row["ours"] = round(row["ours"], 1)
        self.rows.append(row)
        print(json.dumps(row), flush=True)

    def load(self) -> bool:
        """Load the model; False when CTranslate2 refuses the type."""
        before = heap()
        with self.phase("load") as row:
            self.model = ctranslate2.models.Whisper(self.folder, device=self.meter.device, compute_type=self.requested)
            self.effective = self.model.compute_type
        if self.model is None:
            return False
        with self.phase("idle") as row:
            parts = self.parts()
            row |= {"measured": round(self.meter.used(), 1), "ours": self.ours(parts, parts.idle)}
            if self.meter.device == "cpu":
                row["note"] = f"heap {heap() - before:.1f}"
        return True

    def transcribe(self, name: str, batch: int, beam: int, tokens: int, fallback: bool = False) -> None:
        """Encode and decode windows of noise with a fixed number of tokens."""
        multilingual = self.model.is_multilingual
        end = 50257 if multilingual else 50256
        task = [end + 2, self.dims.vocabulary - 1501 - 5] if multilingual else []
        prompt = [end + 1, *task, self.dims.vocabulary - 1501 - 1]
        sampling = {"beam_size": 1, "num_hypotheses": 5, "sampling_topk": 0, "sampling_temperature": 0.4}
        with self.phase(name, batch_size=batch, beam_size=beam) as row:
            noise = np.random.default_rng(batch).standard_normal((batch, self.model.n_mels, 3000)).astype(np.float32)
            encoded = self.model.encode(ctranslate2.StorageView.from_array(noise))
            result = self.model.generate(
                encoded,
                [prompt] * batch,
                max_length=2 * tokens,  # CTranslate2 stops at half of it, as faster-whisper means it
                suppress_tokens=[end],
                suppress_blank=False,
                return_scores=True,
                **(sampling if fallback else {"beam_size": beam}),
            )
            said = len(prompt) + max(len(each.sequences_ids[0]) for each in result)
            parts = self.parts(batch, beam, said, fallback)
            row |= {"tokens": said, "ours": self.ours(parts, parts.peak)}

    def all(self, quick: bool, load_only: bool) -> None:
        """Every phase."""
        if not self.load() or load_only:
            return
        self.transcribe("first run", 1, 1, 10)
        for beam in (1, 5):
            self.transcribe(f"beam {beam}", 1, beam, 100)
        if not quick:
            self.transcribe("beam 5, long", 1, 5, 224)
        self.transcribe("fallback", 1, 1, 100, fallback=True)
        for batch in (1, 2) if quick else (1, 8, 16):
            self.transcribe(f"batch {batch}", batch, 5, 75)
        if not quick:
            self.transcribe("batch 8, long", 8, 5, 224)
        with self.phase("unload") as row:
            self.model.unload_model()
            gc.collect()
            time.sleep(0.2)
            row["measured"] = round(self.meter.used(), 1)


def child(arguments: argparse.Namespace) -> None:
    """Measure one model in one type and print a row of JSON for each phase."""
    rows: list[dict[str, Any]] = []
    meter: Processor | Card
    if arguments.device == "cuda":
        preload_cublas()
        meter = Card()
        meter.base = meter.used()
        meter.open_context()
        context = {"phase": "context", "measured": round(meter.used(), 1)}
        print(json.dumps(context), flush=True)
    else:
        meter = Processor()
        meter.base = meter.used()
    Run(meter, arguments.model, arguments.folder, arguments.type, rows).all(arguments.quick, arguments.load_only)


def preload_cublas() -> None:
    """Open cuBLAS 12 by its path: CTranslate2 asks for it by name, which finds nothing in a virtual environment."""
    for library in ("libcublasLt.so.12", "libcublas.so.12"):
        for path in (Path(entry, "nvidia", "cublas", "lib", library) for entry in sys.path):
            if path.is_file():
                ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


def cublas(work: Path) -> tuple[str, dict[str, str]]:
    """Which cuBLAS the child processes will find, and their environment.

    Where CUDA 13 alone is installed its library is offered under the name of 12, whose functions it has. That is no
    way to run a service, but it allocates alike, and the rows say so.
    """
    roots = [*sys.path, "/usr/local/cuda/lib64", "/usr/lib/x86_64-linux-gnu"]
    places = [
        path
        for root in roots
        for pattern in ("libcublas.so.1[23]", "nvidia/*/lib/libcublas.so.1[23]")
        for path in Path(root).glob(pattern)
    ]
    if any(path.name.endswith("12") for path in places) or not places:
        return "12" if places else "", dict(os.environ)
    link = work / "cublas" / "libcublas.so.12"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(places[0])
    paths = f"{link.parent}:{places[0].parent}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    return "13 as 12", {**os.environ, "LD_LIBRARY_PATH": paths}


# --- all models ------------------------------------------------------------------------------------------------------
def machine_columns(device: str) -> dict[str, str]:
    """What every row says of the machine."""
    meter = Card() if device == "cuda" else Processor()
    return {
        "machine": meter.name,
        "device": device,
        "driver": meter.driver,
        "capability": meter.capability,
        "ctranslate2": ctranslate2.__version__,
    }


def measure(arguments: argparse.Namespace, work: Path) -> list[dict[str, Any]]:
    """Every model and type, each in a process of its own, until the budget is used up."""
    columns = machine_columns(arguments.device)
    columns["cublas"], environment = cublas(work) if arguments.device == "cuda" else ("", dict(os.environ))
    begin, rows = time.monotonic(), []
    for name in arguments.models.split(","):
        folder = work / name
        for requested in arguments.types.split(","):
            if time.monotonic() - begin > arguments.budget:
                print(f"left out, no time: {name} {requested}", file=sys.stderr)
                continue
            if not (folder / "model.bin").is_file():
                builder = ROOT / "tests" / "bench" / "random_model.py"
                subprocess.run([sys.executable, str(builder), name, str(folder)], check=True)
            command = [sys.executable, __file__, "--device", arguments.device, "--model", name, "--type", requested]
            command += ["--folder", str(folder)] + ["--quick"] * arguments.quick
            command += ["--load-only"] * arguments.load_only
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
            found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
            if done.returncode:
                found.append({"phase": "end", "note": f"the process ended with status {done.returncode}"})
            rows += [{**columns, "model": name, "requested": requested, **row} for row in found]
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """The rows as text."""
    for row in rows:
        ours = f"{row['ours']:9.1f} {row['measured'] / row['ours'] - 1:+7.1%}" if row.get("ours") else " " * 18
        measured = f"{row['measured']:9.1f}" if "measured" in row else " " * 9
        what = f"{row['model']:16} {row.get('effective') or row['requested']:14} {row['phase']:14}"
        print(f"{what} {measured} {ours}  {row.get('note', '')}")


def main() -> None:
    """Measure, show and write."""
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    parser.add_argument("--models")
    parser.add_argument("--types")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", type=Path, help="where the models are kept; without it they are removed at the end")
    parser.add_argument("--budget", type=float, default=540, help="seconds after which nothing new is begun")
    parser.add_argument("--quick", action="store_true", help="fewer phases")
    parser.add_argument("--load-only", action="store_true", help="no transcription")
    parser.add_argument("--dry-run", action="store_true")
    for name in ("--model", "--type", "--folder"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.model:
        child(arguments)
        return
    if arguments.dry_run:
        arguments.device, arguments.quick = "cpu", True
        arguments.models, arguments.types = "tiny", "int8,float16"
    if arguments.device == "auto":
        arguments.device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
    models, types = DEFAULTS[arguments.device]
    arguments.models, arguments.types = arguments.models or models, arguments.types or types
    with tempfile.TemporaryDirectory() as temporary:
        rows = measure(arguments, arguments.work or Path(temporary))
    show(rows)
    if arguments.out:
        with arguments.out.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, FIELDS.split(), extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
