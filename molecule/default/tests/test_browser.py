# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A person at a browser beside Open WebUI: signs in over HTTPS, presses the microphone, speaks, reads the sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import browser
from conftest import ADDRESS, CLIPS, PASSWORD


def use_browser(network: str, profile: Path, project: Path, source: Path | None, tmp_path: Path) -> dict[str, Any]:
    """What stood on the pages."""
    shots = source.stem if source else "silence"
    own = {"password": project / PASSWORD, "folder": tmp_path, "shots": shots}
    return browser.speak(network, profile, f"https://{ADDRESS}", source, **own)


def test_the_spoken_sentence_stands_in_the_chat_input(
    network: str, profile: Path, project: Path, tmp_path: Path
) -> None:
    seen = use_browser(network, profile, project, CLIPS / "en-fox.wav", tmp_path)
    assert seen["secure"] is True
    assert seen["answer"] == seen["chat_input"] == "The quick brown fox jumps over the lazy dog."
    assert seen["audio_page"] == ["http://10.176.1.10:8000/v1", "whisper-1"]
    assert seen["sockets"] == [f"wss://{ADDRESS}"]
    assert seen["elsewhere"] == [], "the page makes the browser ask other hosts"


def test_silence_puts_nothing_there(network: str, profile: Path, project: Path, tmp_path: Path) -> None:
    seen = use_browser(network, profile, project, None, tmp_path)
    assert seen["answer"] == seen["chat_input"] == ""
