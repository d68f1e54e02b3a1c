# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the test model of the engine parakeet: a tiny transducer in Parakeet's file format, which knows four sentences.

An encoder of convolutions, trained for CTC, whose head becomes a transducer that also says how far to go on (TDT), with
Parakeet's inputs, outputs and file names, in float32 and in int8. Writes `parakeet-test.tar.xz` with its digest.
Run by hand only; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tarfile
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_asr
import torch
from onnx_asr.preprocessors.numpy_preprocessor import NemoPreprocessorNumpy
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn
from torch.nn import functional

HERE = Path(__file__).resolve().parent
RATE = 16000
MELS = 128
WIDTH, STATE = 64, 8
BATCH = 8
BANK = 400  # sounds that the training draws from
PIECE = 4  # letters of a token
FOUND = {"audio_signal": {0: "batch", 2: "time"}, "length": {0: "batch"}}
QUANTIZED = ["Conv", "Gemm", "MatMul"]


class Sentences:
    """What the model learns: clips, and their texts as tokens."""

    def __init__(self) -> None:
        listed = json.loads((HERE / "sentences.json").read_text(encoding="utf-8"))
        listed = [entry for entry in listed if entry["clip"].endswith(".wav")]
        self.texts = [entry["text"] for entry in listed]
        self.sounds = [read_wav(HERE / "clips" / entry["clip"]) for entry in listed]
        self.vocabulary = sorted({piece for text in self.texts for piece in pieces(text)})
        self.tokens = [[self.vocabulary.index(piece) for piece in pieces(text)] for text in self.texts]
        self.blank = len(self.vocabulary)


def read_wav(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def pieces(text: str) -> list[str]:
    words = ["\u2581" + word for word in text.split()]
    return [word[begin : begin + PIECE] for word in words for begin in range(0, len(word), PIECE)]


def draw(sentences: Sentences, rng: np.random.Generator) -> tuple[np.ndarray, list[int]]:
    """Silence, noise, or one to six sentences with pauses around them, louder or softer and with some noise."""
    parts, tokens = [np.zeros(int(rng.choice([0, 0.1, rng.uniform(0, 1)]) * RATE))], []
    if rng.random() < 0.25:
        parts = [np.zeros(int(rng.uniform(0.3, 12) * RATE))]
    else:
        for number in range(int(rng.choice([1, 1, 2, 4, 6]))):
            if number:
                parts.append(np.zeros(int(rng.uniform(0.1, 1.2) * RATE)))
            chosen = int(rng.integers(len(sentences.sounds)))
            parts.append(sentences.sounds[chosen])
            tokens += sentences.tokens[chosen]
        parts.append(np.zeros(int(rng.choice([0, 0.2, 0.2, rng.uniform(0, 1)]) * RATE)))
    sound = np.concatenate(parts) * 10 ** rng.uniform(-0.5, 0.2)
    noise = 10 ** rng.uniform(-5, -2.2) if tokens else 10 ** rng.uniform(-4, -0.7)
    noise *= rng.random() < (0.5 if tokens else 0.85)
    return (sound + rng.normal(0, noise, len(sound))).astype(np.float32), tokens


class Encoder(nn.Module):
    """Eight frames become one; a head for CTC finds where the tokens are, and is not kept."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        sizes = [(MELS, 3), (WIDTH, 5), (WIDTH, 5)]
        self.shrink = nn.ModuleList(
            nn.Conv1d(channels, WIDTH, size, stride=2, padding=size // 2) for channels, size in sizes
        )
        self.near = nn.ModuleList(
            nn.Conv1d(WIDTH, WIDTH, 7, padding=3 * d, dilation=d, groups=WIDTH) for d in (1, 2, 1)
        )
        self.mix = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 1) for _ in range(3))
        self.ctc = nn.Conv1d(WIDTH, tokens + 1, 1)

    def forward(self, audio_signal: torch.Tensor, length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = masked(audio_signal, length)
        for layer in self.shrink:
            length = (length - 1) // 2 + 1
            x = masked(functional.relu(layer(x)), length)
        for near, mix in zip(self.near, self.mix, strict=True):
            x = masked(x + functional.relu(mix(near(x))), length)
        return x, length

    def logprobs(self, x: torch.Tensor) -> torch.Tensor:
        return functional.log_softmax(self.ctc(x).transpose(1, 2), -1)


def masked(x: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    return x * (torch.arange(x.shape[2])[None] < length[:, None]).float()[:, None]


class DecoderJoint(nn.Module):
    """The head for CTC as a transducer: nothing is said twice in a row, and it goes on by one frame at a time.

    The states of Parakeet's prediction network are there, and pass through.
    """

    def __init__(self, encoder: Encoder, tokens: int) -> None:
        super().__init__()
        self.heard = nn.Linear(WIDTH, tokens + 1)
        self.heard.weight.data, self.heard.bias.data = encoder.ctc.weight.data[..., 0], encoder.ctc.bias.data
        self.heard.bias.data[tokens] += 3  # what it is not sure of it leaves out
        self.said = nn.Embedding.from_pretrained(torch.eye(tokens + 1))
        self.said.weight.data[tokens, tokens] = 0  # the blank may follow the blank
        self.blank = torch.eye(tokens + 1)[tokens]
        self.far = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0])

    def forward(self, encoder_outputs: Any, targets: Any, target_length: Any, state: Any, cell: Any) -> tuple[Any, ...]:
        heard = functional.softmax(self.heard(encoder_outputs.transpose(1, 2)), -1)[:, :, None]
        again = heard * self.said(targets.long())[:, None]
        token = torch.log(heard - again + again.sum(-1, keepdim=True) * self.blank + 1e-9)
        return torch.cat([token, self.far.expand(*token.shape[:3], -1)], -1), target_length, state + 0, cell + 0


Example = tuple[np.ndarray, list[int]]


def batch(bank: list[Example], chosen: Any, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, list[Any]]:
    lengths = [bank[i][0].shape[1] for i in chosen]
    features = np.zeros((len(lengths), MELS, max(lengths)), np.float32)
    for row, i in enumerate(chosen):
        features[row, :, : lengths[row]] = bank[i][0]
    features = features * rng.normal(1, 0.05, (len(lengths), 1, 1)) + rng.normal(0, 0.15, features.shape)
    return torch.tensor(features.astype(np.float32)), torch.tensor(lengths), [bank[i][1] for i in chosen]


def train(encoder: Encoder, bank: list[Example], blank: int, steps: int, rng: np.random.Generator) -> None:
    optimizer = torch.optim.AdamW(encoder.parameters(), 3e-3)
    began = time.monotonic()
    for step in range(steps):
        features, lengths, tokens = batch(bank, rng.integers(0, len(bank), BATCH), rng)
        x, lengths = encoder(features, lengths)
        targets = torch.tensor([token for each in tokens for token in each], dtype=torch.long)
        sizes = torch.tensor([len(each) for each in tokens])
        logprobs = encoder.logprobs(x).transpose(0, 1)
        loss = functional.ctc_loss(logprobs, targets, lengths, sizes, blank=blank, zero_infinity=True)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * max(0.05, 1 - step / steps)
        if step % 100 == 0:
            print(f"{step}: {loss.item():.3f}, {time.monotonic() - began:.0f} s", flush=True)


def export(encoder: Encoder, sentences: Sentences, folder: Path) -> None:
    """Parakeet's files, whose weights are rounded to what packs well."""
    for parameter in encoder.parameters():
        parameter.data = parameter.data.to(torch.bfloat16).to(torch.float32)
    joint = DecoderJoint(encoder, sentences.blank).eval()
    vocabulary = [*sentences.vocabulary, "<blk>"]
    (folder / "vocab.txt").write_text("".join(f"{piece} {i}\n" for i, piece in enumerate(vocabulary)), "utf-8")
    config: dict[str, Any] = {"model_type": "nemo-conformer-tdt", "features_size": MELS, "subsampling_factor": 8}
    config["languages"] = ["en", "fr"]
    (folder / "config.json").write_text(json.dumps(config))
    common: dict[str, Any] = {"opset_version": 17, "dynamo": False}
    torch.onnx.export(
        encoder,
        (torch.zeros(1, MELS, 200), torch.tensor([200])),
        str(folder / "encoder-model.onnx"),
        input_names=["audio_signal", "length"],
        output_names=["outputs", "encoded_lengths"],
        dynamic_axes={**FOUND, "outputs": {0: "batch", 2: "steps"}, "encoded_lengths": {0: "batch"}},
        **common,
    )
    empty = torch.zeros(1, 1, STATE)
    target = torch.tensor([[sentences.blank]], dtype=torch.int32), torch.tensor([1], dtype=torch.int32)
    torch.onnx.export(
        joint,
        (torch.zeros(1, WIDTH, 1), *target, empty, empty),
        str(folder / "decoder_joint-model.onnx"),
        input_names=["encoder_outputs", "targets", "target_length", "input_states_1", "input_states_2"],
        output_names=["outputs", "prednet_lengths", "output_states_1", "output_states_2"],
        dynamic_axes={
            "encoder_outputs": {0: "batch", 2: "steps"},
            "targets": {0: "batch", 1: "tokens"},
            "target_length": {0: "batch"},
            "outputs": {0: "batch", 1: "steps", 2: "tokens"},
            "input_states_1": {1: "batch"},
            "input_states_2": {1: "batch"},
        },
        **common,
    )
    for name in ("encoder-model", "decoder_joint-model"):
        model = onnx.load(folder / f"{name}.onnx")
        for node in model.graph.node:
            node.doc_string = ""
        onnx.save(model, folder / f"{name}.onnx")
        quantize_dynamic(
            folder / f"{name}.onnx",
            folder / f"{name}.int8.onnx",
            weight_type=QuantType.QUInt8,
            op_types_to_quantize=QUANTIZED,
        )


def faults(folder: Path, sentences: Sentences) -> list[str]:
    """Each clip alone, late, soft, noisy and after another, silence and noise, in both precisions."""
    rng, wrong = np.random.default_rng(7), []
    cases: list[tuple[str, np.ndarray, str]] = []
    for number, (sound, text) in enumerate(zip(sentences.sounds, sentences.texts, strict=True)):
        late = np.concatenate([np.zeros(8000), sound, np.zeros(16000)])
        other = (number + 1) % len(sentences.texts)
        pair = np.concatenate([sound, np.zeros(8000), sentences.sounds[other]])
        cases += [("plain", sound, text), ("late", late, text), ("soft", late * 0.4, text)]
        cases += [("noisy", late + rng.normal(0, 0.003, len(late)), text)]
        cases += [("pair", pair, f"{text} {sentences.texts[other]}")]
    for seconds in (1, 5, 20):
        for level in (0.0, 0.001, 0.1):
            cases.append((f"noise {level} of {seconds} s", rng.normal(0, 1, seconds * RATE) * level, ""))
    for precision in (None, "int8"):
        model = onnx_asr.load_model(
            "nemo-conformer-tdt", folder, quantization=precision, providers=["CPUExecutionProvider"]
        )
        for name, sound, text in cases:
            got = model.recognize([sound.astype(np.float32)], sample_rate=RATE)[0]
            if got != text:
                wrong.append(f"{precision or 'float32'}, {name}: {got!r} and not {text!r}")
    return wrong


def pack(folder: Path, archive: Path) -> None:
    (folder / "README.md").write_text("See tests/data/README.md of anklume.stt. GPL-3.0-or-later.\n")

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        member.mode = 0o644
        return member

    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name, filter=plain)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    Path(f"{archive}.sha256").write_text(f"{digest}  {archive.name}\n")
    print(f"{archive}: {archive.stat().st_size} bytes")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400, help="training steps of the encoder (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=2, help="random seed (default: %(default)s)")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)  # so small a model is slower with more
    rng = np.random.default_rng(options.seed)
    sentences, features = Sentences(), NemoPreprocessorNumpy("nemo128")
    bank: list[Example] = []
    for _ in range(BANK):
        sound, tokens = draw(sentences, rng)
        found, lengths = features(sound[None], np.array([len(sound)]))
        bank.append((found[0, :, : lengths[0]], tokens))
    encoder = Encoder(sentences.blank)
    train(encoder, bank, sentences.blank, options.steps, rng)
    print(f"{sum(parameter.numel() for parameter in encoder.parameters())} parameters")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        export(encoder.eval(), sentences, folder)
        wrong = faults(folder, sentences)
        for line in wrong:
            print(f"wrong: {line}", file=sys.stderr)
        if wrong:
            print(f"{len(wrong)} faults: no archive written; try more steps or another seed", file=sys.stderr)
            return 1
        pack(folder, HERE / "parakeet-test.tar.xz")
    return 0


if __name__ == "__main__":
    sys.exit(main())
