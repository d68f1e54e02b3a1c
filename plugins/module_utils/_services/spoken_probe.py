# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A spoken sentence as the probe of a blackbox exporter: what it sends, and what the answer has to match."""

from __future__ import annotations

import base64
import functools
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._services.openai_audio import normalise_words

BOUNDARY = "anklume-sentence"
RUN = 3
"""Words of the sentence, one after the other, that have to be there: a model may mishear one."""
SENTENCE = """\
  {name}:
    prober: http
    timeout: {timeout}s
    http:
      method: POST
      preferred_ip_protocol: ip4
{key}      headers: {{Content-Type: multipart/form-data; boundary={boundary}}}
      fail_if_body_not_matches_regexp: ['{expected}']
      body: {body}
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


@functools.cache
def _body(path: str, language: str) -> str:
    """Not as a file beside it, which the exporter of Debian 12 does not take."""
    encoded = base64.encodebytes(request(Path(path).read_bytes(), language)).decode()
    return f"&{language} !!binary |\n" + textwrap.indent(encoded.rstrip(), " " * 8)


def sentences(wanted: Iterable[Mapping[str, Any]], timeout: int = 60, remark: str = "") -> str:
    """The modules of a blackbox exporter, each with its name, its spoken clip and the file of the server's key, if any.

    A sound stands there once, however many servers are to hear it. Where the clip has no text the server has to answer,
    whatever it is. `remark` is said beside a key's file.
    """
    written: set[str] = set()
    modules = []
    for one in wanted:
        clip = one["spoken"]
        language = clip["language"]
        key = f"      authorization: {{credentials_file: {one['key_file']}}}{remark}\n" if one["key_file"] else ""
        modules.append(
            SENTENCE.format(
                name=one["name"],
                timeout=timeout,
                key=key,
                boundary=BOUNDARY,
                expected=expected(clip["text"]),
                body=f"*{language}" if language in written else _body(clip["path"], language),
            )
        )
        written.add(language)
    return "".join(modules)
