# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Broken requests over a raw socket: each must end soon, with an answer below 500 or a closed connection.

A request is whole when it comes out of `make`, in pieces that the kinds of damage take and spoil, one to three of them.
"""

from __future__ import annotations

import json
import random
import re
import select
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from mutations import Fault

SECONDS = 10.0  # from the last byte sent to the end of the connection
PATIENCE = 0.3  # without an answer for so long, the client says that it has sent all
STATUS = re.compile(rb"HTTP/1\.1 ([2-5]\d\d) ")
SILENCE = b"RIFF" + struct.pack(
    "<I4s4sIHHIIHH4sI", 16036, b"WAVE", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16, b"data", 16000
)
SILENCE += bytes(16000)
FORMATS = ("json", "text", "verbose_json", "srt", "vtt")
WORDS = ("", " ", "0", "-1", "1e999", "nan", "true", "null", "[]", '["word"]', "{}", "en", "EN", "en-US", "auto", "xx")
WORDS += ("word", "word,segment", "é\u0301", "\u202e\U0001f600", "%00", "../../etc/passwd", "whisper-1")
WORDS += ("a" * 70_000, "1" * 5_000)


@dataclass
class Part:
    """One part of the form."""

    name: str
    content: bytes
    headers: list[bytes] = field(default_factory=list)
    file: bool = False


@dataclass
class Draft:
    """A request that is still to be written."""

    line: bytes
    headers: list[tuple[bytes, bytes]]
    parts: list[Part]
    boundary: bytes = b"boundary"
    delimiter: bytes = b"\r\n--boundary"
    length: bytes | None = None
    chunked: bool = False
    spoil: list[Callable[[bytes], bytes]] = field(default_factory=list)


def make(seed: int, index: int, key: str) -> tuple[str, bytes]:
    """The recipe and the bytes of one request: the same for the same numbers."""
    rng = random.Random(f"wire {seed} {index}")
    task = rng.choice((b"transcriptions", b"transcriptions", b"translations"))
    draft = Draft(
        line=b"POST /v1/audio/" + task + b" HTTP/1.1",
        headers=[(b"Host", b"stt"), (b"Connection", b"close"), (b"Authorization", b"Bearer " + key.encode())],
        parts=[Part("model", b"whisper-1"), Part("response_format", rng.choice(FORMATS).encode())],
        chunked=rng.random() < 0.2,
    )
    draft.parts.insert(rng.randrange(3), Part("file", SILENCE, file=True))
    recipe = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        damage = rng.choice(DAMAGES)
        recipe.append(f"{damage.__name__}({damage(rng, draft)})")
    return " ".join(recipe), _write(draft)


def _write(draft: Draft) -> bytes:
    form = b""
    for part in draft.parts:
        name = f'form-data; name="{part.name}"'.encode() + (b'; filename="a.wav"' if part.file else b"")
        lines = part.headers or [b"Content-Disposition: " + name]
        form += draft.delimiter + b"\r\n" + b"\r\n".join(lines) + b"\r\n\r\n" + part.content
    form = (form + draft.delimiter + b"--\r\n").removeprefix(b"\r\n")
    headers = list(draft.headers)
    if not any(name.lower() == b"content-type" for name, _ in headers):
        headers.append((b"Content-Type", b"multipart/form-data; boundary=" + draft.boundary))
    if draft.chunked:
        headers.append((b"Transfer-Encoding", b"chunked"))
        pieces = (form[begin : begin + 5000] for begin in range(0, len(form), 5000))
        form = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    if draft.length is not None or not draft.chunked:
        headers.append((b"Content-Length", b"%d" % len(form) if draft.length is None else draft.length))
    whole = draft.line + b"\r\n" + b"".join(name + b": " + value + b"\r\n" for name, value in headers) + b"\r\n" + form
    for change in draft.spoil:
        whole = change(whole)
    return whole


def boundary(rng: random.Random, draft: Draft) -> str:
    """What the header says of the boundary, and not the body."""
    draft.boundary = rng.choice(
        (
            b"",
            b'""',
            b"other",
            b"b" * 100,
            b"b" * 9000,
            b'"bound ary"',
            b"\xff\xfe",
            b"boundary; charset=utf-16",
            b"b;boundary=b",
        )
    )
    return repr(draft.boundary[:30])


def delimiter(rng: random.Random, draft: Draft) -> str:
    """What stands between the parts."""
    draft.delimiter = rng.choice(
        (b"\n--boundary", b"\r\n-boundary", b"--boundary", b"\r\n--boundaryX", b"\r\n--boundary \t", b"")
    )
    return repr(draft.delimiter)


def kind(rng: random.Random, draft: Draft) -> str:
    """Another type of content."""
    kinds = (
        b"",
        b"multipart/form-data",
        b"multipart/mixed; boundary=boundary",
        b"application/json",
        b"text/plain; charset=x",
    )
    kinds += (b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=boundary; charset=utf-7", b"\xff")
    value = rng.choice(kinds)
    draft.headers.append((b"Content-Type", value))
    return repr(value)


def disposition(rng: random.Random, draft: Draft) -> str:
    """The headers of one part."""
    start = b"Content-Disposition: form-data"
    value = rng.choice(
        (
            [start],
            [start + b'; name="file'],
            [start + b"; name=file; filename*=UTF-8''%e2%82%zz"],
            [start + b'; name="file"; filename="' + b"n" * 100_000 + b'"'],
            [start + b'; name="' + b"n" * 5_000 + b'"; filename="a"'],
            [start + b'; name="file"; filename="\xff\xfe\x00.wav"'],
            [start + b'; name="file"; filename=""'],
            [start + b'; name="model"; filename="a"'],
            [start + b'; name="\xe9"'],
            [start + b'; name="file"; filename="a"', b"Content-Type: text/plain; charset=nonsense"],
            [start + b'; name="file"; filename="a"', b"Content-Transfer-Encoding: quoted-printable"],
            [start + b'; name="file"; filename="a"', b"Content-Length: 99999999999999999999"],
            [b"no colon here"],
            [b": no name"],
            [b"X: " + b"x" * 20_000],
            [b"X-%d: y" % number for number in range(1000)],
            [b"Content-Disposition: attachment"],
            [b"\x00\x01\x02"],
        )
    )
    rng.choice(draft.parts or [Part("", b"")]).headers = value
    return repr(value[0][:60])


def fields(rng: random.Random, draft: Draft) -> str:
    """Other values, also in fields that come twice or that nobody knows."""
    names = ("model", "language", "prompt", "temperature", "response_format", "stream", "timestamp_granularities[]")
    names += ("hotwords", "include[]", "chunking_strategy", "vad_filter", "_charset_", "file", "unknown", "")
    name, value = rng.choice(names), rng.choice(WORDS)
    draft.parts.insert(rng.randrange(len(draft.parts) + 1), Part(name, value.encode(), file=rng.random() < 0.1))
    return f"{name}={value[:20]!r}"


def many(rng: random.Random, draft: Draft) -> str:
    """Very many fields or files, or none."""
    count, file = rng.choice((0, 60, 2000)), rng.random() < 0.3
    draft.parts = [Part(f"n{number}", b"v", file=file) for number in range(count)] + (draft.parts if count else [])
    return str(count)


def length(rng: random.Random, draft: Draft) -> str:
    """A wrong length, or one beside chunks."""
    draft.length = rng.choice(
        (b"0", b"1", b"100", b"99999", b"-1", b"+5", b"0x10", b"1e3", b"", b"9" * 30, b"5, 5", b"1 1")
    )
    return repr(draft.length)


def twice(rng: random.Random, draft: Draft) -> str:
    """Headers that must not come twice."""
    extra = rng.choice(((b"Content-Length", b"3"), (b"Host", b"other"), (b"Transfer-Encoding", b"gzip, chunked")))
    extra = rng.choice((extra, (b"Transfer-Encoding", b"identity"), (b"transfer-encoding", b"\x0bchunked")))
    draft.headers.append(extra)
    return repr(extra)


def headers(rng: random.Random, draft: Draft) -> str:
    """Odd, long or very many headers."""
    choices: tuple[tuple[bytes, bytes], ...] = (
        (b"Authorization", b"Bearer \xff\xfe"),
        (b"Authorization", b"Basic " + b"x" * 4000),
        (b"Expect", b"100-continue"),
        (b"Expect", b"nonsense"),
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade, HTTP2-Settings"),
        (b"Content-Encoding", b"gzip"),
        (b"X-Forwarded-For", b"\x00"),
        (b"Bad Name", b"x"),
        (b"", b"x"),
        (b"X\xff", b"x"),
        (b"Long", b"x" * 100_000),
        (b"Folded", b"x\r\n folded"),
        (b"Origin", b"http://\xff"),
        (b"Cookie", b"a=" + b"\xc3" * 3000),
        (b"Range", b"bytes=0-"),
    )
    header = rng.choice(choices)
    draft.headers += [header] * rng.choice((1, 1, 1, 300))
    return repr((header[0], header[1][:30]))


def line(rng: random.Random, draft: Draft) -> str:
    """The first line; none that a server may obey: Speaches removes a model for a DELETE."""
    path = b"/v1/audio/transcriptions"
    draft.line = rng.choice(
        (
            b"GET " + path + b" HTTP/1.1",
            b"PUT " + path + b" HTTP/1.1",
            b"post " + path + b" HTTP/1.1",
            b"BREW /coffee HTTP/1.1",
            b"POST " + path,
            b"POST " + path + b" HTTP/9.9",
            b"POST " + path + b" HTTP/1.0",
            b"POST  " + path + b"  HTTP/1.1",
            b"POST http://other" + path + b" HTTP/1.1",
            b"POST " + path + b"?" + b"q=%zz&" * 9000 + b" HTTP/1.1",
            b"POST /" + b"a/" * 2000 + b" HTTP/1.1",
            b"POST /v1/audio/%00%ff HTTP/1.1",
            b"POST /v1/../v1/audio/transcriptions/ HTTP/1.1",
            b"POST /v1/audio/\xc3\xa9\xff HTTP/1.1",
            b"GET /v1/models/" + b"%2e%2e%2f" * 50 + b" HTTP/1.1",
            b"PATCH /v1/models/whisper-1 HTTP/1.1",
            b"HEAD /health HTTP/1.1",
            b"OPTIONS * HTTP/1.1",
            b"CONNECT other:443 HTTP/1.1",
            b"PRI * HTTP/2.0",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"",
        )
    )
    return repr(draft.line[:50])


def chunks(rng: random.Random, draft: Draft) -> str:
    """Broken chunks."""
    draft.chunked = True
    old, new = rng.choice(
        (
            (b"0\r\n\r\n", b""),
            (b"0\r\n\r\n", b"0\r\nX: trailer\r\n\r\n"),
            (b"0\r\n\r\n", b"-1\r\n\r\n"),
            (b"1388\r\n", b"zz\r\n"),
            (b"1388\r\n", b"ffffffffffffffffff\r\n"),
            (b"1388\r\n", b"1388;" + b"x" * 9000 + b"\r\n"),
            (b"1388\r\n", b"1387\r\n"),
            (b"1388\r\n", b"1388\n"),
            (b"1388\r\n", b"\r\n"),
        )
    )
    draft.spoil.append(lambda whole: whole.replace(old, new))
    return f"{new[:20]!r} for {old!r}"


def bytes_anywhere(rng: random.Random, draft: Draft) -> str:
    """Other bytes in the first kilobyte, where all the words are, or behind it."""
    places = [rng.randrange(1000) for _ in range(rng.choice((1, 3, 10)))]
    values = [rng.choice((0, 10, 13, 32, 58, 59, 34, 255, rng.randrange(256))) for _ in places]

    def change(whole: bytes) -> bytes:
        spoiled = bytearray(whole)
        for place, value in zip(places, values, strict=True):
            spoiled[place % len(spoiled)] = value
        return bytes(spoiled)

    draft.spoil.append(change)
    return str(places)


def cut(rng: random.Random, draft: Draft) -> str:
    """The beginning alone."""
    share = rng.random() ** 2
    draft.spoil.append(lambda whole: whole[: int(share * len(whole))] or b"P")
    return f"{share:.3f}"


def more(rng: random.Random, draft: Draft) -> str:
    """Something behind the request."""
    extra = rng.choice((b"\r\n\r\n", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 20, b"\x00" * 5000, b"POST"))
    draft.spoil.append(lambda whole: whole + extra)
    return repr(extra[:20])


DAMAGES: tuple[Callable[[random.Random, Draft], str], ...] = (
    boundary, delimiter, kind, disposition, disposition, fields, fields, fields, many, length, length, twice, headers,
    headers, line, line, chunks, bytes_anywhere, bytes_anywhere, bytes_anywhere, cut, more,
)  # fmt: skip


def hunt(
    address: str, key: str, openai_errors: bool, seed: int, indices: Iterable[int]
) -> Iterator[tuple[str, Fault | None]]:
    """Send each; what became of it, and the fault if there is one."""
    for index in indices:
        recipe, request = make(seed, index, key)
        received, finished = send(address, request)
        answers = [int(found) for found in STATUS.findall(received)]
        what = "" if finished else f"no end {SECONDS:.0f} s after the last byte"
        what = what or next((f"a {status}" for status in answers if status >= 500), "")
        if openai_errors and not what and answers and answers[-1] >= 400:
            what = _unlike_openai(received, request.startswith(b"HEAD"))
        yield str(answers[0]) if answers else "closed", Fault(index, recipe, request, what) if what else None


def send(address: str, request: bytes) -> tuple[bytes, bool]:
    """Send it in three pieces; what came back, and whether the server ended the connection in time."""
    url, received, said_all = urlsplit(address), b"", False
    with socket.create_connection((url.hostname or "", url.port or 80), 5) as connection:
        try:
            third = len(request) // 3 + 1
            for start in range(0, len(request), third):
                connection.sendall(request[start : start + third])
            begin = time.monotonic()
            while time.monotonic() - begin < SECONDS:
                if select.select([connection], [], [], PATIENCE)[0]:
                    if not (piece := connection.recv(65536)):
                        return received, True
                    received += piece
                elif not said_all:
                    connection.shutdown(socket.SHUT_WR)
                    said_all = True
        except ConnectionError:  # the server had seen enough, and has closed
            return received, True
    return received, False


def _unlike_openai(received: bytes, without_body: bool) -> str:
    """What the last answer's body lacks."""
    head, _, body = received[received.rindex(b"HTTP/1.1 ") :].partition(b"\r\n\r\n")
    try:
        error = json.loads(body[body.index(b"{") : body.rindex(b"}") + 1])["error"]
        good = error.keys() >= {"message", "type", "param", "code"} and error["message"]
    except (ValueError, KeyError, TypeError):
        good = without_body
    return "" if good else f"an error without OpenAI's body: {head[:20]!r} {body[:60]!r}"
