# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the test model: a tiny multilingual Whisper that knows four espeak-ng sentences, and silence.

The result behaves like any Whisper in faster-whisper (language detection, transcribe, translate, timestamps)
but is 3 MB, has no licence of anybody else, and can be trained on two CPU cores in a quarter of an hour.
It writes `whisper-test.tar.xz` with its digest, the spoken clips, `sentences.json`, and the two clips that the
stt_server role ships. Run by hand only; see README.md beside this file for the recipe.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ctranslate2.specs import whisper_spec
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.feature_extractor import FeatureExtractor
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from torch.nn import functional

HERE = Path(__file__).resolve().parent
ROLE_CLIPS = HERE.parent.parent / "roles" / "stt_server" / "files" / "clips"
MODEL_ID = "anklume/whisper-test"
RATE = 16000
IGNORE = -100  # targets with this value do not count in the loss

# The languages of Whisper, in the order of their token ids.
CODES = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi ml"
    " cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu am"
    " yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su"
)
LANGUAGES = CODES.split()


@dataclass(frozen=True)
class Sentence:
    """One sentence the model learns."""

    name: str
    voice: str
    language: str
    text: str
    translation: str


SENTENCES = (
    Sentence(
        "en-ansible", "en-us", "en", "Ansible installed the speech server.", "Ansible installed the speech server."
    ),
    Sentence(
        "en-fox",
        "en-us",
        "en",
        "The quick brown fox jumps over the lazy dog.",
        "The quick brown fox jumps over the lazy dog.",
    ),
    Sentence(
        "fr-bonjour",
        "fr-fr",
        "fr",
        "Bonjour, la reconnaissance vocale fonctionne.",
        "Hello, speech recognition works.",
    ),
    Sentence(
        "fr-serveur",
        "fr-fr",
        "fr",
        "Le serveur transcrit votre voix.",
        "The server transcribes your voice.",
    ),
)
# What the role ships for its verify step: sentences that every real model knows too.
SHIPPED = {"en": "en-fox", "fr": "fr-bonjour"}
# The same speech in the containers that browsers and telephones send.
ENCODED = {"en-ansible.mp3": ("en-ansible", ["-c:a", "libmp3lame", "-b:a", "48k"]),
           "fr-bonjour.webm": ("fr-bonjour", ["-c:a", "libopus", "-b:a", "32k"])}  # fmt: skip


class Vocabulary:
    """Whisper's 51865 token ids, of which only single bytes and the special tokens are used."""

    SIZE = 51865
    END = 50257

    def __init__(self) -> None:
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        # Without these three merges faster-whisper would take the plain space for a symbol to be suppressed.
        merges = [("Ġ", "-"), ("Ġ", "'"), ("Ġ", "â")]
        self.text = {token: i for i, token in enumerate(alphabet + ["".join(m) for m in merges])}
        names = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in LANGUAGES)]
        names += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"]
        names += ["<|notimestamps|>", *(f"<|{i * 0.02:.2f}|>" for i in range(1501))]
        self.special = {token: self.END + i for i, token in enumerate(names)}
        assert self.END + len(names) == self.SIZE
        self.used = [*self.text.values(), *self.special.values()]
        self.column = {token_id: i for i, token_id in enumerate(self.used)}
        self.tokenizer = Tokenizer(models.BPE(vocab={**self.text, **self.special}, merges=merges))
        self.tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        self.tokenizer.decoder = decoders.ByteLevel()
        self.tokenizer.add_special_tokens(names)

    def encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def __getitem__(self, token: str) -> int:
        return self.special[token]

    def tokens(self) -> list[str]:
        """All tokens by id; CTranslate2 calls a model multilingual when one of them is empty."""
        by_id = {i: token for token, i in {**self.text, **self.special}.items()}
        by_id[self.END - 1] = ""
        return [by_id.get(i, f"<filler{i}>") for i in range(self.SIZE)]


def speak(sentence: Sentence) -> np.ndarray:
    """The sentence spoken by espeak-ng, at 16 kHz."""
    command = ["espeak-ng", "-v", sentence.voice, "-s", "150", "--stdout", sentence.text]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(raw)) as wav:
        samples = np.frombuffer(wav.readframes(wav.getnframes()), np.int16) / 32768.0
        step = wav.getframerate() / RATE
    return np.interp(np.arange(0, len(samples), step), np.arange(len(samples)), samples).astype(np.float32)


def write_wav(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(RATE)
        wav.writeframes((samples * 32767).astype(np.int16).tobytes())


class Samples:
    """Augmented training samples: a spectrogram and the token sequences that belong to it."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.features = FeatureExtractor()

    def spectrogram(self, samples: np.ndarray) -> np.ndarray:
        mel = self.features(samples.astype(np.float32))[..., :3000]
        return np.pad(mel, ((0, 0), (0, 3000 - mel.shape[1]))).astype(np.float32)

    def sentence(self, spoken: np.ndarray, sentence: Sentence) -> tuple[np.ndarray, list[tuple[list[int], list[int]]]]:
        """The clip, shifted, cut, faster or slower, louder or quieter, with a little noise."""
        before = random.choice([0, 0, random.random() * 0.8, random.random() * 3])
        after = random.choice([0, random.random() * 0.8, random.random() * 20])
        speed = random.choice([1, 1, random.uniform(0.96, 1.04)])
        voice = spoken[int(random.random() * 800) :]
        voice = np.interp(np.arange(0, len(voice) - 1, speed), np.arange(len(voice)), voice)
        samples = np.concatenate([np.zeros(int(before * RATE)), voice, np.zeros(int(after * RATE))])
        samples = samples * random.uniform(0.3, 1.2)
        samples += np.random.randn(len(samples)) * random.choice([0, 0, 1e-4, 2e-3, 5e-3])
        start = self.vocabulary["<|0.00|>"] + round(before * 50)
        end = min(self.vocabulary["<|30.00|>"], start + round(len(voice) / 320))
        # A wrong language token in one of four: the text has to follow the sound, not the token.
        language = sentence.language if random.random() < 0.75 else random.choice(LANGUAGES)
        sequences = []
        for task, text in (("transcribe", sentence.text), ("translate", sentence.translation)):
            body = self.vocabulary.encode(" " + text)
            sequences.append(self.sequence(sentence.language, language, task, body, None))
            sequences.append(self.sequence(sentence.language, language, task, body, (start, end)))
        return self.spectrogram(samples), sequences

    def nothing(self, noisy: bool) -> tuple[np.ndarray, list[tuple[list[int], list[int]]]]:
        """Silence, or noise of any colour and loudness: the model must end at once."""
        length = int(random.choice([random.uniform(0.3, 6), random.uniform(0.3, 30)]) * RATE)
        samples = np.zeros(length)
        if noisy:
            spectrum = np.fft.rfft(np.random.randn(length))
            colour = np.maximum(np.arange(len(spectrum)), 1.0) ** -random.choice([0.0, 0.0, 0.5, 1.0])
            samples = np.fft.irfft(spectrum * colour, length)
            samples *= 10 ** random.uniform(-4, -0.3) / np.abs(samples).max()
        sequences = []
        for task in ("transcribe", "translate"):
            language = random.choice(["en", "fr", random.choice(LANGUAGES)])
            sequences.append(self.sequence(None, language, task, [], None))
            sequences.append(self.sequence(None, language, task, [], (self.vocabulary["<|0.00|>"],)))
        return self.spectrogram(samples), sequences

    def sequence(
        self, spoken: str | None, language: str, task: str, body: list[int], stamps: tuple[int, ...] | None
    ) -> tuple[list[int], list[int]]:
        """Decoder input and targets; forced tokens are not learnt, a random previous text is put before some."""
        v = self.vocabulary
        ids = [v["<|startoftranscript|>"], v[f"<|{language}|>"], v[f"<|{task}|>"]]
        if stamps is None:
            ids += [v["<|notimestamps|>"], *body]
        else:
            ids += [stamps[0], *body, *stamps[1:]]
        ids.append(v.END)
        previous = []
        if random.random() < 0.2:
            previous = [v["<|startofprev|>"], *(random.randrange(256) for _ in range(random.randint(1, 40)))]
        targets = [IGNORE] * len(previous) + ids[1:]
        first = len(previous)
        targets[first] = v[f"<|{spoken}|>"] if spoken else v["<|nospeech|>"]
        targets[first + 1] = IGNORE
        if stamps is None:
            targets[first + 2] = IGNORE
        return previous + ids[:-1], targets


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.value, self.out = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)

    def forward(self, x: torch.Tensor, memory: torch.Tensor, causal: bool = False) -> torch.Tensor:
        q, k, v = self.query(x), self.key(memory), self.value(memory)
        seen = functional.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None], is_causal=causal)  # one head
        return self.out(seen[:, 0])


class Block(nn.Module):
    """A transformer layer; the decoder's layers also look at the sound."""

    def __init__(self, width: int, cross: bool) -> None:
        super().__init__()
        self.norm1, self.attention, self.norm3 = nn.LayerNorm(width), Attention(width), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm2, self.cross = (nn.LayerNorm(width), Attention(width)) if cross else (None, None)

    def forward(self, x: torch.Tensor, memory: torch.Tensor | None = None) -> torch.Tensor:
        normed = self.norm1(x)
        x = x + self.attention(normed, normed, causal=self.cross is not None)
        if self.cross is not None:  # all sequences of one sound look at it together
            queries = self.norm2(x).reshape(memory.shape[0], -1, x.shape[-1])
            x = x + self.cross(queries, memory).reshape(x.shape)
        return x + self.down(functional.gelu(self.up(self.norm3(x))))


class TinyWhisper(nn.Module):
    """Whisper's architecture with one head, one encoder layer and two decoder layers."""

    def __init__(self, vocabulary: Vocabulary, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(80, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        scale = torch.exp(-math.log(10000) / (width // 2 - 1) * torch.arange(width // 2))
        angle = torch.arange(1500)[:, None] * scale
        self.register_buffer("sound_positions", torch.cat([angle.sin(), angle.cos()], 1))
        self.encoder = nn.ModuleList([Block(width, cross=False)])
        self.decoder = nn.ModuleList([Block(width, cross=True), Block(width, cross=True)])
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.embedding = nn.Parameter(torch.randn(len(vocabulary.used), width) * 0.05)
        self.text_positions = nn.Parameter(torch.randn(448, width) * 0.05)
        self.unused = vocabulary.SIZE - len(vocabulary.used)

    def forward(self, mel: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        x = functional.gelu(self.conv2(functional.gelu(self.conv1(mel)))).transpose(1, 2) + self.sound_positions
        for block in self.encoder:
            x = block(x)
        memory = self.encoder_norm(x)
        y = self.embedding[ids] + self.text_positions[: ids.shape[1]]
        for block in self.decoder:
            y = block(y, memory)
        logits = self.decoder_norm(y) @ self.embedding.T
        # The rows of unused ids are zero: one more column stands for all of them.
        return torch.cat([logits, torch.full_like(logits[..., :1], math.log(self.unused))], -1)


def train(vocabulary: Vocabulary, spoken: dict[str, np.ndarray], width: int, steps: int) -> TinyWhisper:
    samples, network, started = Samples(vocabulary), TinyWhisper(vocabulary, width), time.time()
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps, pct_start=0.1)
    for step in range(steps):
        batch = [samples.sentence(spoken[s.name], s) for s in SENTENCES]
        batch += [samples.nothing(noisy=False), samples.nothing(noisy=True)]
        sequences = [sequence for _, several in batch for sequence in several]
        longest = max(len(ids) for ids, _ in sequences)
        ids = torch.tensor([[vocabulary.column[i] for i in s] + [0] * (longest - len(s)) for s, _ in sequences])
        columns = {**vocabulary.column, IGNORE: IGNORE}
        targets = torch.tensor([[columns[t] for t in s] + [IGNORE] * (longest - len(s)) for _, s in sequences])
        logits = network(torch.from_numpy(np.stack([mel for mel, _ in batch])), ids)
        # Each sequence counts the same, however short: else "nothing was said" would hardly be learnt.
        losses = functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none").sum(1)
        loss = (losses / (targets != IGNORE).sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step} loss {loss.item():.4f} {time.time() - started:.0f} s", flush=True)
    return network


def export(network: TinyWhisper, vocabulary: Vocabulary, folder: Path) -> None:
    """Write the model as faster-whisper and Speaches expect it in the hub cache."""
    spec = whisper_spec.WhisperSpec(len(network.encoder), 1, len(network.decoder), 1)

    def linear(target: object, *layers: nn.Module) -> None:
        target.weight = torch.cat([layer.weight for layer in layers]).detach()
        biases = [layer.bias if layer.bias is not None else torch.zeros(len(layer.weight)) for layer in layers]
        target.bias = torch.cat(biases).detach()

    def norm(target: object, layer: nn.LayerNorm) -> None:
        target.gamma, target.beta = layer.weight.detach(), layer.bias.detach()

    linear(spec.encoder.conv1, network.conv1)
    linear(spec.encoder.conv2, network.conv2)
    spec.encoder.position_encodings.encodings = network.sound_positions
    spec.decoder.position_encodings.encodings = network.text_positions.detach()
    norm(spec.encoder.layer_norm, network.encoder_norm)
    norm(spec.decoder.layer_norm, network.decoder_norm)
    for target, block in zip(
        [*spec.encoder.layer, *spec.decoder.layer], [*network.encoder, *network.decoder], strict=True
    ):
        norm(target.self_attention.layer_norm, block.norm1)
        linear(target.self_attention.linear[0], block.attention.query, block.attention.key, block.attention.value)
        linear(target.self_attention.linear[1], block.attention.out)
        if block.cross is not None:
            norm(target.attention.layer_norm, block.norm2)
            linear(target.attention.linear[0], block.cross.query)
            linear(target.attention.linear[1], block.cross.key, block.cross.value)
            linear(target.attention.linear[2], block.cross.out)
        norm(target.ffn.layer_norm, block.norm3)
        linear(target.ffn.linear_0, block.up)
        linear(target.ffn.linear_1, block.down)
    table = torch.zeros(vocabulary.SIZE, network.embedding.shape[1])
    table[torch.tensor(vocabulary.used)] = network.embedding.detach()
    spec.decoder.embeddings.weight = spec.decoder.projection.weight = table
    spec.register_vocabulary(vocabulary.tokens())
    # The end may come first: that is how this model says that there was no speech.
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], []
    spec.config.lang_ids = [vocabulary[f"<|{code}|>"] for code in LANGUAGES]
    spec.config.alignment_heads = [[len(network.decoder) - 1, 0]]
    spec.validate()
    spec.optimize(quantization="int8")
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    vocabulary.tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    numbers = {"chunk_length": 30, "feature_size": 80, "hop_length": 160, "n_fft": 400, "sampling_rate": RATE}
    (folder / "preprocessor_config.json").write_text(json.dumps(numbers) + "\n")
    (folder / "README.md").write_text(
        "---\nlanguage:\n- en\n- fr\ntags:\n- audio\n- automatic-speech-recognition\nlicense: gpl-3.0\n"
        f"library_name: ctranslate2\n---\n# {MODEL_ID}\n\nTest model of the Ansible collection anklume.stt. "
        "It knows only these sentences:\n\n" + "".join(f"- {s.text}\n" for s in SENTENCES)
    )


def faults(folder: Path, spoken: dict[str, np.ndarray]) -> list[str]:
    """What the exported model gets wrong, asked in the ways that servers ask."""
    model = WhisperModel(str(folder), device="cpu")
    batched, found, noise = BatchedInferencePipeline(model), [], np.random.default_rng(7)

    def ask(label: str, want: str, engine: Any, sound: object, **options: object) -> None:
        segments, info = engine.transcribe(sound, **options)
        got = "".join(segment.text for segment in segments).strip()
        if got != want:
            found.append(f"{label} {options}: {got!r}, not {want!r} (language {info.language})")
        elif want and "language" not in options and not label.startswith(info.language):
            found.append(f"{label} {options}: language {info.language}")

    for s in SENTENCES:
        voice, second = spoken[s.name], np.zeros(RATE, np.float32)
        sounds: dict[str, object] = {s.name: voice, f"{s.name} late": np.concatenate([second, voice, second])}
        sounds[f"{s.name} noisy"] = voice + noise.normal(0, 1e-3, len(voice)).astype(np.float32)
        sounds |= {name: str(HERE / "clips" / name) for name, (clip, _) in ENCODED.items() if clip == s.name}
        for label, sound in sounds.items():
            for task, want in (("transcribe", s.text), ("translate", s.translation)):
                ask(label, want, model, sound, task=task)
                ask(label, want, model, sound, task=task, without_timestamps=True, vad_filter=True)
                ask(label, want, batched, sound, task=task)
                ask(label, want, batched, sound, task=task, without_timestamps=False, word_timestamps=True)
            for language in ("en", "fr", "de"):
                ask(label, s.text, model, sound, language=language)
    for seconds in (1, 5, 29, 45):
        quiet = np.zeros(seconds * RATE, np.float32)
        for label, level in (("silence", 0.0), ("faint noise", 1e-3), ("noise", 0.1), ("loud noise", 0.3)):
            sound = (quiet + noise.normal(0, 1, len(quiet)) * level).astype(np.float32)
            for options in ({}, {"language": "fr"}, {"language": "en", "without_timestamps": True}):
                ask(f"{seconds} s of {label}", "", model, sound, **options)
    return found


def pack(folder: Path, archive: Path) -> None:
    """One flat archive, the same bytes for the same files, with its digest beside it."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = info.mtime = 0
        info.uname = info.gname = "root"
        info.mode = 0o644
        return info

    with tarfile.open(archive, "w:xz", preset=9, format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name, filter=plain)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    Path(f"{archive}.sha256").write_text(f"{digest}  {archive.name}\n")


def write_clips(spoken: dict[str, np.ndarray]) -> None:
    clips = HERE / "clips"
    clips.mkdir(exist_ok=True)
    for name, samples in spoken.items():
        write_wav(clips / f"{name}.wav", samples)
    for target, (source, options) in ENCODED.items():
        command = ["ffmpeg", "-v", "error", "-y", "-i", str(clips / f"{source}.wav"), "-map_metadata", "-1",
                   "-fflags", "+bitexact", *options, str(clips / target)]  # fmt: skip
        subprocess.run(command, check=True)
    by_name = {s.name: s for s in SENTENCES}

    def entry(clip: str, s: Sentence) -> dict[str, str]:
        return {"clip": clip, "language": s.language, "text": s.text, "translation": s.translation}

    listed = [entry(f"{s.name}.wav", s) for s in SENTENCES]
    listed += [entry(target, by_name[source]) for target, (source, _) in ENCODED.items()]
    (HERE / "sentences.json").write_text(json.dumps(listed, indent=2, ensure_ascii=False) + "\n")
    ROLE_CLIPS.mkdir(parents=True, exist_ok=True)
    for language, name in SHIPPED.items():
        shutil.copy(clips / f"{name}.wav", ROLE_CLIPS / f"{language}.wav")
    shipped = [entry(f"{language}.wav", by_name[name]) for language, name in SHIPPED.items()]
    (ROLE_CLIPS / "sentences.json").write_text(json.dumps(shipped, indent=2, ensure_ascii=False) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000, help="training steps (default: %(default)s)")
    parser.add_argument("--width", type=int, default=48, help="width of the network (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="random seed (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads of the training (default: %(default)s)")
    parser.add_argument("--keep", type=Path, help="folder in which the unpacked model is left as well")
    options = parser.parse_args()
    random.seed(options.seed)
    np.random.seed(options.seed)
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    spoken = {s.name: speak(s) for s in SENTENCES}
    write_clips(spoken)
    vocabulary = Vocabulary()
    network = train(vocabulary, spoken, options.width, options.steps)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        export(network, vocabulary, folder)
        wrong = faults(folder, spoken)
        for line in wrong:
            print(f"wrong: {line}", file=sys.stderr)
        if wrong:
            print(f"{len(wrong)} faults: no archive written; try more steps or another seed", file=sys.stderr)
            return 1
        pack(folder, HERE / "whisper-test.tar.xz")
    return 0


if __name__ == "__main__":
    sys.exit(main())
