# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the module that transcribes and compares: run as Ansible runs it, against a stand-in on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.anklume.stt.plugins.module_utils._services.openai_audio import RESPONSE_FORMATS
from ansible_collections.anklume.stt.plugins.modules import stt_transcribe
from module_runner import run_module
from stt_stand_in import SENTENCE, Answer, SttStandIn

FOX = Path(__file__).resolve().parents[3] / "data" / "clips" / "en-fox.wav"


@pytest.fixture
def server() -> Iterator[SttStandIn]:
    with SttStandIn() as stand_in:
        yield stand_in


def run(**params: Any) -> dict[str, Any]:
    result = run_module(stt_transcribe, check=True, **{"timeout": 5, "path": str(FOX), **params})
    assert result.get("changed", False) is False
    return result


def test_every_format_is_asked_for_and_compared(server: SttStandIn) -> None:
    result = run(url=server.origin, expect=SENTENCE.upper(), response_formats=list(RESPONSE_FORMATS), model="tiny-test")
    assert not result.get("failed"), result
    assert result["text"] == SENTENCE
    assert list(result["texts"]) == list(RESPONSE_FORMATS)
    assert "-->" in result["texts"]["srt"]
    assert result["wer"] == 0
    assert result["models"] == ["tiny-test"]
    assert result["url"] == f"{server.origin}/v1" and result["notes"] == ["/v1 was added"]
    assert result["real_time_factor"] == pytest.approx(result["seconds"] / result["audio_seconds"], abs=0.001)


def test_the_duration_of_what_is_no_wav_is_the_servers_word(server: SttStandIn) -> None:
    webm = str(FOX.with_name("fr-bonjour.webm"))
    assert run(url=server.origin, path=webm)["real_time_factor"] is None
    told = run(url=server.origin, path=webm, response_formats=["text", "verbose_json"])
    assert told["audio_seconds"] == 2.5
    assert told["real_time_factor"] == pytest.approx(told["seconds"] / 2.5, abs=0.001)


def test_a_server_speaks_and_hears_itself(server: SttStandIn) -> None:
    server.answers["/v1/audio/speech"] = [Answer(body="ID3 and so on")]
    result = run(url=server.origin, speak={"text": f"{SENTENCE} Twice.", "language": "en"})
    assert result["heard_back"] == {"text": SENTENCE, "wer": pytest.approx(1 / 6, abs=0.001), "error": ""}
    assert server.uploads[0].fields == {"model": "whisper-1", "response_format": "json", "language": "en"}


def test_a_server_that_does_not_speak_is_told_and_heard(server: SttStandIn) -> None:
    server.answers["/v1/audio/speech"] = [Answer(404, '{"error": {"message": "none speaks"}}')]
    result = run(url=server.origin, speak={"text": SENTENCE})
    assert result["text"] == SENTENCE and result["heard_back"]["wer"] == 1
    assert "none speaks" in result["heard_back"]["error"]


def test_another_sentence_fails_and_says_both(server: SttStandIn) -> None:
    result = run(url=server.origin, expect="Ansible removed every speech client")
    assert result["failed"]
    assert (
        "heard 'Ansible installed the speech server.' instead of 'Ansible removed every speech client'" in result["msg"]
    )
    assert result["wer"] == 0.6
    assert result["text"] == SENTENCE
    assert run(url=server.origin, expect="Ansible removed every speech client", max_wer=0.6)["wer"] == 0.6


def long_answer(text: str, end: float) -> list[Answer]:
    return [Answer(body=json.dumps({"text": text, "duration": 150, "segments": [{"end": 2.0}, {"end": end}]}))]


def test_a_recording_is_said_again_and_again(server: SttStandIn) -> None:
    once = run(url=server.origin)["audio_seconds"]
    server.answers["/v1/audio/transcriptions"] = long_answer(f"Oh. {SENTENCE} {SENTENCE}", 149.5)
    result = run(url=server.origin, minutes=2.5, expect=SENTENCE.upper())
    assert 150 <= result["audio_seconds"] < 150 + once + 0.5
    assert result["heard_until"] == 149.5 and "msg" not in result


@pytest.mark.parametrize(
    ("text", "end", "why"),
    [("Oh.", 149.5, "and never"), (SENTENCE, 60.0, "the last speech was heard at 60 s"), ("", 0.0, "and never")],
)
def test_a_recording_that_is_not_heard_to_its_end(server: SttStandIn, text: str, end: float, why: str) -> None:
    server.answers["/v1/audio/transcriptions"] = long_answer(text, end)
    assert why in run(url=server.origin, minutes=2.5, expect=SENTENCE)["msg"]


def test_only_a_wav_is_said_again(server: SttStandIn) -> None:
    result = run(url=server.origin, path=str(FOX.with_name("fr-bonjour.webm")), minutes=1)
    assert "only a WAV file can be said again and again" in result["msg"]


def test_silence_must_give_no_text(server: SttStandIn) -> None:
    assert run(url=server.origin, expect="")["failed"]
    server.answers["/v1/audio/transcriptions"] = [Answer(body='{"text": ""}')]
    assert run(url=server.origin, expect="")["wer"] == 0


def test_a_failure_tells_how_far_it_came(server: SttStandIn) -> None:
    result = run(url=server.origin, model="absent")
    assert result["failed"] and "has no model 'absent': it has tiny-test" in result["msg"]
    assert result["healthy"] is True and result["models"] == ["tiny-test"]
    assert run(url="http://127.0.0.1:1")["healthy"] is False


def test_the_key_is_sent_and_never_shown() -> None:
    with SttStandIn(key="s3cret-key") as server:
        assert run(url=server.origin, api_key="s3cret-key")["text"] == SENTENCE
        refused = run(url=server.origin, api_key="wr0ng-key")
        assert refused["failed"] and "wr0ng-key" not in json.dumps(refused)


def test_through_open_webui(server: SttStandIn) -> None:
    account = {"email": "admin@example.org", "password": "right", "ollama": True}
    result = run(url=f"{server.origin}/", open_webui=account, expect=SENTENCE)
    assert not result.get("failed"), result
    assert result["text"] == SENTENCE and result["wer"] == 0
    assert result["ollama"] == {"version": "0.30.1", "error": ""}
    assert server.requests.count("POST /api/v1/auths/signin") == 1
    assert "models" not in result


def test_ollama_out_of_reach_does_not_fail_the_transcription(server: SttStandIn) -> None:
    account = {"email": "admin@example.org", "password": "right", "ollama": True}
    server.answers["/ollama/api/version"] = [Answer(500, '{"detail": "could not connect"}')]
    result = run(url=server.origin, open_webui=account)
    assert not result.get("failed")
    assert result["ollama"]["version"] == "" and "could not connect" in result["ollama"]["error"]


ACCOUNT = {"email": "admin@example.org", "password": "right", "speak": SENTENCE, "speak_language": "en"}


class TestSpeech:
    def test_what_open_webui_speaks_is_heard_back(self, server: SttStandIn) -> None:
        result = run(url=server.origin, open_webui=ACCOUNT, expect=SENTENCE)
        assert not result.get("failed"), result
        speech = result["speech"]
        assert (speech["text"], speech["wer"], speech["kind"], speech["bytes"]) == (SENTENCE, 0, "wav", 12)
        assert server.texts == [{"input": SENTENCE}]
        heard, played = server.uploads[0], server.uploads[1]
        assert (heard.content, heard.file_type, heard.fields) == (b"RIFF\0\0\0\0WAVE", "audio/wav", {"language": "en"})
        assert played.content == FOX.read_bytes()

    def test_without_an_stt_server_it_has_to_be_sound(self, server: SttStandIn) -> None:
        result = run(url=server.origin, path=None, open_webui=ACCOUNT)
        assert not result.get("failed"), result
        assert result["speech"]["bytes"] == 12
        assert "text" not in result["speech"]
        assert server.uploads == []

    def test_without_its_language_it_is_not_heard_back(self, server: SttStandIn) -> None:
        speech = run(url=server.origin, open_webui={**ACCOUNT, "speak_language": None})["speech"]
        assert (speech["bytes"], speech.get("text"), len(server.uploads)) == (12, None, 1)

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            (Answer(500, '{"detail": "Open WebUI: Server Connection Error"}'), "cannot reach the server that speaks"),
            (
                Answer(404, '{"detail": "External: no such voice"}'),
                "Open WebUI does not speak: External: no such voice",
            ),
            (Answer(200, "<html>"), "is no sound that a browser plays"),
            (Answer(403, '{"detail": "no"}'), "this account may not have anything read aloud"),
        ],
    )
    def test_not_to_be_spoken_to_is_no_failure_of_the_rest(
        self, server: SttStandIn, answer: Answer, message: str
    ) -> None:
        server.answers["/api/v1/audio/speech"] = [answer]
        result = run(url=server.origin, open_webui=ACCOUNT, expect=SENTENCE)
        assert not result.get("failed"), result
        assert message in result["speech"]["error"]


def test_open_webui_chooses_the_model_itself(server: SttStandIn) -> None:
    result = run(url=server.origin, model="x", open_webui={"email": "a@b.c", "password": "p"})
    assert result["failed"] and "mutually exclusive" in result["msg"]


def test_documentation_and_spec_agree() -> None:
    documented = yaml.safe_load(stt_transcribe.DOCUMENTATION)["options"]
    assert set(documented) == set(stt_transcribe.SPEC)
    for name, option in stt_transcribe.SPEC.items():
        assert documented[name].get("default") == option.get("default"), name
    yaml.safe_load(stt_transcribe.EXAMPLES)
    yaml.safe_load(stt_transcribe.RETURN)
