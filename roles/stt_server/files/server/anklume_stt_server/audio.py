# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoding of uploaded audio: bounded, and with no way out to other files or hosts."""

from __future__ import annotations

from typing import Any, BinaryIO

import av
import numpy as np

from .errors import ApiError

RATE = 16000
SHORTEST = 0.1
# Containers of sound and film only. Playlists and the like, which can name other files and addresses, are left out.
DEMUXERS = "aac,ac3,aiff,amr,asf,au,avi,caf,flac,flv,matroska,mov,mp3,mpeg,mpegts,ogg,w64,wav"


def decode(file: BinaryIO, max_seconds: float) -> Any:
    """The sound as mono samples at 16 kHz; damaged packets are skipped."""
    sound = bytearray()
    try:
        options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "none"}
        with av.open(file, "r", options=options, metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise ApiError(415, "the file has no audio stream", "file", "unsupported_media")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            for packet in container.demux(container.streams.audio[0]):
                try:
                    frames = packet.decode()
                except av.InvalidDataError:
                    continue
                for frame in frames:
                    frame.pts = None
                    for resampled in resampler.resample(frame):
                        sound += resampled.to_ndarray().tobytes()
                if len(sound) > max_seconds * RATE * 2:
                    raise ApiError(413, f"the audio is longer than {max_seconds:g} seconds", "file", "audio_too_long")
            for resampled in resampler.resample(None) if sound else ():
                sound += resampled.to_ndarray().tobytes()
    except (av.FFmpegError, ValueError, EOFError) as error:
        raise ApiError(415, "the file is not audio that can be decoded", "file", "unsupported_media") from error
    if len(sound) < SHORTEST * RATE * 2:
        raise ApiError(400, f"the audio is shorter than {SHORTEST} seconds", "file", "audio_too_short")
    return np.frombuffer(sound, np.int16).astype(np.float32) / 32768
