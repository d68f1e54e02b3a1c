# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the clients of the STT server and of Open WebUI, over real sockets, and of their pure half."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._services import openai_audio
from ansible_collections.anklume.stt.plugins.module_utils._services.openai_audio import (
    RESPONSE_FORMATS,
    AudioClient,
    OpenWebUIClient,
    normalise_base_url,
    normalise_origin,
    normalise_words,
    sound_kind,
    spoken_text,
    wav_seconds,
    word_error_rate,
)
from stt_stand_in import ANSWERS, SENTENCE, Answer, SttStandIn

CLIPS = Path(__file__).resolve().parents[3] / "data" / "clips"
FOX = CLIPS / "en-fox.wav"


@pytest.fixture
def server() -> Iterator[SttStandIn]:
    with SttStandIn() as stand_in:
        yield stand_in


def client_of(server: SttStandIn, **options: object) -> AudioClient:
    return AudioClient(f"{server.origin}/v1", **{"timeout": 5.0, **options})


# --- addresses


@pytest.mark.parametrize(
    ("given", "used", "noted"),
    [
        ("http://homelab-ai:8000/v1", "http://homelab-ai:8000/v1", 0),
        ("http://homelab-ai:8000/v1/", "http://homelab-ai:8000/v1", 1),
        ("http://homelab-ai:8000", "http://homelab-ai:8000/v1", 1),
        ("http://homelab-ai:8000//v1//", "http://homelab-ai:8000/v1", 1),
        ("  homelab-ai:8000\n", "http://homelab-ai:8000/v1", 2),
        ("https://[fd42::10]:8443/stt/", "https://[fd42::10]:8443/stt/v1", 2),
        ("http://homelab-ai:8000/v1/audio/transcriptions", "http://homelab-ai:8000/v1", 1),
    ],
)
def test_base_url_is_put_right_and_says_what_was_changed(given: str, used: str, noted: int) -> None:
    url, notes = normalise_base_url(given)
    assert url == used
    assert len(notes) == noted
    assert normalise_base_url(url) == (used, [])


@pytest.mark.parametrize(
    "given", ["", "ftp://host/v1", "http://", "http://host:port/v1", "http://h:99999", "http://h/v1?x=1"]
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(ServiceError):
        normalise_base_url(given)


def test_a_password_in_an_address_is_refused_without_repeating_it() -> None:
    with pytest.raises(ServiceError) as error:
        normalise_origin("http://user:hunter2@host")
    assert "hunter2" not in str(error.value)


# --- words


@pytest.mark.parametrize(
    ("expected", "heard", "rate"),
    [
        ("The quick brown fox.", "the QUICK brown fox", 0.0),
        ("The quick brown fox", "the quick fox", 0.25),
        ("the fox", "the quick fox", 0.5),
        ("the fox", "a dog", 1.0),
        ("the fox", "", 1.0),
        ("", "", 0.0),
        ("...", "", 0.0),
        ("", "Thanks for watching!", 1.0),
        ("one", "and one and two", 3.0),
        ("Bonjour, ça va\u00a0?", "bonjour ça va", 0.0),
        ("le serveur écoute", "le serveur ecoute", 1 / 3),
        ("e\u0301cole", "école", 0.0),
        ("l\u2019eau", "l'eau", 0.0),
        ("état-major", "état major", 0.0),
        ("3.5 metres, 12 feet", "3.5 metres 12 feet.", 0.0),
        ("twelve", "12", 1.0),
    ],
)
def test_word_error_rate(expected: str, heard: str, rate: float) -> None:
    assert word_error_rate(expected, heard) == pytest.approx(rate)


def test_words_keep_their_accents() -> None:
    assert normalise_words("Écoute, l'ÉTÉ… Straße 日本") == ["écoute", "l", "été", "strasse", "日本"]


def test_numbers_keep_their_point() -> None:
    assert normalise_words("About 3.5, or 1,000.") == ["about", "3.5", "or", "1.000"]


@pytest.mark.parametrize("response_format", RESPONSE_FORMATS)
def test_the_sentence_is_found_in_every_format(response_format: str) -> None:
    assert spoken_text(response_format, ANSWERS[response_format]) == SENTENCE


def test_no_cue_is_no_sentence() -> None:
    assert spoken_text("srt", "") == spoken_text("vtt", "WEBVTT\n\n") == spoken_text("json", '{"text": null}') == ""


# --- audio


def test_wav_seconds_agrees_with_the_wave_module() -> None:
    with wave.open(str(FOX)) as clip:
        assert wav_seconds(FOX) == pytest.approx(clip.getnframes() / clip.getframerate())


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF])
def test_wav_of_a_pipe_without_a_length(tmp_path: Path, length: int) -> None:
    file = tmp_path / "pipe.wav"
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", length, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", length
    )
    file.write_bytes(header + bytes(24000))
    assert wav_seconds(file) == pytest.approx(1.5)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF",
        b"RIFF\0\0\0\0WAVE",
        b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0ab",
        b"RIFF\0\0\0\0WAVEdata\4\0\0\0abcd",
        b"OggS" + bytes(99),
    ],
)
def test_what_is_no_wav_has_no_duration(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "clip"
    file.write_bytes(content)
    assert wav_seconds(file) is None


# --- what is sent


def test_a_transcription_sends_the_file_and_the_fields(server: SttStandIn, tmp_path: Path) -> None:
    named = tmp_path / 'é "quoted".wav'
    named.write_bytes(FOX.read_bytes())
    client = client_of(server, api_key="s3cret")
    assert client.transcribe(named, model="tiny-test", language="en", response_format="text") == ANSWERS["text"]
    (upload,) = server.uploads
    assert upload.path == "/v1/audio/transcriptions"
    assert upload.fields == {"response_format": "text", "model": "tiny-test", "language": "en"}
    assert upload.content == FOX.read_bytes()
    assert upload.file_type == "audio/wav"
    assert "%22quoted%22.wav" in upload.file_name
    assert upload.headers["Authorization"] == "Bearer s3cret"


def test_a_translation_names_no_language(server: SttStandIn) -> None:
    client_of(server).transcribe(FOX, model="tiny-test", language="fr", translate=True)
    assert server.uploads[0].path == "/v1/audio/translations"
    assert server.uploads[0].fields == {"response_format": "json", "model": "tiny-test"}


def test_a_large_file_is_not_held_in_memory(server: SttStandIn, tmp_path: Path) -> None:
    import tracemalloc

    large = tmp_path / "hour.wav"
    with large.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    server.answers["/v1/audio/transcriptions"] = [Answer(413, '{"detail": "too large"}', read_body=False)]
    tracemalloc.start()
    with pytest.raises(ServiceError):
        client_of(server).transcribe(large, model="tiny-test")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 1024 * 1024


def test_models_and_health(server: SttStandIn) -> None:
    client = client_of(server)
    client.wait_healthy(0)
    assert client.models() == ["tiny-test"]


def test_wait_healthy_outlasts_a_start(server: SttStandIn) -> None:
    server.answers["/health"] = [Answer(503, '{"detail": "loading"}')]
    client_of(server).wait_healthy(5)
    assert server.requests == ["GET /health"] * 2


def test_wait_healthy_gives_the_last_reason(server: SttStandIn) -> None:
    server.answers["/health"] = [Answer(503, '{"detail": "the model is loading"}')] * 9
    with pytest.raises(ServiceError, match=r"HTTP 503: not ready: the model is loading \(waited 0.2 s\)"):
        client_of(server).wait_healthy(0.2)


def test_a_busy_server_is_asked_again(server: SttStandIn) -> None:
    server.answers["/v1/audio/transcriptions"] = [Answer(503, headers={"Retry-After": "0"})] * 2
    assert client_of(server).transcribe(FOX, model="tiny-test", retries=2) == ANSWERS["json"]
    assert len(server.requests) == 3


# --- what is said when it fails: one message per cause


def refuse(server: SttStandIn, *answers: Answer, **options: object) -> str:
    server.answers["/v1/audio/transcriptions"] = list(answers)
    with pytest.raises(ServiceError) as error:
        client_of(server, **options).transcribe(FOX, model="tiny-test", retries=len(answers) - 1)
    message = str(error.value)
    assert "Traceback" not in message and not message.endswith(".")
    return message


def test_busy() -> None:
    with SttStandIn() as server:
        busy = Answer(503, '{"error": {"message": "queue is full"}}', {"Retry-After": "0"})
        assert "HTTP 503: the server is busy" in (message := refuse(server, busy, busy))
        assert "queue is full" in message
        assert len(server.requests) == 2


def test_wrong_key_and_missing_key() -> None:
    with SttStandIn(key="right") as server:
        wrong = refuse(server, api_key="wr0ng")
        assert "refuses this API key" in wrong and "wr0ng" not in wrong
        assert "wants an API key and none was given" in refuse(server)
        with pytest.raises(ServiceError, match="wants an API key"):
            client_of(server).models()


def test_a_key_that_http_cannot_carry(server: SttStandIn) -> None:
    assert "HTTP cannot carry" in refuse(server, api_key="line\nbreak")
    assert "HTTP cannot carry" in refuse(server, api_key="\u20ac")


def test_model_missing_names_those_that_are_there() -> None:
    with SttStandIn(models=("a/one", "b/two")) as server:
        assert "has no model 'tiny-test': it has a/one, b/two" in refuse(server)
    with SttStandIn(models=()) as server:
        assert "it has none" in refuse(server, Answer(404))


def test_model_listed_and_still_404(server: SttStandIn) -> None:
    assert "although the server lists the model" in refuse(server, Answer(404, '{"detail": "snapshot is broken"}'))


def test_no_api_at_this_address(server: SttStandIn) -> None:
    with pytest.raises(ServiceError, match="no OpenAI-compatible API at this address"):
        AudioClient(f"{server.origin}/elsewhere/v1").transcribe(FOX, model="x")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            Answer(413, '{"error": {"message": "limit 25 MB"}}'),
            "HTTP 413: the file is larger than the server accepts: limit 25 MB",
        ),
        (Answer(415, '{"detail": "Failed to decode audio"}'), "cannot read this file as audio: Failed to decode audio"),
        (
            Answer(422, '{"detail": [{"msg": "Field required", "loc": ["model"]}]}'),
            "refuses the request: Field required",
        ),
        (Answer(500, "Internal Server Error"), "HTTP 500: the server failed, its log says why: Internal Server Error"),
        (Answer(502, "<html><h1>Bad Gateway</h1>"), "the proxy reaches no service behind it"),
        (Answer(405, ""), "not the API that was expected"),
        (
            Answer(307, headers={"Location": "https://stt.lan/v1"}),
            "it redirects to https://stt.lan/v1: use that address",
        ),
        (Answer(200, "<!doctype html><title>Open WebUI</title>"), "the answer is not JSON: <!doctype html>"),
        (Answer(200, '["text"]'), "not a JSON object"),
        (Answer(close=True), "closed without an answer"),
    ],
)
def test_every_refusal_says_what_is_wrong(server: SttStandIn, answer: Answer, words: str) -> None:
    assert words in refuse(server, answer)


def test_an_upload_refused_before_it_was_read(server: SttStandIn, tmp_path: Path) -> None:
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate(32 * 1024 * 1024)
    server.answers["/v1/audio/transcriptions"] = [Answer(413, '{"detail": "too large"}', read_body=False)]
    with pytest.raises(ServiceError, match="HTTP 413: the file is larger than the server accepts"):
        client_of(server).transcribe(large, model="tiny-test")


def test_no_answer_in_time(server: SttStandIn) -> None:
    start = time.monotonic()
    assert "no answer within 0.3 s" in refuse(server, Answer(after=3.0), timeout=0.3)
    assert time.monotonic() - start < 2


def test_a_long_transcription_may_take_longer_than_a_connection(
    server: SttStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_audio, "_CONNECT_SECONDS", 0.2)
    server.answers["/v1/audio/transcriptions"] = [Answer(body=ANSWERS["json"], after=0.6)]
    assert client_of(server).transcribe(FOX, model="tiny-test") == ANSWERS["json"]


def test_name_not_resolved() -> None:
    with pytest.raises(ServiceError, match=r"the name no-such-host\.invalid cannot be resolved"):
        AudioClient("http://no-such-host.invalid:8000/v1").models()
    with pytest.raises(ServiceError, match="cannot be resolved"):
        AudioClient(f"http://{'a' * 64}.example/v1").models()


def test_nothing_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(ServiceError, match=f"nothing listens on 127.0.0.1 port {port}"):
            AudioClient(f"http://127.0.0.1:{port}/v1").models()


def test_packets_are_dropped() -> None:
    """A listener whose backlog is full lets nobody in, as a firewall does."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        clients = []
        for _client in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(full.getsockname())
            clients.append(client)
        with pytest.raises(ServiceError, match="a firewall drops the packets"):
            AudioClient(f"http://127.0.0.1:{full.getsockname()[1]}/v1", timeout=0.5).models()
        for client in clients:
            client.close()


def test_not_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def greet() -> None:
            connection, _address = other.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(ServiceError, match="does not speak HTTP"):
            AudioClient(f"http://127.0.0.1:{other.getsockname()[1]}/v1").models()
        thread.join()


def test_no_file_and_an_empty_file(server: SttStandIn, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"gone\.wav: No such file or directory"):
        client_of(server).transcribe(tmp_path / "gone.wav", model="tiny-test")
    (tmp_path / "empty.wav").touch()
    with pytest.raises(ServiceError, match="the file is empty"):
        client_of(server).transcribe(tmp_path / "empty.wav", model="tiny-test")
    assert server.requests == []


# --- TLS


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[SttStandIn]:
    stand_in = SttStandIn()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    stand_in.http.socket = context.wrap_socket(stand_in.http.socket, server_side=True)
    with stand_in:
        yield stand_in


def test_tls_with_the_authority_given(tls_server: SttStandIn, certificate: Path) -> None:
    assert client_of(tls_server, ca_path=str(certificate)).models() == ["tiny-test"]
    assert client_of(tls_server, validate_certs=False).models() == ["tiny-test"]


def test_tls_not_trusted(tls_server: SttStandIn) -> None:
    with pytest.raises(ServiceError, match="is not trusted by this machine's authorities: self-signed certificate"):
        client_of(tls_server).models()


def test_tls_against_plain_http_and_the_reverse(server: SttStandIn, tls_server: SttStandIn) -> None:
    with pytest.raises(ServiceError, match="does not speak TLS: does its address begin with http://"):
        AudioClient(f"{server.origin.replace('http:', 'https:')}/v1").models()
    with pytest.raises(ServiceError, match=r"wants https|does not speak HTTP"):
        AudioClient(f"{tls_server.origin.replace('https:', 'http:')}/v1").models()


def test_no_authority_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"ca\.pem: no certificate authority can be read"):
        AudioClient("https://localhost/v1", ca_path=str(tmp_path / "ca.pem"))


# --- Open WebUI


def test_open_webui_is_used_as_the_browser_does(server: SttStandIn) -> None:
    client = OpenWebUIClient(server.origin)
    client.wait_healthy(0)
    client.sign_in("admin@example.org", "right")
    assert client.transcribe(CLIPS / "fr-bonjour.webm") == SENTENCE
    (upload,) = server.uploads
    assert (upload.path, upload.fields, upload.file_type) == ("/api/v1/audio/transcriptions", {}, "audio/webm")
    assert upload.headers["Authorization"] == "Bearer jwt"
    assert client.ollama_version() == "0.30.1"
    client.transcribe(FOX, language="en")
    assert server.uploads[1].fields == {"language": "en"}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "refuses the email or the password of admin@example.org"),
        (Answer(403, '{"detail": "not allowed"}'), "does not allow signing in with a password"),
        (Answer(404, '{"detail": "Not Found"}'), "no Open WebUI at this address"),
        (Answer(429, "{}"), "15 in 3 minutes"),
        (Answer(200, '{"mfa": true}'), "second factor"),
        (Answer(500, "oops"), "the server failed"),
    ],
)
def test_sign_in_says_why_not(server: SttStandIn, answer: Answer | None, words: str) -> None:
    server.answers["/api/v1/auths/signin"] = [answer] if answer else []
    with pytest.raises(ServiceError) as error:
        OpenWebUIClient(server.origin).sign_in("admin@example.org", "wr0ng")
    assert words in str(error.value)
    assert "wr0ng" not in str(error.value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(500, '{"detail": "Open WebUI: Server Connection Error"}'), "Open WebUI cannot reach its STT server"),
        (Answer(400, '{"detail": "[ERROR: External: Invalid API key]"}'), "refused what Open WebUI sent"),
        (Answer(401, '{"detail": "prohibited"}'), "may not transcribe in Open WebUI"),
        (Answer(400, '{"detail": "file not supported"}'), "refuses the request: file not supported"),
        (Answer(200, "{}"), "holds no text"),
    ],
)
def test_upload_through_open_webui_says_which_hop_failed(server: SttStandIn, answer: Answer, words: str) -> None:
    client = OpenWebUIClient(server.origin)
    client.sign_in("admin@example.org", "right")
    server.answers["/api/v1/audio/transcriptions"] = [answer]
    with pytest.raises(ServiceError) as error:
        client.transcribe(FOX)
    assert words in str(error.value)


def test_ollama_switched_off_and_out_of_reach(server: SttStandIn) -> None:
    client = OpenWebUIClient(server.origin)
    client.sign_in("admin@example.org", "right")
    server.answers["/ollama/api/version"] = [
        Answer(200, '{"version": false}'),
        Answer(500, '{"detail": "WebUI could not connect to Ollama"}'),
    ]
    assert client.ollama_version() == ""
    with pytest.raises(ServiceError, match="Open WebUI reaches no Ollama: WebUI could not connect"):
        client.ollama_version()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"RIFF\x24\0\0\0WAVEfmt ", "wav"),
        (b"RIFF\x24\n\0\0WAVEfmt ", "wav"),
        (b"RIFF\x24\0\0\0AVI LIST", ""),
        (b"ID3\x04\0", "mp3"),
        (b"\xff\xfb\x90\x64", "mp3"),
        (b"\xff\xf3\x44\xc4", "mp3"),
        (b"\xff\xf1\x50\x80", "aac"),
        (b"OggS\0\x02", "ogg"),
        (b"fLaC\0\0\0\x22", "flac"),
        (b"\x1aE\xdf\xa3", "webm"),
        (b"\0\0\0\x20ftypM4A ", "mp4"),
        (b"\0\0\x01\0\xff\xff", ""),
        (b"<!DOCTYPE html>", ""),
        (b"", ""),
    ],
)
def test_the_kind_of_sound_is_known_by_how_it_begins(content: bytes, kind: str) -> None:
    assert sound_kind(content) == kind
