# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Vosk behind the seam: libvosk by ctypes, given a sound piece by piece, of which it finds the utterances itself.

The package vosk is never imported, only its library is loaded: it imports a package that comes without a wheel.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import json
import os
import re
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from . import languages, models
from .audio import RATE
from .errors import SettingsError
from .forms import Query
from .recognizer import Abilities, Hurried, Segment, Step, Word, of_words
from .settings import Settings
from .times import within
from .turns import STEP_SECONDS

NEEDED = ("am/final.mdl", "conf/model.conf", "conf/mfcc.conf", "README.md")
PIECE = RATE // 2  # samples that the library is given at once
SHORT_STEP_SECONDS = 0.25  # what a step may take while others wait
FRONT_MATTER = re.compile(r"\s*---[ \t]*\r?\n(.*?)^---", re.DOTALL | re.MULTILINE)
LANGUAGE = re.compile(r"^language[ \t]*:(.*(?:\r?\n[ \t]*- .*)*)", re.MULTILINE)
POINTER, TEXT, NUMBER, NOTHING = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, None
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "set_log_level": (NOTHING, [NUMBER]),
    "model_new": (POINTER, [TEXT]),
    "model_free": (NOTHING, [POINTER]),
    "recognizer_new": (POINTER, [POINTER, ctypes.c_float]),
    "recognizer_free": (NOTHING, [POINTER]),
    "recognizer_set_words": (NOTHING, [POINTER, NUMBER]),
    "recognizer_accept_waveform": (NUMBER, [POINTER, TEXT, NUMBER]),
    "recognizer_result": (TEXT, [POINTER]),
    "recognizer_final_result": (TEXT, [POINTER]),
}
QUIET = -3  # the log level below that of errors, which raise


def needed(_: Settings) -> tuple[str, ...]:
    """The files that a model consists of, whatever its kind of graph; README.md says which language it hears."""
    return NEEDED


def check(settings: Settings) -> None:
    """Refuse a device and a compute type that the library does not have."""
    if settings.device != "cpu":
        raise SettingsError(f"STT_DEVICE={settings.device}: Vosk computes on the processor alone")
    if settings.compute_type not in ("default", "auto", "float32"):
        raise SettingsError(f"STT_COMPUTE_TYPE={settings.compute_type}: with Vosk it must be float32 or default")


def abilities(folder: Path) -> Abilities:
    """The language that the model's README.md names, as the hub has it; a model does not know it itself."""
    path = folder / "README.md"
    matter = FRONT_MATTER.match(path.read_text(encoding="utf-8", errors="replace"))
    said = LANGUAGE.search(matter[1]) if matter else None
    known = frozenset(re.findall(r"[a-z]{2,3}", said[1])) & languages.LANGUAGES if said else frozenset()
    if not known:
        raise SettingsError(f"STT_MODEL: {path} names no language: it begins with the lines ---, language: CODE, ---")
    return Abilities(known, detection=False)


def load(folder: Path, settings: Settings) -> Vosk:
    """The model, ready to be proved."""
    return Vosk(folder, settings)


def find_speech(samples: Any, **options: float | None) -> list[dict[str, int]]:
    """Refused by the abilities: what is speech, the library finds out for itself, and does not tell."""
    raise NotImplementedError


@functools.cache
def library() -> ctypes.CDLL:
    """libvosk, out of its package."""
    spec = importlib.util.find_spec("vosk")
    assert spec and spec.submodule_search_locations
    loaded = ctypes.CDLL(str(Path(spec.submodule_search_locations[0]) / "libvosk.so"))
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(loaded, f"vosk_{name}")
        function.restype, function.argtypes = result, arguments
    loaded.vosk_set_log_level(QUIET)
    return loaded


class Vosk:
    """A model of Vosk; several requests may use it at the same time, each with a recognizer of its own."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        known = abilities(folder).languages
        self.language = settings.language or (next(iter(known)) if len(known) == 1 else "")
        self.model = library().vosk_model_new(os.fsencode(folder))
        if not self.model:
            # which file, it tells nobody
            raise RuntimeError(f"a file of {folder} is damaged or missing; {models.cure(folder)}")

    def __del__(self) -> None:
        if getattr(self, "model", None):
            library().vosk_model_free(self.model)

    def prove(self) -> None:
        """Recognise a noise the way a request does."""
        noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
        with self._recognizer() as recognizer:
            self._heard(recognizer, noise)
            library().vosk_recognizer_final_result(recognizer)

    def transcribe(self, samples: Any, query: Query, hurried: Hurried) -> Generator[Step, None, None]:
        """Piece by piece, as many in a step as it has time for."""
        language, seconds, number = query.language or self.language, len(samples) / RATE, 0
        with self._recognizer() as recognizer:
            begin = 0
            while begin < len(samples):
                began, segments = time.monotonic(), list[Segment]()
                room = SHORT_STEP_SECONDS if hurried() else STEP_SECONDS
                while begin < len(samples) and time.monotonic() - began < room and not segments:
                    piece = samples[begin : begin + PIECE]
                    begin += len(piece)
                    segments += _segments(self._heard(recognizer, piece), number, seconds)
                number += len(segments)
                yield Step((len(samples) - begin) / RATE if begin < len(samples) else 0, language, segments)
            rest = library().vosk_recognizer_final_result(recognizer)
            yield Step(0, language, list(_segments(rest, number, seconds)), last=True)

    @contextmanager
    def _recognizer(self) -> Iterator[int]:
        recognizer = library().vosk_recognizer_new(self.model, RATE)
        if not recognizer:
            raise RuntimeError("libvosk makes no recognizer of the model")
        try:
            library().vosk_recognizer_set_words(recognizer, 1)
            yield recognizer
        finally:
            library().vosk_recognizer_free(recognizer)

    def _heard(self, recognizer: int, samples: Any) -> bytes:
        """What the recognizer has to say of an utterance that ends in this piece; nothing where none does."""
        sound = np.clip(np.nan_to_num(samples, posinf=1, neginf=-1), -1, 1)
        data = (sound * 32767).astype("<i2").tobytes()
        if library().vosk_recognizer_accept_waveform(recognizer, data, len(data)) != 1:
            return b""
        result: bytes = library().vosk_recognizer_result(recognizer)
        return result


def _segments(result: bytes, number: int, seconds: float) -> Iterator[Segment]:
    """The utterance of a result, if it has any word."""
    found = json.loads(result or b"{}").get("result")
    if found:
        words = [Word(each["start"], each["end"], " " + each["word"], each["conf"]) for each in found]
        yield within(of_words(number, words), seconds)
