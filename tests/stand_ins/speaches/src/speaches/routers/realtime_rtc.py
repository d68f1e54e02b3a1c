# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: the other way to a session."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()


@router.post("/v1/realtime")
def realtime_webrtc() -> None:
    """Nothing is behind it."""
