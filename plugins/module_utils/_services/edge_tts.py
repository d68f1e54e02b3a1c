# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which voice of Microsoft's a machine speaks with."""

from __future__ import annotations

import json
import re

from ansible_collections.anklume.stt.plugins.module_utils._services.speech import role_folder

FORM = re.compile(r"[a-z]{2,3}(-\w+)+-\w+Neural")


def known_voices() -> list[str]:
    """Those that the service lists where Microsoft does not answer; the best of a language comes first."""
    file = role_folder("edge_tts") / "files" / "anklume_edge_tts" / "voices.json"
    return list(json.loads(file.read_text(encoding="utf-8")))


def usual_voice(voice: str, language: str) -> str:
    """The voice that is given, or the first one of a language, as pl or en-GB; empty where that is none."""
    if voice:
        return voice if FORM.fullmatch(voice) else ""
    wanted = f"{language.replace('_', '-').casefold()}-"
    return next((each for each in known_voices() if language and each.casefold().startswith(wanted)), "")
