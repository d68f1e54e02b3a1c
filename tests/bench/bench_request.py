# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a voice command costs beside the model, part by part, and whether the first one is as fast as the tenth.

The parts are measured in this process, as the engine calls them, with the threads of BLAS that NumPy takes by itself or
as OPENBLAS_NUM_THREADS says; the whole is the server's on loopback, with the threads of BLAS as they come and as the
server sets them. A real Whisper base in int8, and commands of 2 to 4 s. With --speaches RELEASE, a folder of Speaches
as the role makes it, Speaches as it is and with our factory are measured too. Run by `make bench-request`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from bench_accuracy import by_joe
from bench_lanes import ENGINE, MODELS, OURS, STOCK, ask, body, in_a_hub, serve
from bench_stt import cpu_seconds
from faster_whisper import WhisperModel
from faster_whisper.vad import get_speech_timestamps
from starlette.requests import Request

AS_THEY_COME = {"OPENBLAS_NUM_THREADS": str(os.cpu_count())}
PROMPT = ("<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>")

from anklume_stt_server import context, multipart  # noqa: E402  bench_accuracy knows where it is
from anklume_stt_server.audio import check_decoding, decode  # noqa: E402
from anklume_stt_server.whisper import PAUSES  # noqa: E402


def form(content: bytes) -> Any:
    """The form of a request, read as the server reads it."""
    headers = [(b"content-type", b"multipart/form-data; boundary=b")]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content}

    return asyncio.run(multipart.read(Request({"type": "http", "headers": headers}, receive)))


def decoders_cpu() -> float:
    """What the processes that decode have used."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
    return sum(cpu_seconds(int(pid)) for pid in children)


def parts(path: Path, clips: list[Any], threads: int) -> dict[str, float]:
    """CPU milliseconds of each part of a request."""
    model = WhisperModel(str(path), compute_type="int8", cpu_threads=threads)
    short = context.shortened(model)
    prompt = [model.hf_tokenizer.token_to_id(token) for token in PROMPT]
    check_decoding()
    spent: dict[str, list[float]] = {}

    def timed(name: str, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        before = time.process_time() + decoders_cpu()
        result = call(*args, **options)
        spent.setdefault(name, []).append(1000 * (time.process_time() + decoders_cpu() - before))
        return result

    for clip in [clips[0], *clips]:  # the first one is thrown away
        file = timed("form", form, body(clip))["file"].file
        samples = timed("decoding", decode, file, 60)
        timed("voice detection", get_speech_timestamps, samples, PAUSES)
        features = timed("features", model.feature_extractor, samples)[..., :-1]
        window = np.pad(features, ((0, 0), (0, 3000 - features.shape[-1])))
        timed("encoder, 30 s", model.encode, window)
        encoded = timed("encoder, short context", short.encode, window)
        timed("decoder", model.model.generate, encoded, [prompt], beam_size=5)
    return {name: mean(values[1:]) for name, values in spent.items()}


def served(
    system: str, snapshot: Path, clips: list[Any], options: argparse.Namespace, changes: dict[str, str]
) -> tuple[float, float, float]:
    """CPU seconds of the first request, of the same one later, and of each on the average."""
    contents = [body(clip, MODELS[system]) for clip in clips]
    server, cpu = serve(system, snapshot, options, **changes)
    try:
        used = [cpu]
        for content in (contents[0], *contents, *contents[:1] * 5):
            ask(content)
            used.append(cpu_seconds(server.pid))
        each = np.diff(used)
        return each[0], float(np.mean(each[-5:])), float(np.mean(each[1:-5]))
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--context", default="auto")
    parser.add_argument("--speaches", metavar="RELEASE", type=os.path.abspath, help="measure Speaches too")
    options = parser.parse_args()
    clips = [samples for _, samples in by_joe(100) if 32_000 < len(samples) < 64_000][: options.commands]
    with tempfile.TemporaryDirectory() as scratch:
        snapshot = in_a_hub(Path(scratch))
        print(f"{os.cpu_count()} cores, {options.threads} threads\n\n| part | CPU ms |\n|---|---|")
        for name, spent in parts(snapshot, clips, options.threads).items():
            print(f"| {name} | {spent:.1f} |", flush=True)
        print("\n| threads of BLAS | CPU s of the first request | of the same one later | of all |\n|---|---|---|---|")
        ways: dict[tuple[str, str], dict[str, str]] = {}
        for system in (ENGINE, OURS) if options.speaches else (ENGINE,):
            ways |= {(system, "as they come"): AS_THEY_COME, (system, "as the server sets them"): {}}
        if options.speaches:
            ways[STOCK, "as they come"] = AS_THEY_COME
        rounds = [
            [served(system, snapshot, clips, options, changes) for (system, _), changes in ways.items()]
            for _ in range(options.rounds)
        ]
        for (system, name), results in zip(ways, zip(*rounds, strict=True), strict=True):
            values = " | ".join(f"{median(column):.3f}" for column in zip(*results, strict=True))
            print(f"| {system}, {name} | {values} |", flush=True)


if __name__ == "__main__":
    main()
