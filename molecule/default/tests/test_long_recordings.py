# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings of an hour, through the proxy, Open WebUI and the STT server; what is too large is in test_service."""

from __future__ import annotations

import io
import time
import wave

import pytest
from conftest import CLIPS, Api, form
from suite import long

FOX = "The quick brown fox jumps over the lazy dog."
ANSIBLE = "Ansible installed the speech server."


def half_minute(clip: str) -> bytes:
    """A sentence and silence after it."""
    with wave.open(str(CLIPS / clip)) as file:
        return file.readframes(file.getnframes()).ljust(30 * 32000, b"\0")


def recording(minutes: int) -> bytes:
    """A sentence in every half minute, another one in the last five minutes, as WAV of 16 kHz."""
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(half_minute("en-fox.wav") * (2 * minutes - 10) + half_minute("en-ansible.wav") * 10)
    return written.getvalue()


def attach(api: Api, content: bytes, name: str = "lecture.wav", kind: str = "audio/wav") -> str:
    """The text that the language model gets of a file attached in the chat; it is written down in the background."""
    body, boundary = form(content, name, kind)
    file = api.call("POST", "/api/v1/files/", raw=body, kind=boundary)["id"]
    deadline = time.monotonic() + 900
    while (data := api.call("GET", f"/api/v1/files/{file}")["data"])["status"] in ("pending", "processing"):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    # it goes, although slim says 400: it has no vectors of it to delete besides
    assert api.refusal("DELETE", f"/api/v1/files/{file}") == 400
    assert api.refusal("GET", f"/api/v1/files/{file}") == 404
    assert data["status"] == "completed", data
    return data.get("content", "")


def test_a_file_that_is_attached_is_written_down(api: Api) -> None:
    assert attach(api, (CLIPS / "en-fox.wav").read_bytes()) == FOX


def test_of_a_video_nothing_is_heard(api: Api) -> None:
    """So the page has a line for ffmpeg."""
    assert attach(api, (CLIPS / "en-fox.wav").read_bytes(), "film.mp4", "video/mp4") == ""


@long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("minutes", [30, 60])
def test_a_long_recording_is_heard_to_its_end(api: Api, minutes: int) -> None:
    content = recording(minutes)
    for way in (api.transcribe, lambda sound: attach(api, sound)):
        start = time.monotonic()
        text = way(content)
        print(f"{minutes} minutes, {len(content) >> 20} MiB: {time.monotonic() - start:.0f} s")
        assert text.startswith(FOX) and text.endswith(ANSIBLE), text
