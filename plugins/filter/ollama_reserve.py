# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that make Ollama's reserve of what speech-to-text needs on the same GPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.anklume.stt.plugins.filter.stt_server import role_defaults
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error, FitError
from ansible_collections.anklume.stt.plugins.module_utils._services.gpu_neighbours import questions
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import MARGIN
from ansible_collections.anklume.stt.plugins.module_utils._vram.reserve import Load, ollama_reserve, tell_left


def load_of_fit(fit: Mapping[str, Any]) -> Load:
    """What one server takes; the peak carries the verdict's margin, as the verdict itself does."""
    need = fit["estimate"]
    resident = int(fit.get("item", {}).get("stt_server_model_ttl", -1)) == -1
    return Load(math.ceil(need["worst"] * (1 + MARGIN)), need["idle"], resident)


def reserve_of_fits(fits: Iterable[Mapping[str, Any]], version: str, mib: int | None = None) -> dict[str, Any]:
    """The reserve for all servers of one GPU; empty where none of them uses a GPU."""
    on_gpu = [fit for fit in fits if fit.get("gpu") and fit.get("estimate")]
    if not on_gpu:
        return {}
    gpu = on_gpu[0]["gpu"]
    usable = gpu["memory_total_mib"] - gpu["memory_reserved_mib"]
    if mib is not None and mib > usable:
        raise FitError(f"ollama_gpu_reserve is {mib} MiB and the GPU has {usable}: take less than that, or auto")
    loads = [load_of_fit(fit) for fit in on_gpu] if mib is None else [Load(mib, 0)]
    reserve = ollama_reserve(version, loads, usable)
    left = tell_left(reserve.left, gpu["memory_total_mib"])
    return {"line": reserve.line, "reserved_mib": reserve.mib, "left_mib": reserve.left, "left": left}


def _ollama_reserve(fits: Iterable[Mapping[str, Any]], version: str, mib: int | str = "auto") -> dict[str, Any]:
    try:
        return reserve_of_fits(fits, version, None if mib in ("auto", "off") else int(mib))
    except Error as exc:
        raise AnsibleFilterError(str(exc)) from exc


def ollama_questions(
    reserve: object, machine: str, groups: Mapping[str, Iterable[str]], hostvars: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """What stt_fit has to be asked for the reserve of a machine; the input is its `ollama_gpu_reserve`."""
    return questions(reserve, machine, groups, hostvars, role_defaults("stt_server"))


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them as Ansible asks for them."""
        return {"ollama_reserve": _ollama_reserve, "ollama_questions": ollama_questions}
