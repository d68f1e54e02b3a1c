# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAI audio API with its models and health, and Open WebUI's own API.

The upper half computes (addresses, word error rate, kind and duration of sound, texts of an answer), the lower
half talks. Whatever goes wrong is a :class:`ServiceError` that says which thing is wrong.
"""

from __future__ import annotations

import json
import math
import re
import secrets
import struct
import time
import unicodedata
import urllib.parse
import wave
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._base.http import Answer, Server, address_parts, json_object

RESPONSE_FORMATS = ("json", "text", "verbose_json", "srt", "vtt")

_CONNECT_SECONDS = 10.0
_CONTENT_TYPES = {
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".webm": "audio/webm",
    ".m4a": "audio/mp4",
    ".mp4": "audio/mp4",
}


# --- addresses ---------------------------------------------------------------------------------


def normalise_origin(url: str) -> tuple[str, list[str]]:
    """An address as a user writes it → the one to use, without a final slash, and what was changed."""
    notes: list[str] = []
    text = url.strip()
    if "://" not in text:
        text = f"http://{text}"
        notes.append("http:// was added")
    parts = address_parts(text)
    if parts.query or parts.fragment:
        raise ServiceError(f"{url!r} has a part after ? or #: an address of a service ends with its path")
    path = re.sub(r"/{2,}", "/", parts.path).rstrip("/")
    if path != parts.path:
        notes.append("a slash too many was removed")
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc, path, "", "")), notes


def normalise_base_url(url: str) -> tuple[str, list[str]]:
    """The address of an OpenAI-compatible server as a user writes it → its base URL, and what was changed.

    The result ends in ``/v1`` and has no final slash, as Open WebUI wants it: with anything
    else it answers its users "404" and nothing more.
    """
    base, notes = normalise_origin(url)
    for endpoint in ("/audio/transcriptions", "/audio/translations", "/audio/speech", "/models"):
        if base.endswith(endpoint):
            base = base.removesuffix(endpoint)
            notes.append(f"{endpoint} was removed: the base URL ends in /v1")
    if not base.endswith("/v1"):
        base += "/v1"
        notes.append("/v1 was added")
    return base, notes


# --- words -------------------------------------------------------------------------------------


def normalise_words(text: str) -> list[str]:
    """The words of a sentence without case and punctuation; accents and numbers stay as they are."""
    folded = unicodedata.normalize("NFC", text).casefold()
    folded = re.sub(r"(?<=\d)[.,](?=\d)", "\x00", folded)
    kept = "".join(c if c == "\x00" or unicodedata.category(c)[0] in "LMN" else " " for c in folded)
    return kept.replace("\x00", ".").split()


def word_error_rate(expected: str, recognised: str) -> float:
    """Wrong, missing and added words per expected word; 1.0 when nothing was to be heard and something was."""
    want, got = normalise_words(expected), normalise_words(recognised)
    if not want:
        return 1.0 if got else 0.0
    row = list(range(len(got) + 1))
    for i, word in enumerate(want, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(got, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1] / len(want)


def is_in(sentence: str, text: str) -> bool:
    """Whether a sentence is somewhere in a text; case and punctuation aside."""
    return f" {' '.join(normalise_words(sentence))} " in f" {' '.join(normalise_words(text))} "


def heard_until(answer: str) -> float:
    """The seconds at which the last segment of an answer in verbose_json ends; 0 without one."""
    segments = json_object(answer, "verbose_json").get("segments") or [{}]
    return float(segments[-1].get("end") or 0.0)


def check_sentence(expected: str, limit: float, result: dict[str, Any]) -> None:
    """Put the word error rate of `text` into a result as `wer`; ServiceError where it is above the limit."""
    rate = word_error_rate(expected, result["text"])
    result["wer"] = round(rate, 3)
    if rate > limit:
        raise ServiceError(
            f"heard {result['text']!r} instead of {expected!r}: word error rate {rate:.2f} is above {limit:g}:"
            " is this the right model for this language"
        )


def spoken_text(response_format: str, answer: str) -> str:
    """The bare sentence in an answer of the given format: no JSON, no cues, no times."""
    if response_format in ("json", "verbose_json"):
        return str(json_object(answer, "the transcription").get("text") or "").strip()
    if response_format == "text":
        return answer.strip()
    lines: list[str] = []
    for cue in re.split(r"\n\s*\n", answer.replace("\r\n", "\n")):
        _before, arrow, after = cue.partition("-->")
        if arrow:
            lines += after.split("\n")[1:]
    return " ".join(line.strip() for line in lines if line.strip())


def told_seconds(answer: str) -> float | None:
    """The duration of the recording as an answer in the format verbose_json tells it; none when it does not."""
    duration = json_object(answer, "the transcription").get("duration")
    return float(duration) if isinstance(duration, (int, float)) and duration > 0 else None


# --- audio -------------------------------------------------------------------------------------


def wav_seconds(path: Path) -> float | None:
    """The duration of a WAV file from its header; none for any other file."""
    with path.open("rb") as file:
        size = path.stat().st_size
        riff = file.read(12)
        if len(riff) < 12 or riff[:4] not in (b"RIFF", b"RF64") or riff[8:] != b"WAVE":
            return None
        bytes_per_second = 0
        while len(chunk := file.read(8)) == 8:
            name, length = chunk[:4], struct.unpack("<I", chunk[4:])[0]
            start = file.tell()
            if name == b"fmt ":
                bytes_per_second = int.from_bytes(file.read(16)[8:12], "little")
            elif name == b"data":
                # a recorder that wrote to a pipe leaves 0 or 4 GiB here: the file itself knows better
                there = size - start
                return (length if 0 < length <= there else there) / bytes_per_second if bytes_per_second else None
            file.seek(start + length + length % 2)
    return None


def said_again(source: Path, target: Path, seconds: float) -> int:
    """Write a WAV file in which another is said until it is so long, half a second apart; how often that is."""
    try:
        with wave.open(str(source), "rb") as once:
            shape, sound = once.getparams(), once.readframes(once.getnframes())
    except (wave.Error, EOFError) as error:
        raise ServiceError(f"{source}: only a WAV file can be said again and again: {error}") from error
    pause = bytes(shape.framerate // 2 * shape.nchannels * shape.sampwidth)
    times = max(1, math.ceil(seconds / (shape.nframes / shape.framerate + 0.5)))
    with wave.open(str(target), "wb") as again:
        again.setparams(shape)
        again.writeframes((sound + pause) * times)
    return times


_BEGINNINGS = {
    "wav": rb"RIFF....WAVE",
    "aac": rb"\xff[\xf0\xf1\xf8\xf9]",
    "mp3": rb"ID3|\xff[\xe0-\xff]",
    "ogg": rb"OggS",
    "flac": rb"fLaC",
    "webm": rb"\x1aE\xdf\xa3",
    "mp4": rb"....ftyp",
}
"""How files begin that browsers play."""


def sound_kind(content: bytes) -> str:
    """The kind of sound file that some bytes are, by how they begin; empty for what no browser plays."""
    return next((kind for kind, start in _BEGINNINGS.items() if re.match(start, content, re.DOTALL)), "")


# --- the upload --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Form:
    """A multipart/form-data body whose file is read while it is sent."""

    fields: Mapping[str, str]
    path: Path
    boundary: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self.boundary}"

    @property
    def head(self) -> bytes:
        parts = [
            f'--{self.boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in self.fields.items()
        ]
        name = self.path.name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        kind = _CONTENT_TYPES.get(self.path.suffix.lower(), "application/octet-stream")
        parts.append(
            f'--{self.boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            f"Content-Type: {kind}\r\n\r\n"
        )
        return "".join(parts).encode()

    @property
    def tail(self) -> bytes:
        return f"\r\n--{self.boundary}--\r\n".encode()

    def __len__(self) -> int:
        return len(self.head) + self.path.stat().st_size + len(self.tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self.head
        with self.path.open("rb") as file:
            while chunk := file.read(64 * 1024):
                yield chunk
        yield self.tail


# --- the OpenAI audio API ----------------------------------------------------------------------


class AudioClient:
    """An OpenAI-compatible STT server, by its base URL (``http://host:8000/v1``)."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str = "",
        timeout: float = 120.0,
        ca_path: str = "",
        validate_certs: bool = True,
    ) -> None:
        self._server = _server(base_url.removesuffix("/v1"), timeout, ca_path, validate_certs)
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}

    def wait_healthy(self, seconds: float) -> None:
        """Return when ``/health`` answers 200; the last reason not to is the error."""
        _wait_healthy(self._server, seconds)

    def models(self) -> list[str]:
        """The ids of the models that the server lists."""
        response = self._server.request("GET", "/v1/models", headers=self._headers)
        if response.status == 404:
            raise ServiceError(
                f"{response.url}: HTTP 404: no OpenAI-compatible API at this address: the base URL of one ends in /v1,"
                " and nothing but the server's own path comes before it"
            )
        self._refuse(response)
        data = response.json().get("data")
        if not isinstance(data, list):
            raise ServiceError(f"{response.url}: the list of models has no data: is this an OpenAI-compatible server")
        return [str(item["id"]) for item in data if isinstance(item, dict) and "id" in item]

    def transcribe(
        self,
        audio: Path,
        *,
        model: str,
        language: str = "",
        response_format: str = "json",
        translate: bool = False,
        retries: int = 0,
    ) -> str:
        """Upload a file and return the answer as the server gave it; a busy server is asked again ``retries`` times."""
        fields = {"model": model, "response_format": response_format}
        if language and not translate:
            fields["language"] = language
        path = "/v1/audio/translations" if translate else "/v1/audio/transcriptions"
        form = Form(fields, readable_file(audio))
        response = _patiently(lambda: _upload(self._server, path, form, self._headers), retries)
        if response.status == 404:
            raise ServiceError(self._why_not_found(model, response))
        self._refuse(response)
        if response_format in ("json", "verbose_json"):
            response.json()
        return response.text

    def voices(self) -> list[str]:
        """The ids of the voices that the server lists; asked without a key, as Open WebUI asks."""
        return self._listed("/v1/audio/voices", "voices")

    def speaking_models(self) -> list[str]:
        """The ids of the models that speak; asked without a key too."""
        return self._listed("/v1/audio/models", "models")

    def _listed(self, path: str, name: str) -> list[str]:
        response = self._server.request("GET", path)
        try:
            items = response.json().get(name) if response.status == 200 else []
        except ServiceError:
            items = []
        return [str(item["id"]) for item in items or [] if isinstance(item, dict) and "id" in item]

    def speak(self, text: str, *, model: str, voice: str) -> bytes:
        """A text as sound, in the format that the server takes by itself, as Open WebUI leaves it to it."""
        body = json.dumps({"model": model, "voice": voice, "input": text}).encode()
        headers = {**self._headers, "Content-Type": "application/json"}
        response = self._server.request("POST", "/v1/audio/speech", body=body, headers=headers)
        where = f"{response.url}: HTTP {response.status}"
        if response.status in (404, 405):
            raise ServiceError(f"{where}: this server does not speak, or has no model {model!r}: {response.detail}")
        if response.status in (400, 422):
            raise ServiceError(
                f"{where}: it does not speak with the model {model!r} and the voice {voice!r}: {response.detail}"
            )
        self._refuse(response)
        return _sound(response)

    def _why_not_found(self, model: str, response: Answer) -> str:
        known = self.models()
        if model in known:
            return f"{response.url}: HTTP 404 although the server lists the model {model!r}: {response.detail}"
        there = f"it has {', '.join(known)}" if known else "it has none"
        return f"{response.url}: the server has no model {model!r}: {there}"

    def _refuse(self, response: Answer) -> None:
        if response.status in (401, 403):
            raise ServiceError(
                f"{response.url}: HTTP {response.status}: the server refuses this API key"
                if self._headers
                else f"{response.url}: HTTP {response.status}: the server wants an API key and none was given"
            )
        _refuse(response)


# --- Open WebUI's own API ----------------------------------------------------------------------


class OpenWebUIClient:
    """Open WebUI as a browser uses it, by its origin (``http://host:8080``)."""

    def __init__(self, origin: str, *, timeout: float = 120.0, ca_path: str = "", validate_certs: bool = True) -> None:
        self._server = _server(origin, timeout, ca_path, validate_certs)
        self._headers: dict[str, str] = {}

    def wait_healthy(self, seconds: float) -> None:
        """Return when ``/health`` answers 200; the last reason not to is the error."""
        _wait_healthy(self._server, seconds)

    def sign_in(self, email: str, password: str) -> None:
        """Sign in with a password; the other calls then carry the token."""
        body = json.dumps({"email": email, "password": password}).encode()
        response = self._server.request(
            "POST", "/api/v1/auths/signin", body=body, headers={"Content-Type": "application/json"}
        )
        if response.status in (400, 401):
            raise ServiceError(
                f"{response.url}: Open WebUI refuses the email or the password of {email}: {response.detail}"
            )
        if response.status == 403:
            raise ServiceError(
                f"{response.url}: Open WebUI does not allow signing in with a password: {response.detail}"
            )
        if response.status in (404, 405):
            raise ServiceError(f"{response.url}: HTTP {response.status}: no Open WebUI at this address")
        if response.status == 429:
            raise ServiceError(
                f"{response.url}: too many sign-ins: Open WebUI allows 15 in 3 minutes, so wait that long"
            )
        _refuse(response)
        token = response.json().get("token")
        if not token:
            raise ServiceError(
                f"{response.url}: signing in as {email} gave no token: does the account ask for a second factor"
            )
        self._headers = {"Authorization": f"Bearer {token}"}

    def transcribe(self, audio: Path, *, language: str = "", retries: int = 0) -> str:
        """Upload a recording as the microphone button does and return the recognised text."""
        form = Form({"language": language} if language else {}, readable_file(audio))
        path = "/api/v1/audio/transcriptions"
        response = _patiently(lambda: _upload(self._server, path, form, self._headers), retries)
        if response.status in (401, 403):
            raise ServiceError(f"{response.url}: this account may not transcribe in Open WebUI: {response.detail}")
        if response.status >= 400 and "Server Connection Error" in response.detail:
            raise ServiceError(
                f"{response.url}: Open WebUI cannot reach its STT server: compare its setting"
                " AUDIO_STT_OPENAI_API_BASE_URL with where the STT server listens"
            )
        if response.status >= 400 and "External" in response.detail:
            raise ServiceError(
                f"{response.url}: the STT server refused what Open WebUI sent ({response.detail}): compare the address,"
                " key and model in Open WebUI's audio settings with the STT server's"
            )
        _refuse(response)
        text = response.json().get("text")
        if not isinstance(text, str):
            raise ServiceError(f"{response.url}: Open WebUI's answer holds no text")
        return text

    def speak(self, text: str) -> bytes:
        """A text as sound, as the page reads it aloud; newly spoken, not what Open WebUI has kept of it."""
        # what is kept goes by the very bytes of the request: spaces after it change these and nothing else
        blank = "".join(secrets.choice(" \t\n") for _time in range(64))
        response = self._server.request(
            "POST",
            "/api/v1/audio/speech",
            body=(json.dumps({"input": text}) + blank).encode(),
            headers={**self._headers, "Content-Type": "application/json"},
        )
        if response.status in (401, 403):
            raise ServiceError(f"{response.url}: this account may not have anything read aloud: {response.detail}")
        if response.status >= 400 and "Server Connection Error" in response.detail:
            raise ServiceError(
                f"{response.url}: Open WebUI cannot reach the server that speaks: compare open_webui_tts_url"
            )
        if response.status >= 400:
            raise ServiceError(f"{response.url}: HTTP {response.status}: Open WebUI does not speak: {response.detail}")
        return _sound(response)

    def ollama_version(self) -> str:
        """The version of the Ollama that Open WebUI reaches; empty when its Ollama API is switched off."""
        response = self._server.request("GET", "/ollama/api/version", headers=self._headers)
        if response.status == 500:
            raise ServiceError(f"{response.url}: Open WebUI reaches no Ollama: {response.detail}")
        _refuse(response)
        return str(response.json().get("version") or "")


# --- shared by both ----------------------------------------------------------------------------


def _server(origin: str, timeout: float, ca_path: str, validate_certs: bool) -> Server:
    """No proxy, for these services stand in the same network; a redirect is an address that is better given."""
    return Server(
        origin,
        timeout=timeout,
        connect_timeout=_CONNECT_SECONDS,
        ca_path=ca_path,
        validate_certs=validate_certs,
        proxies=False,
        redirects=False,
    )


def _upload(server: Server, path: str, form: Form, headers: Mapping[str, str]) -> Answer:
    return server.request("POST", path, body=form, headers={**headers, "Content-Type": form.content_type})


def _sound(response: Answer) -> bytes:
    """The sound in an answer, once it is sure that it is some."""
    if not sound_kind(response.body):
        kind = response.headers.get("content-type", "no type")
        raise ServiceError(
            f"{response.url}: the answer ({len(response.body)} bytes, {kind}) is no sound that a browser plays"
        )
    return response.body


def readable_file(path: Path) -> Path:
    """The path itself, once it is sure that there is a file with something in it to read."""
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as exc:
        raise ServiceError(f"{path}: {exc.strerror or exc}: no audio file to send") from exc
    if empty:
        raise ServiceError(f"{path}: the file is empty: no audio to send")
    return path


def _wait_healthy(server: Server, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            response = server.request("GET", "/health")
            if response.status == 200:
                return
            reason = f"{response.url}: HTTP {response.status}: not ready: {response.detail}"
        except ServiceError as exc:
            reason = str(exc)
        left = deadline - time.monotonic()
        if left <= 0:
            raise ServiceError(f"{reason} (waited {seconds:g} s)" if seconds else reason)
        time.sleep(min(1.0, left))


def _patiently(ask: Callable[[], Answer], retries: int) -> Answer:
    """Ask, and again when the server is busy, after as long as it says (at most 30 s)."""
    response = ask()
    for _attempt in range(retries):
        if response.status not in (429, 503):
            break
        after = response.headers.get("retry-after", "")
        time.sleep(min(float(after), 30.0) if after.isdigit() else 2.0)
        response = ask()
    return response


def _refuse(response: Answer) -> None:
    """Raise what the status means, unless it is a success."""
    status, where = response.status, f"{response.url}: HTTP {response.status}"
    if status < 300:
        return
    if status < 400:
        target = response.headers.get("location", "another address")
        raise ServiceError(f"{where}: it redirects to {target}: use that address instead")
    reasons = {
        404: "nothing is there: is the path of the address right",
        405: "this is not the API that was expected at this address",
        413: "the file is larger than the server accepts",
        415: "the server cannot read this file as audio",
        429: "the server is busy: try again later, or allow it more at a time",
        502: "the proxy reaches no service behind it",
        503: "the server is busy: try again later, or allow it more at a time",
        504: "the proxy gave up waiting for the service behind it",
    }
    reason = reasons.get(
        status, "the server refuses the request" if status < 500 else "the server failed, its log says why"
    )
    raise ServiceError(f"{where}: {reason}: {response.detail}")
