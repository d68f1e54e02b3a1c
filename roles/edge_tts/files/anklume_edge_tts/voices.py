# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The voices: as Microsoft lists them, or, as long as it does not answer, those that are known here."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from pathlib import Path
from typing import Any

from .errors import ApiError
from .settings import Settings
from .speakers import SpeakerError, microsofts_voices

log = logging.getLogger(__name__)
FRESH_SECONDS = 86400
RETRY_SECONDS = 600  # until a list that did not come is asked for again
FORM = re.compile(r"[a-z]{2,3}(-\w+)+-\w+Neural")
OPENAI_VOICES = (
    *("alloy", "ash", "ballad", "cedar", "coral", "echo", "fable"),
    *("marin", "nova", "onyx", "sage", "shimmer", "verse"),
)
KEPT: dict[str, str] = json.loads(Path(__file__).with_name("voices.json").read_text(encoding="utf-8"))
"""The static list, each with its gender; the best of a language comes first."""


def locale(voice: str) -> str:
    """The language of a voice, as pl-PL."""
    return voice.rpartition("-")[0]


def described(voice: str, gender: str) -> dict[str, str]:
    """A voice as it is listed."""
    name = voice.rpartition("-")[2].removesuffix("Neural").replace("Multilingual", " (multilingual)")
    return {"id": voice, "name": f"{name}, {locale(voice)}", "language": locale(voice), "gender": gender}


class Voices:
    """The list, and the choice from it."""

    def __init__(self, settings: Settings, turn: asyncio.Lock) -> None:
        self.settings, self.turn = settings, turn
        self.live: dict[str, str] = {}
        self.ask_again = 0.0

    async def there(self) -> dict[str, str]:
        """All voices, each with its gender; while Microsoft speaks, or does not answer, what is known."""
        if time.monotonic() >= self.ask_again and not self.turn.locked():
            async with self.turn:
                await self._ask()
        return self.live or KEPT

    async def _ask(self) -> None:
        self.ask_again = time.monotonic() + RETRY_SECONDS
        try:
            found = await microsofts_voices(self.settings.timeout)
            self.live = {str(voice["ShortName"]): str(voice.get("Gender", "")) for voice in found}
            self.ask_again = time.monotonic() + FRESH_SECONDS
        except (SpeakerError, KeyError) as error:
            log.warning("no list of voices: %s", error)

    async def listed(self) -> list[dict[str, str]]:
        """All of them: the usual voice first, then those of its language."""
        usual, there = self.settings.voice, await self.there()
        order = sorted(there, key=lambda voice: (voice != usual, locale(voice) != locale(usual)))
        return [described(voice, there[voice]) for voice in order]

    async def chosen(self, asked: Any) -> str:
        """The voice that is asked for: the usual one where a client leaves it open or names one of OpenAI's."""
        if isinstance(asked, dict):  # the newer form of OpenAI's
            asked = asked.get("id")
        if not asked or asked in OPENAI_VOICES:
            return self.settings.voice
        if isinstance(asked, str) and (asked in KEPT or asked in await self.there()):
            return asked
        if isinstance(asked, str) and not self.live and FORM.fullmatch(asked):
            return asked  # nobody here can say that there is none
        raise ApiError(400, f"no voice {asked!r}: /v1/audio/voices lists those that there are", "voice")
