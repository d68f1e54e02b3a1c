# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenAI's own libraries for Python and Node: formats, streams, files in their many shapes, errors."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess

import httpx
import openai
import pytest
from engine.conftest import CLIPS, ROOT, SENTENCES, Server

from .conftest import FOX, KEY

FILE = CLIPS / "en-fox.wav"
FRENCH = SENTENCES["fr-bonjour.wav"]


@pytest.fixture
def client(server: Server) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=server.url + "/v1", api_key=KEY, max_retries=0)


def test_python_without_waiting(client: openai.AsyncOpenAI) -> None:
    """All clips at once, as verbose_json with words; then a stream."""

    async def words(name: str) -> str:
        answer = await client.audio.transcriptions.create(
            model="whisper-1",
            file=CLIPS / name,
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )
        assert answer.segments and answer.words and answer.text == SENTENCES[name]["text"]
        return " ".join(word.word for word in answer.words)

    async def everything() -> None:
        assert await asyncio.gather(*map(words, SENTENCES)) == [entry["text"] for entry in SENTENCES.values()]
        stream = await client.audio.transcriptions.create(model="whisper-1", file=FILE, stream=True)
        events = [event async for event in stream]
        assert "".join(event.delta for event in events[:-1]) == events[-1].text == FOX

    asyncio.run(everything())


KINDS = {"json": "application/json", "verbose_json": "application/json", "vtt": "text/vtt"}


@pytest.mark.parametrize("form", ["json", "text", "verbose_json", "srt", "vtt"])
def test_python_raw_and_streamed_answers(server: Server, form: str) -> None:
    ask = server.client(KEY).audio.transcriptions
    raw = ask.with_raw_response.create(model="whisper-1", file=FILE, response_format=form)
    assert raw.headers["content-type"].startswith(KINDS.get(form, "text/plain")) and FOX in raw.http_response.text
    with ask.with_streaming_response.create(model="whisper-1", file=FILE, response_format=form) as answer:
        assert FOX in b"".join(answer.iter_bytes()).decode()


@pytest.mark.parametrize(
    "file",
    [
        FILE.read_bytes(),
        io.BytesIO(FILE.read_bytes()),
        ("été 2026 \U0001f3a4.wav", FILE.read_bytes()),
        ("speech", FILE.read_bytes(), "application/octet-stream"),
        ("speech.wav", FILE.read_bytes(), "audio/x-wav", {"X-More": "1"}),
    ],
    ids=["bytes", "buffer", "name in Unicode", "no suffix", "header"],
)
def test_python_sends_files_in_many_shapes(server: Server, file: openai._types.FileTypes) -> None:
    assert server.client(KEY).audio.transcriptions.create(model="whisper-1", file=file).text == FOX


def test_python_raises_its_own_errors(server: Server) -> None:
    for call, error in (
        (server.client("wrong").models.list, openai.AuthenticationError),
        (lambda: server.client(KEY).models.retrieve("nobody/nothing"), openai.NotFoundError),
        (lambda: server.client(KEY).audio.transcriptions.create(model="no", file=FILE), openai.NotFoundError),
        (lambda: server.client(KEY).embeddings.create(model="whisper-1", input="a"), openai.NotFoundError),
    ):
        with pytest.raises(error) as caught:
            call()
        assert caught.value.body["message"]  # the library has found OpenAI's body
    with pytest.raises(openai.BadRequestError) as bad:
        server.client(KEY).audio.transcriptions.create(model="whisper-1", file=FILE, response_format="xml")
    assert bad.value.param == "response_format"


@pytest.fixture(scope="module")
def node(server: Server) -> dict[str, object]:
    """What the library for Node got, all in one run."""
    command = ["node", str(ROOT / "tests/clients/openai.mjs"), server.url + "/v1", KEY, str(CLIPS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("form", ["json", "text", "verbose_json", "srt", "vtt"])
def test_node_formats(node: dict[str, dict[str, object]], form: str) -> None:
    answer = node["formats"][form]
    assert FOX in (answer["text"] if "json" in form else answer)


def test_node_words_stream_translation_files(node: dict[str, object]) -> None:
    assert " ".join(node["words"]) == node["stream"] == node["buffer"] == FOX
    assert node["translation"] == FRENCH["translation"]


def test_node_errors(node: dict[str, list[list[object]]]) -> None:
    assert node["errors"] == [
        ["AuthenticationError", 401, "invalid_api_key", None],
        ["NotFoundError", 404, "model_not_found", "model"],
        ["BadRequestError", 400, None, "response_format"],
        ["APIError", 415, "unsupported_media", "file"],
    ]


def test_curl_as_people_use_it(server: Server) -> None:
    """With the header in small letters, Expect, HTTP/1.0, a name with spaces, and chunks from a pipe."""
    url = server.url + "/v1/audio/transcriptions"
    form = ["-F", "model=whisper-1", "-F", "response_format=text"]
    for options in (
        ["-F", f"file=@{FILE}"],
        ["-0", "-F", f"file=@{FILE}"],
        ["-H", "Expect: 100-continue", "-F", f"file=@{FILE}"],
        ["-F", f"file=@{FILE};filename=my speech;type=audio/wav"],
        ["-F", "file=@-;filename=speech.wav"],
        ["-H", "Transfer-Encoding: chunked", "-F", f"file=@{FILE}"],
    ):
        command = ["curl", "-sS", "-H", f"authorization: Bearer {KEY}", url, *options, *form]
        done = subprocess.run(command, input=FILE.read_bytes(), capture_output=True, timeout=60)
        assert done.stdout.decode() == FOX + "\n", (options, done)
    assert httpx.get(server.url + "/health").status_code == 200
