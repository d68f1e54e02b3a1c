# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Short context: what the encoder is fed, and when it is fed all again. What it costs is measured by bench-accuracy."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from anklume_stt_server import context
from anklume_stt_server.languages import LANGUAGES

from .conftest import CLIPS, SENTENCES, Start


class Recorder:
    """A model that keeps what its encoder is fed."""

    def __init__(self) -> None:
        self.fed: list[int] = []

    def encode(self, features: Any) -> None:
        self.fed.append(features.shape[-1])


def window(used: int) -> Any:
    """Features of a window of thirty seconds, of which so many hundredths are sound."""
    features = np.zeros((1, 80, 3000), np.float32)
    features[..., :used] = -1.5
    return features


@pytest.mark.parametrize(
    ("used", "fed"), [(200, 1500), (1000, 1500), (1001, 1500), (1200, 1700), (2400, 2900), (2700, 3000), (3000, 3000)]
)
def test_the_encoder_is_fed_what_the_sound_needs_and_a_margin(used: int, fed: int) -> None:
    model = Recorder()
    short = context.shortened(model)
    short.encode(window(used))
    short.encode(window(used)[0])
    short.encode(np.concatenate([window(100), window(used)]))
    model.encode(window(used))
    assert model.fed == [fed, fed, fed, 3000]


def segment(**changes: Any) -> Any:
    return SimpleNamespace(**({"compression_ratio": 1.2, "avg_logprob": -0.3, "seek": 0, "tokens": [1]} | changes))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log of a server that has heard nine with short context, and three of them again."""
    monkeypatch.setattr(context, "counts", Counter(short=9, again=3))
    caplog.set_level("INFO")
    return caplog


BASE = {"alignment_heads": [[3, 1], [4, 2], [4, 3], [4, 7], [5, 1], [5, 2], [5, 4], [5, 6]]}
TURBO = {"alignment_heads": [[2, 4], [2, 11], [3, 3], [3, 6], [3, 11], [3, 14]]}


@pytest.mark.parametrize(
    ("mode", "config", "shorts"),
    [
        ("auto", BASE, {"en", "it", "ru"}),
        ("auto", TURBO, set()),
        ("auto", {"alignment_heads": [[1, 0]]}, set()),
        ("auto", {}, set()),
        ("full", BASE, set()),
        ("short", TURBO, LANGUAGES),
    ],
)
def test_what_was_not_measured_is_fed_all_by_itself(
    tmp_path: Path, mode: str, config: dict[str, Any], shorts: set[str]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert set(context.languages_for(tmp_path, mode)) == set(shorts)


@pytest.mark.parametrize(
    ("asked_for", "found", "said", "shorts"),
    [
        (("en", 3, {"en"}), "en", segment(), [True]),
        (("en", 3, ()), "en", segment(), [False]),
        (("en", 25, {"en"}), "en", segment(), [False]),
        (("pl", 3, {"en"}), "pl", segment(), [False]),
        (("pl", 3, LANGUAGES), "pl", segment(), [True]),
        ((None, 3, {"en"}), "en", segment(), [True]),
        ((None, 3, ()), "en", segment(), [False]),
        ((None, 3, {"en"}), "pl", segment(), [True, False]),
        (("en", 3, {"en"}), "en", segment(compression_ratio=2.5), [True, False]),
        (("en", 3, {"en"}), "en", segment(avg_logprob=-1.1), [True, False]),
        (("en", 3, {"en"}), "en", segment(tokens=[1] * 225), [True, False]),
    ],
)
def test_what_looks_wrong_and_what_was_not_measured_is_heard_with_all(
    asked_for: tuple[str | None, float, Collection[str]],
    found: str,
    said: Any,
    shorts: list[bool],
    counted: pytest.LogCaptureFixture,
) -> None:
    model = Recorder()
    asked: list[tuple[bool, str | None]] = []

    def hear(which: Any, language: str | None) -> tuple[Any, Any]:
        asked.append((which is not model, language))
        return [said], SimpleNamespace(language=language or found)

    segments, info = context.heard(model, *asked_for, hear)
    assert (segments, info.language) == ([said], found)
    assert [short for short, _ in asked] == shorts
    assert asked[1:] == [(False, found)] * (len(shorts) - 1)
    assert context.counts == {"short": 9 + shorts[0], "again": 3 + (len(shorts) > 1)}
    assert ("heard again with thirty seconds: 4 of 10 so far" in counted.text) == (len(shorts) > 1)


def test_many_windows_with_a_few_words_each_are_no_repeat() -> None:
    model = Recorder()
    said = [segment(seek=3000 * number, tokens=[1] * 100) for number in range(8)]
    heard = context.heard(model, "en", 20, {"en"}, lambda which, language: (said, SimpleNamespace(language="en")))
    assert heard[0] == said and heard[1].language == "en"


@pytest.mark.parametrize("temperature", ["0", "0.1"])
def test_both_contexts_hear_the_sentence(start: Start, temperature: str) -> None:
    sound = (CLIPS / "en-fox.wav").read_bytes()
    for mode in ("short", "full"):
        server = start(STT_AUDIO_CONTEXT=mode)
        for language in ("en", "auto"):
            answer = server.post(sound, language=language, temperature=temperature, response_format="verbose_json")
            assert answer.json()["text"] == SENTENCES["en-fox.wav"]["text"]
            assert answer.json()["language"] == "en"
