# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people and programs send, and what is made of it: fields, languages, keys, addresses, errors, damaged models."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from anklume_stt_server import docs, errors, forms, keys, languages, models
from anklume_stt_server.addresses import address
from anklume_stt_server.errors import ApiError
from anklume_stt_server.recognizer import Abilities
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import _LANGUAGE_CODES
from starlette.datastructures import FormData, UploadFile

SOUND = ("file", UploadFile(io.BytesIO(b"sound")))


def checked(*fields: tuple[str, str], default: str | None = None) -> forms.Query:
    return forms.check(FormData([SOUND, *fields]), "transcribe", default)


def test_every_language_of_whisper_has_names() -> None:
    assert set(_LANGUAGE_CODES) == languages.LANGUAGES
    assert {languages.code(code) for code in _LANGUAGE_CODES} == languages.LANGUAGES
    named = [name for names in languages.TABLE.split(";") for name in names.split()]
    assert len(named) == len(set(named)), "a name has two meanings"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("en", "en"),
        (" EN ", "en"),
        ("en-US", "en"),
        ("en_GB", "en"),
        ("en_US.UTF-8", "en"),
        ("english", "en"),
        ("English (United States)", "en"),
        ("eng", "en"),
        ("fr-FR", "fr"),
        ("FRENCH", "fr"),
        ("Français", "fr"),
        ("fra", "fr"),
        ("fre", "fr"),
        ("pl-PL", "pl"),
        ("polski", "pl"),
        ("pt-BR", "pt"),
        ("zh-CN", "zh"),
        ("zh-Hant-TW", "zh"),
        ("cmn-Hans-CN", "zh"),
        ("Mandarin", "zh"),
        ("Haitian Creole", "ht"),
        ("nb-NO", "no"),
        ("iw", "he"),
        ("fil-PH", "tl"),
        ("jv", "jw"),
        ("yue", "yue"),
        ("xx", None),
        ("xx-US", None),
        ("english language", None),
        ("klingon", None),
        ("e", None),
        ("en;fr", None),
        ("🇫🇷", None),
    ],
)
def test_a_language_has_many_names(sent: str, code: str | None) -> None:
    assert languages.code(sent) == code
    if code:
        assert checked(("language", sent)).language == code
    else:
        with pytest.raises(ApiError) as caught:
            checked(("language", sent))
        assert (caught.value.status, caught.value.body["error"]["param"]) == (400, "language")


@pytest.mark.parametrize("default", [None, "fr"])
def test_no_language_is_the_default_and_auto_detects(default: str | None) -> None:
    assert checked(default=default).language == default
    for nothing in ("", " "):
        assert checked(("language", nothing), default=default).language == default
    for auto in ("auto", "Auto", "detect"):
        assert checked(("language", auto), default=default).language is None


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ([], ("segment",)),
        ([("timestamp_granularities[]", "segment")], ("segment",)),
        ([("timestamp_granularities[]", "word")], ("word",)),
        ([("timestamp_granularities", "word")], ("word",)),
        ([("timestamp_granularities[0]", "segment"), ("timestamp_granularities[1]", "word")], ("word", "segment")),
        ([("timestamp_granularities[]", "segment"), ("timestamp_granularities[]", "word")], ("word", "segment")),
        ([("timestamp_granularities[]", "word, segment")], ("word", "segment")),
        ([("timestamp_granularities", '["word","segment"]')], ("word", "segment")),
        ([("timestamp_granularities", '"word"')], ("word",)),
        ([("timestamp_granularities", "[]")], ("segment",)),
        ([("timestamp_granularities[]", "")], ("segment",)),
    ],
)
def test_granularities_come_once_or_often(fields: list[tuple[str, str]], wanted: tuple[str, ...]) -> None:
    assert checked(("response_format", "verbose_json"), *fields).granularities == wanted
    if "word" not in wanted:
        assert checked(*fields).granularities == wanted


GOOD: list[tuple[str, str, str, Any]] = [
    ("model", "", "model", ""),
    ("model", " whisper-1 ", "model", "whisper-1"),
    ("response_format", "", "format", "json"),
    ("response_format", "SRT", "format", "srt"),
    ("temperature", "", "temperature", 0.0),
    ("temperature", "0.4", "temperature", 0.4),
    ("stream", "", "stream", False),
    ("stream", "True", "stream", True),
    ("stream", "on", "stream", True),
    ("stream", "FALSE", "stream", False),
    ("prompt", "", "prompt", None),
    ("prompt", "Ansible, Incus", "prompt", "Ansible, Incus"),
    ("hotwords", "anklume", "hotwords", "anklume"),
    ("include[]", "", "task", "transcribe"),
    ("chunking_strategy", "auto", "task", "transcribe"),
]


@pytest.mark.parametrize(("field", "sent", "attribute", "wanted"), GOOD)
def test_a_field_as_clients_send_it(field: str, sent: str, attribute: str, wanted: object) -> None:
    assert getattr(checked((field, sent)), attribute) == wanted


BAD = [
    ("response_format", "xml"),
    ("response_format", "diarized_json"),
    ("temperature", "1.5"),
    ("temperature", "0,5"),
    ("temperature", "nan"),
    ("stream", "perhaps"),
    ("timestamp_granularities[]", "word"),
    ("timestamp_granularities", '["syllable"]'),
    ("timestamp_granularities", '{"word": true}'),
    ("include[]", "logprobs"),
    ("include", '["logprobs"]'),
]


@pytest.mark.parametrize(("field", "sent"), BAD)
def test_a_wrong_field_is_named(field: str, sent: str) -> None:
    with pytest.raises(ApiError) as caught:
        checked((field, sent))
    assert (caught.value.status, caught.value.body["error"]["param"]) == (400, field.removesuffix("[]"))


@pytest.mark.parametrize(
    "text", ["(" * 65000, " (" * 30000 + "x", "a-" * 30000, "[" * 65000, '{"a":' * 10000, "9" * 65000]
)
def test_a_trap_in_a_field_is_refused_at_once(text: str) -> None:
    began = time.process_time()
    for name in ("language", "timestamp_granularities[]", "include", "response_format", "temperature", "stream"):
        with pytest.raises(ApiError) as caught:
            checked((name, text))
        assert len(str(caught.value)) < 200
    assert time.process_time() - began < 0.5


def test_what_has_no_effect_is_refused_or_with_speaches_taken() -> None:
    for odd in ([("timestamp_granularities[]", "word")], [("stream", "true"), ("response_format", "srt")]):
        form = FormData([SOUND, *odd])
        with pytest.raises(ApiError):
            forms.check(form, "transcribe")
        assert forms.check(form, "transcribe", strict=False)


@pytest.mark.parametrize(
    "name", ["model", "language", "prompt", "hotwords", "stream", "timestamp_granularities", "include"]
)
def test_a_file_where_text_is_wanted_is_named(name: str) -> None:
    with pytest.raises(ApiError) as caught:
        forms.check(FormData([SOUND, (name, SOUND[1])]), "transcribe")
    assert (caught.value.status, caught.value.body["error"]["param"]) == (400, name)


KEY = "clé-ключ-4711"


@pytest.mark.parametrize(
    ("headers", "key", "right"),
    [
        ([(b"authorization", b"Bearer sesame")], "sesame", True),
        ([(b"authorization", b"bearer sesame")], "sesame", True),
        ([(b"authorization", b"BEARER  sesame ")], "sesame", True),
        ([(b"x-api-key", b"sesame")], "sesame", True),
        ([(b"api-key", b"sesame")], "sesame", True),
        ([(b"authorization", b"Bearer none"), (b"x-api-key", b"sesame")], "sesame", True),
        ([(b"authorization", b"Bearer " + KEY.encode())], KEY, True),
        ([(b"x-api-key", "clé".encode())], "clé", True),
        ([(b"x-api-key", "clé".encode("latin-1"))], "clé", True),
        ([(b"x-api-key", b"cl")], "clé", False),
        ([(b"x-api-key", b"cl?-????-4711")], KEY, False),
        ([(b"authorization", b"Basic sesame")], "sesame", False),
        ([(b"authorization", b"sesame")], "sesame", False),
        ([(b"authorization", b"Bearer")], "sesame", False),
        ([(b"authorization", b"Bearer sesame1")], "sesame", False),
        ([(b"x-api-key", b"")], "sesame", False),
        ([(b"x-api-key", b"\xff\xfe")], "sesame", False),
        ([], "sesame", False),
    ],
)
def test_a_key_in_the_headers_that_clients_use(
    monkeypatch: pytest.MonkeyPatch, headers: list[tuple[bytes, bytes]], key: str, right: bool
) -> None:
    monkeypatch.setattr(keys, "WRONG_SECONDS", 0)
    check = keys.Keys([key]).check
    if right:
        asyncio.run(check({"headers": headers}, 401))
        return
    with pytest.raises(ApiError) as caught:
        asyncio.run(check({"headers": headers}, 403))
    assert caught.value.status == 403
    assert caught.value.body["error"]["code"] == "invalid_api_key"
    assert caught.value.headers == {"WWW-Authenticate": "Bearer"}


@pytest.mark.parametrize(
    ("called", "meant"),
    [
        ("/v1/audio/transcriptions", "/v1/audio/transcriptions"),
        ("/v1/audio/transcriptions/", "/v1/audio/transcriptions"),
        ("/audio/transcriptions", "/v1/audio/transcriptions"),
        ("/audio/translations/", "/v1/audio/translations"),
        ("/audio/speech/timestamps/", "/v1/audio/speech/timestamps"),
        ("//v1//audio/transcriptions", "/v1/audio/transcriptions"),
        ("/v1/v1/audio/transcriptions", "/v1/audio/transcriptions"),
        ("/openai/deployments/whisper-1/audio/transcriptions", "/v1/audio/transcriptions"),
        ("/openai/v1/audio/transcriptions", "/openai/v1/audio/transcriptions"),
        ("/models", "/v1/models"),
        ("/v1/models/", "/v1/models"),
        ("/models/anklume/whisper-test", "/v1/models/anklume/whisper-test"),
        ("/health/", "/health"),
        ("/api/ps/", "/api/ps"),
        ("/", "/"),
        ("/v1/realtime/", "/v1/realtime/"),
        ("/v1/../etc/", "/v1/../etc/"),
        ("/audio/../../etc", "/audio/../../etc"),
    ],
)
def test_an_address_as_clients_make_it(called: str, meant: str) -> None:
    assert address(called) == meant


@pytest.mark.parametrize(
    ("status", "body", "message", "param"),
    [
        (404, b'{"detail":"Not Found"}', "nothing is at this address", None),
        (405, b"Method Not Allowed", "this address does not take that method", None),
        (500, b"Internal Server Error", "the server failed", None),
        (403, b'{"detail":"no key"}', "no key", None),
        (409, b'{"message":"is loaded"}', "is loaded", None),
        (422, b'{"detail":[{"loc":["body","voice"],"msg":"Field required"}]}', "voice: Field required", "voice"),
        (502, b"", "HTTP 502", None),
        (503, b"\xff", "\ufffd", None),
        (400, b'{"detail":[]}', "HTTP 400", None),
        (400, b'["odd"]', "HTTP 400", None),
    ],
)
def test_an_error_of_any_library_gets_the_body_of_openai(
    status: int, body: bytes, message: str, param: str | None
) -> None:
    error = errors.read(status, body)["error"]
    kind = "server_error" if status >= 500 else "invalid_request_error"
    assert errors.read(404, b'{"detail":"Model \'x\' not found"}')["error"]["code"] == "model_not_found"
    assert error == {"message": message, "type": kind, "param": param, "code": None}
    assert errors.read(status, json.dumps({"error": error}).encode()) == {"error": error}


def test_the_page_of_the_api_loads_nothing_and_follows_references() -> None:
    page = docs.page(docs.document("engine", Abilities(frozenset(), translation=True)))
    for path in docs.DOCUMENT["paths"]:
        assert path in page
    assert docs.TRANSLATIONS not in docs.page(docs.document("engine", Abilities(frozenset())))
    for field in docs.FIELDS:
        assert field in page
    assert "<script" not in page and "http" not in page
    odd = {"info": {"title": "<b>"}, "components": {"schemas": {"B": {"properties": {"x<y": {"type": "string"}}}}}}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/B"}}}}
    page = docs.page({**odd, "paths": {"/p": {"post": {"summary": "&", "requestBody": body}}}})
    assert "x&lt;y" in page and "<b>" not in page


HTML = b"<!DOCTYPE html><html><body>Not Found</body></html>\n" * 50
DAMAGE = {"half of it": lambda content: content[: len(content) // 2], "a page": lambda _: HTML, "empty": lambda _: b""}


CASES = [(name, damage) for name in ("tokenizer.json", "model.bin") for damage in DAMAGE]
CASES += [("config.json", "half of it"), ("vocabulary.json", "a page")]


@pytest.mark.parametrize(("name", "damage"), CASES)
def test_a_damaged_model_is_one_line_that_names_the_file(
    hub_home: Path, tmp_path: Path, name: str, damage: str
) -> None:
    folder = tmp_path / "models--a--b" / "snapshots" / "0"
    shutil.copytree(next(hub_home.rglob("snapshots/0")), folder)
    (folder / name).write_bytes(DAMAGE[damage]((folder / name).read_bytes()))
    with pytest.raises(Exception) as caught:
        WhisperModel(str(folder), local_files_only=True)
    said = str(models.not_loaded(folder, caught.value))
    assert len(said.splitlines()) == 1
    assert f"{folder / name} is damaged (" in said
    assert f"remove {folder.parent.parent} and install the model again" in said
    (folder / name).unlink()
    if name in models.NEEDED:
        assert f"{folder / name} is missing; remove" in str(models.not_loaded(folder, OSError("no network")))


def test_what_is_not_the_files_fault_is_said_as_it_is(hub_home: Path) -> None:
    folder = next(hub_home.rglob("snapshots/0"))
    said = str(models.not_loaded(folder, RuntimeError("CUDA failed with error out of memory")))
    assert said == "the model cannot be loaded: CUDA failed with error out of memory"
