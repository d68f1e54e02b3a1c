# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that decodes, started by audio.py: whatever a file makes FFmpeg do, crash or bomb, ends here.

A request is one message on standard input, a socket: the limit in seconds and a nice, and with it two files, the upload
and an empty one for the samples. The answer is their number, or a refusal: status, message, code. Nothing of ours is
imported.
"""

from __future__ import annotations

import contextlib
import functools
import json
import mmap
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.stream import Disposition

RATE = 16000
# Containers of sound and film only. Playlists and the like, which can name other files and addresses, are left out.
DEMUXERS = "aac,ac3,aiff,amr,asf,au,avi,caf,flac,flv,matroska,mov,mp3,mpeg,mpegts,ogg,w64,wav"
# Their headers tell a length. For others FFmpeg may estimate it from the bit rate, or take what a pipe has left there.
TELLING = {"flac", "mov,mp4,m4a,3gp,3g2,mj2"}
# Of several tracks the first of these that is not silent is taken.
TRACKS = 4
RATES, CHANNELS = range(1000, 768001), range(1, 65)
# The index of a long film takes 100 MB. What a header asks for beyond this is not to be had.
MEMORY = 256 * 2**20
# Seconds of processor for opening a file and its first minute, then for each further minute of sound.
PATIENCE = 3.0


Converter = Callable[[Any], Iterator[Any]]


class MediaError(Exception):
    """Why there is no sound: status, message, code."""


def decode(source: BinaryIO, target: BinaryIO, max_seconds: float) -> int:
    """Write mono samples at 16 kHz, as 32-bit floats, and return how many. Damaged packets are skipped."""
    longest = 0
    for choice in range(TRACKS):
        target.seek(0)
        frames = _converted(_frames(source, choice, max_seconds))
        try:
            count, silent = _write(frames, target, max_seconds)
        except (av.FFmpegError, IndexError, MediaError):  # so many tracks there are not
            if not choice:
                raise
            break
        longest = max(longest, count)
        if not silent:
            break
    target.truncate(longest * 4)
    return longest


def _write(frames: Iterator[Any], target: BinaryIO, max_seconds: float) -> tuple[int, bool]:
    """How many samples there were, and whether all are zero, as of a microphone that is switched off."""
    count, minutes, silent = 0, 0, True
    for frame in frames:
        samples = bytes(frame.planes[0])[: frame.samples * 4]
        if samples.strip(b"\0"):
            target.write(samples)
            silent = False
        else:  # a hole in the file, which takes no memory
            target.seek(len(samples), os.SEEK_CUR)
        count += frame.samples
        if count > max_seconds * RATE:
            raise _too_long(max_seconds)
        if count // (60 * RATE) > minutes:
            minutes = count // (60 * RATE)
            signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    return count, silent


def _frames(source: BinaryIO, choice: int, max_seconds: float) -> Iterator[Any]:
    """The frames of one track, in whatever forms they have. A chain of Ogg files may change its codec: go on."""
    start = 0
    with mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as content:
        while start >= 0:
            try:
                place = yield from _link(_Rest(source, start), choice, max_seconds)
            except (av.FFmpegError, IndexError, MediaError):
                if not start:
                    raise
                return
            start = -1 if place is None else content.find(b"OggS\0\2", start + place + 1)


def _link(source: Any, choice: int, max_seconds: float) -> Generator[Any, None, int | None]:
    """The frames of one file; if no more can be read before its end, returns where the last was."""
    options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "none", "codec_whitelist": SOUND}
    heard, failed, place = False, False, 0
    with av.open(source, "r", options=options, metadata_errors="ignore") as container:
        stream = _track(container, choice)
        if container.format.name in TELLING and stream.duration and stream.duration * stream.time_base > max_seconds:
            raise _too_long(max_seconds)
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except MemoryError:
                raise
            except (StopIteration, IndexError):  # at the end PyAV stumbles over a track that began later
                break
            except av.FFmpegError:
                if not heard:
                    raise
                return place
            place = packet.pos or place
            try:
                frames = packet.decode()
            except MemoryError:
                raise
            except (av.FFmpegError, ValueError):
                failed = True
                continue
            for frame in frames:
                heard = True
                yield frame
    if failed and not heard:
        raise _unreadable()
    return None


class _Rest:
    """A file from a place on."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        self.read, self.file, self.start = file.read, file, start
        file.seek(start)

    def tell(self) -> int:
        return self.file.tell() - self.start

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset if whence else offset + self.start, whence) - self.start


def _track(container: Any, choice: int) -> Any:
    """One of the audio tracks that can be decoded; the first choice is the first that is flagged default."""
    if not container.streams.audio:
        raise MediaError(415, "the file has no audio stream", "unsupported_media")
    known = [stream for stream in container.streams.audio if stream.codec_context]
    if not known:
        raise MediaError(415, "no decoder knows the sound in this file", "unsupported_media")
    stream = sorted(known, key=lambda stream: not stream.disposition & Disposition.default)[choice]
    _check(stream.codec_context.sample_rate, stream.codec_context.channels)
    return stream


def _converted(frames: Iterator[Any]) -> Iterator[Any]:
    """The sound in the one form we want. Rate, channels and format of what comes can change at any time."""
    last, convert = None, _converter()
    for frame in frames:
        if (form := (frame.format.name, frame.layout.name, frame.sample_rate)) != last:
            yield from convert(None)
            _check(frame.sample_rate, frame.layout.nb_channels)
            last, convert = form, _converter()
        frame.pts = None
        yield from convert(frame)
    yield from convert(None)


def _converter() -> Converter:
    # by way of 16 bits, as faster-whisper does it: mixed straight to floats, two channels are louder than each
    steps = [av.AudioResampler(format=form, layout="mono", rate=RATE) for form in ("s16", "flt")]

    def convert(frame: Any) -> Iterator[Any]:
        for step in steps[0].resample(frame):
            yield from steps[1].resample(step)

    return convert


def _check(rate: int, channels: int) -> None:
    # zero: not known yet, the frames will tell
    if (rate and rate not in RATES) or (channels and channels not in CHANNELS):
        what = f"{rate} Hz and {channels} channels"
        raise MediaError(415, f"the file's sound has {what}, which cannot be right", "unsupported_media")


def _too_long(max_seconds: float) -> MediaError:
    return MediaError(413, f"the audio is longer than {max_seconds:g} seconds", "audio_too_long")


def _unreadable() -> MediaError:
    return MediaError(415, "the file is not audio that can be decoded", "unsupported_media")


def answer(source: BinaryIO, target: BinaryIO, max_seconds: float) -> int | tuple[Any, ...]:
    """What decode returns or why it refuses."""
    try:
        signal.setitimer(signal.ITIMER_PROF, PATIENCE)  # its signal ends the process
        return decode(source, target, max_seconds)
    except MediaError as refused:
        return refused.args
    except (av.FFmpegError, ValueError, EOFError, MemoryError):
        return _unreadable().args
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def with_priority(nice: int, call: Callable[[], Any]) -> Any:
    """Call it in a thread that leaves the processor to others: nobody gets back the priority that he gave away."""
    answers: list[Any] = []

    def run() -> None:
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
        answers.append(call())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return answers[0]


def serve() -> None:
    """Answer until the server is gone, and only then: a stop finishes its requests first."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[5]
    limit = int(pages) * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=0) as server:
        while True:
            message, files, *_ = socket.recv_fds(server, 64, 2)
            if not message:
                return
            seconds, nice = message.split()
            with os.fdopen(files[0], "rb", 0) as source, os.fdopen(files[1], "wb", 2**20) as target:
                work = functools.partial(answer, source, target, float(seconds))
                result = with_priority(int(nice), work) if int(nice) else work()
            server.send(json.dumps(result).encode())


def _sound_decoders() -> Iterator[str]:
    for name in sorted(av.codecs_available):
        try:
            if av.Codec(name, "r").type == "audio":
                yield name
        except ValueError:  # it only encodes
            continue


# The pictures of a film are passed over without a look.
SOUND = ",".join(_sound_decoders())

if __name__ == "__main__":
    with contextlib.suppress(ConnectionError):  # the server is gone
        serve()
