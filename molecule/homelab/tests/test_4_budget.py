# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One GPU for both: what does not fit is refused, what fits is reserved, and Ollama learns of a new STT model.

The last of the scenario's files: its last test leaves another model behind.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, started
from suite import long

TURBO = {"stt_server_model": "large-v3-turbo", "stt_server_quantization": "int8_float16"}
NVIDIA_SMI = Path(__file__).with_name("nvidia-smi")


@pytest.fixture
def gpu(ai: Any) -> Iterator[Callable[[int], None]]:
    """A GPU of so many MiB, which only nvidia-smi knows of."""
    subprocess.run(
        ["incus", "file", "push", "-q", NVIDIA_SMI, "homelab-ai/usr/local/bin/nvidia-smi", "--project", "homelab"],
        check=True,
    )
    ai.check_output("chmod 755 /usr/local/bin/nvidia-smi")
    yield lambda mib: ai.check_output(f"echo {mib} >/etc/stand-in-gpu-mib")
    ai.check_output("rm -f /usr/local/bin/nvidia-smi /etc/stand-in-gpu-mib")


def use_model(host_vars: Path, model: str) -> None:
    """Ask for another model in host_vars."""
    text = host_vars.read_text()
    host_vars.write_text(text.replace("stt_server_model: large-v3-turbo\n", f"stt_server_model: {model}\n"))


def units(ai: Any) -> list[str]:
    """When both services were started last."""
    return [started(ai, unit) for unit in ("ollama", "speaches")]


@pytest.mark.parametrize("target", ["apply", pytest.param("apply-stt", marks=long)])
def test_a_model_that_the_gpu_cannot_hold_is_refused(
    make: Callable[..., Run], ai: Any, gpu: Callable[[int], None], host_vars: Path, target: str
) -> None:
    gpu(2048)
    before = units(ai), ai.check_output("cat /etc/ollama/reserve.env /etc/speaches/speaches.env")
    use_model(host_vars, "large-v3")
    run = make(target, "--check --diff")
    assert run.status != 0
    assert run.changed("homelab-ai") == 0
    assert "large-v3" in run.said
    assert "instead" in run.said or "stt_server_model" in run.said
    assert (units(ai), ai.check_output("cat /etc/ollama/reserve.env /etc/speaches/speaches.env")) == before


def test_the_reserve_follows_the_model_and_restarts_ollama_only_then(
    play: Callable[..., Run], ai: Any, gpu: Callable[[int], None]
) -> None:
    gpu(12288)
    before = units(ai)
    run = play("budget", **TURBO)
    assert run.status == 0, run.why
    assert "GiB left on this 12 GiB GPU: fits an 8B model in Q4_K_M" in run.said
    first = reserve(ai)
    assert 1024 < first < 1024 + 3000
    after = units(ai)
    assert after[0] != before[0]
    assert after[1] == before[1]
    assert play("budget", **TURBO).changed("homelab-ai") == 0
    assert units(ai) == after
    play("budget", **{**TURBO, "stt_server_model": "large-v3"})
    assert reserve(ai) > first
    assert play("budget", **TURBO, ollama_gpu_reserve="off").status == 0
    assert "LLAMA_ARG" not in ai.check_output("cat /etc/ollama/reserve.env")


@long
def test_the_reserve_of_a_model_that_unloads_and_by_hand(
    play: Callable[..., Run], ai: Any, gpu: Callable[[int], None]
) -> None:
    gpu(12288)
    play("budget", **TURBO)
    first = reserve(ai)
    play("budget", **TURBO, stt_server_model_ttl=300)
    assert reserve(ai) > first, "a model that unloads leaves nothing taken: all of it has to be reserved"
    assert play("budget", **TURBO, ollama_gpu_reserve=2500).status == 0
    assert reserve(ai) == 1024 + 2500
    refused = play("budget", **TURBO, ollama_gpu_reserve=20000)
    assert refused.status != 0
    assert "the GPU has 12288" in refused.said
    play("budget", **TURBO, ollama_gpu_reserve="off")


def reserve(ai: Any) -> int:
    """What Ollama leaves free, with llama.cpp's own margin, in MiB."""
    line = ai.check_output("grep -v '^#' /etc/ollama/reserve.env")
    assert line.startswith("LLAMA_ARG_FIT_TARGET="), line
    pid = ai.check_output("systemctl show -P MainPID ollama")
    assert line in ai.check_output(f"tr '\\0' '\\n' </proc/{pid}/environ").splitlines()
    return int(line.partition("=")[2])


def test_a_second_model_by_apply_stt_alone(
    make: Callable[..., Run], ai: Any, webui: Any, host_vars: Path, tmp_path: Path
) -> None:
    before, open_webui = units(ai), started(webui, "open-webui")
    use_model(host_vars, "anklume/whisper-test-two")
    run = make("apply-stt")
    assert run.status == 0, run.why
    assert run.changed("homelab-webui") == 0
    after = units(ai)
    assert after[0] == before[0], "the reserve did not change, so Ollama serves on"
    assert after[1] != before[1]
    assert started(webui, "open-webui") == open_webui
    report = tmp_path / "hops.json"
    assert make("verify", f"-e verify_json={report}").status == 0
    hops = {hop["hop"]: hop for hop in json.loads(report.read_text())}
    assert "anklume/whisper-test-two" in hops["model"]["detail"]
    assert hops["Open WebUI"]["recognised"] == hops["Open WebUI"]["spoken"]
