# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: it has no language model to ask."""

from __future__ import annotations

from collections.abc import AsyncIterator


class AudioChatStream:
    """The name that is patched."""

    async def audio_chat_completion_chunk_stream(self) -> AsyncIterator[str]:
        """Nothing."""
        yield ""
