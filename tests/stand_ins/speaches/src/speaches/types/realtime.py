# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: the events of a session, as far as it has them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

NOT_GIVEN = object()


def create_server_error(message: str) -> dict[str, Any]:
    """An error of the server's."""
    return {"type": "error", "error": {"type": "server_error", "message": message}}


def create_invalid_request_error(message: str) -> dict[str, Any]:
    """An error of the client's."""
    return {"type": "error", "error": {"type": "invalid_request_error", "message": message}}


def InputAudioBufferSpeechStoppedEvent(item_id: str, audio_end_ms: int) -> SimpleNamespace:  # noqa: N802 as Speaches has it
    """The end of a turn."""
    return SimpleNamespace(type="input_audio_buffer.speech_stopped", item_id=item_id, audio_end_ms=audio_end_ms)
