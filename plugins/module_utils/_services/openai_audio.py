# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one HTTP client of the services: the OpenAI audio API, its models and health, and Open WebUI's own API.

The upper half computes (addresses, word error rate, duration, texts of an answer), the lower
half talks. Whatever goes wrong is a :class:`ServiceError` that says which thing is wrong.
"""

from __future__ import annotations

import errno
import http.client
import json
import re
import secrets
import socket
import ssl
import struct
import time
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError

RESPONSE_FORMATS = ("json", "text", "verbose_json", "srt", "vtt")

_ANSWER_LIMIT = 64 * 1024 * 1024
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
    parts = urllib.parse.urlsplit(text)
    try:
        port_is_a_number = parts.port is None or parts.port > 0
    except ValueError:
        port_is_a_number = False
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_a_number:
        raise ServiceError(f"{url!r} is not an address of a service: write it as http://host:port")
    if parts.username is not None or parts.password is not None:
        raise ServiceError(
            f"the address of {parts.hostname} holds a user name or password: give them as options of their own"
        )
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
    for endpoint in ("/audio/transcriptions", "/audio/translations", "/models"):
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


def spoken_text(response_format: str, answer: str) -> str:
    """The bare sentence in an answer of the given format: no JSON, no cues, no times."""
    if response_format in ("json", "verbose_json"):
        return str(_json_object(answer, "the transcription").get("text") or "").strip()
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
    duration = _json_object(answer, "the transcription").get("duration")
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


# --- the connection ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Response:
    """An answer, whatever its status."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", errors="replace")

    def json(self) -> dict[str, Any]:
        return _json_object(self.text, self.url)

    @property
    def detail(self) -> str:
        """What the server says about an error, in the shapes that OpenAI, FastAPI and proxies use."""
        try:
            document = json.loads(self.text)
        except ValueError:
            return _preview(self.text)
        if isinstance(document, dict):
            found = document.get("error", document.get("detail", document.get("message")))
            if isinstance(found, dict):
                found = found.get("message")
            if isinstance(found, list):
                found = ", ".join(str(item.get("msg", item)) if isinstance(item, dict) else str(item) for item in found)
            if found:
                return _preview(str(found))
        return _preview(self.text)


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


class Service:
    """One HTTP service; a connection per request, no proxy: these services stand in the same network."""

    def __init__(self, origin: str, *, timeout: float = 120.0, ca_path: str = "", validate_certs: bool = True) -> None:
        self.origin = origin
        self.timeout = timeout
        parts = urllib.parse.urlsplit(origin)
        self._prefix = parts.path
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = _tls_context(ca_path, validate_certs) if parts.scheme == "https" else None
        self._ca_path = ca_path

    def request(
        self, method: str, path: str, *, body: Form | bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        url = f"{self.origin}{path}"
        sent = {"Accept": "*/*", "User-Agent": "anklume.stt", **(headers or {})}
        if body is not None:
            sent["Content-Length"] = str(len(body))
        if isinstance(body, Form):
            sent["Content-Type"] = body.content_type
        connection = self._connect(url)
        try:
            try:
                connection.request(method, f"{self._prefix}{path}", body=body, headers=sent)
            except (BrokenPipeError, ConnectionResetError):
                pass  # a server that refuses an upload answers before it has read all of it
            except (UnicodeEncodeError, ValueError) as exc:
                raise ServiceError(f"{url}: the key or the address holds a character that HTTP cannot carry") from exc
            answer = connection.getresponse()
            content = answer.read(_ANSWER_LIMIT)
            return Response(url, answer.status, {k.lower(): v for k, v in answer.getheaders()}, content)
        except TimeoutError as exc:
            raise ServiceError(
                f"{url}: no answer within {self.timeout:g} s: it is overloaded, or the timeout too short"
            ) from exc
        except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected) as exc:
            raise ServiceError(
                f"{url}: the connection was closed without an answer: the service stopped, refuses a file of this size,"
                " or wants https"
            ) from exc
        except http.client.HTTPException as exc:
            raise ServiceError(
                f"{url}: what answers on port {self._port} does not speak HTTP: is the port right"
            ) from exc
        except OSError as exc:
            raise ServiceError(f"{url}: {exc.strerror or exc}") from exc
        finally:
            connection.close()

    def _connect(self, url: str) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection
        wait = min(self.timeout, _CONNECT_SECONDS)
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=wait)
        else:
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=wait, context=self._tls)
        try:
            connection.connect()
        except (OSError, UnicodeError) as exc:
            connection.close()
            raise ServiceError(f"{url}: {self._why_no_connection(exc, wait)}") from exc
        connection.sock.settimeout(self.timeout)
        return connection

    def _why_no_connection(self, exc: Exception, wait: float) -> str:
        where = f"{self._host} port {self._port}"
        if isinstance(exc, (socket.gaierror, UnicodeError)):
            return f"the name {self._host} cannot be resolved: check the address and the name server"
        if isinstance(exc, ssl.SSLCertVerificationError):
            known = f"the authority in {self._ca_path}" if self._ca_path else "this machine's authorities"
            return f"the certificate of {where} is not trusted by {known}: {exc.verify_message}"
        if isinstance(exc, ssl.SSLError):
            return f"{where} does not speak TLS: does its address begin with http://"
        if isinstance(exc, ConnectionRefusedError):
            return f"connection refused: nothing listens on {where}: is the service running, is the port right"
        if isinstance(exc, TimeoutError):
            return f"no connection to {where} within {wait:g} s: the host is down, or a firewall drops the packets"
        if isinstance(exc, OSError) and exc.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
            return f"{where} cannot be reached from here: no route to the host"
        return f"no connection to {where}: {exc}"


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
        self._service = Service(
            base_url.removesuffix("/v1"), timeout=timeout, ca_path=ca_path, validate_certs=validate_certs
        )
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}

    def wait_healthy(self, seconds: float) -> None:
        """Return when ``/health`` answers 200; the last reason not to is the error."""
        _wait_healthy(self._service, seconds)

    def models(self) -> list[str]:
        """The ids of the models that the server lists."""
        response = self._service.request("GET", "/v1/models", headers=self._headers)
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
        response = _patiently(lambda: self._service.request("POST", path, body=form, headers=self._headers), retries)
        if response.status == 404:
            raise ServiceError(self._why_not_found(model, response))
        self._refuse(response)
        if response_format in ("json", "verbose_json"):
            response.json()
        return response.text

    def _why_not_found(self, model: str, response: Response) -> str:
        known = self.models()
        if model in known:
            return f"{response.url}: HTTP 404 although the server lists the model {model!r}: {response.detail}"
        there = f"it has {', '.join(known)}" if known else "it has none"
        return f"{response.url}: the server has no model {model!r}: {there}"

    def _refuse(self, response: Response) -> None:
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
        self._service = Service(origin, timeout=timeout, ca_path=ca_path, validate_certs=validate_certs)
        self._headers: dict[str, str] = {}

    def wait_healthy(self, seconds: float) -> None:
        """Return when ``/health`` answers 200; the last reason not to is the error."""
        _wait_healthy(self._service, seconds)

    def sign_in(self, email: str, password: str) -> None:
        """Sign in with a password; the other calls then carry the token."""
        body = json.dumps({"email": email, "password": password}).encode()
        response = self._service.request(
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
        response = _patiently(
            lambda: self._service.request("POST", "/api/v1/audio/transcriptions", body=form, headers=self._headers),
            retries,
        )
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

    def ollama_version(self) -> str:
        """The version of the Ollama that Open WebUI reaches; empty when its Ollama API is switched off."""
        response = self._service.request("GET", "/ollama/api/version", headers=self._headers)
        if response.status == 500:
            raise ServiceError(f"{response.url}: Open WebUI reaches no Ollama: {response.detail}")
        _refuse(response)
        return str(response.json().get("version") or "")


# --- shared by both ----------------------------------------------------------------------------


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


def _wait_healthy(service: Service, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            response = service.request("GET", "/health")
            if response.status == 200:
                return
            reason = f"{response.url}: HTTP {response.status}: not ready: {response.detail}"
        except ServiceError as exc:
            reason = str(exc)
        left = deadline - time.monotonic()
        if left <= 0:
            raise ServiceError(f"{reason} (waited {seconds:g} s)" if seconds else reason)
        time.sleep(min(1.0, left))


def _patiently(ask: Callable[[], Response], retries: int) -> Response:
    """Ask, and again when the server is busy, after as long as it says (at most 30 s)."""
    response = ask()
    for _attempt in range(retries):
        if response.status not in (429, 503):
            break
        after = response.headers.get("retry-after", "")
        time.sleep(min(float(after), 30.0) if after.isdigit() else 2.0)
        response = ask()
    return response


def _refuse(response: Response) -> None:
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


def _tls_context(ca_path: str, validate_certs: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_path or None)
    except (OSError, ssl.SSLError) as exc:
        raise ServiceError(f"{ca_path}: no certificate authority can be read from it: {exc}") from exc
    if not validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _json_object(text: str, where: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as exc:
        raise ServiceError(f"{where}: the answer is not JSON: {_preview(text)}: is this the right service") from exc
    if not isinstance(document, dict):
        raise ServiceError(f"{where}: the answer is not a JSON object: {_preview(text)}: is this the right service")
    return document


def _preview(text: str, limit: int = 160) -> str:
    line = " ".join(text.split())
    return f"{line[:limit]}…" if len(line) > limit else line or "no further words"
