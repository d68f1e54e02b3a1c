# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoding of uploaded audio in processes of its own, which are kept: bounded, and no file can harm the server."""

from __future__ import annotations

import fcntl
import io
import json
import logging
import mmap
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .errors import ApiError

log = logging.getLogger(__name__)
RATE = 16000
SHORTEST = 0.1
# Each takes 15 MB; a slow file does not keep others waiting while there are more of them than slow files.
PROCESSES = min(8, 1 + (os.cpu_count() or 1))
# One arena, and what is freed goes back to the system.
MALLOC = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "1048576", "MALLOC_TRIM_THRESHOLD_": "1048576"}
# Signals that come from outside: they say nothing about the file.
FOREIGN = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


class Decoder:
    """One process, which decodes one file after another."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-I", str(Path(__file__).with_name("decoder.py"))]
        with theirs:
            self.process = subprocess.Popen(
                command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=os.environ | MALLOC
            )

    def decode(self, source: int, target: int, max_seconds: float, nice: int) -> Any:
        """The number of samples or the reasons for a refusal; ConnectionError when the process has died."""
        socket.send_fds(self.socket, [f"{max_seconds} {nice}".encode()], [source, target])
        if answer := self.socket.recv(4096):
            return json.loads(answer)
        raise ConnectionError

    def end(self) -> int:
        """Let it go, and say how it ended."""
        self.socket.close()
        return self.process.wait()


# Those that wait for work, and places for more; the last one used is the next.
_decoders: queue.LifoQueue[Decoder | None] = queue.LifoQueue()
for _ in range(PROCESSES):
    _decoders.put(None)


def decode(file: BinaryIO, max_seconds: float, nice: int = 0) -> Any:
    """The sound as mono samples at 16 kHz; a nice of 19 leaves the processor to all others."""
    target = os.memfd_create("samples", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with _descriptor(file) as source:
            count = _count(source, target, max_seconds, nice)
        _check_length(count, max_seconds)
        fcntl.fcntl(target, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        return np.frombuffer(mmap.mmap(target, count * 4, access=mmap.ACCESS_COPY), np.float32)
    finally:
        os.close(target)


def from_raw(file: BinaryIO, max_seconds: float) -> Any:
    """The sound in a file without a header: 16-bit mono samples at 16 kHz."""
    size = file.seek(0, io.SEEK_END)
    count = size // 2
    _check_length(count, max_seconds)
    file.seek(0)
    return np.frombuffer(file.read(count * 2), "<i2").astype(np.float32) / 32768


def check_decoding() -> None:
    """Prove that a process for decoding can be had; it is kept."""
    with io.BytesIO() as file:
        with wave.open(file, "wb") as out:
            out.setparams((1, 2, RATE, 0, "NONE", ""))
            out.writeframes(bytes(2 * RATE))
        try:
            decode(file, 1)
        except ApiError as error:
            raise RuntimeError(f"no sound can be decoded here: {error}") from error


def _count(source: int, target: int, max_seconds: float, nice: int) -> int:
    """Have it decoded. A process that dies takes the file with it; if it was ended from outside, another one tries."""
    for _ in range(2):
        decoder, kept = _decoders.get(), None
        try:
            decoder = decoder or Decoder()
            answer = decoder.decode(source, target, max_seconds, nice)
            kept = decoder
        except ConnectionError:
            assert decoder
            ended = decoder.end()
            log.warning("decoding a file of %d bytes ended its process: %d", os.fstat(source).st_size, ended)
            if -ended not in FOREIGN:
                raise ApiError(415, "the file is not audio that can be decoded", "file", "unsupported_media") from None
            os.ftruncate(target, 0)
            os.lseek(target, 0, os.SEEK_SET)
            continue
        finally:
            _decoders.put(kept)
        if isinstance(answer, int):
            return answer
        status, message, code = answer
        raise ApiError(status, message, "file", code)
    raise ApiError(503, "decoding was ended from outside: try again", code="decoder_lost")


def _check_length(count: int, max_seconds: float) -> None:
    if count < SHORTEST * RATE:
        raise ApiError(400, f"the audio is shorter than {SHORTEST} seconds", "file", "audio_too_short")
    if count > max_seconds * RATE:
        raise ApiError(413, f"the audio is longer than {max_seconds:g} seconds", "file", "audio_too_long")


@contextmanager
def _descriptor(file: BinaryIO) -> Iterator[int]:
    """The file as one that another process can read: small uploads lie in memory only."""
    file.seek(0)
    if getattr(file, "_rolled", not isinstance(file, io.BytesIO)):
        yield file.fileno()
        return
    with os.fdopen(os.memfd_create("upload"), "wb") as copy:
        shutil.copyfileobj(file, copy)
        copy.flush()
        yield copy.fileno()
