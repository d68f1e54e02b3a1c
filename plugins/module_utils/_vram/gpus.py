# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVIDIA GPUs: those that can be named for planning without one, and what a GPU has to share out.

Memory and compute capabilities are NVIDIA's own (developer.nvidia.com/cuda-gpus and the product pages).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError
from ansible_collections.anklume.stt.plugins.module_utils._vram.compute_types import (
    Capability,
    parse_capability,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import DRIVER
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import nearest

DRIVER_SHARE = 0.03
"""What a driver keeps where it does not say: the larger of DRIVER MiB and this share of the memory.
An A100 of 80 GB keeps 904 MiB, an RTX 3060 of 12 GB about 250 MiB."""


@dataclass(frozen=True)
class Gpu:
    """A GPU as the verdict sees it, in MiB. `free` is told, never judged by; `driver` is "" for a planned one."""

    name: str
    total: float
    reserved: float
    capability: Capability
    driver: str = ""
    free: float | None = None

    @property
    def usable(self) -> float:
        """What all programs together may take."""
        return self.total - self.reserved


@dataclass(frozen=True)
class Other:
    """Something else that takes memory of the same GPU."""

    name: str
    memory: float


_KNOWN: tuple[tuple[str, tuple[int, ...], Capability], ...] = (
    ("GTX 980 Ti", (6,), (5, 2)),
    ("GTX 1050 Ti", (4,), (6, 1)),
    ("GTX 1060", (3, 6), (6, 1)),
    ("GTX 1070", (8,), (6, 1)),
    ("GTX 1080", (8,), (6, 1)),
    ("GTX 1080 Ti", (11,), (6, 1)),
    ("GTX 1650", (4,), (7, 5)),
    ("GTX 1660", (6,), (7, 5)),
    ("RTX 2060", (6, 12), (7, 5)),
    ("RTX 2070", (8,), (7, 5)),
    ("RTX 2080", (8,), (7, 5)),
    ("RTX 2080 Ti", (11,), (7, 5)),
    ("RTX 3050", (4, 6, 8), (8, 6)),
    ("RTX 3060", (12, 8), (8, 6)),
    ("RTX 3060 Ti", (8,), (8, 6)),
    ("RTX 3070", (8,), (8, 6)),
    ("RTX 3070 Ti", (8,), (8, 6)),
    ("RTX 3080", (10, 12), (8, 6)),
    ("RTX 3080 Ti", (12,), (8, 6)),
    ("RTX 3090", (24,), (8, 6)),
    ("RTX 3090 Ti", (24,), (8, 6)),
    ("RTX 4060", (8,), (8, 9)),
    ("RTX 4060 Ti", (8, 16), (8, 9)),
    ("RTX 4070", (12,), (8, 9)),
    ("RTX 4070 Ti", (12,), (8, 9)),
    ("RTX 4070 Ti Super", (16,), (8, 9)),
    ("RTX 4080", (16,), (8, 9)),
    ("RTX 4090", (24,), (8, 9)),
    ("RTX 5060", (8,), (12, 0)),
    ("RTX 5060 Ti", (8, 16), (12, 0)),
    ("RTX 5070", (12,), (12, 0)),
    ("RTX 5070 Ti", (16,), (12, 0)),
    ("RTX 5080", (16,), (12, 0)),
    ("RTX 5090", (32,), (12, 0)),
    ("RTX A2000", (6, 12), (8, 6)),
    ("RTX A4000", (16,), (8, 6)),
    ("RTX A5000", (24,), (8, 6)),
    ("RTX A6000", (48,), (8, 6)),
    ("P100", (12, 16), (6, 0)),
    ("P40", (24,), (6, 1)),
    ("P4", (8,), (6, 1)),
    ("V100", (16, 32), (7, 0)),
    ("T4", (16,), (7, 5)),
    ("A2", (16,), (8, 6)),
    ("A10", (24,), (8, 6)),
    ("A100", (40, 80), (8, 0)),
    ("L4", (24,), (8, 9)),
    ("L40S", (48,), (8, 9)),
    ("H100", (80,), (9, 0)),
    ("H200", (141,), (9, 0)),
)

KNOWN_GPUS: dict[str, tuple[int, Capability]] = {
    (name if len(sizes) == 1 else f"{name} {size}GB"): (size, capability)
    for name, sizes, capability in _KNOWN
    for size in sizes
}
"""Memory in GB and capability by name; a card sold in several sizes has one name for each."""

_USUAL_SIZES = {"RTX 3060": 12, "RTX 2060": 6, "GTX 1060": 6}
"""The size that a bare name means where the card's other size is rare; others need their size named."""

_NOISE = re.compile(r"\b(nvidia|geforce|tesla|quadro|laptop gpu|gpu)\b", re.IGNORECASE)


def driver_share(total: float) -> float:
    """What the driver is taken to keep of `total` MiB where it does not say."""
    return max(DRIVER, DRIVER_SHARE * total)


def planned_gpu(name: str, memory: float, capability: Capability) -> Gpu:
    """A GPU that is not here, by its nominal memory in MiB."""
    if memory <= 0:
        raise FitError(f"a GPU cannot have {memory:g} MiB of memory: use 1 or more")
    return Gpu(name, memory, driver_share(memory), capability)


def find_gpu(name: str) -> Gpu:
    """A GPU by its trade name, as people write it: "RTX 3060", "NVIDIA GeForce RTX 4060 Ti 16 GB"."""
    wanted = _plain(name)
    known = _SPELLINGS.get(wanted)
    if known is None:
        sizes = [full for full in KNOWN_GPUS if wanted and _plain(full).removeprefix(wanted).rstrip("gb").isdigit()]
        if len(sizes) > 1:
            raise FitError(f"{name!r} is sold in several sizes: use one of {', '.join(sizes)}")
        raise FitError(
            f"{name!r} is not a known GPU{nearest(' '.join(_NOISE.sub(' ', name).split()), KNOWN_GPUS)}: "
            "give its memory in MiB and its compute capability instead"
        )
    size, capability = KNOWN_GPUS[known]
    return planned_gpu(known, size * 1024, capability)


def gpu_from(value: object) -> Gpu:
    """A GPU from what a user writes: a name, {memory_mib, capability}, or an entry of gpu_info's list."""
    if isinstance(value, str):
        return find_gpu(value)
    if not isinstance(value, Mapping):
        raise FitError(f"{value!r} is not a GPU: give a name like RTX 3060, or memory_mib and capability")
    total = value.get("memory_total_mib", value.get("memory_mib"))
    capability = value.get("compute_capability", value.get("capability"))
    if total is None or capability is None:
        raise FitError("a GPU needs memory_mib (in MiB) and capability (like 8.6), or a name like RTX 3060")
    memory = _mib("memory_mib", total)
    name = str(value.get("name") or f"a GPU of {memory:.0f} MiB")
    planned = planned_gpu(name, memory, parse_capability(str(capability)))
    reserved, free = value.get("memory_reserved_mib"), value.get("memory_free_mib")
    return replace(
        planned,
        reserved=planned.reserved if reserved is None else _mib("memory_reserved_mib", reserved),
        free=None if free is None else _mib("memory_free_mib", free),
        driver=str(value.get("driver") or ""),
    )


def other_from(value: Mapping[str, object]) -> Other:
    """Another user of the GPU from {name, mib}."""
    if set(value) != {"name", "mib"}:
        raise FitError(f"{dict(value)!r} is not what else is on the GPU: give a name and mib (in MiB)")
    return Other(str(value["name"]), _mib(str(value["name"]), value["mib"]))


def _mib(name: str, value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        raise FitError(f"{name} is {value!r}, which is not a number of MiB") from None


def others_total(others: Iterable[Other], gpu: Gpu) -> float:
    """The sum of what else is on the GPU; more than the GPU has is refused."""
    total = 0.0
    for other in others:
        if other.memory < 0:
            raise FitError(f"{other.name} cannot take {other.memory:g} MiB: use 0 or more")
        total += other.memory
    if total > gpu.usable:
        raise FitError(
            f"the others on {gpu.name} take {total:.0f} MiB, more than the {gpu.usable:.0f} MiB it has to share out: "
            f"use at most {gpu.usable:.0f}"
        )
    return total


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", _NOISE.sub(" ", name)).lower()


def _spellings() -> dict[str, str]:
    """Every card with and without its size, in the plain spelling."""
    found: dict[str, str] = {}
    for name, sizes, _capability in _KNOWN:
        for size in sizes:
            full = name if len(sizes) == 1 else f"{name} {size}GB"
            found[_plain(f"{name} {size}GB")] = full
            if len(sizes) == 1 or _USUAL_SIZES.get(name) == size:
                found[_plain(name)] = full
    return found


_SPELLINGS = _spellings()
