# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that are mutated: a second of speech in each container and codec that PyAV can write, and the clips."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

SECONDS = 1


class Seed(NamedTuple):
    """How PyAV writes one file: container, codec, rate, channels, more options, and whether a picture goes with it."""

    container: str
    codec: str
    rate: int = 16000
    layout: str = "mono"
    options: str = ""
    film: bool = False


FRAGMENTS = "movflags=frag_keyframe+empty_moov+default_base_moof frag_duration=200000"
SEEDS = {
    "s16.wav": Seed("wav", "pcm_s16le"),
    "u8.wav": Seed("wav", "pcm_u8", 11025),
    "s24-extensible.wav": Seed("wav", "pcm_s24le", 16000, "5.1"),
    "f32.wav": Seed("wav", "pcm_f32le", 16000, "stereo"),
    "f64.wav": Seed("wav", "pcm_f64le"),
    "alaw.wav": Seed("wav", "pcm_alaw", 8000),
    "mulaw.wav": Seed("wav", "pcm_mulaw", 8000),
    "adpcm-ms.wav": Seed("wav", "adpcm_ms"),
    "adpcm-ima.wav": Seed("wav", "adpcm_ima_wav"),
    "g726.wav": Seed("wav", "g726", 8000),
    "mp3.wav": Seed("wav", "libmp3lame"),
    "rf64.wav": Seed("wav", "pcm_s16le", 16000, "mono", "rf64=always"),
    "sound.w64": Seed("w64", "pcm_s16le"),
    "sound.aiff": Seed("aiff", "pcm_s16be"),
    "sound.caf": Seed("caf", "pcm_s16be"),
    "alac.caf": Seed("caf", "alac"),
    "sound.au": Seed("au", "pcm_mulaw", 8000),
    "sound.flac": Seed("flac", "flac"),
    "vorbis.ogg": Seed("ogg", "vorbis", 44100, "stereo"),
    "opus.ogg": Seed("ogg", "libopus", 48000),
    "flac.ogg": Seed("ogg", "flac"),
    "id3.mp3": Seed("mp3", "libmp3lame", 44100, "stereo"),
    "sound.mp2": Seed("mp2", "mp2", 44100),
    "adts.aac": Seed("adts", "aac", 44100),
    "sound.m4a": Seed("ipod", "aac", 44100, "mono", "movflags=faststart"),
    "alac.mov": Seed("mov", "alac"),
    "fragments.mp4": Seed("mp4", "aac", 44100, "mono", FRAGMENTS),
    "film.mp4": Seed("mp4", "aac", 48000, "stereo", film=True),
    "opus.webm": Seed("webm", "libopus", 48000, "mono", "live=1"),
    "vorbis.mkv": Seed("matroska", "vorbis", 44100, "stereo"),
    "film.mkv": Seed("matroska", "flac", film=True),
    "mp3.avi": Seed("avi", "libmp3lame", 44100),
    "film.avi": Seed("avi", "pcm_s16le", film=True),
    "sound.wma": Seed("asf", "wmav2", 44100),
    "sound.amr": Seed("amr", "libopencore_amrnb", 8000),
    "amr.3gp": Seed("3gp", "libopencore_amrnb", 8000),
    "aac.ts": Seed("mpegts", "aac", 44100),
    "film.mpg": Seed("mpeg", "mp2", 44100, film=True),
    "mp3.flv": Seed("flv", "libmp3lame", 44100),
    "sound.ac3": Seed("ac3", "ac3", 48000),
    "eac3.mkv": Seed("matroska", "eac3", 48000),
}


def make(path: Path, seed: Seed, speech: np.ndarray) -> None:
    """Write the file: always the same bytes from the same PyAV."""
    options = dict(option.split("=") for option in ["fflags=+bitexact", *seed.options.split()])
    with av.open(str(path), "w", format=seed.container, container_options=options) as out:
        out.metadata["title"] = "speech"
        picture = _picture(out) if seed.film else None
        sound: Any = out.add_stream(
            seed.codec, rate=seed.rate, layout=seed.layout, options={"flags": "+bitexact", "strict": "-2"}
        )
        frame = av.AudioFrame.from_ndarray(speech[None], "s16", "mono")
        frame.rate = 16000
        encoder = sound.codec_context
        if seed.codec == "wmav2":
            encoder.bit_rate = 64000
        encoder.open(False)  # the size of its frames is known only then
        resampler = av.AudioResampler(encoder.format.name, seed.layout, seed.rate, encoder.frame_size or 1024)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            out.mux([packet for packet in sound.encode(part) if packet.size])  # FLAC's last one is empty
        if picture:
            for _ in range(5 * SECONDS):
                out.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")))
            out.mux(picture.encode(None))


def make_all(data: Path, folder: Path) -> None:
    """Write all seeds into a folder."""
    clips = data / "clips"
    with wave.open(str(clips / "en-fox.wav")) as source:
        speech = np.frombuffer(source.readframes(SECONDS * 16000), "<i2")
    for name, seed in SEEDS.items():
        make(folder / name, seed, speech)
    for clip in ("en-ansible.mp3", "fr-bonjour.webm"):
        (folder / clip).write_bytes((clips / clip).read_bytes())


def _picture(out: Any) -> Any:
    stream = out.add_stream("mpeg2video" if out.format.name == "mpeg" else "mpeg4", rate=25)
    stream.width = stream.height = 32
    stream.pix_fmt = "yuv420p"
    return stream
