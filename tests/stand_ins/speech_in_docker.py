# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for two images of Docker: faster-whisper-server's, and Speaches' with our factory.

It understands the sentences of data/clips, by their digests, and nothing else; its models are those that lie in the
cache of Hugging Face that it is given. Its requests take a while, and it ends those that it has begun before it stops.

usage: speech_in_docker.py            STAND_IN=old: the old server; new: the new one; english: one that understands
                                      nothing else; deaf: one that understands nothing at all; other: one that the
                                      factory was not written for; falls: one that ends at once
       speech_in_docker.py health     as the new one's health check
       speech_in_docker.py check      as the factory looks whether it is the right one
"""

from __future__ import annotations

import email.parser
import email.policy
import hashlib
import json
import os
import signal
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KIND = os.environ.get("STAND_IN", "new")
PORT = int(os.environ.get("UVICORN_PORT", "8000"))
CLIPS = Path("/stand_in/clips")
HUB = Path("/root/.cache/huggingface/hub" if KIND == "old" else "/var/lib/speaches/hub")
SECRETS = Path("/opt/anklume/secrets.json")
WORK = 0.35
"""Seconds that a sentence takes."""


def key() -> str:
    """The key that is asked for; the new one has it from its file, as it was at the start."""
    return str(
        json.loads(SECRETS.read_text()).get("API_KEY", "") if SECRETS.exists() else os.environ.get("API_KEY", "")
    )


def models() -> list[str]:
    """Those that lie in the cache, as a snapshot that is whole."""
    return sorted(
        "/".join(path.parents[2].name.removeprefix("models--").split("--"))
        for path in HUB.glob("models--*/snapshots/*/model.bin")
    )


def heard(sound: bytes) -> str:
    """What is said in a recording."""
    digest = hashlib.sha256(sound).hexdigest()
    for each in json.loads((CLIPS / "sentences.json").read_text()):
        if hashlib.sha256((CLIPS / each["clip"]).read_bytes()).hexdigest() == digest and KIND != "deaf":
            return str(each["text"]) if KIND != "english" or each["language"] == "en" else "something else"
    return ""


class Handler(BaseHTTPRequestHandler):
    """The API, as far as it is used."""

    key = ""

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""

    def answer(self, body: Any, status: int = 200) -> None:
        """One answer, JSON or text."""
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def allowed(self) -> bool:
        """Whether who asks has the key."""
        return not self.key or self.headers.get("Authorization") == f"Bearer {self.key}"

    def do_GET(self) -> None:
        """Whether it is well, and its models."""
        if self.path == "/health":
            self.answer("OK")
        elif not self.allowed():
            self.answer({"detail": "Invalid API key"}, 403)
        elif self.path == "/v1/models":
            self.answer({"object": "list", "data": [{"id": name, "object": "model"} for name in models()]})
        else:
            self.answer({"detail": "Not Found"}, 404)

    def do_POST(self) -> None:
        """A recording."""
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
        fields = {part.get_param("name", header="content-disposition"): part for part in form.iter_parts()}
        if not self.allowed():
            self.answer({"detail": "Invalid API key"}, 403)
        elif "file" not in fields or self.path != "/v1/audio/transcriptions":
            self.answer({"detail": "Not Found"}, 404)
        elif not models():
            self.answer({"detail": "the model is not there"}, 404)
        else:
            time.sleep(WORK)
            asked = fields.get("response_format")
            how = str(asked.get_content()).strip() if asked else "json"
            text = heard(bytes(fields["file"].get_payload(decode=True)))
            times = f"00:00:00.000 --> 00:00:01.000\n{text}\n"
            answers = {"text": f"{text}\n", "vtt": f"WEBVTT\n\n{times}", "srt": f"1\n{times.replace('.', ',', 2)}"}
            whole = {"text": text, "language": "en", "duration": 1.0, "segments": []}
            self.answer(answers.get(how, whole if how == "verbose_json" else {"text": text}))


class Server(ThreadingHTTPServer):
    """It waits for what it has begun."""

    daemon_threads = False
    request_queue_size = 64


def serve() -> None:
    """Until it is told to stop; what is begun by then is answered."""
    Handler.key = key()
    server = Server(("0.0.0.0", PORT), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.02)
    server.server_close()


def health() -> None:
    """Well where it lists its models."""
    headers = {"Authorization": f"Bearer {key()}"}
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}/v1/models", headers=headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        sys.exit(0 if json.load(answer)["data"] else "there is no model")


if __name__ == "__main__":
    if KIND == "other":
        sys.exit("this image is not the one that the factory mends: the source of Speaches is another one")
    if KIND == "falls" and not sys.argv[1:]:
        sys.exit("there is not enough memory for the model")
    if sys.argv[1:] != ["check"]:
        (health if sys.argv[1:] == ["health"] else serve)()
