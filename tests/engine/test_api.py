# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients of the API see: the official openai client, curl-like requests, and every kind of bad input."""

from __future__ import annotations

import http.server
import io
import threading
from collections.abc import Iterator

import av
import httpx
import numpy as np
import openai
import pytest

from .conftest import CLIPS, MODEL, SENTENCES, Server, clip, sentence_of, wav

PATHS = ["transcriptions", pytest.param("translations", marks=pytest.mark.whisper)]


@pytest.mark.whisper
@pytest.mark.parametrize("name", SENTENCES)
def test_each_clip_is_transcribed_and_translated(server: Server, name: str) -> None:
    client, want = server.client(), SENTENCES[name]
    got = client.audio.transcriptions.create(model=MODEL, file=CLIPS / name, response_format="verbose_json")
    assert (got.text, got.language) == (want["text"], want["language"])
    assert client.audio.translations.create(model="whisper-1", file=CLIPS / name).text == want["translation"]


def test_formats(server: Server) -> None:
    ask = server.client().audio.transcriptions.create
    text = SENTENCES["en-fox.wav"]["text"]
    with (CLIPS / "en-fox.wav").open("rb") as file:
        assert ask(model=MODEL, file=file).text == text
    path = CLIPS / "en-fox.wav"
    assert ask(model=MODEL, file=path, response_format="text") == text + "\n"
    srt = ask(model=MODEL, file=path, response_format="srt")
    assert srt.startswith("1\n00:00:00,") and " --> 00:00:0" in srt and text in srt
    vtt = ask(model=MODEL, file=path, response_format="vtt")
    assert vtt.startswith("WEBVTT\n\n00:00:00.") and " --> 00:00:0" in vtt and text in vtt


def test_verbose_json_has_segments_and_words_as_asked(server: Server) -> None:
    def ask(*granularities: str) -> openai.types.audio.TranscriptionVerbose:
        return server.client().audio.transcriptions.create(
            model=MODEL,
            file=CLIPS / "en-fox.wav",
            response_format="verbose_json",
            timestamp_granularities=list(granularities) or openai.omit,
            language="en",
        )

    plain, words, both = ask(), ask("word"), ask("word", "segment")
    assert plain.segments and plain.words is None
    assert words.words and words.segments is None
    assert both.words and both.segments
    assert " ".join(word.word for word in words.words) == SENTENCES["en-fox.wav"]["text"]
    assert 3 < plain.duration < 4 and plain.usage.seconds == 4
    assert 0 <= plain.segments[0].start < plain.segments[-1].end <= plain.duration + 0.5
    assert all(first.start <= second.start for first, second in zip(words.words, words.words[1:], strict=False))


@pytest.mark.parametrize("path", PATHS)
def test_stream_as_the_openai_client_reads_it(server: Server, path: str) -> None:
    want = SENTENCES["fr-bonjour.webm"]["text" if path == "transcriptions" else "translation"]
    if path == "transcriptions":
        events = list(
            server.client().audio.transcriptions.create(model=MODEL, file=CLIPS / "fr-bonjour.webm", stream=True)
        )
        assert [event.type for event in events][-2:] == ["transcript.text.delta", "transcript.text.done"]
        assert events[-1].text == want
        assert "".join(event.delta for event in events[:-1]) == want
    else:
        answer = server.post((CLIPS / "fr-bonjour.webm").read_bytes(), path=path, stream="true")
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert want in answer.text and "transcript.text.done" in answer.text


@pytest.mark.whisper
def test_a_temperature_samples_one_by_one(server: Server) -> None:
    got = server.client().audio.transcriptions.create(model=MODEL, file=CLIPS / "en-fox.wav", temperature=0.2)
    assert got.text == SENTENCES["en-fox.wav"]["text"]


def test_the_text_follows_the_sound_not_the_language_asked_for(server: Server) -> None:
    got = server.client().audio.transcriptions.create(model=MODEL, file=CLIPS / "en-fox.wav", language="fr")
    assert sentence_of(got.text) == SENTENCES["en-fox.wav"]["text"]


@pytest.mark.parametrize("seconds", [5, 45])
@pytest.mark.parametrize("level", [0.0, 0.001, 0.1])
def test_silence_and_noise_give_no_text(server: Server, seconds: int, level: float) -> None:
    sound = wav(np.random.default_rng(1).normal(0, 1, seconds * 16000) * level)
    for form in ("json", "verbose_json"):
        answer = server.post(sound, response_format=form)
        assert (answer.status_code, answer.json()["text"]) == (200, "")
    assert server.post(sound, response_format="srt").text == ""
    assert '"text": ""' in server.post(sound, stream="true").text


def test_other_containers_and_rates(server: Server) -> None:
    for form, codec, rate in (("flac", "flac", 48000), ("ogg", "libopus", 48000), ("mp4", "aac", 44100)):
        target = io.BytesIO()
        with av.open(target, "w", format=form) as out:
            stream = out.add_stream(codec, rate=rate, layout="mono")
            frame = av.AudioFrame.from_ndarray((clip("fr-bonjour.wav") * 32767).astype(np.int16)[None], "s16", "mono")
            frame.rate = 16000
            resampler = av.AudioResampler(stream.format.name, "mono", rate, stream.frame_size or None)
            for part in [*resampler.resample(frame), *resampler.resample(None), None]:
                out.mux(stream.encode(part))
        assert (
            sentence_of(server.post(target.getvalue(), f"clip.{form}").json()["text"])
            == SENTENCES["fr-bonjour.wav"]["text"]
        )


NAMES = ["", "whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", MODEL]


def test_models(server: Server) -> None:
    client = server.client()
    assert [model.id for model in client.models.list()] == [MODEL]
    assert {client.models.retrieve(name).id for name in NAMES if name} == {MODEL}
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("Systran/faster-whisper-large-v3")
    assert caught.value.code == "model_not_found"


def raw(server: Server, body: bytes, path: str = "/v1/audio/transcriptions") -> httpx.Response:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    return httpx.post(server.url + path, content=body, headers=headers, timeout=60)


def part(disposition: str, content: bytes) -> bytes:
    return f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"


def test_a_request_needs_no_more_than_the_file_and_that_needs_no_name(server: Server) -> None:
    text, sound = SENTENCES["en-fox.wav"]["text"], (CLIPS / "en-fox.wav").read_bytes()
    for body in (
        part('name="file"', sound) + b"--b--\r\n",
        b"This is a message in MIME format.\r\n\r\n" + part('name="file"; filename=""', sound) + b"--b--",
        b"\r\n" + part("name=file; filename*=UTF-8''son%20%C3%A9.wav", sound) + b"--b--\r\nepilogue",
    ):
        assert raw(server, body).json()["text"] == text
    refused(raw(server, b"preamble " * 5000 + part('name="file"', sound) + b"--b--"), 400)
    refused(raw(server, part('name="file"\r\nX-Long: ' + "x" * 70000, sound) + b"--b--"), 400)
    for name in NAMES:
        assert server.post(sound, model=name).json()["text"] == text


@pytest.mark.parametrize(
    "path",
    ["/v1/audio/transcriptions/", "/audio/transcriptions", "//v1//audio/transcriptions", "/v1/v1/audio/transcriptions"],
)
def test_an_address_as_clients_make_it_answers_without_a_redirect(server: Server, path: str) -> None:
    answer = raw(server, part('name="file"', (CLIPS / "en-fox.wav").read_bytes()) + b"--b--", path)
    assert answer.json()["text"] == SENTENCES["en-fox.wav"]["text"]
    assert httpx.get(server.url + path.replace("audio/transcriptions", "models")).json()["data"][0]["id"] == MODEL


@pytest.mark.whisper
def test_fields_as_clients_send_them(server: Server) -> None:
    sound = (CLIPS / "fr-bonjour.wav").read_bytes()
    for language in ("fr-FR", "FR", "french", "auto", ""):
        answer = server.post(sound, response_format="verbose_json", language=language).json()
        assert (answer["text"], answer["language"]) == (SENTENCES["fr-bonjour.wav"]["text"], "fr")
    assert server.post(sound, response_format="verbose_json", language="en-GB").json()["language"] == "en"
    assert server.post(sound, **{"timestamp_granularities[]": "segment"}).status_code == 200
    answer = server.post(sound, response_format="verbose_json", timestamp_granularities='["word", "segment"]').json()
    assert answer["words"] and answer["segments"]
    assert server.post(sound, chunking_strategy="auto", unknown="x").status_code == 200


@pytest.mark.whisper
def test_hotwords_reach_the_model(server: Server) -> None:
    """The small test model is thrown off by them, which shows that it was given them."""
    sound, want = (CLIPS / "en-fox.wav").read_bytes(), SENTENCES["en-fox.wav"]["text"]
    for path, temperature in (("transcriptions", "0"), ("transcriptions", "0.1"), ("translations", "0")):
        answer = server.post(sound, path=path, hotwords="Ansible installed the speech server.", temperature=temperature)
        assert answer.status_code == 200
        assert answer.json()["text"] != want


@pytest.mark.whisper
def test_the_api_is_described(server: Server) -> None:
    document = httpx.get(server.url + "/openapi.json").json()
    assert document["openapi"].startswith("3.")
    fields = document["paths"]["/v1/audio/transcriptions"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert {"file", "model", "language", "hotwords"} <= set(fields["schema"]["properties"])
    for path, methods in document["paths"].items():
        for method in methods:
            url = server.url + path.replace("{id}", "whisper-1")
            assert httpx.request(method, url).status_code == (200 if method == "get" else 415)
    page = httpx.get(server.url + "/docs")
    assert page.headers["content-type"].startswith("text/html") and "/v1/audio/translations" in page.text
    assert httpx.get(server.url + "/api/ps").json() == {"models": [MODEL]}
    assert httpx.get(server.url + "/health").json() == {"status": "ok", "message": "OK"}


def film_without_sound() -> bytes:
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")))
        out.mux(stream.encode(None))
    return target.getvalue()


def picture() -> bytes:
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt = 8, 8, "rgb24"
    codec.time_base = 1
    packets = codec.encode(av.VideoFrame.from_ndarray(np.zeros((8, 8, 3), np.uint8), "rgb24"))
    return b"".join(bytes(packet) for packet in packets)


BAD_FILES = {
    "empty": (b"", 415),
    "text": (b"hello, this is not audio\n" * 100, 415),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n" * 30, 415),
    "wav_without_samples": (wav(np.zeros(0)), 400),
    "very_short": (wav(np.zeros(800)), 400),
    "truncated_wav_header": (wav(np.zeros(16000))[:30], 415),
    "truncated_mp3": ((CLIPS / "en-ansible.mp3").read_bytes()[:100], 415),
    "truncated_webm": ((CLIPS / "fr-bonjour.webm").read_bytes()[:200], 415),
    "png": (picture(), 415),
    "film_without_sound": (film_without_sound(), 415),
    "random_bytes": (np.random.default_rng(0).bytes(50_000), 415),
    "zeros": (bytes(50_000), 415),
}


@pytest.mark.parametrize("name", BAD_FILES)
@pytest.mark.parametrize("path", PATHS)
def test_bad_files_are_refused_with_a_message(server: Server, name: str, path: str) -> None:
    content, status = BAD_FILES[name]
    answer = server.post(content, name, path)
    refused(answer, status, "file")
    refused(server.post(content, name, path, stream="true"), status, "file")


def test_a_damaged_file_is_a_4xx_or_what_is_left_of_it(server: Server) -> None:
    rng = np.random.default_rng(3)
    for name in ("en-ansible.mp3", "fr-bonjour.webm", "en-fox.wav"):
        content = bytearray((CLIPS / name).read_bytes())
        for position in rng.integers(0, len(content), 200):
            content[position] = int(rng.integers(0, 256))
        assert server.post(bytes(content), name).status_code in (200, 400, 415)


BAD_FIELDS = [
    ("language", "xx", 400),
    ("language", "english language", 400),
    ("model", "unknown/model", 404),
    ("model", "../../etc", 404),
    ("temperature", "hot", 400),
    ("temperature", "2", 400),
    ("temperature", "-1", 400),
    ("temperature", "nan", 400),
    ("response_format", "xml", 400),
    ("stream", "perhaps", 400),
    ("timestamp_granularities[]", "word", 400),
    ("timestamp_granularities[]", "sentence", 400),
    ("include[]", "logprobs", 400),
]


@pytest.mark.parametrize(("field", "value", "status"), BAD_FIELDS)
@pytest.mark.parametrize("path", PATHS)
def test_bad_fields_are_refused_with_a_message(server: Server, path: str, field: str, value: str, status: int) -> None:
    answer = server.post((CLIPS / "en-fox.wav").read_bytes(), path=path, **{field: value})
    refused(answer, status, field.removesuffix("[]"))


def test_bad_requests(server: Server) -> None:
    url, sound = server.url + "/v1/audio/transcriptions", (CLIPS / "en-fox.wav").read_bytes()
    refused(httpx.post(url, data={"model": MODEL}, files={"other": ("a.wav", sound)}), 400, "file")
    refused(httpx.post(url, files={"model": (None, MODEL), "file": (None, "not a file")}), 415, "file")
    refused(httpx.post(url, files={"file": ("a.wav", sound), "model": ("m", b"x")}), 400)
    refused(httpx.post(url, files=[("file", ("a.wav", sound)), ("file", ("b.wav", sound))]), 400)
    refused(httpx.post(url, json={"model": MODEL}), 415)
    refused(httpx.post(url), 415)
    refused(httpx.post(url, content=b"x", headers={"content-type": "multipart/form-data"}), 400)
    refused(httpx.post(url, content=b"--b\r\nbroken", headers={"content-type": "multipart/form-data; boundary=b"}), 400)
    refused(httpx.post(url, content=b"x", headers={"content-type": "multipart/form-data; boundary=b"}), 400)
    refused(httpx.post(url, files={"file": ("a.wav", sound)}, data={"prompt": "m" * 70000}), 400, "prompt")
    refused(server.post(sound, response_format="srt", stream="true"), 400, "response_format")
    refused(httpx.get(url), 405)
    refused(httpx.get(server.url + "/v1/nothing"), 404)
    refused(httpx.post(server.url + "/health"), 405)
    refused(httpx.post(server.url + "/api/ps/" + MODEL), 404)
    assert "GET" in httpx.delete(server.url + "/v1/models").headers["allow"]


def test_the_openai_client_raises_its_own_errors(server: Server) -> None:
    ask = server.client().audio.transcriptions.create
    with pytest.raises(openai.NotFoundError) as caught:
        ask(model="unknown", file=CLIPS / "en-fox.wav")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as caught:
        ask(model=MODEL, file=CLIPS / "en-fox.wav", language="xx")
    assert caught.value.param == "language"
    with pytest.raises(openai.APIStatusError) as caught:
        ask(model=MODEL, file=("a.txt", b"hello"), stream=True)
    assert caught.value.status_code == 415


@pytest.fixture
def beacon() -> Iterator[tuple[str, list[str]]]:
    """An address that notes who calls it."""
    calls: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            calls.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listener.server_port}/bait.wav", calls
    listener.shutdown()
    listener.server_close()


def test_a_playlist_makes_the_server_fetch_nothing(server: Server, beacon: tuple[str, list[str]]) -> None:
    address, calls = beacon
    for text in (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{address}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile {address}\n",
        f"ffconcat version 1.0\nfile {CLIPS / 'en-fox.wav'}\n",
    ):
        refused(server.post(text.encode(), "list.m3u8"), 415, "file")
    assert calls == []


def refused(answer: httpx.Response, status: int, param: str | None = None) -> None:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error" and error["message"]
    if param:
        assert error["param"] == param
