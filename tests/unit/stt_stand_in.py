# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for an STT server and for Open WebUI: real HTTP on loopback, answers that a test lays down.

It recognises nothing. It exists to give the answers (and the ways not to answer) that a real
server gives seldom: busy, wrong key, HTML, a closed connection.
"""

from __future__ import annotations

import email.parser
import email.policy
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SENTENCE = "Ansible installed the speech server."
CUES = "1\n00:00:00,000 --> 00:00:01,000\nAnsible installed\n\n2\n00:00:01,000 --> 00:00:02,000\nthe speech server.\n"
ANSWERS = {
    "json": json.dumps({"text": SENTENCE}),
    "text": f"{SENTENCE}\n",
    "verbose_json": json.dumps({"text": f" {SENTENCE}", "language": "en", "duration": 2.5, "segments": []}),
    "srt": CUES,
    "vtt": "WEBVTT\n\n" + CUES.replace("1\n00:", "00:", 1).replace(",000", ".000"),
}


@dataclass
class Answer:
    """What one path answers: a status and a body, or silence, or a closed connection."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    after: float = 0.0
    close: bool = False
    read_body: bool = True


@dataclass
class Upload:
    """One multipart request as it arrived."""

    path: str
    headers: dict[str, str]
    fields: dict[str, str]
    file_name: str
    file_type: str
    content: bytes


class SttStandIn:
    """``with SttStandIn() as server``: answers on ``server.origin``; ``server.answers[path]`` is a list to use up."""

    def __init__(self, key: str = "", models: tuple[str, ...] = ("tiny-test",)) -> None:
        self.key = key
        self.models = models
        self.answers: dict[str, list[Answer]] = {}
        self.uploads: list[Upload] = []
        self.speakers: dict[str, tuple[str, ...]] = {"models": (), "voices": ()}
        self.texts: list[dict[str, Any]] = []
        self.requests: list[str] = []
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_args: Any) -> None:
                """Say nothing on stderr."""

            def do_GET(self) -> None:
                stand_in.answer(self)

            def do_POST(self) -> None:
                stand_in.answer(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_args: Any) -> None:
                """Say nothing of a client that went away: tests make it do so."""

        self.http = Server(("127.0.0.1", 0), Handler)

    @property
    def origin(self) -> str:
        scheme = "https" if hasattr(self.http.socket, "context") else "http"
        return f"{scheme}://127.0.0.1:{self.http.server_port}"

    def __enter__(self) -> SttStandIn:
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.http.shutdown()
        self.http.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(f"{handler.command} {handler.path}")
        laid_down = self.answers.get(handler.path)
        answer = laid_down.pop(0) if laid_down else None
        if answer is None or answer.read_body:
            body = read_body(handler)
            answer = answer or self.default(handler, body)
        else:
            handler.close_connection = True
        time.sleep(answer.after)
        if answer.close:
            handler.close_connection = True
            return
        content = answer.body.encode()
        handler.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def default(self, handler: BaseHTTPRequestHandler, body: bytes) -> Answer:
        path = handler.path
        if path == "/health":
            return Answer(body='{"status": "ok"}')
        if path == "/api/v1/auths/signin":
            good = json.loads(body) == {"email": "admin@example.org", "password": "right"}
            return (
                Answer(body='{"token": "jwt"}') if good else Answer(400, '{"detail": "The email or password is wrong"}')
            )
        token = "jwt" if path.startswith(("/api/", "/ollama/")) else self.key
        if path in ("/v1/audio/voices", "/v1/audio/models"):
            token = ""  # Open WebUI asks for them without one
        if token and handler.headers.get("Authorization") != f"Bearer {token}":
            return Answer(401, '{"error": {"message": "no valid key"}}')
        if path == "/v1/models":
            return Answer(body=json.dumps({"object": "list", "data": [{"id": name} for name in self.models]}))
        if path in ("/v1/audio/voices", "/v1/audio/models"):
            kind = path.rpartition("/")[2]
            return Answer(body=json.dumps({kind: [{"id": name} for name in self.speakers[kind]]}))
        if path in ("/v1/audio/speech", "/api/v1/audio/speech"):
            self.texts.append(json.loads(body))
            return Answer(body="RIFF\0\0\0\0WAVE", headers={"Content-Type": "audio/wav"})
        if path == "/ollama/api/version":
            return Answer(body='{"version": "0.30.1"}')
        if path in ("/v1/audio/transcriptions", "/v1/audio/translations", "/api/v1/audio/transcriptions"):
            upload = parse_upload(handler, body)
            self.uploads.append(upload)
            if upload.fields.get("model", "whisper-1") not in (*self.models, "whisper-1"):
                return Answer(404, '{"error": {"message": "no such model", "code": "model_not_found"}}')
            return Answer(body=ANSWERS[upload.fields.get("response_format", "json")])
        return Answer(404, '{"detail": "Not Found"}')


def read_body(handler: BaseHTTPRequestHandler) -> bytes:
    """Read a body of a length given beforehand, or in chunks as Open WebUI sends it."""
    if handler.headers.get("Transfer-Encoding") != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    body = b""
    while size := int(handler.rfile.readline(), 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return body


def parse_upload(handler: BaseHTTPRequestHandler, body: bytes) -> Upload:
    """Read a multipart body with the standard library's own parser."""
    raw = f"Content-Type: {handler.headers['Content-Type']}\r\n\r\n".encode() + body
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(raw)
    upload = Upload(handler.path, dict(handler.headers.items()), {}, "", "", b"")
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if name == "file":
            upload.file_name = str(part.get_filename())
            upload.file_type = part.get_content_type()
            upload.content = content
        else:
            upload.fields[str(name)] = content.decode()
    return upload
