# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine has: NVIDIA GPUs through nvidia-smi, others by their PCI ids, memory, disk and processor.

Of `_vram`, only this and `headers`, which reads a model's folder, look at the machine. An instance of Incus sees the
whole memory of a GPU handed to it, but not the programs of its neighbours; it sees every card of the host on the PCI
bus, handed to it or not.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError

_FIELDS = (
    "index",
    "uuid",
    "name",
    "memory.total",
    "memory.free",
    "memory.used",
    "memory.reserved",
    "compute_cap",
    "driver_version",
    "mig.mode.current",
    "ecc.mode.current",
)
_VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}
_DISPLAY = "0x03"
"""The PCI base class of display controllers."""

_ADVICE = (
    (
        "version mismatch",
        "the NVIDIA driver in the kernel and its library are of different versions: restart the instance after a "
        "driver update (it gets the host's library when it starts), and reboot the host if the host says the same",
    ),
    (
        "couldn't communicate with the nvidia driver",
        "the NVIDIA driver is not loaded: on the host, load it (modprobe nvidia) or reboot, "
        "and check that Secure Boot or nouveau do not keep it out",
    ),
    (
        "unknown error",
        "the GPU was taken away from this instance while it ran (a daemon-reload does that): restart the instance",
    ),
    ("insufficient permissions", "this user may not use the GPU: check the mode of /dev/nvidia*"),
    ("is not a valid field", "the NVIDIA driver is too old: install 525 or newer"),
)
_NO_DEVICES = "no devices were found"


@dataclass(frozen=True)
class NvidiaGpu:
    """A GPU as nvidia-smi describes it; None where it has no answer."""

    index: int
    uuid: str
    name: str
    memory_total_mib: int
    memory_free_mib: int | None
    memory_used_mib: int | None
    memory_reserved_mib: int | None
    compute_capability: str
    driver: str
    mig: bool
    ecc: bool | None


@dataclass(frozen=True)
class MigSlice:
    """A part of a GPU in MIG mode; CUDA programs see it as a GPU of its own."""

    profile: str
    uuid: str
    memory_mib: int


@dataclass(frozen=True)
class GpuFacts:
    """All that can be said of a machine's GPUs."""

    gpus: list[NvidiaGpu]
    mig_slices: list[MigSlice]
    unusable: list[str]


@dataclass(frozen=True)
class PciGpu:
    """A display controller on the PCI bus."""

    vendor: str
    id: str
    address: str

    @property
    def name(self) -> str:
        """Vendor, ids and place, as lspci -nn would number it."""
        return f"{self.vendor} GPU {self.id} at {self.address}"


@dataclass(frozen=True)
class Machine:
    """Memory in MiB and processor of this machine."""

    ram_total: int
    ram_available: int
    architecture: str
    intel: bool


def pci_gpus(root: Path = Path("/")) -> list[PciGpu]:
    """Every display controller of NVIDIA, AMD or Intel."""
    found = []
    for device in sorted((root / "sys/bus/pci/devices").glob("*")):
        vendor = _VENDORS.get(_read(device / "vendor"))
        if vendor and _read(device / "class").startswith(_DISPLAY):
            ids = f"{_read(device / 'vendor')[2:]}:{_read(device / 'device')[2:]}"
            found.append(PciGpu(vendor, ids, device.name))
    return found


def nvidia_gpus(nvidia_smi: str = "", timeout: float = 20, root: Path = Path("/")) -> list[NvidiaGpu]:
    """Every NVIDIA GPU this machine may use. None is an answer; a GPU that cannot be asked is an error."""
    command = nvidia_smi or shutil.which("nvidia-smi") or ""
    if not command:
        if any((root / "dev").glob("nvidia[0-9]*")):
            raise FitError(
                "an NVIDIA GPU is here (/dev/nvidia*), but nvidia-smi is not: set nvidia.runtime to true on the "
                "instance (nvidia-container-toolkit on the host), or install the driver's programs here"
            )
        return []
    query = ["--query-gpu=" + ",".join(_FIELDS), "--format=csv,noheader,nounits"]
    status, output = _run([command, *query], timeout)
    if _NO_DEVICES in output.lower():
        return []
    if status:
        if "couldn't communicate" in output.lower() and not any(gpu.vendor == "NVIDIA" for gpu in pci_gpus(root)):
            return []
        raise FitError(_explain(command, status, output))
    return [_parse_line(line, command) for line in output.splitlines() if line.strip()]


def mig_slices(nvidia_smi: str = "", timeout: float = 20) -> list[MigSlice]:
    """The MIG slices this machine may use."""
    command = nvidia_smi or shutil.which("nvidia-smi") or "nvidia-smi"
    status, output = _run([command, "-L"], timeout)
    if status:
        raise FitError(_explain(command, status, output))
    found = re.findall(r"MIG (\S+?\.(\d+)gb\S*)\s+Device\s+\d+:\s+\(UUID: ([^)]+)\)", output)
    return [MigSlice(profile, uuid, int(size) * 1024) for profile, size, uuid in found]


def gpu_facts(nvidia_smi: str = "", timeout: float = 20, root: Path = Path("/")) -> GpuFacts:
    """The GPUs that may be used here, and those that may not with the reason."""
    gpus = nvidia_gpus(nvidia_smi, timeout, root)
    slices = mig_slices(nvidia_smi, timeout) if any(gpu.mig for gpu in gpus) else []
    unusable = []
    for gpu in pci_gpus(root):
        if gpu.vendor != "NVIDIA":
            unusable.append(f"{gpu.name}: CTranslate2's packages know NVIDIA GPUs alone")
        elif not gpus:
            unusable.append(
                f"{gpu.name}: not handed to this instance (a gpu device and nvidia.runtime), or without its driver"
            )
    return GpuFacts(gpus, slices, unusable)


def machine(root: Path = Path("/")) -> Machine:
    """Memory (an instance's own limit where it has one) and processor."""
    memory = dict(re.findall(r"^(\w+):\s+(\d+) kB", _read(root / "proc/meminfo"), re.MULTILINE))
    total = int(memory.get("MemTotal", 0)) // 1024
    limit = _read(root / "sys/fs/cgroup/memory.max")
    if limit.isdigit():
        total = min(total, int(limit) >> 20)
    intel = "GenuineIntel" in _read(root / "proc/cpuinfo")
    return Machine(total, int(memory.get("MemAvailable", 0)) // 1024, platform.machine(), intel)


def disk_free(path: str) -> int:
    """MiB free for `path`, or for what it will be made in."""
    place = Path(path)
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        stat = os.statvfs(place)
    except OSError as error:
        raise FitError(f"the disk of {path} cannot be read: {error.strerror}") from error
    return stat.f_bavail * stat.f_frsize >> 20


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _run(command: list[str], timeout: float) -> tuple[int, str]:
    """Exit status and output. A program stuck in the driver cannot be killed, so it is not waited for."""
    try:
        # run_command has no time limit, and would wait for a program that cannot be killed
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C"},
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise FitError(f"{command[0]} cannot be run: {error.strerror}") from error
    try:
        output = process.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        raise FitError(
            f"{command[0]} did not answer within {timeout:g} s: the driver hangs; look for 'Xid' in the host's "
            "kernel log and reboot the host"
        ) from None
    return process.returncode, output


def _explain(command: str, status: int, output: str) -> str:
    said = " ".join(output.split())[:300] or "nothing"
    for sign, advice in _ADVICE:
        if sign in output.lower():
            return f"{advice} ({command} said: {said})"
    return f"{command} failed with status {status} and said: {said}"


def _parse_line(line: str, command: str) -> NvidiaGpu:
    cells = [cell.strip() for cell in line.split(",")]
    values = dict(zip(_FIELDS, cells, strict=False))
    total = _mib(values.get("memory.total", ""))
    if len(cells) != len(_FIELDS) or not values["index"].isdigit() or total is None:
        raise FitError(f"{command} answered with a line that cannot be read: {line.strip()[:200]!r}")
    ecc = values["ecc.mode.current"]
    return NvidiaGpu(
        index=int(values["index"]),
        uuid=values["uuid"],
        name=values["name"],
        memory_total_mib=total,
        memory_free_mib=_mib(values["memory.free"]),
        memory_used_mib=_mib(values["memory.used"]),
        memory_reserved_mib=_mib(values["memory.reserved"]),
        compute_capability=values["compute_cap"],
        driver=values["driver_version"],
        mig=values["mig.mode.current"] == "Enabled",
        ecc={"Enabled": True, "Disabled": False}.get(ecc),
    )


def _mib(text: str) -> int | None:
    return int(text) if text.isdigit() else None
