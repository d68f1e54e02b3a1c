# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutated files against our decoder, in a process of its own that is watched: a crash, a hang, growth, wrong answers.

The server gives a file to decode() and answers with samples or with an ApiError of 4xx; all else is a fault of ours.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import resource
import select
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mutations import Fault, mutate

SECONDS, GROWTH = 2.0, 300 * 2**20  # of processor, of memory
FASTER = 200  # what a long sound may take more: AMR has a quarter of an hour in 600 kB
HANG = 20.0  # until a process that says nothing is ended, however busy the machine is
LONGEST = 7200.0  # seconds of sound, as the server's default


class Child:
    """The process that decodes; started again after a crash."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.command = [sys.executable, str(Path(__file__).parent), "child", str(folder), str(seed)]
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        # One arena and a fixed threshold: what is freed goes back to the system, so that growth is seen each time.
        quiet = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen(self.command, env=os.environ | quiet, bufsize=0, **pipes)  # type: ignore[call-overload]
        assert process.stdout.readline() == b"ready\n"
        return process  # type: ignore[no-any-return]

    def ask(self, index: int) -> dict[str, Any]:
        """What became of one input."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(b"%d\n" % index)
        ready, _, _ = select.select([self.process.stdout], [], [], HANG)
        line = self.process.stdout.readline() if ready else b""
        if line:
            return json.loads(line)  # type: ignore[no-any-return]
        if not ready:
            self.process.kill()
        status = self.process.wait()
        self.process = self.start()
        return {"what": f"the process ended with {status}" if ready else f"no end after {HANG:.0f} s"}

    def stop(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(20)


def hunt(
    folder: Path, files: Mapping[str, bytes], seed: int, indices: Iterable[int]
) -> Iterator[tuple[str, Fault | None]]:
    """Decode each; a broken bound counts when it is broken twice, since the machine may be busy with something else."""
    child = Child(folder, seed)
    for index in indices:
        seen = child.ask(index)
        what = seen["what"] or (_bounds(seen) and _bounds(child.ask(index)))
        yield seen.get("end", "bad"), Fault(index, *mutate(files, seed, index), what) if what else None
    child.stop()


def _bounds(seen: dict[str, Any]) -> str:
    if seen.get("seconds", 0) > SECONDS + seen.get("sound", 0) / FASTER:
        return f"{seen['seconds']:.1f} s of processor"
    return f"{seen['growth'] / 2**20:.0f} MB" if seen.get("growth", 0) > GROWTH else ""


def child(files: Mapping[str, bytes], seed: int) -> None:
    """Decode the inputs whose indices come in, one a line."""
    from anklume_stt_server.audio import RATE, decode
    from anklume_stt_server.errors import ApiError

    resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints is no answer
    answers.write("ready\n")
    for line in sys.stdin:
        content = mutate(files, seed, int(line))[1]
        before, begin = _memory(reset=True), _processor()
        end, what, sound = "sound", "", 0.0
        try:
            samples = decode(io.BytesIO(content), LONGEST)
            sound = len(samples) / RATE
            if not (
                isinstance(samples, np.ndarray) and samples.dtype == "float32" and samples.size == len(samples) > 0
            ):
                what = f"samples of a wrong kind: {samples!r}"
        except ApiError as error:
            end, what = str(error.status), "" if error.status < 500 else str(error)
        except Exception as error:  # each is a 500 for the client
            what = repr(error)
        spent, growth = _processor() - begin, _memory() - before
        seen = {"seconds": spent, "growth": growth, "sound": sound, "end": end, "what": what}
        answers.write(json.dumps(seen) + "\n")


def _memory(reset: bool = False) -> int:
    """Memory of this process and its children: now, and forget the peak; or the peak since then."""
    total = 0
    for pid in _family(os.getpid()):
        place = Path("/proc") / str(pid)
        with contextlib.suppress(OSError):  # it has just ended
            if reset:
                (place / "clear_refs").write_text("5")
            found = re.search("VmRSS:\\s*(\\d+)" if reset else "VmHWM:\\s*(\\d+)", (place / "status").read_text())
            total += int(found.group(1)) * 1024 if found else 0
    return total


def _processor() -> float:
    """Seconds of processor that this process, its children and those that have ended have had."""
    total = 0
    for pid in _family(os.getpid()):
        with contextlib.suppress(OSError):
            fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
    return total / os.sysconf("SC_CLK_TCK")


def _family(pid: int) -> Iterator[int]:
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread has just ended
            for one in path.read_text().split():
                yield from _family(int(one))
