# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints the configuration of a blackbox exporter that has an STT server hear a spoken sentence, and asks pages.

usage: blackbox.py [LANGUAGE] > blackbox.yml      the languages are those of data/clips; en where none is said
"""

from __future__ import annotations

import base64
import json
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".cache" / "collections"))

from ansible_collections.anklume.stt.plugins.module_utils._services.openai_audio import normalise_words  # noqa: E402

CLIPS = ROOT / "data/clips"
BOUNDARY = "anklume-sentence"
KEY = "/etc/prometheus/stt-api-key"
RUN = 3  # words of the sentence, one after the other, that have to be there: a model may mishear one
CONFIGURATION = """\
# Made by scripts/blackbox.py: a spoken sentence for STT servers, and pages with their certificates.
modules:
  sentence:
    prober: http
    timeout: 60s
    http:
      method: POST
      preferred_ip_protocol: ip4
      authorization: {{credentials_file: {key}}}  # leave this line out where the server has no key
      headers: {{Content-Type: multipart/form-data; boundary={boundary}}}
      fail_if_body_not_matches_regexp: ['{expected}']
      body: !!binary |
{body}
  page:
    prober: http
    timeout: 10s
    http: {{preferred_ip_protocol: ip4}}  # tls_config: {{ca_file: ca.crt}} for a certificate of your own authority
"""


def expected(text: str) -> str:
    """What the answer has to match: some words of the sentence in their order, in any case and with any punctuation."""
    words = normalise_words(text)
    runs = [words[place : place + RUN] for place in range(max(1, len(words) - RUN + 1))]
    return "(?i)" + "|".join(r"[^\pL\pN]+".join(run) for run in runs)


def request(sound: bytes, language: str) -> bytes:
    """The form with the sound, for an answer that is the text alone."""
    fields = {"model": "whisper-1", "language": language, "response_format": "text"}
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    parts.append(b'Content-Disposition: form-data; name="file"; filename="sentence.wav"\r\n\r\n' + sound)
    return b"".join(f"--{BOUNDARY}\r\n".encode() + part + b"\r\n" for part in parts) + f"--{BOUNDARY}--\r\n".encode()


def configuration(language: str) -> str:
    """All of it."""
    sentences = {
        one["language"]: one["text"] for one in json.loads((CLIPS / "sentences.json").read_text(encoding="utf-8"))
    }
    if language not in sentences:
        raise SystemExit(f"blackbox.py: no sentence in {language!r}; there are {', '.join(sentences)}")
    body = base64.encodebytes(request((CLIPS / f"{language}.wav").read_bytes(), language)).decode()
    return CONFIGURATION.format(
        key=KEY,
        boundary=BOUNDARY,
        expected=expected(sentences[language]),
        body=textwrap.indent(body.rstrip(), " " * 8),
    )


if __name__ == "__main__":
    print(configuration(sys.argv[1] if len(sys.argv) > 1 else "en"), end="")
