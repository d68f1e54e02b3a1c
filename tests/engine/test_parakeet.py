# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine parakeet by what is its own: what it refuses, its windows, its words, its precisions, odd sounds.

Run with STT_TEST_ENGINE=parakeet; the model is a tiny one of ours in Parakeet's format (tests/data/README.md).
"""

from __future__ import annotations

import io
import itertools
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from anklume_stt_server import parakeet, voice
from anklume_stt_server.errors import SettingsError
from anklume_stt_server.forms import Query
from anklume_stt_server.recognizer import Step
from anklume_stt_server.settings import Settings

from .conftest import CLIPS, SENTENCES, Server, Start, clip, heard_in_every_format, sentence_of, wav

RATE = 16000
WAVS = {name: entry["text"] for name, entry in SENTENCES.items() if name.endswith(".wav")}
QUERY = Query(io.BytesIO(), "transcribe", "", None, None, None, 0, "json", False, ("word",))


@pytest.fixture(scope="module")
def folder(hub_home: Path) -> Path:
    return next((hub_home / "hub").rglob("snapshots/0"))


@pytest.fixture(scope="module")
def model(folder: Path) -> parakeet.Parakeet:
    return parakeet.load(folder, Settings(engine="parakeet", cpu_threads=1))


def heard(model: parakeet.Parakeet, samples: np.ndarray, hurried: bool = False) -> list[Step]:
    return list(model.transcribe(samples.astype(np.float32), QUERY, lambda: hurried))


def said(steps: list[Step]) -> str:
    return "".join(segment.text for step in steps for segment in step.segments).strip()


@pytest.mark.parametrize("name", SENTENCES)
def test_each_clip_is_heard_in_every_format(server: Server, name: str) -> None:
    heard_in_every_format(server, name)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("language", "pl", "does not know the language 'pl'"),
        ("temperature", "0.5", "no temperature"),
        ("hotwords", "Ansible", "no hotwords"),
    ],
)
def test_what_it_cannot_do_is_refused_before_the_sound_is_decoded(
    server: Server, field: str, value: str, says: str
) -> None:
    answer = server.post(b"this is no sound", **{field: value})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == field and says in answer.json()["error"]["message"]


def test_it_does_not_translate_and_says_so(server: Server) -> None:
    answer = server.post((CLIPS / "fr-bonjour.wav").read_bytes(), path="translations")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
    document = httpx.get(server.url + "/openapi.json").json()
    assert "/v1/audio/translations" not in document["paths"] and "parakeet" in document["info"]["title"]
    assert 'engine="parakeet"' in httpx.get(server.url + "/metrics").text


def test_a_prompt_changes_nothing(server: Server) -> None:
    sound = (CLIPS / "en-fox.wav").read_bytes()
    assert server.post(sound, prompt="Names: Ansible.").json()["text"] == WAVS["en-fox.wav"]


def test_where_somebody_speaks(server: Server) -> None:
    samples = np.concatenate([np.zeros(2 * RATE), clip("en-fox.wav"), np.zeros(2 * RATE)])
    url = server.url + "/v1/audio/speech/timestamps"
    (place,) = httpx.post(url, files={"file": ("a.wav", wav(samples))}, data={"threshold": "0.5"}).json()
    assert 1900 < place["start"] < 2300 and 5000 < place["end"] < 5600
    assert httpx.post(url, files={"file": ("a.wav", wav(np.zeros(3200)))}).json() == []


def test_a_quarter_of_an_hour_is_heard_whole_and_in_its_order(model: parakeet.Parakeet) -> None:
    rng, parts, want, at = np.random.default_rng(5), [], [], 0.0
    for name in itertools.cycle(WAVS):
        pause = rng.uniform(0.4, 3)
        parts += [np.zeros(int(pause * RATE)), clip(name)]
        want.append((at + pause, WAVS[name]))
        at += pause + len(clip(name)) / RATE
        if at > 900:
            break
    steps = heard(model, np.concatenate(parts))
    segments = [segment for step in steps for segment in step.segments]
    assert [sentence_of(segment.text.strip()) for segment in segments] == [text for _, text in want]
    assert max(abs(s.start - start) for s, (start, _) in zip(segments, want, strict=True)) < 1
    assert [segment.id for segment in segments] == list(range(len(segments)))
    assert [step.last for step in steps] == [False] * (len(steps) - 1) + [True]
    assert all(first.left >= second.left for first, second in itertools.pairwise(steps))


def test_windows_have_twenty_seconds_and_ten_for_who_is_in_a_hurry(
    model: parakeet.Parakeet, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[list[int]] = []
    recognize = model.model.recognize

    def noted(parts: list[np.ndarray], **options: Any) -> Any:
        sizes.append([len(part) for part in parts])
        return recognize(parts, **options)

    monkeypatch.setattr(model.model, "recognize", noted)
    monkeypatch.setattr(parakeet, "STEP_SECONDS", 60.0)
    speech = np.concatenate([part for _ in range(40) for part in (clip("en-fox.wav"), np.zeros(RATE // 2))])
    heard(model, speech)
    assert max(len(group) for group in sizes) == parakeet.MOST_AT_ONCE
    assert max(itertools.chain(*sizes)) <= parakeet.WINDOW < max(itertools.chain(*sizes)) + 5 * RATE
    sizes.clear()
    monkeypatch.setattr(parakeet, "STEP_SECONDS", 0.0)
    heard(model, speech, hurried=True)
    assert max(itertools.chain(*sizes)) <= parakeet.SHORT_WINDOW and {len(group) for group in sizes} == {1}


@dataclass
class Result:
    """Tokens as onnx-asr gives them."""

    tokens: list[str]
    timestamps: list[float] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.timestamps = self.timestamps or [i / 2 for i in range(len(self.tokens))]
        self.logprobs = self.logprobs or [0.0] * len(self.tokens)


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ([" Hel", "lo", ",", " world", "."], [" Hello,", " world."]),
        ([" Bon", "jour", " ", "!"], [" Bonjour!"]),
        (["a", " ", "b"], [" a", " b"]),
        ([" l", "'", "eau", " (", "la", ")"], [" l'eau", " (la)"]),
        ([" it", "'", "s", " 5", " %"], [" it's", " 5%"]),
        ([" ", " "], []),
        ([], []),
    ],
)
def test_tokens_become_words(tokens: list[str], words: list[str]) -> None:
    got = parakeet.words_of(Result(tokens), 10.0, 20.0)
    assert [word.word for word in got] == words
    assert all(10 <= word.start <= word.end <= 20 for word in got)


def test_a_word_ends_where_the_next_begins_or_soon() -> None:
    one, two, three = parakeet.words_of(Result([" a", " b", " c"], [0.0, 0.2, 5.0], [0.0, -1.0, 0.0]), 1.0, 6.2)
    assert (one.start, one.end) == (1.0, 1.2) and two.probability == pytest.approx(0.3679, abs=1e-3)
    assert (two.end, three.end) == (1.2 + parakeet.LONGEST_TOKEN, 6.2)
    assert [len(group) for group in parakeet.sentences([one, two, three])] == [2, 1]


def odd_sounds() -> dict[str, np.ndarray]:
    rng, fox = np.random.default_rng(11), clip("en-fox.wav")
    broken = fox.copy()
    broken[::1000] = np.nan
    return {
        "nan": np.full(RATE, np.nan),
        "some nan": broken,
        "infinite": np.full(RATE, np.inf),
        "steady": np.full(2 * RATE, 0.9),
        "clipped": np.clip(fox * 50, -1, 1),
        "short": fox[8000:9600],
        "an impulse": np.eye(1, RATE, 7)[0],
        "a square wave": np.sign(np.sin(np.arange(3 * RATE) / 20)),
        "too fast": fox[::2],
        "loud noise": rng.normal(0, 1, 5 * RATE),
        "one level": np.zeros(1600) + 1e-30,
    }


@pytest.mark.parametrize("name", odd_sounds())
def test_an_odd_sound_is_heard_to_its_end(model: parakeet.Parakeet, name: str) -> None:
    assert heard(model, odd_sounds()[name])[-1].last


def test_three_hours_of_speech_without_a_pause_are_cut(
    model: parakeet.Parakeet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the detector would find them: the model is given no window beyond its bound."""
    sizes: list[int] = []

    def noted(parts: list[np.ndarray], **_: Any) -> list[Result]:
        sizes.extend(map(len, parts))
        return [Result([]) for _ in parts]

    monkeypatch.setattr(model.model, "recognize", noted)
    monkeypatch.setattr(parakeet, "find_speech", lambda samples, **_: [{"start": 0, "end": len(samples)}])
    samples = np.zeros(3 * 3600 * RATE, np.float32)
    began = time.monotonic()
    assert heard(model, samples)[-1].last
    assert sum(sizes) == len(samples) and max(sizes) <= parakeet.WINDOW
    assert time.monotonic() - began < 20


def test_both_precisions_hear_the_same(start: Start) -> None:
    server = start(STT_COMPUTE_TYPE="float32")
    for name, text in WAVS.items():
        assert server.post((CLIPS / name).read_bytes(), name).json()["text"] == text


def test_memory_is_given_back(model: parakeet.Parakeet) -> None:
    """What four long windows have taken, the next short one does not keep."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    def hear(windows: int, seconds: int) -> None:
        model.model.recognize([np.zeros(seconds * RATE, np.float32)] * windows, sample_rate=RATE)

    hear(1, 1)
    before = resident()
    for seconds in (20, 17, 13, 19):
        hear(4, seconds)
    hear(1, 1)
    assert resident() - before < 13 * 2**20


def test_what_the_settings_ask_for_in_vain_is_refused(start: Start) -> None:
    for settings, says in (
        ({"STT_COMPUTE_TYPE": "float16"}, "STT_COMPUTE_TYPE=float16: with Parakeet it must be one of int8, float32"),
        ({"STT_DEVICE": "cuda", "STT_COMPUTE_TYPE": "int8"}, "STT_COMPUTE_TYPE=int8: on cuda Parakeet runs in float32"),
        ({"STT_DEVICE": "cuda"}, "STT_DEVICE=cuda: this onnxruntime has no CUDA"),
        ({"STT_LANGUAGE": "pl"}, "STT_LANGUAGE=pl: not a language code that the model knows"),
    ):
        server = start(wait=False, **settings)
        assert server.process.wait(60) == 2 and says in server.text()


def test_a_fall_back_to_the_processor_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime itself says nothing of it; here it has no CUDA, and so it falls back."""
    monkeypatch.setattr("onnxruntime.preload_dlls", lambda: None)
    settings = Settings(engine="parakeet", device="cuda", gpu_memory_bytes=2**30)
    with pytest.raises(RuntimeError, match="took CPUExecutionProvider and not CUDA"):
        parakeet.load(folder, settings)


def test_a_damaged_model_is_told_by_its_file(folder: Path, tmp_path: Path, start: Start) -> None:
    mine = tmp_path / "parakeet-mine"
    shutil.copytree(folder, mine)
    path = mine / "encoder-model.int8.onnx"
    path.write_bytes(path.read_bytes()[:5000])
    server = start(wait=False, STT_MODEL=mine)
    assert server.process.wait(60) == 1
    assert f"{path} is damaged" in server.text() and "Traceback" not in server.text()
    path.unlink()
    server = start(wait=False, STT_MODEL=mine)
    assert server.process.wait(60) == 2 and "has no encoder-model.int8.onnx" in server.text()


@pytest.mark.parametrize("config", ["{", "[]", '{"model_type": "whisper"}'])
def test_a_model_of_another_type_is_refused(folder: Path, tmp_path: Path, config: str) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(SettingsError, match=r"is damaged|says whisper, and this engine loads nemo-conformer-tdt"):
        parakeet.abilities(tmp_path)


@pytest.mark.parametrize(("pieces", "languages"), [(1025, {"en"}), (8193, parakeet.EUROPEAN)])
def test_the_vocabulary_tells_the_languages(tmp_path: Path, pieces: int, languages: set[str]) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "nemo-conformer-tdt"}')
    (tmp_path / "vocab.txt").write_text("".join(f"x{i} {i}\n" for i in range(pieces)))
    assert parakeet.abilities(tmp_path).languages == languages
    assert len(parakeet.EUROPEAN) == 25


def test_a_window_is_as_long_as_it_spans() -> None:
    speech = voice.Speech(np.zeros(60 * RATE), parakeet.span)
    speech.add([{"start": s * RATE, "end": (s + 4) * RATE} for s in (0, 10, 17, 30)], True)
    windows = iter(lambda: speech.take(parakeet.WINDOW), [])
    assert [parakeet.span(window) // RATE for window in windows] == [14, 17]
