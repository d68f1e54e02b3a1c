# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: sound that was decoded, and sound that is spoken."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np

CODECS = {"opus": ["-f", "opus"], "aac": ["-f", "adts"]}


class Audio:
    """Samples and their rate."""

    def __init__(self, data: Any, sample_rate: int, name: str | None = None) -> None:
        self.data, self.sample_rate, self.name = data, sample_rate, name

    @property
    def duration(self) -> float:
        """In seconds."""
        return len(self.data) / self.sample_rate

    def as_bytes(self) -> bytes:
        """Samples of 16 bits."""
        return (self.data * 32767).astype(np.int16).tobytes()

    def to_base64(self) -> str:
        """The same in letters."""
        return base64.b64encode(self.as_bytes()).decode()


def stream_audio_as_formatted_bytes(
    audio_generator: Iterator[Audio], audio_format: str, sample_rate: int | None = None
) -> Iterator[bytes]:
    """What a form of sound makes of it; at a rate that opus does not have, nothing, as with Speaches."""
    if audio_format == "pcm":
        yield from (audio.as_bytes() for audio in audio_generator)
        return
    spoken = list(audio_generator)
    rate = spoken[0].sample_rate
    command = ["ffmpeg", "-loglevel", "quiet", "-f", "s16le", "-ar", str(rate), "-i", "pipe:0"]
    command += ["-ar", str(sample_rate or rate), *CODECS.get(audio_format, ["-f", audio_format]), "pipe:1"]
    sound = b"".join(audio.as_bytes() for audio in spoken)
    yield subprocess.run(command, input=sound, capture_output=True, check=False).stdout
