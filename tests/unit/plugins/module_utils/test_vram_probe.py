# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at a machine: a stand-in nvidia-smi for every answer it is known to give, files for the rest."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError
from ansible_collections.anklume.stt.plugins.module_utils._vram import probe

RTX = "0, GPU-a1, NVIDIA GeForce RTX 3060, 12288, 11900, 120, 268, 8.6, 550.54.14, [N/A], [N/A]"
A100 = "1, GPU-b2, NVIDIA A100-SXM4-40GB, 40960, 40330, 0, 630, 8.0, 550.54.14, Disabled, Enabled"
SLICED = "0, GPU-b2, NVIDIA A100-SXM4-40GB, 40960, 40330, 0, 630, 8.0, 550.54.14, Enabled, Enabled"
LIST = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-b2)
  MIG 3g.20gb     Device  0: (UUID: MIG-c3)
  MIG 1g.5gb+me   Device  1: (UUID: MIG-d4)
"""


def smi(tmp_path: Path, output: str, status: int = 0, listing: str = "") -> str:
    """A stand-in nvidia-smi."""
    script = tmp_path / "nvidia-smi"
    (tmp_path / "answer").write_text(output, encoding="utf-8")
    (tmp_path / "listing").write_text(listing, encoding="utf-8")
    script.write_text(
        f"#!/bin/sh\ncase $1 in -L) cat {tmp_path}/listing;; *) cat {tmp_path}/answer; exit {status};; esac\n",
        encoding="utf-8",
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script)


def pci(root: Path, *cards: tuple[str, str, str]) -> None:
    """Display controllers on the PCI bus of a root of files."""
    for number, (vendor, device, kind) in enumerate(cards):
        place = root / "sys/bus/pci/devices" / f"0000:0{number}:00.0"
        place.mkdir(parents=True)
        for name, value in (("vendor", vendor), ("device", device), ("class", kind)):
            (place / name).write_text(f"{value}\n", encoding="utf-8")


@pytest.fixture(autouse=True)
def no_nvidia_smi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(probe.shutil, "which", lambda name: None)


def test_two_gpus(tmp_path: Path) -> None:
    first, second = probe.nvidia_gpus(smi(tmp_path, f"{RTX}\n{A100}\n"), root=tmp_path)
    assert first == probe.NvidiaGpu(
        0, "GPU-a1", "NVIDIA GeForce RTX 3060", 12288, 11900, 120, 268, "8.6", "550.54.14", False, None
    )
    assert (second.index, second.ecc, second.mig) == (1, True, False)


def test_what_the_driver_does_not_say_is_null(tmp_path: Path) -> None:
    line = RTX.replace("11900, 120, 268", "[Insufficient Permissions], [N/A], [Not Supported]")
    (gpu,) = probe.nvidia_gpus(smi(tmp_path, line), root=tmp_path)
    assert (gpu.memory_free_mib, gpu.memory_used_mib, gpu.memory_reserved_mib) == (None, None, None)


def test_mig_slices(tmp_path: Path) -> None:
    facts = probe.gpu_facts(smi(tmp_path, SLICED, listing=LIST), root=tmp_path)
    assert facts.gpus[0].mig
    assert facts.mig_slices == [
        probe.MigSlice("3g.20gb", "MIG-c3", 20480),
        probe.MigSlice("1g.5gb+me", "MIG-d4", 5120),
    ]


def test_no_gpu_is_an_answer(tmp_path: Path) -> None:
    assert probe.nvidia_gpus(root=tmp_path) == []
    assert probe.nvidia_gpus(smi(tmp_path, "No devices were found\n", 6), root=tmp_path) == []
    lost = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure …\n"
    assert probe.nvidia_gpus(smi(tmp_path, lost, 9), root=tmp_path) == []


@pytest.mark.parametrize(
    ("output", "status", "told"),
    [
        (
            "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 550.54\n",
            18,
            "of different versions: restart the instance",
        ),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", 9, "modprobe nvidia"),
        ("Failed to initialize NVML: Unknown Error\n", 255, "restart the instance"),
        ("Failed to initialize NVML: Insufficient Permissions\n", 4, "mode of /dev/nvidia"),
        ('Field "memory.reserved" is not a valid field to query.\n', 2, "install 525 or newer"),
        ("Unable to determine the device handle for GPU0: GPU is lost\n", 15, "failed with status 15 and said: Unable"),
        ("", 1, "said: nothing"),
    ],
)
def test_a_gpu_that_cannot_be_asked_is_a_clear_error(tmp_path: Path, output: str, status: int, told: str) -> None:
    pci(tmp_path, ("0x10de", "0x2504", "0x030000"))
    with pytest.raises(FitError, match=told) as error:
        probe.nvidia_gpus(smi(tmp_path, output, status), root=tmp_path)
    assert str(error.value).count("\n") == 0


@pytest.mark.parametrize("line", ["nonsense", "0, GPU-a1, NVIDIA", RTX.replace("12288", "[N/A]"), RTX + ", more"])
def test_an_answer_that_cannot_be_read(tmp_path: Path, line: str) -> None:
    with pytest.raises(FitError, match="cannot be read"):
        probe.nvidia_gpus(smi(tmp_path, line), root=tmp_path)


def test_a_hanging_driver_is_not_waited_for(tmp_path: Path) -> None:
    script = tmp_path / "nvidia-smi"
    script.write_text("#!/bin/sh\ntrap '' TERM\nexec sleep 60\n", encoding="utf-8")
    script.chmod(0o755)
    begin = time.monotonic()
    with pytest.raises(FitError, match=r"did not answer within 0\.3 s: the driver hangs"):
        probe.nvidia_gpus(str(script), timeout=0.3, root=tmp_path)
    assert time.monotonic() - begin < 5


def test_a_named_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FitError, match="cannot be run: No such file"):
        probe.nvidia_gpus(str(tmp_path / "none"), root=tmp_path)


def test_a_gpu_handed_in_without_its_programs(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").touch()
    assert probe.nvidia_gpus(root=tmp_path) == []
    (tmp_path / "dev/nvidia0").touch()
    with pytest.raises(FitError, match=r"set nvidia\.runtime to true"):
        probe.nvidia_gpus(root=tmp_path)


def test_other_gpus_are_named_as_not_usable(tmp_path: Path) -> None:
    pci(
        tmp_path,
        ("0x1002", "0x744c", "0x030000"),
        ("0x8086", "0x46a6", "0x030000"),
        ("0x10de", "0x2504", "0x030000"),
        ("0x8086", "0x15f3", "0x020000"),  # a network card
        ("0x1234", "0x1111", "0x030000"),  # a virtual machine's screen
    )
    facts = probe.gpu_facts(root=tmp_path)
    assert facts.gpus == []
    assert facts.unusable == [
        "AMD GPU 1002:744c at 0000:00:00.0: CTranslate2's packages know NVIDIA GPUs alone",
        "Intel GPU 8086:46a6 at 0000:01:00.0: CTranslate2's packages know NVIDIA GPUs alone",
        "NVIDIA GPU 10de:2504 at 0000:02:00.0: not handed to this instance (a gpu device and nvidia.runtime), "
        "or without its driver",
    ]
    with_gpu = probe.gpu_facts(smi(tmp_path, RTX), root=tmp_path)
    assert [text[:3] for text in with_gpu.unusable] == ["AMD", "Int"]


def test_memory_and_processor(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:  8388608 kB\nMemAvailable: 4194304 kB\n", encoding="utf-8")
    (tmp_path / "proc/cpuinfo").write_text("vendor_id : GenuineIntel\n", encoding="utf-8")
    machine = probe.machine(tmp_path)
    assert (machine.ram_total, machine.ram_available, machine.intel) == (8192, 4096, True)
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    for limit, total in (("max", 8192), (str(2 << 30), 2048), (str(64 << 30), 8192)):
        (tmp_path / "sys/fs/cgroup/memory.max").write_text(f"{limit}\n", encoding="utf-8")
        assert probe.machine(tmp_path).ram_total == total


def test_this_machine_has_memory_and_a_disk(tmp_path: Path) -> None:
    machine = probe.machine()
    assert 0 < machine.ram_available <= machine.ram_total
    assert probe.disk_free(str(tmp_path / "not" / "yet")) == pytest.approx(probe.disk_free(str(tmp_path)), abs=64)
