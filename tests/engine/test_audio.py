# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoding: what people have is heard whole; what is broken or a trap is refused, cheaply, and harms nothing."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from .conftest import CLIPS, PACKAGE, SENTENCES, Server, clip, sentence_of, until, wav

sys.path.insert(0, str(PACKAGE))

from anklume_stt_server import audio
from anklume_stt_server.audio import RATE, decode
from anklume_stt_server.errors import ApiError

FOX = "en-fox.wav"
MIB = 2**20


def packed(
    form: str, codec: str, *tracks: np.ndarray, rate: int = 48000, layout: str = "mono", default: int | None = None
) -> bytes:
    """Sound at 16 kHz in a container; one track for each."""
    target = io.BytesIO()
    with av.open(target, "w", format=form) as out:
        streams = [out.add_stream(codec, rate=rate, layout=layout, options={"strict": "-2"}) for _ in tracks]
        for number, stream in enumerate(streams):
            if default is not None:
                stream.disposition = av.stream.Disposition(int(number == default))
        for stream, samples in zip(streams, tracks, strict=True):
            frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], "s16", "mono")
            frame.rate = RATE
            resampler = av.AudioResampler(stream.format.name, layout, rate, stream.frame_size or None)
            for part in [*resampler.resample(frame), *resampler.resample(None), None]:
                out.mux(stream.encode(part))
    return target.getvalue()


def heard(content: bytes, most: float = 7200) -> Any:
    return decode(io.BytesIO(content), most)


def loud(samples: Any) -> list[bool]:
    """Each half second, whether something is heard in it."""
    return [bool(np.abs(samples[i : i + 8000]).max() > 0.05) for i in range(0, len(samples), 8000)]


def tone(seconds: float) -> np.ndarray:
    return np.sin(np.arange(int(seconds * RATE)) * 0.2).astype(np.float32) / 2


def quiet(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * RATE), np.float32)


CONTAINERS = [
    ("wav", "pcm_s24le"),
    ("wav", "pcm_alaw"),
    ("w64", "pcm_s16le"),
    ("aiff", "pcm_s16be"),
    ("au", "pcm_mulaw"),
    ("caf", "alac"),
    ("flac", "flac"),
    ("ogg", "libopus"),
    ("webm", "libopus"),
    ("matroska", "aac"),
    ("mp4", "aac"),
    ("mp3", "libmp3lame"),
    ("adts", "aac"),
    ("mpegts", "mp2"),
    ("avi", "libmp3lame"),
]


@pytest.mark.parametrize(("form", "codec"), CONTAINERS)
def test_every_container_is_heard_whole(form: str, codec: str) -> None:
    samples = heard(packed(form, codec, np.concatenate([tone(1), quiet(1), tone(1)])))
    assert samples.dtype == np.float32 and len(samples) / RATE == pytest.approx(3, abs=0.2)
    assert loud(samples)[0] and not loud(samples)[3] and loud(samples)[5]


def test_samples_are_those_of_the_file() -> None:
    assert np.array_equal(heard((CLIPS / FOX).read_bytes()), clip(FOX))


@pytest.mark.parametrize("channels", [2, 3, 5, 6, 8, 16])
def test_many_channels_without_a_layout_are_mixed(channels: int) -> None:
    """Recorders with several microphones write no layout."""
    data = np.repeat((tone(1) * 32767).astype("<i2")[:, None], channels, 1).tobytes()
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, channels, RATE,
                         RATE * channels * 2, channels * 2, 16, b"data", len(data))  # fmt: skip
    assert loud(heard(header + data)) == [True, True]


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFFFF0, 0x7FFFFFFF, 10**6])
def test_a_length_that_a_pipe_left_open_does_not_matter(length: int) -> None:
    content = bytearray(wav(tone(2)))
    content[4:8] = content[40:44] = struct.pack("<I", length)
    assert len(heard(bytes(content))) == 2 * RATE


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"rate": 16000}, {"rate": 44100}),
        ({"rate": 44100}, {"rate": 22050}),
        ({"rate": 32000, "layout": "stereo"}, {"rate": 32000}),
        ({"rate": 24000}, {"rate": 48000, "layout": "stereo"}),
    ],
)
def test_files_that_were_joined_are_heard_to_their_end(first: dict[str, Any], second: dict[str, Any]) -> None:
    content = packed("mp3", "libmp3lame", tone(2), **first) + packed("mp3", "libmp3lame", tone(2), **second)
    samples = heard(content)
    assert len(samples) / RATE == pytest.approx(4, abs=0.3) and all(loud(samples)[:8])


def test_a_chain_may_change_its_codec() -> None:
    links = [
        packed("ogg", "libopus", tone(1)),
        packed("ogg", "vorbis", tone(1), layout="stereo"),
        packed("ogg", "libopus", tone(1)),
    ]
    samples = heard(b"".join(links))
    assert len(samples) / RATE == pytest.approx(3, abs=0.1) and all(loud(samples)[:5])
    assert len(heard(links[0] + links[1][:60])) / RATE == pytest.approx(1, abs=0.1)


def test_of_several_tracks_the_one_flagged_default_is_heard() -> None:
    long, short = tone(3), tone(1)
    assert len(heard(packed("matroska", "aac", long, short, default=1))) / RATE == pytest.approx(1, abs=0.2)
    assert len(heard(packed("matroska", "aac", long, short, default=0))) / RATE == pytest.approx(3, abs=0.2)
    assert len(heard(packed("matroska", "aac", short, long))) / RATE == pytest.approx(1, abs=0.2)


def test_a_track_without_any_sound_gives_way_to_the_next() -> None:
    assert loud(heard(packed("matroska", "aac", quiet(2), tone(1), default=0)))[0]
    assert len(heard(packed("matroska", "aac", quiet(2), quiet(1)))) / RATE == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("form", ["mpeg", "mpegts"])
def test_a_track_that_begins_later_hides_nothing(form: str) -> None:
    """As where a recorder has joined two films."""
    one, two = packed(form, "mp2", tone(8)), packed(form, "mp2", tone(1), tone(1))
    samples = heard(one + two + one)
    assert len(samples) / RATE == pytest.approx(17, abs=0.2) and all(loud(samples))


def claimed_flac(seconds: int, real: float) -> bytes:
    """FLAC whose header tells another length than it has; zero stands for unknown."""
    content = bytearray(packed("flac", "flac", quiet(real), rate=RATE))
    content[21] &= 0xF0
    content[22:26] = struct.pack(">I", seconds * RATE)
    return bytes(content)


def unreadable(tag: int = 0x1234) -> bytes:
    """WAV of a format that no decoder knows."""
    content = bytearray(wav(tone(1)))
    content[20:22] = struct.pack("<H", tag)
    return bytes(content)


def patched_wav(rate: int = RATE, channels: int = 1) -> bytes:
    content = bytearray(wav(tone(1)))
    content[22:28] = struct.pack("<HI", channels, rate)
    content[28:34] = struct.pack("<IH", min(rate * channels * 2, 2**32 - 1), channels * 2 % 65536)
    return bytes(content)


def mp4_with(atom: bytes) -> bytes:
    return struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + atom


def ebml(identity: str, size: int, content: bytes = b"") -> bytes:
    return bytes.fromhex(identity) + (size | 1 << 56).to_bytes(8, "big") + content


HUGE = 2**31 - 16
WEBM = ebml("1A45DFA3", 8, bytes.fromhex("42828477 65626D".replace(" ", "")) + b"\xec") + ebml("18538067", 2**40)
WEBM_TAG = ebml("67C8", HUGE - 30, ebml("4487", HUGE - 50))
TRAPS = {
    "RIFF list": (b"RIFF\x34\0\0\0WAVELIST" + struct.pack("<I", HUGE) + b"INFOINAM" + struct.pack("<I", HUGE), 415),
    "RIFF format": (b"RIFF\x34\0\0\0WAVEfmt " + struct.pack("<I", HUGE) + bytes(40), 415),
    "RIFF description": (b"RIFF\x34\0\0\0WAVEbext" + struct.pack("<I", HUGE) + bytes(40), 415),
    "AIFF name": (b"FORM" + struct.pack(">I", HUGE) + b"AIFFNAME" + struct.pack(">I", HUGE), 415),
    "AIFF format": (b"FORM" + struct.pack(">I", HUGE) + b"AIFFCOMM" + struct.pack(">I", HUGE) + bytes(40), 415),
    "CAF information": (b"caff\0\1\0\0desc" + struct.pack(">Q", 32) + struct.pack(">d", 16000) + b"lpcm"
                        + struct.pack(">IIIII", 0, 2, 1, 1, 16) + b"kuki" + struct.pack(">Q", HUGE), 415),
    "MP4 tag": (mp4_with(struct.pack(">I4sI4s", HUGE, b"moov", HUGE - 8, b"udta")
                         + struct.pack(">I4s", HUGE - 16, b"\xa9nam") + struct.pack(">HH", 65535, 0)), 415),
    "MP4 header": (mp4_with(struct.pack(">IIQ", 1, 0x6D6F6F76, 2**62)), 415),
    "WebM tag": (WEBM + ebml("1254C367", HUGE, ebml("7373", HUGE - 12, WEBM_TAG)), 415),
    "WebM codec": (WEBM + ebml("1654AE6B", HUGE, ebml("AE", HUGE - 12, ebml("63A2", HUGE - 30))), 415),
    "WebM attachment": (WEBM + ebml("1941A469", HUGE, ebml("61A7", HUGE - 12, ebml("465C", HUGE - 30))), 415),
    "FLAC picture": (b"fLaC\x86\xff\xff\xff" + struct.pack(">II", 3, HUGE), 415),
    "FLAC comment": (b"fLaC\x84\xff\xff\xff" + struct.pack("<I", HUGE), 415),
    "ID3 picture": (b"ID3\4\0\0\x7f\x7f\x7f\x7fAPIC\x7f\x7f\x7f\x70\0\0" + bytes(40), 415),
    "ASF header": (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + struct.pack("<QI", 2**40, 1) + b"\1\2"
                   + bytes.fromhex("3326b2758e66cf11a6d900aa0062ce6c") + struct.pack("<Q5H", 2**40, *[65535] * 5), 415),
    "AU annotation": (b".snd" + struct.pack(">IIIII", HUGE, HUGE, 3, 16000, 1), 415),
    "AVI name": (b"RIFF\0\0\0\1AVI LIST" + struct.pack("<I", HUGE) + b"hdrlstrn" + struct.pack("<I", HUGE), 415),
    "unknown format": (unreadable(), 415),
    "rate of 1.5 GHz": (patched_wav(1526742656), 415),
    "rate of 1 Hz": (patched_wav(1), 415),
    "no rate": (patched_wav(0), 415),
    "65535 channels": (patched_wav(RATE, 65535), 415),
    "four hours": (claimed_flac(14400, 1), 413),
    "long, and untold": (claimed_flac(0, 90), 413),
}  # fmt: skip


def growth() -> Callable[[], int]:
    """How much the process that decodes, and this one, grow from now on."""
    audio.check_decoding()
    pids = ("self", *children(os.getpid()))
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")

    def memory(field: str) -> int:
        texts = [Path(f"/proc/{pid}/status").read_text().split() for pid in pids]
        return sum(int(words[words.index(f"{field}:") + 1]) * 1024 for words in texts)

    before = memory("VmRSS")
    return lambda: memory("VmHWM") - before


def children(pid: int) -> list[int]:
    """The processes for decoding that a process has."""
    found = []
    for tasks in Path(f"/proc/{pid}/task").iterdir():
        for child in (tasks / "children").read_text().split():
            with contextlib.suppress(FileNotFoundError):
                if b"decoder.py" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
    return found


@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_is_refused_cheaply(name: str) -> None:
    content, status = TRAPS[name]
    grown, began = growth(), time.monotonic()
    with pytest.raises(ApiError) as caught:
        heard(content, 60)
    assert (caught.value.status, caught.value.body["error"]["param"]) == (status, "file")
    assert time.monotonic() - began < 1
    assert grown() < 60 * MIB


@pytest.mark.parametrize(
    ("seconds", "sound", "most"), [(1800, quiet, 0), (700, tone, 600 * RATE * 4 + MIB)], ids=["silence", "sound"]
)
def test_memory_is_bounded_by_the_length_allowed(
    monkeypatch: pytest.MonkeyPatch, seconds: float, sound: Callable[[float], np.ndarray], most: int
) -> None:
    """Nothing tells that these are too long. Silence takes no memory at all before that is found."""
    taken = []

    def counted(source: int, target: int, max_seconds: float, nice: int) -> int:
        try:
            return count(source, target, max_seconds, nice)
        finally:
            taken.append(os.fstat(target).st_blocks * 512)

    count = audio._count
    monkeypatch.setattr(audio, "_count", counted)
    content = bytearray(packed("flac", "flac", sound(seconds), rate=RATE))
    content[21:26] = bytes([content[21] & 0xF0, 0, 0, 0, 0])
    grown = growth()
    with pytest.raises(ApiError) as caught:
        heard(bytes(content), 600)
    assert caught.value.status == 413
    assert grown() < 20 * MIB
    assert taken[0] <= most


PATIENT = """
import decoder, io, sys, tempfile
decoder.PATIENCE = float(sys.argv[1])
with tempfile.TemporaryFile() as target, open(sys.argv[2], "rb", 0) as source:
    print(decoder.answer(source, target, 7200))
"""


def test_a_file_that_takes_too_long_ends_its_process(tmp_path: Path) -> None:
    sound = tmp_path / "sound.wav"
    sound.write_bytes(wav(tone(150)))

    def run(patience: float) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", PATIENT, str(patience), str(sound)]
        folder = PACKAGE / "anklume_stt_server"
        return subprocess.run(
            command, env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
        )

    assert run(0.02).returncode == -signal.SIGPROF
    done = run(3)
    assert (done.returncode, done.stdout) == (0, f"{150 * RATE}\n")


class Slow(io.BytesIO):
    """A file that is decoded for a second or two."""

    def __init__(self) -> None:
        super().__init__(packed("flac", "flac", tone(900), rate=RATE))


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGSEGV, 415), (signal.SIGABRT, 415), (signal.SIGKILL, 200), (signal.SIGTERM, 200)]
)
def test_the_end_of_a_process_harms_one_file_at_most(number: signal.Signals, status: int) -> None:
    """A crash is the file's fault; what was killed from outside is done again; a stop of the service kills nothing."""
    audio.check_decoding()
    before, answers = children(os.getpid()), []

    def ask(file: Slow) -> None:
        try:
            answers.append((200, len(decode(file, 7200))))
        except ApiError as error:
            answers.append((error.status, 0))

    file = Slow()
    thread = threading.Thread(target=ask, args=(file,))
    thread.start()
    time.sleep(0.1)
    for pid in before:
        os.kill(pid, number)
    thread.join()
    assert answers == [(status, 900 * RATE if status == 200 else 0)]
    assert len(heard(wav(tone(1)))) == RATE


def test_a_long_file_is_decoded_with_what_the_others_leave_of_the_processor() -> None:
    audio.check_decoding()

    def priorities() -> set[int]:
        tasks = itertools.chain(*(Path(f"/proc/{pid}/task").iterdir() for pid in children(os.getpid())))
        return {os.getpriority(os.PRIO_PROCESS, int(task.name)) for task in tasks}

    own = os.getpriority(os.PRIO_PROCESS, 0)
    thread = threading.Thread(target=audio.decode, args=(Slow(), 7200, own + 3))
    thread.start()
    until(lambda: own + 3 in priorities())
    thread.join()
    assert priorities() == {own}


def test_a_process_that_was_killed_while_idle_is_replaced() -> None:
    audio.check_decoding()
    for pid in children(os.getpid()):
        os.kill(pid, signal.SIGKILL)
    assert len(heard(wav(tone(1)))) == RATE


def test_many_at_once() -> None:
    """More than there are processes: each gets its own sound, and no descriptor is left open."""
    wanted, got = [1 + n / 10 for n in range(24)], {}

    def ask(seconds: float) -> None:
        got[seconds] = len(heard(wav(tone(seconds))))

    def others() -> int:
        """The descriptors that no process for decoding is behind, be it alive or not."""
        return len(list(Path("/proc/self/fd").iterdir())) - sum(map(bool, audio._decoders.queue))

    before = others()
    threads = [threading.Thread(target=ask, args=(seconds,)) for seconds in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {seconds: int(seconds * RATE) for seconds in wanted}
    assert len(children(os.getpid())) <= audio.PROCESSES
    assert others() == before


def test_sound_without_a_header() -> None:
    raw = (tone(1) * 32767).astype("<i2").tobytes()
    assert np.allclose(audio.from_raw(io.BytesIO(raw + b"\0"), 60), tone(1), atol=1e-4)
    for content, most, status in ((b"", 60, 400), (raw, 0.5, 413)):
        with pytest.raises(ApiError) as caught:
            audio.from_raw(io.BytesIO(content), most)
        assert caught.value.status == status


def test_through_the_server(server: Server) -> None:
    """Joined, chained and cut off, as one server answers them; it lives, and so does its one process for decoding."""
    before = children(server.process.pid)
    fox = clip(FOX)
    joined = packed("mp3", "libmp3lame", quiet(1), rate=44100, layout="stereo") + packed("mp3", "libmp3lame", fox)
    for content in (joined, packed("matroska", "aac", quiet(4), fox, default=0), packed("webm", "libopus", fox)):
        assert sentence_of(server.post(content).json()["text"]) == SENTENCES[FOX]["text"]
    for name in ("RIFF list", "unknown format", "rate of 1.5 GHz"):
        assert server.post(TRAPS[name][0]).status_code == 415
    assert children(server.process.pid) == before and len(before) == 1


def test_a_crash_is_one_line_of_log_and_a_stop_leaves_nothing(start: Callable[..., Server]) -> None:
    server = start()
    (decoder,) = children(server.process.pid)
    statuses = []
    sound = Slow().getvalue()
    thread = threading.Thread(target=lambda: statuses.append(server.post(sound).status_code))
    thread.start()
    busy = Path(f"/proc/{decoder}/stat")
    idle = busy.read_text().split()[13]
    until(lambda: int(busy.read_text().split()[13]) > int(idle) + 5)
    os.kill(decoder, signal.SIGSEGV)
    thread.join()
    assert statuses == [415]
    assert server.post(wav(clip(FOX))).json()["text"] == SENTENCES[FOX]["text"]
    (second,) = children(server.process.pid)
    assert second != decoder
    assert server.stop() == 0
    until(lambda: not Path(f"/proc/{second}").exists())
    assert server.text().count("ended its process: -11") == 1 and "Traceback" not in server.text()
