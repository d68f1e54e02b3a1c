# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one model: found on disk only, loaded once, unloaded when idle if asked, never chosen by a client."""

from __future__ import annotations

import gc
import importlib
import logging
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from huggingface_hub import snapshot_download
from huggingface_hub.constants import HF_HUB_CACHE

from . import models
from .audio import check_decoding
from .errors import SettingsError
from .forms import Query
from .recognizer import Hurried, Kind, Recognizer, Step
from .settings import Settings

log = logging.getLogger(__name__)
# by STT_ENGINE the module with its Kind; one imports what another's release does not hold
MODULES = {"faster_whisper": ".whisper", "parakeet": ".parakeet", "vosk": ".vosk"}


class Engine:
    """Thread-safe use of the model."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.kind = cast(Kind, importlib.import_module(MODULES[settings.engine], __package__))
        self.needed = self.kind.needed(settings)
        self.path = _find_model(settings.model, self.needed)
        self.name = Path(settings.model).name if Path(settings.model).is_dir() else settings.model
        self.healthy = False
        self.abilities = self.kind.abilities(self.path)
        if settings.language and settings.language not in self.abilities.languages:
            raise SettingsError(f"STT_LANGUAGE={settings.language}: not a language code that the model knows")
        self.kind.check(settings)
        self._model: Recognizer | None = None
        self._users = 0
        self._idle_since = time.monotonic()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Load the model and prove with one inference that it works, and that files can be decoded."""
        check_decoding()
        with self._borrowed() as model:
            try:
                model.prove()
            except Exception as error:
                raise models.not_loaded(self.path, error, self.needed) from error

    def find_speech(self, samples: Any, **options: float | None) -> list[dict[str, int]]:
        """Where somebody speaks; the model has no part in it."""
        return self.kind.find_speech(samples, **options)

    def transcribe(self, samples: Any, query: Query, hurried: Hurried) -> Generator[Step, None, None]:
        """What the model recognises, step by step."""
        with self._borrowed() as model:
            yield from model.transcribe(samples, query, hurried)

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._model is not None

    def unload_if_idle(self) -> None:
        """Give the memory back when nobody has used the model for as long as the settings say."""
        with self._lock:
            idle = time.monotonic() - self._idle_since
            if self._model and not self._users and 0 <= self.settings.model_ttl <= idle:
                self._model = None
                gc.collect()
                log.info("model unloaded")

    @contextmanager
    def _borrowed(self) -> Iterator[Recognizer]:
        with self._lock:
            self._model = self._model or self._load()
            self._users += 1
        try:
            yield self._model
        finally:
            with self._lock:
                self._users -= 1
                self._idle_since = time.monotonic()
            if self.settings.model_ttl == 0:
                self.unload_if_idle()

    def _load(self) -> Recognizer:
        started = time.monotonic()
        try:
            model = self.kind.load(self.path, self.settings)
        except Exception as error:  # a damaged tokenizer.json is a bare one
            self.healthy = False
            raise models.not_loaded(self.path, error, self.needed) from error
        # What lives now lives on: without this the garbage collections of each request walk all of it.
        gc.collect()
        gc.freeze()
        self.healthy = True
        log.info("model %s loaded in %.1f s", self.name, time.monotonic() - started)
        return model


def _find_model(name: str, needed: tuple[str, ...]) -> Path:
    """The folder of a model: a folder as it is, or the current snapshot of a repository in the hub cache."""
    folder = Path(name)
    if not folder.is_dir():
        try:
            folder = Path(snapshot_download(name, local_files_only=True))
        except (OSError, ValueError):
            raise SettingsError(f"STT_MODEL={name}: neither a folder nor in the hub cache {HF_HUB_CACHE}") from None
    for wanted in needed:
        if not (folder / wanted).is_file():
            raise SettingsError(f"STT_MODEL={name}: {folder} has no {wanted}")
    return folder
