# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make bench-service` runs on a server's machine, against the engine; a stand-in takes nvidia-smi's place."""

from __future__ import annotations

import base64
import concurrent.futures
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import CLIPS, ROOT, Server, Start
from .test_operation import slowed

PROGRAM = ROOT / "scripts/bench_service_client.py"
FOX = CLIPS / "en-fox.wav"
SMI = """#!/bin/sh
# a stand-in, not nvidia-smi: a GPU that is busy for so much of the time
while :; do echo "NVIDIA RTX 3060, 550.54, 12288, 2100, {busy}"; sleep 0.2; done
"""


def bench(server: Server, folder: Path, **told: Any) -> list[dict[str, Any]]:
    """All that the program says."""
    clips = [base64.b64encode((CLIPS / name).read_bytes()[44:]).decode() for name in ("en-fox.wav", "en-ansible.wav")]
    wanted = {"url": server.url, "pid": server.process.pid, "clips": clips, "minutes": [], "clients": []}
    run = subprocess.run(
        [sys.executable, PROGRAM],
        input=json.dumps(wanted | {"each": 2, "command_time": 20} | told) + "\n",
        env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=600,
    )
    return [json.loads(line) for line in run.stdout.splitlines()]


def with_gpu(folder: Path, busy: int) -> Path:
    folder.mkdir()
    program = folder / "nvidia-smi"
    program.write_text(SMI.format(busy=busy))
    program.chmod(0o755)
    return folder


def test_it_measures_a_server_behind_its_key(start: Start, tmp_path: Path) -> None:
    server = start(STT_API_KEY="sesame-4711", STT_COMPUTE_TYPE="int8")
    said = bench(server, with_gpu(tmp_path / "bin", 60), key="sesame-4711", minutes=[1], clients=[1, 2], force=True)
    assert [one["progress"] for one in said if "progress" in one][-1].startswith("commands of 2 clients")
    found = said[-1]["result"]
    assert found["model"]["model"] == "anklume/whisper-test"
    assert (found["model"]["engine"], found["model"]["compute_type"]) == ("faster_whisper", "int8")
    assert found["gpu"] == {"name": "NVIDIA RTX 3060", "driver": "550.54", "memory_mib": 12288}
    assert [one["minutes"] for one in found["sounds"]] == [1]
    assert found["sounds"][0]["times"] == pytest.approx(60 / found["sounds"][0]["seconds"])
    assert [(one["clients"], one["requests"]) for one in found["commands"]] == [(1, 2), (2, 4)]
    assert all(0 < one["p50"] <= one["p95"] for one in found["commands"])
    assert 20 < found["memory_mib"]["idle"] <= found["memory_mib"]["peak"] < 4000
    assert found["vram_mib"] == {"idle": 2100, "peak": 2100, "after": 2100}
    assert "others use the GPU: it is busy for 60 % of the time" in found["notes"][0]
    assert "sesame" not in json.dumps(said)


@pytest.mark.skipif(not os.environ.get("ANKLUME_TEST_LONG"), reason="a minute: make test-long")
def test_an_hour_of_sound(server: Server, tmp_path: Path) -> None:
    found = bench(server, tmp_path, minutes=[60])[-1]["result"]
    assert found["sounds"][0]["times"] > 1


def test_others_on_the_gpu_end_it(server: Server, tmp_path: Path) -> None:
    error = bench(server, with_gpu(tmp_path / "bin", 60))[-1]["error"]
    assert error.startswith("others use the GPU: it is busy for 60 % of the time")
    assert error.endswith("FORCE=1 measures beside them")


def test_other_requests_end_it(start: Start, tmp_path: Path) -> None:
    server = start(PYTHONPATH=slowed(tmp_path, 6))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(server.post, FOX.read_bytes())
        server.wait_for("begun")
        assert bench(server, tmp_path)[-1] == {"error": "the server has other requests: try again when it has none"}
        assert first.result().status_code == 200


def test_what_is_wrong_is_said(start: Start, tmp_path: Path) -> None:
    server = start(STT_API_KEY="sesame-4711", STT_MAX_AUDIO_SECONDS=30)
    for told, said in (
        ({"key": "wrong"}, "/metrics: 401; the key is wrong"),
        ({"url": "http://127.0.0.1:9"}, "http://127.0.0.1:9 does not answer: [Errno 111] Connection refused"),
        ({"key": "sesame-4711", "minutes": [1]}, "60 s of sound: 413"),
    ):
        assert said in bench(server, tmp_path, **told)[-1]["error"]
