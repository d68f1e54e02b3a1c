# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role stt_server computes: its releases' locks, and what cannot be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.anklume.stt.plugins.filter.stt_server import FilterModule, role_defaults
from ansible_collections.anklume.stt.plugins.module_utils._services.stt_server import lock_of

FILTERS = FilterModule().filters()
ROLE = Path(__file__).resolve().parents[4] / "roles/stt_server"
ENGINES = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__stt_server_engines"]
GIVEN = role_defaults("stt_server") | {"stt_server_speaches_source": "https://example.org/a.tar.gz"}


def refused(**variables: Any) -> str:
    given = {f"stt_server_{name}": value for name, value in variables.items()}
    return "; ".join(FILTERS["stt_refusals"](GIVEN | given, ENGINES))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_defaults_can_be_had(engine: str) -> None:
    assert refused(engine=engine) == ""


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"engine": "whisper"},
            "stt_server_engine is whisper, and this version can install speaches, faster_whisper, parakeet, vosk: set",
        ),
        ({"engine": "OWhisper"}, "its makers have given up"),
        ({"engine": "owhisper"}, "stt_server_engine itself: set it to faster_whisper, parakeet, vosk or speaches"),
        ({"engine": "vosk", "threads": 2}, "the engine vosk cannot do what stt_server_threads asks for: leave it at 0"),
        ({"engine": "parakeet", "beam_size": 1}, "the engine parakeet cannot do what stt_server_beam_size asks for"),
        (
            {"engine": "faster_whisper", "ui": True},
            "cannot do what stt_server_ui asks for: leave it at false, or choose",
        ),
        ({"engine": "faster_whisper", "aliases": {"a": "b"}}, "stt_server_aliases asks for: leave it at {}"),
        ({"resident_models": ["small"]}, "every model of stt_server_resident_models must be"),
        (
            {"engine": "faster_whisper", "tts_models": ["auto"]},
            "the engine faster_whisper cannot do what stt_server_tts_models asks for: leave it at [], or choose the",
        ),
        ({"tts_models": ["auto"], "tts_language": "sw"}, "no voice is known for the language sw"),
        ({"tts_models": ["piper-gosia"], "tts_voice": "joe"}, "no model of stt_server_tts_models has the voice joe"),
        ({"tts_voice": "joe"}, "a voice of stt_server_tts_models, which is empty: set it too"),
        ({"tts_models": ["kokoro"], "tts_sources": {"piper-joe": "/a"}}, "names piper-joe, and stt_server_tts_models"),
        ({"wheels": "wheels"}, "as an absolute path; wheels is not"),
        ({"api_keys": {"phone": "auto"}}, "keys beside stt_server_api_key, which is empty: set it too"),
        ({"api_key": "auto", "api_keys": {"a b": "auto"}}, "a name a b: names have letters"),
        ({"api_key": "auto", "api_keys": {"phone": "a,b"}}, "the key phone of stt_server_api_keys is empty, or holds"),
        ({"speaches_source": "/nowhere.tar"}, "names /nowhere.tar, which is no file on the controller"),
    ],
)
def test_what_cannot_be_had_is_said(variables: dict[str, Any], said: str) -> None:
    assert said in refused(**variables)


def test_what_can_be_had_is_not_refused() -> None:
    assert refused(resident_models=["Systran/faster-whisper-small"], extra_models=["small"]) == ""
    assert refused(resident_models=["small"], model="small") == ""
    speech = {"tts_models": ["auto", "kokoro"], "tts_language": "pl", "tts_voice": "af_sky"}
    assert refused(**speech, tts_sources={"piper-gosia": "/srv/gosia"}, resident_models=["kokoro"]) == ""
    assert refused(model="auto", wheels="/srv/wheels", speaches_source=__file__) == ""
    assert refused(api_key="auto", api_keys={"phone": "auto", "home-assistant": "4711"}) == ""
    assert refused(speaches_source="ssh://host/speaches.git") == ""
    with pytest.raises(AnsibleFilterError, match="not a known model"):
        refused(extra_models=["smal"])


def test_a_source_is_an_address_or_a_file() -> None:
    remote = FILTERS["source_is_remote"]
    assert remote("http://a/b.tar") and remote("https://a") and remote("git@host:a.git")
    assert not remote("/srv/a.tar.gz")


def test_a_lock_goes_by_names_contents_and_source(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("a")
    (tmp_path / "b.py").write_text("b")
    seen = {lock_of(tmp_path, ["*.py"]), lock_of(tmp_path, ["*.py"], "tree"), lock_of(tmp_path, ["a.py"])}
    assert lock_of(tmp_path, ["b.py", "a.py", "*.py"]) in seen
    (tmp_path / "a.py").write_text("b")
    (tmp_path / "b.py").write_text("a")
    assert len({*seen, lock_of(tmp_path, ["*.py"])}) == 4


@pytest.mark.parametrize(
    ("role", "package"), [("stt_server", "server/anklume_stt_server"), ("edge_tts", "anklume_edge_tts")]
)
def test_a_package_is_handed_over_whole(role: str, package: str) -> None:
    """With what of it is a link."""
    folder = ROLE.parent / role / "files" / package
    found = FILTERS["role_files"]([f"{package}/*.py", f"{package}/*.json"], role, "/srv/there")
    names = sorted(path.name for path in folder.iterdir() if path.name != "__pycache__")
    assert [file["path"] for file in found] == [f"/srv/there/{name}" for name in names]
    assert {Path(file["path"]).name: file["content"] for file in found} == {
        name: (folder / name).read_text(encoding="utf-8") for name in names
    }


@pytest.mark.parametrize("engine", ENGINES)
def test_every_part_of_a_release_is_there(engine: str) -> None:
    assert [part for part in ENGINES[engine]["parts"] if not list((ROLE / "files").glob(part))] == []
    assert len(FILTERS["release_lock"](ENGINES[engine]["parts"], "stt_server", "tree")) == 64


def test_a_verdict_goes_by_variables_of_the_role() -> None:
    judged = FILTERS["judged_variables"](GIVEN)
    assert set(judged) < set(FILTERS["role_variables"]("stt_server"))
    assert judged["stt_server_model"] == GIVEN["stt_server_model"]


@pytest.mark.parametrize(
    ("machine", "device", "said"),
    [
        ("x86_64", "cuda", ""),
        ("aarch64", "cpu", ""),
        (
            "aarch64",
            "cuda",
            "built without CUDA for aarch64, and stt_server_device asks for a GPU: set stt_server_device",
        ),
        ("riscv64", "cpu", "CTranslate2 is built for x86_64 and aarch64, and this instance is riscv64"),
    ],
)
def test_a_processor_that_the_engines_are_not_built_for_is_named(machine: str, device: str, said: str) -> None:
    reason = FILTERS["stt_unbuilt"](machine, device)
    assert said in reason and bool(said) == bool(reason)


ANSWER = {
    "item": {"name": "ai", "variables": FILTERS["judged_variables"](GIVEN)},
    "model": {"hub_id": "a/b", "here": True},
    "verdict": "tight",
}


@pytest.mark.parametrize(
    ("answer", "holds"),
    [
        (ANSWER, True),
        (ANSWER | {"item": ANSWER["item"] | {"name": "ai2"}}, False),
        (
            ANSWER | {"item": {"name": "ai", "variables": ANSWER["item"]["variables"] | {"stt_server_workers": 9}}},
            False,
        ),
        (ANSWER | {"model": {"hub_id": "a/b", "here": False}}, False),
        (ANSWER | {"verdict": "does_not_fit"}, False),
        ({"item": ANSWER["item"], "skipped": True}, False),
    ],
)
def test_an_answer_counts_for_the_same_question_about_a_model_that_lies_there(answer: Any, holds: bool) -> None:
    assert FILTERS["fit_answered"]([answer], "ai", GIVEN, ["does_not_fit"]) == (answer if holds else {})


@pytest.mark.parametrize(
    ("given", "ollama_host", "url"),
    [
        ("", "", ""),
        ("", "0.0.0.0:11434", "http://127.0.0.1:11434/v1"),
        ("", "10.1.2.3:9999", "http://10.1.2.3:9999/v1"),
        ("http://llm:8080/v1/", "0.0.0.0:11434", "http://llm:8080/v1"),
        ("llm:8080/v1", "", "http://llm:8080/v1"),
    ],
)
def test_the_language_model_of_sessions(given: str, ollama_host: str, url: str) -> None:
    assert FILTERS["stt_chat_url"](given, ollama_host) == url


def test_an_address_of_a_language_model_that_is_none_names_the_variable() -> None:
    with pytest.raises(AnsibleFilterError, match="stt_server_chat_url: 'http://' is not an address"):
        FILTERS["stt_chat_url"]("http://")


def test_the_settings_name_the_server_itself() -> None:
    """Without it every Realtime session of Speaches ends at its first sentence, web page or not."""
    lines = (ROLE / "templates/speaches.env.j2").read_text().splitlines()
    before = "\n".join(lines[: next(at for at, line in enumerate(lines) if line.startswith("LOOPBACK_HOST_URL="))])
    assert before.count("{% if") == before.count("{% endif")
