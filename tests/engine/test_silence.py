# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server writes nothing beside its own folders: onnxruntime, unasked, keeps a device id and events to send."""

from __future__ import annotations

from pathlib import Path

from .conftest import CLIPS, SENTENCES, Start


def test_nothing_is_written_into_the_home_folder(start: Start, tmp_path: Path) -> None:
    """The variable is the package's own doing: it is not in the environment here."""
    home = tmp_path / "home"
    home.mkdir()
    server = start(HOME=home, CI="", ORT_DISABLE_TELEMETRY="", XDG_CACHE_HOME=home / "cache")
    assert server.post((CLIPS / "en-fox.wav").read_bytes()).json()["text"] == SENTENCES["en-fox.wav"]["text"]
    assert server.stop() == 0
    assert list(home.rglob("*")) == []
