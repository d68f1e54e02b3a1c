# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parakeet behind the seam: onnx-asr, fed by us with what is spoken, in windows that the model was made for."""

from __future__ import annotations

import functools
import importlib.util
import json
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx_asr
import onnxruntime

from . import voice
from .audio import RATE
from .errors import SettingsError
from .forms import Query
from .recognizer import Abilities, Hurried, Segment, Step, Word, of_words
from .settings import Settings
from .times import within
from .turns import STEP_SECONDS

# Beyond 400 s the model fails, and in int8 it hears worse beyond 20.
WINDOW = 20 * RATE
SHORT_WINDOW = 10 * RATE  # at most, while others wait
MOST_AT_ONCE = 4  # windows; the memory of eight is three times that of four
# a pause of 300 ms ends a place of speech, and 400 ms around it are heard, too, as with Whisper
PAUSES = {"threshold": 0.5, "min_silence_duration_ms": 300, "speech_pad_ms": 400}
SHORTEST = RATE // 10  # samples that the detector wants at least
LONGEST_TOKEN = 0.5  # seconds that the last piece of a word lasts, where no other word follows at once
PAUSE = 1.0  # seconds without a word after which a new segment begins
ENDS = (".", "?", "!", "…")  # of a sentence, and so of a segment
CLOSING = ".,?!;:)]}%…"  # what belongs to the word before it, whatever the model says
TYPES = ("nemo-conformer-tdt", "nemo-conformer-rnnt")
ENGLISH = frozenset({"en"})
EUROPEAN = frozenset(
    [
        "bg",
        "cs",
        "da",
        "de",
        "el",
        "en",
        "es",
        "et",
        "fi",
        "fr",
        "hr",
        "hu",
        "it",
        "lt",
        "lv",
        "mt",
        "nl",
        "pl",
        "pt",
        "ro",
        "ru",
        "sk",
        "sl",
        "sv",
        "uk",
    ]
)
PIECES_OF_ENGLISH = 2048  # more than the vocabulary of a model for English alone has, which is 1,025; v3 has 8,193
CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
NAMES = {"int8": ".int8", "float32": ""}  # what the files of a compute type are called


def compute_type(settings: Settings) -> str:
    """The one that is asked for, or that of the device: int8 has no CUDA kernels."""
    own = "float32" if settings.device == "cuda" else "int8"
    return own if settings.compute_type in ("default", "auto") else settings.compute_type


def needed(settings: Settings) -> tuple[str, ...]:
    """The files that a model consists of."""
    name = NAMES.get(compute_type(settings), "")
    return "config.json", "vocab.txt", f"encoder-model{name}.onnx", f"decoder_joint-model{name}.onnx"


def check(settings: Settings) -> None:
    """Refuse what Parakeet does not have, and a device that is not there."""
    asked = settings.compute_type
    if compute_type(settings) not in NAMES:
        raise SettingsError(f"STT_COMPUTE_TYPE={asked}: with Parakeet it must be one of {', '.join(NAMES)}, default")
    if settings.device == "cuda" and asked == "int8":
        raise SettingsError("STT_COMPUTE_TYPE=int8: on cuda Parakeet runs in float32 only")
    if settings.device == "cuda" and CUDA not in onnxruntime.get_available_providers():
        raise SettingsError("STT_DEVICE=cuda: this onnxruntime has no CUDA")


def abilities(folder: Path) -> Abilities:
    """The languages, which the size of the vocabulary tells: a language cannot be forced, so a request's is a hint.

    A model of one's own names them in its config.json.
    """
    if own := _config(folder).get("languages"):
        return Abilities(frozenset(own))
    with (folder / "vocab.txt").open("rb") as file:
        pieces = sum(1 for _ in file)
    return Abilities(ENGLISH if pieces < PIECES_OF_ENGLISH else EUROPEAN)


def load(folder: Path, settings: Settings) -> Parakeet:
    """The model, ready to be proved."""
    return Parakeet(folder, settings)


def find_speech(samples: Any, **options: float | None) -> list[voice.Place]:
    """Where somebody speaks."""
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    longest = len(samples) / RATE + 2 * given.get("speech_pad_ms", 0) / 1000 + 1
    given["max_speech_duration_s"] = min(given.get("max_speech_duration_s", longest), longest)
    padded = np.pad(samples, (0, max(0, SHORTEST - len(samples))))
    (found,) = _detector().segment_batch(padded[None], np.array([len(samples)]), RATE, **given)
    return [{"start": start, "end": end} for start, end in found]


def _spoken(samples: Any) -> list[voice.Place]:
    return find_speech(samples, **PAUSES)


@functools.cache
def _detector() -> Any:
    """Silero's: of its package the model alone, whose Python wants torch."""
    spec = importlib.util.find_spec("silero_vad")
    assert spec and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return onnx_asr.load_vad("silero", folder, sess_options=_options(1), providers=[CPU])


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # on a processor the arena grows with the largest batch and with each new length, and never shrinks
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_bytes())
        kind = config["model_type"]
    except (ValueError, KeyError, TypeError):
        raise SettingsError(f"STT_MODEL: {path} is damaged: it names no model_type") from None
    if kind not in TYPES:
        raise SettingsError(f"STT_MODEL: {path} says {kind}, and this engine loads {' and '.join(TYPES)}")
    return config


class Parakeet:
    """A model of NVIDIA's NeMo in ONNX files."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.batch_size = min(settings.batch_size, MOST_AT_ONCE)
        known = abilities(folder).languages
        self.language = settings.language or (next(iter(known)) if len(known) == 1 else "")
        providers: list[Any] = [CPU]
        if settings.device == "cuda":
            onnxruntime.preload_dlls()  # those of the packages beside it
            # the arena never shrinks, so it takes what is asked for and no more
            options: dict[str, Any] = {
                "arena_extend_strategy": "kSameAsRequested",
                "cudnn_conv_algo_search": "HEURISTIC",
            }
            if settings.gpu_memory_bytes:
                options["gpu_mem_limit"] = settings.gpu_memory_bytes
            providers = [(CUDA, options), CPU]
        model: Any = onnx_asr.load_model(
            _config(folder)["model_type"],
            folder,
            quantization=NAMES[compute_type(settings)].removeprefix(".") or None,
            sess_options=_options(settings.cpu_threads),
            providers=providers,
        )
        used = model.asr._encoder.get_providers()[0]
        if settings.device == "cuda" and used != CUDA:
            raise RuntimeError(f"onnxruntime took {used} and not CUDA: its libraries or the driver do not fit it")
        self.model: Any = model.with_timestamps()

    def prove(self) -> None:
        """Recognise a noise the way a request does."""
        noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
        list(voice.places(noise, _spoken))
        self.model.recognize([noise], sample_rate=RATE)

    def transcribe(self, samples: Any, query: Query, hurried: Hurried) -> Generator[Step, None, None]:
        """Window by window, several at once where that takes no longer than a step may."""
        language, pace, done = query.language or self.language, 0.0, False
        left = seconds = len(samples) / RATE
        speech, number = voice.Speech(samples, span), 0
        for found, last in voice.places(samples, _spoken):
            if len(samples) > voice.PIECE:
                yield Step(left, language)
            speech.add(found, last)
            while group := self._windows(speech, pace, hurried()):
                began = time.monotonic()
                segments = [within(s, seconds) for s in self._heard(samples, group, number)]
                pace = (time.monotonic() - began) / sum(map(span, group))
                number += len(segments)
                left = (len(samples) - group[-1][-1]["end"]) / RATE
                done = last and not speech.places
                yield Step(left, language, segments, done)
        if not done:  # nobody speaks, or no more
            yield Step(0, language, last=True)

    def _windows(self, speech: voice.Speech, pace: float, hurried: bool) -> list[voice.Window]:
        """The windows of the next step: as many, and for who is in a hurry as short, as take a second at that pace."""
        room = int(STEP_SECONDS / pace) if pace else 0
        most = min(WINDOW, max(SHORT_WINDOW, room)) if hurried else WINDOW
        group: list[voice.Window] = []
        while len(group) < self.batch_size and (not group or room >= most):
            window = speech.take(most)
            if not window:
                break
            group.append(window)
            room -= span(window)
        return group

    def _heard(self, samples: Any, group: list[voice.Window], number: int) -> Iterator[Segment]:
        """The segments of some windows, the first of them with that number."""
        parts = [samples[window[0]["start"] : window[-1]["end"]] for window in group]
        results = self.model.recognize(parts, sample_rate=RATE)
        for window, part, result in zip(group, parts, results, strict=True):
            begin = window[0]["start"] / RATE
            for words in sentences(words_of(result, begin, begin + len(part) / RATE)):
                yield of_words(number, words)
                number += 1


def span(window: voice.Window) -> int:
    """Samples from where a window begins to where it ends, pauses and all: unlike Whisper's it is heard as it is."""
    return window[-1]["end"] - window[0]["start"]


def words_of(result: Any, begin: float, end: float) -> list[Word]:
    """The words that a window's tokens are pieces of; a token knows when it begins."""
    words: list[list[Any]] = []  # text, start, where the last piece begins, the least likely piece
    apart = True
    for token, at, logprob in zip(result.tokens, result.timestamps, result.logprobs, strict=True):
        apart = apart or token.startswith(" ")
        piece, likely = token.strip(), float(np.exp(logprob))
        if not piece:
            continue
        if words and not (apart and piece[0] not in CLOSING):
            word = words[-1]
            words[-1] = [word[0] + piece, word[1], begin + at, min(word[3], likely)]
        else:
            words.append([" " + piece, begin + at, begin + at, likely])
        apart = False
    starts = [*(word[1] for word in words), end][1:] if words else []
    return [
        Word(start, max(start, min(following, last + LONGEST_TOKEN)), text, likely)
        for (text, start, last, likely), following in zip(words, starts, strict=True)
    ]


def sentences(words: list[Word]) -> Iterator[list[Word]]:
    """The words in groups that each make a segment: to the end of a sentence, or to a pause."""
    group: list[Word] = []
    for word in words:
        if group and (group[-1].word.endswith(ENDS) or word.start - group[-1].end > PAUSE):
            yield group
            group = []
        group.append(word)
    if group:
        yield group
