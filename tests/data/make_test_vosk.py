# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the test model of the engine vosk: a tiny network and graph in Kaldi's formats, which know four sentences.

A network of three layers, trained here frame by frame, is written as the text of a Kaldi model; the graph has a path
for each sentence and loops through silence. No Kaldi takes part. Writes `vosk-test.tar.xz` with its digest.
Run by hand only; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import tarfile
import tempfile
import wave
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import kaldi_native_fbank
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "roles/stt_server/files/server"))

from anklume_stt_server import vosk  # noqa: E402
from anklume_stt_server.forms import Query  # noqa: E402
from anklume_stt_server.settings import Settings  # noqa: E402

RATE = 16000
FRAMES = 100  # of a second
CEPSTRA, BANDS = 20, 23
OFFSETS = range(-24, 25, 4)  # the frames that the network looks at
WIDTH = 64
SILENCE = 0  # the first phone
BANK = 40  # sounds of each sentence, and of noise, that the training draws from
BATCH = 512
STAY, LEAVE = 0.5, 0.5  # what a frame does after a phone
README = """---
language: [en, fr]
---
See tests/data/README.md of anklume.stt. GPL-3.0-or-later.
"""
MODEL_CONF = """--min-active=200
--max-active=3000
--beam=20.0
--lattice-beam=6.0
--acoustic-scale=1.0
--frame-subsampling-factor=3
--endpoint.silence-phones=1
--endpoint.rule2.min-trailing-silence=0.5
--endpoint.rule3.min-trailing-silence=1.0
--endpoint.rule4.min-trailing-silence=2.0
"""
MFCC_CONF = f"""--use-energy=false
--num-mel-bins={BANDS}
--num-ceps={CEPSTRA}
--low-freq=20
--high-freq=7600
--dither=0
--sample-frequency={RATE}
"""
Layer = tuple[np.ndarray, np.ndarray]  # weights and bias


class Sentences:
    """What the model learns: clips, their words, and phones of its own for each word of a sentence."""

    def __init__(self) -> None:
        listed = json.loads((HERE / "sentences.json").read_text(encoding="utf-8"))
        listed = [entry for entry in listed if entry["clip"].endswith(".wav")]
        self.texts = [plain(entry["text"]) for entry in listed]
        self.sounds = [read_wav(HERE / "clips" / entry["clip"]) for entry in listed]
        self.words = sorted({word for text in self.texts for word in text.split()})
        self.phones: list[list[list[int]]] = []  # of each word of each sentence
        self.count = SILENCE + 1
        for text in self.texts:
            self.phones.append([self._take(max(2, len(word) // 2)) for word in text.split()])

    def _take(self, number: int) -> list[int]:
        self.count += number
        return list(range(self.count - number, self.count))


def plain(text: str) -> str:
    """A text as Vosk gives it."""
    return " ".join(text.lower().replace(".", "").replace(",", "").split())


def read_wav(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def features(sound: np.ndarray) -> np.ndarray:
    options = kaldi_native_fbank.MfccOptions()
    options.frame_opts.dither = 0
    options.frame_opts.samp_freq = RATE
    options.use_energy = False
    options.num_ceps = CEPSTRA
    options.mel_opts.num_bins = BANDS
    options.mel_opts.low_freq, options.mel_opts.high_freq = 20, 7600
    mfcc = kaldi_native_fbank.OnlineMfcc(options)
    mfcc.accept_waveform(RATE, (sound * 32768).tolist())
    mfcc.input_finished()
    return np.stack([mfcc.get_frame(number) for number in range(mfcc.num_frames_ready)])


def spliced(found: np.ndarray) -> np.ndarray:
    """Each frame with those that the network looks at beside it."""
    numbers = np.arange(len(found))
    return np.concatenate([found[np.clip(numbers + offset, 0, len(found) - 1)] for offset in OFFSETS], axis=1)


def examples(sentences: Sentences, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Sounds as spliced features, and the phone of each frame: those of a sentence share its time evenly."""
    for clip, phones in zip(sentences.sounds, sentences.phones, strict=True):
        row = np.array([phone for word in phones for phone in word])
        loud = np.flatnonzero(np.abs(clip) > 0.01)
        for _ in range(BANK):
            before, after = (int(rng.choice([0, 0.05, rng.uniform(0, 0.6)]) * RATE) for _ in range(2))
            sound = np.concatenate([np.zeros(before), clip, np.zeros(after)]) * 10 ** rng.uniform(-0.3, 0.1)
            sound = sound + rng.normal(0, 10 ** rng.uniform(-5, -2.5), len(sound))
            found = spliced(features(sound.astype(np.float32)))
            begin, end = ((before + edge) * FRAMES / RATE for edge in (loud[0], loud[-1]))
            place = ((np.arange(len(found)) - begin) / (end - begin) * len(row)).astype(int)
            spoken = (np.arange(len(found)) >= begin) & (np.arange(len(found)) < end)
            yield found, np.where(spoken, row[np.clip(place, 0, len(row) - 1)], SILENCE)
    for _ in range(BANK):
        noise = rng.normal(0, 10 ** rng.uniform(-5, -1.5), 2 * RATE).astype(np.float32)
        found = spliced(features(noise))
        yield found, np.full(len(found), SILENCE)


def forward(layers: list[Layer], frames: np.ndarray) -> list[np.ndarray]:
    """What goes into each layer, and what comes out of the last."""
    flow = [frames]
    for number, (weights, bias) in enumerate(layers):
        out = flow[-1] @ weights.T + bias
        flow.append(np.maximum(out, 0) if number + 1 < len(layers) else out)
    return flow


def gradients(layers: list[Layer], frames: np.ndarray, phones: np.ndarray) -> tuple[float, list[Layer]]:
    """The cross entropy, and how it changes with each number of the network."""
    flow = forward(layers, frames)
    odds = np.exp(flow[-1] - flow[-1].max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    rows = np.arange(len(phones))
    loss = -float(np.log(odds[rows, phones] + 1e-12).mean())
    odds[rows, phones] -= 1
    slope, found = odds / len(phones), list[Layer]()
    for number in reversed(range(len(layers))):
        found.insert(0, (slope.T @ flow[number], slope.sum(axis=0)))
        if number:
            slope = (slope @ layers[number][0]) * (flow[number] > 0)
    return loss, found


def train(frames: np.ndarray, phones: np.ndarray, count: int, steps: int, rng: np.random.Generator) -> list[Layer]:
    """Three layers, by Adam, on frames with some noise; they take frames as they are."""
    mean, spread = frames.mean(axis=0), frames.std(axis=0) + 1e-3
    sizes = [frames.shape[1], WIDTH, WIDTH, count]
    numbers = [
        array
        for size, following in pairwise(sizes)
        for array in (rng.uniform(-1, 1, (following, size)) / np.sqrt(size), np.zeros(following))
    ]
    first, second = [[np.zeros_like(array) for array in numbers] for _ in range(2)]
    for step in range(1, steps + 1):
        chosen = rng.integers(len(frames), size=BATCH)
        seen = (frames[chosen] - mean) / spread
        seen = seen + 0.2 * rng.normal(size=seen.shape)
        layers = list(zip(numbers[::2], numbers[1::2], strict=True))
        loss, found = gradients(layers, seen, phones[chosen])
        for array, slope, low, high in zip(
            numbers, (each for pair in found for each in pair), first, second, strict=True
        ):
            low[...] += 0.1 * (slope - low)
            high[...] += 0.001 * (slope**2 - high)
            array[...] -= 3e-3 * (low / (1 - 0.9**step)) / (np.sqrt(high / (1 - 0.999**step)) + 1e-8)
        if step % 500 == 0:
            print(f"step {step}: {loss:.3f}")
    numbers[1] -= numbers[0] @ (mean / spread)
    numbers[0] /= spread
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def row(numbers: Any) -> str:
    return " ".join(f"{number:.5g}" for number in numbers)


def transitions(count: int) -> str:
    """The topology in Kaldi's text: one state for a phone, which stays or goes."""
    phones = " ".join(map(str, range(1, count + 1)))
    triples = "".join(f"{phone + 1} 0 {phone} \n" for phone in range(count))
    odds = row([0, *[np.log(STAY), np.log(LEAVE)] * count])
    return (
        f"<TransitionModel> \n<Topology> \n<TopologyEntry> \n<ForPhones> \n{phones} \n</ForPhones> \n"
        f"<State> 0 <PdfClass> 0 <Transition> 0 {STAY} <Transition> 1 {LEAVE} </State> \n<State> 1 </State> \n"
        f"</TopologyEntry> \n</Topology> \n<Triples> {count} \n{triples}</Triples> \n"
        f"<LogProbs> \n [ {odds} ]\n</LogProbs> \n</TransitionModel> \n"
    )


def network(layers: list[Layer], shares: np.ndarray) -> str:
    """The network in Kaldi's text."""
    seen = ", ".join("input" if offset == 0 else f"Offset(input, {offset})" for offset in OFFSETS)
    wiring = [f"input-node name=input dim={CEPSTRA}", f"component-node name=a1 component=a1 input=Append({seen})"]
    chain = ["a1", "r1", "a2", "r2", "a3", "ls"]
    wiring += [f"component-node name={name} component={name} input={before}" for before, name in pairwise(chain)]
    parts = []
    for number, (weights, bias) in enumerate(layers, start=1):
        matrix = "".join(f"  {row(each)}\n" for each in weights).rstrip("\n")
        parts.append(
            f"<ComponentName> a{number} <AffineComponent> <LearningRate> 0.001 <LinearParams> [\n{matrix} ]\n"
            f"<BiasParams>  [ {row(bias)} ]\n</AffineComponent> \n"
        )
        name, kind = ("ls", "LogSoftmaxComponent") if number == 3 else (f"r{number}", "RectifiedLinearComponent")
        empty = "<ValueAvg>  [ ]\n<DerivAvg>  [ ]\n<Count> 0"
        parts.append(f"<ComponentName> {name} <{kind}> <Dim> {len(bias)} {empty} </{kind}> \n")
    context = f"<LeftContext> {-OFFSETS[0]} <RightContext> {OFFSETS[-1]}"
    wires = "\n".join([*wiring, "output-node name=output input=ls objective=linear"])
    return (
        f"<Nnet3> \n{wires}\n\n<NumComponents> {len(parts)} \n{''.join(parts)}</Nnet3> {context}"
        f" <Priors>  [ {row(shares)} ]\n"
    )


def graph(sentences: Sentences) -> Any:
    """Silence, then any sentence or none, and again; a label is a way out of a phone, or one more frame of it."""
    import kaldifst  # with it in one process, libvosk never comes back from loading a model

    made = kaldifst.StdVectorFst()
    start, hub, silence = (made.add_state() for _ in range(3))
    made.start = start
    half = -float(np.log(STAY))

    def arc(begin: int, label: int, word: int, weight: float, end: int) -> None:
        made.add_arc(begin, kaldifst.StdArc(label, word, weight, end))

    arc(start, 2 * (SILENCE + 1), 0, half, silence)
    arc(silence, 2 * (SILENCE + 1) - 1, 0, half, silence)
    arc(silence, 0, 0, 0.0, hub)
    arc(start, 0, 0, half, hub)
    made.set_final(silence, 0.0)
    for text, phones in zip(sentences.texts, sentences.phones, strict=True):
        here = hub
        for word, parts in zip(text.split(), phones, strict=True):
            for number, phone in enumerate(parts):
                following = made.add_state()
                said = 0 if number else sentences.words.index(word) + 1
                arc(here, 2 * (phone + 1), said, 2 * half if here == hub else half, following)
                arc(following, 2 * (phone + 1) - 1, 0, half, following)
                here = following
        made.set_final(here, 0.0)
        arc(here, 0, 0, half, start)
    return made


def write(folder: Path, sentences: Sentences, layers: list[Layer], shares: np.ndarray) -> None:
    for name in ("am", "conf", "graph/phones"):
        (folder / name).mkdir(parents=True)
    (folder / "am/final.mdl").write_text(transitions(sentences.count) + network(layers, shares))
    (folder / "conf/mfcc.conf").write_text(MFCC_CONF)
    (folder / "conf/model.conf").write_text(MODEL_CONF)
    graph(sentences).write(str(folder / "graph/HCLG.fst"))
    words = "".join(f"{word} {number}\n" for number, word in enumerate(["<eps>", *sentences.words]))
    (folder / "graph/words.txt").write_text(words, encoding="utf-8")
    lines = ["1 nonword"]
    for parts in (word for phones in sentences.phones for word in phones):
        lines += [f"{phone + 1} internal" for phone in parts]
        lines[-len(parts)] = f"{parts[0] + 1} begin"
        lines[-1] = f"{parts[-1] + 1} end"
    (folder / "graph/phones/word_boundary.int").write_text("\n".join(lines) + "\n")
    (folder / "README.md").write_text(README)


def faults(folder: Path, sentences: Sentences) -> list[str]:
    """What is heard wrongly: each clip, also late, soft, loud, noisy and before another; silence and noise."""
    rng, wrong, cases = np.random.default_rng(7), [], list[tuple[str, np.ndarray, str]]()
    for clip, text in zip(sentences.sounds, sentences.texts, strict=True):
        pause = np.zeros(RATE)
        cases += [
            (text, clip, text),
            (f"late {text}", np.concatenate([pause, clip, pause]), text),
            (f"soft {text}", clip * 0.5, text),
            (f"noisy {text}", clip + rng.normal(0, 0.002, len(clip)), text),
        ]
        cases += [
            (f"{text} + {other}", np.concatenate([clip, pause, after]), f"{text} {other}")
            for after, other in zip(sentences.sounds, sentences.texts, strict=True)
        ]
    for seconds in (1, 5, 30):
        for level in (0.0, 0.001, 0.1):
            cases.append((f"noise {level} of {seconds} s", rng.normal(0, 1, seconds * RATE) * level, ""))
    model = vosk.load(folder, Settings(engine="vosk"))
    query = Query(io.BytesIO(), "transcribe", "", None, None, None, 0, "json", False, ("segment",))
    for name, sound, text in cases:
        steps = model.transcribe(sound.astype(np.float32), query, lambda: False)
        got = "".join(segment.text for step in steps for segment in step.segments).strip()
        if got != text:
            wrong.append(f"{name}: {got!r} and not {text!r}")
    return wrong


def pack(folder: Path, archive: Path) -> None:
    def as_plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        member.mode = 0o755 if member.isdir() else 0o644
        return member

    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name, filter=as_plain)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    Path(f"{archive}.sha256").write_text(f"{digest}  {archive.name}\n")
    print(f"{archive}: {archive.stat().st_size} bytes")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1500, help="training steps (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    sentences = Sentences()
    bank = list(examples(sentences, rng))
    frames = np.concatenate([found for found, _ in bank]).astype(np.float32)
    phones = np.concatenate([phones for _, phones in bank])
    layers = train(frames, phones, sentences.count, options.steps, rng)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        write(folder, sentences, layers, np.bincount(phones, minlength=sentences.count) / len(phones))
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            wrong = pool.submit(faults, folder, sentences).result(120)
        for line in wrong:
            print(f"wrong: {line}", file=sys.stderr)
        if wrong:
            print(f"{len(wrong)} faults: no archive written; try more steps or another seed", file=sys.stderr)
            return 1
        pack(folder, HERE / "vosk-test.tar.xz")
    return 0


if __name__ == "__main__":
    sys.exit(main())
