# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Wyoming protocol: its pure half on bytes, its client over a socket against a server that a test lays down."""

from __future__ import annotations

import io
import json
import socket
import threading
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._services.wyoming import (
    Event,
    Offer,
    WyomingClient,
    offer,
    read_event,
    spoken,
)

FOX = Path(__file__).resolve().parents[3] / "data" / "clips" / "en-fox.wav"
INFO = {
    "asr": [
        {"name": "openai", "models": [{"name": "whisper-1", "languages": ["fr", "en"]}]},
        {"name": "other", "models": [{"name": "small", "languages": ["en", "de"]}]},
    ]
}


def test_an_event_is_read_as_it_was_written() -> None:
    event = Event("audio-chunk", {"rate": 16000, "name": "é"}, b"\x00\n\xff")
    assert read_event(io.BytesIO(event.encoded() + b"rest")) == event


def test_data_in_the_line_and_after_it_is_merged() -> None:
    line = json.dumps({"type": "info", "data": {"a": 1}, "data_length": 7, "version": "1.10.2"}).encode()
    assert read_event(io.BytesIO(line + b'\n{"b":2}')) == Event("info", {"a": 1, "b": 2})


def test_the_end_of_a_stream_is_no_event() -> None:
    assert read_event(io.BytesIO(b"")) is None


@pytest.mark.parametrize(
    "wrong",
    [b"HTTP/1.1 400 Bad Request\r\n", b"[]\n", b"{}\n", b"\xff\xfe\n", b'{"type":"a","data_length":9999999999}\n'],
)
def test_what_is_not_wyoming_is_told(wrong: bytes) -> None:
    with pytest.raises(ServiceError, match="does not speak Wyoming"):
        read_event(io.BytesIO(wrong))


def test_a_recording_becomes_events_with_every_sample() -> None:
    first, start, *chunks, stop = spoken(FOX, "en")
    assert (first, stop) == (Event("transcribe", {"language": "en"}), Event("audio-stop"))
    with wave.open(str(FOX)) as file:
        assert start.data == {"rate": 16000, "width": 2, "channels": 1}
        assert b"".join(chunk.payload for chunk in chunks) == file.readframes(file.getnframes())


@pytest.mark.parametrize("content", [b"", b"ID3 is no WAV", b"RIFF\x04\x00\x00\x00WAVE"])
def test_what_is_no_recording_is_told_before_anybody_is_asked(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(ServiceError, match="is no WAV file with plain samples"):
        WyomingClient("127.0.0.1", 1).transcribe(path)
    path.unlink()
    with pytest.raises(ServiceError, match="No such file or directory: no audio file to send"):
        WyomingClient("127.0.0.1", 1).transcribe(path)


def test_the_offer_is_that_of_all_programs() -> None:
    assert offer(INFO) == Offer(("whisper-1", "small"), ("de", "en", "fr"))
    assert offer({"tts": [{"name": "piper"}]}) == Offer((), ())


Answers = Callable[[Event], bytes]


@pytest.fixture
def served() -> Iterator[Callable[[Answers], WyomingClient]]:
    """A client of a server that answers an event with bytes; it closes after the first that are none."""
    listener = socket.create_server(("127.0.0.1", 0))
    serving: list[threading.Thread] = []

    def start(answers: Answers) -> WyomingClient:
        def serve() -> None:
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:
                    return
                with connection, connection.makefile("rb") as stream:
                    while event := read_event(stream):
                        if (answer := answers(event)) == b"close":
                            break
                        connection.sendall(answer)

        serving.append(threading.Thread(target=serve, daemon=True))
        serving[-1].start()
        return WyomingClient("127.0.0.1", listener.getsockname()[1], timeout=1)

    yield start
    # none may wait in accept once the number of this socket is that of another one
    listener.shutdown(socket.SHUT_RDWR)
    for thread in serving:
        thread.join(1)
    listener.close()


def test_a_sentence_comes_back_whatever_comes_before_it(served: Callable[[Answers], WyomingClient]) -> None:
    heard: list[Event] = []

    def answers(event: Event) -> bytes:
        heard.append(event)
        said = [
            Event("transcript-start"),
            Event("transcript-chunk", {"text": "The"}),
            Event("transcript", {"text": " The fox. "}),
        ]
        return b"".join(each.encoded() for each in said) if event.type == "audio-stop" else b""

    assert served(answers).transcribe(FOX, language="en", model="small") == "The fox."
    assert heard[0] == Event("transcribe", {"language": "en", "name": "small"})


def test_it_tells_what_it_offers(served: Callable[[Answers], WyomingClient]) -> None:
    assert served(lambda _event: Event("info", INFO).encoded()).describe().models == ("whisper-1", "small")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            Event("error", {"text": "Speech-to-text transcription failed"}).encoded(),
            "Speech-to-text transcription failed",
        ),
        (Event("error").encoded(), "it names no reason"),
        (b"close", "the connection was closed without an answer|the connection was cut off"),
        (b"\n", "what answers does not speak Wyoming"),
        (b"", "no answer within 1 s"),
    ],
)
def test_what_goes_wrong_says_where_and_what(
    served: Callable[[Answers], WyomingClient], answer: bytes, message: str
) -> None:
    client = served(lambda event: answer if event.type == "audio-stop" else b"")
    with pytest.raises(ServiceError, match=rf"^127\.0\.0\.1 port \d+: ({message})"):
        client.transcribe(FOX)


def test_a_server_that_is_not_there_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ServiceError, match=r"connection refused: is the service running.* \(waited 0.2 s\)"):
        WyomingClient("127.0.0.1", port).describe(0.2)
    with pytest.raises(ServiceError, match="no connection: "):
        WyomingClient("nowhere.invalid", port).describe()
