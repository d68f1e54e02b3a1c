# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench-service`: which machine is asked and how, the sound that it makes, and what it shows."""

from __future__ import annotations

import io
import json
import shlex
import sys
import wave
from pathlib import Path
from xml.etree import ElementTree

import bench_service
import bench_service_client as client
import pytest

RESULT = {
    "host": "ai",
    "when": "2026-11-28T18:00+00:00",
    "machine": {"processor": "AMD EPYC", "cores": 2},
    "gpu": {"name": "NVIDIA <RTX> 3060", "driver": "550.54", "memory_mib": 12288.0},
    "model": {"engine": "speaches", "model": "a/b", "device": "cuda", "compute_type": "float16"},
    "sounds": [{"minutes": 1, "seconds": 1.5, "times": 40.0}, {"minutes": 60, "seconds": 185.4, "times": 19.4}],
    "command_seconds": 3.4,
    "commands": [{"clients": n, "requests": 9, "p50": 0.2 * n, "p95": 0.3 * n, "each_second": 4.0} for n in (1, 4)],
    "memory_mib": {"idle": 800.4, "peak": 912.6, "after": 801.0},
    "vram_mib": {"idle": 2100.0, "peak": 2600.0, "after": 2100.0},
    "notes": ["the machine had other work: load 3.0 on 2 cores"],
}
INVENTORY = {
    "_meta": {
        "hostvars": {
            "ai": {"ansible_connection": "community.general.incus", "ansible_incus_project": "home"},
            "web": {"ansible_host": "192.0.2.1", "ansible_user": "admin", "stt_server_language": "fr"},
        }
    },
    "role_stt_server": {"hosts": ["ai", "web"]},
}


def test_the_program_is_started_on_the_machine() -> None:
    _, line, language = bench_service.chosen(INVENTORY, "ai")
    assert shlex.split(line) == ["incus", "exec", "ai", "--project", "home", "--", "python3", "-c", bench_service.START]
    assert language == ""
    _, line, language = bench_service.chosen(INVENTORY, "web")
    command = shlex.split(line)
    assert command[:3] == ["ssh", "admin@192.0.2.1", "sudo"]
    assert shlex.split(command[3]) == ["python3", "-c", bench_service.START], "a shell there reads it once more"
    assert language == "fr"


@pytest.mark.parametrize(
    ("inventory", "wanted", "said"),
    [
        (INVENTORY, "", "MACHINE=name; there are ai, web"),
        (INVENTORY, "other", "other has no STT server; those that have one: ai, web"),
        ({}, "", "no machine of the inventory has the role stt_server"),
    ],
)
def test_which_server_must_be_clear(inventory: dict[str, object], wanted: str, said: str) -> None:
    with pytest.raises(bench_service.BenchError, match=said):
        bench_service.chosen(inventory, wanted)


@pytest.mark.parametrize(("language", "number"), [("en", 2), ("fr", 2), ("", 2), ("pl", 2)])
def test_each_language_has_sentences(language: str, number: int) -> None:
    assert len(bench_service.clips(language)) == number
    assert (bench_service.clips(language) == bench_service.clips("en")) == (language != "fr")


@pytest.mark.parametrize("seconds", [0.1, 1, 3.40625, 61])
def test_a_recording_has_the_length_that_is_asked_for(seconds: float) -> None:
    content = b"".join(client.recording([b"ab" * 20000, b"cd" * 9000], seconds))
    assert len(content) == 44 + client.whole(seconds)
    with wave.open(io.BytesIO(content)) as source:
        assert source.getparams()[:3] == (1, 2, 16000)
        assert source.getnframes() == int(seconds * 16000)


def test_settings_are_read_as_systemd_reads_them() -> None:
    text = '# comment\nSTT_PORT=8000\nSTT_API_KEY="a\\"b\\\\c"\nUVICORN_HOST=0.0.0.0\nEMPTY=\nQUOTE="\n'
    assert client.settings(text) == {
        "STT_PORT": "8000",
        "STT_API_KEY": 'a"b\\c',
        "UVICORN_HOST": "0.0.0.0",
        "EMPTY": "",
        "QUOTE": '"',
    }


def test_a_machine_without_the_role_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(client, "SETTINGS", tmp_path / "none.env")
    with pytest.raises(client.BenchError, match="is the role applied here"):
        client.server_here()


def test_the_page_tells_all() -> None:
    page = bench_service.page(RESULT)
    for text in ("NVIDIA <RTX> 3060, 12288 MiB, driver 550.54", "a/b, float16 on cuda", "speaches", "load 3.0"):
        assert text in page
    for row in (
        ["60 min", "3 min 5 s", "19.4"],
        ["4", "0.80 s", "1.20 s", "4.00"],
        ["memory of the service", "800", "913", "801"],
    ):
        assert row in [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines()]


def test_without_a_gpu_there_is_no_row_of_its_memory() -> None:
    none = {"idle": 0, "peak": 0, "after": 0}
    page = bench_service.page({**RESULT, "gpu": None, "vram_mib": none})
    assert "memory of the GPU" not in page
    assert "GPU      none" in page


def test_the_plot_is_whole_and_names_the_gpu() -> None:
    drawn = ElementTree.fromstring(bench_service.svg(RESULT))
    texts = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[:2] == ["NVIDIA <RTX> 3060, 12288 MiB, driver 550.54", "a/b, float16 on cuda · speaches"]
    assert {"60 min", "40.0", "19.4", "0.80", "1.20"} <= set(texts)
    for bar in drawn.iter("{http://www.w3.org/2000/svg}rect"):
        assert 0 <= float(bar.get("x", 0)) <= 720 - float(bar.get("width", 0))
        assert 0 <= float(bar.get("y", 0)) <= 320 - float(bar.get("height", 0))


def test_a_bench_that_breaks_off_is_an_error() -> None:
    with pytest.raises(bench_service.BenchError, match="ended with 3"):
        bench_service.measured([sys.executable, "-c", "raise SystemExit(3)"], {})
    told = json.dumps({"error": "the key is wrong"})
    with pytest.raises(bench_service.BenchError, match="the key is wrong"):
        bench_service.measured([sys.executable, "-c", f"print({told!r})"], {})
