# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A filter that warns and deprecates."""

from __future__ import annotations

from collections.abc import Callable

from ansible.utils.display import Display


def loud(stage: str) -> str:
    """The stage, after a warning of it."""
    Display().warning(f"warning of {stage}.")
    Display().deprecated(f"deprecation of {stage}.", version="99.0", collection_name="anklume.stt")
    return stage


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[[str], str]]:
        """By name."""
        return {"loud": loud}
