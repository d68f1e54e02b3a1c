# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A speech server that is not ours, in small: OpenAI's /v1/audio/speech, and Speaches' lists of voices and models.

It stands in for Piper: what it says is real speech, espeak-ng's, for that is what the test model has learnt to hear.
It wants its key for speech alone, as ours do: Open WebUI asks for the lists without one.

usage: speaking_server.py PORT [KEY]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "espeak-ng"
VOICES = [{"id": "en-us", "name": "English"}, {"id": "fr-fr", "name": "French"}]


def speech(text: str, voice: str) -> bytes:
    """A text as a WAV file; espeak-ng writes to a pipe, and so not how long it is."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "-w", file.name, text], check=True)
        return file.read()


class Handler(BaseHTTPRequestHandler):
    """The API."""

    protocol_version = "HTTP/1.1"
    key: str

    def answer(self, body: bytes, kind: str = "application/json", status: int = 200) -> None:
        """One answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status: int, message: str) -> None:
        """An error as OpenAI's API tells it."""
        self.answer(json.dumps({"error": {"message": message}}).encode(), status=status)

    def do_GET(self) -> None:
        """The lists."""
        lists: dict[str, Any] = {
            "/v1/models": {"data": [{"id": MODEL}]},
            "/v1/audio/models": {"models": [{"id": MODEL}]},
            "/v1/audio/voices": {"voices": VOICES},
        }
        if self.path in lists:
            self.answer(json.dumps(lists[self.path]).encode())
        else:
            self.refuse(404, "Not Found")

    def do_POST(self) -> None:
        """Speech, as a WAV file."""
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/audio/speech":
            self.refuse(404, "Not Found")
        elif self.key and self.headers["Authorization"] != f"Bearer {self.key}":
            self.refuse(401, "no valid key")
        elif wanted["model"] not in (MODEL, "tts-1"):
            self.refuse(404, f"there is no model {wanted['model']}")
        elif wanted["voice"] not in [voice["id"] for voice in VOICES]:
            self.refuse(400, f"there is no voice {wanted['voice']}")
        else:
            self.answer(speech(wanted["input"], wanted["voice"]), "audio/wav")


if __name__ == "__main__":
    Handler.key = sys.argv[2] if len(sys.argv) > 2 else ""
    ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
