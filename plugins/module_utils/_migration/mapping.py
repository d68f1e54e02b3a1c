# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A faster-whisper-server, or an older Speaches, in variables of stt_server: what becomes what, what is gone. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._infra.render import to_yaml
from ansible_collections.anklume.stt.plugins.module_utils._migration.sources import Old
from ansible_collections.anklume.stt.plugins.module_utils._vram.compute_types import REQUESTS
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import resolve_model

BESIDE = 8001
"""The port of the new one, while the old one has 8000."""

Values = dict[str, Any]


class _NotTakenError(Exception):
    """Why a value is not taken over; never the value itself."""


@dataclass
class Moved:
    """What became of it."""

    variables: Values = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    """Those of the variables that nobody else may read, by name."""
    mapped: dict[str, str] = field(default_factory=dict)
    """Which variable each became."""
    dropped: dict[str, str] = field(default_factory=dict)
    """Why each did not."""
    notes: list[str] = field(default_factory=list)
    port: int = 8000
    """At which the old one is asked."""


def _whole(least: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not re.fullmatch(r"-?\d{1,9}", value) or int(value) < least:
            raise _NotTakenError(f"it is no whole number from {least} up")
        return int(value)

    return read


def _truth(value: str) -> bool:
    """As pydantic, which Speaches reads them with."""
    known = dict.fromkeys(("1", "true", "t", "yes", "y", "on"), True) | dict.fromkeys(
        ("0", "false", "f", "no", "n", "off"), False
    )
    if value.lower() not in known:
        raise _NotTakenError("it is neither true nor false")
    return known[value.lower()]


def _list(value: str) -> list[str]:
    """JSON, as both servers want it, or texts with commas between them."""
    try:
        found = json.loads(value)
    except ValueError:
        found = [each.strip() for each in value.strip("[]").split(",")]
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise _NotTakenError("it is no list of texts")
    return [each for each in found if each]


def _model(value: str) -> str:
    try:
        resolve_model(value)
    except Error as error:
        raise _NotTakenError(
            "it is no model that is known here, nor a hub id: set stt_server_model yourself"
        ) from error
    return value


def _models(value: str) -> Values:
    """What was fetched at the start: those that speak, and those that hear, which were loaded as well."""
    names = _list(value)
    speaking = [name for name in names if re.search(r"piper|kokoro", name, re.IGNORECASE)]
    hearing = [_model(name) for name in names if name not in speaking]
    found = {
        "stt_server_extra_models": hearing,
        "stt_server_resident_models": hearing,
        "stt_server_tts_models": speaking,
    }
    return {name: each for name, each in found.items() if each}


def _language(value: str) -> str:
    if not re.fullmatch(r"[a-z]{2,3}", value.lower()):
        raise _NotTakenError("it is no code of a language, as fr")
    return value.lower()


def _one_of(*known: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value.lower() not in known:
            raise _NotTakenError(f"it is none of {', '.join(known)}")
        return value.lower()

    return read


def _compute_type(value: str) -> str:
    value = value.lower()
    if value == "default":
        return "auto"
    if value not in REQUESTS:
        raise _NotTakenError(f"there is no such compute type here: it is auto, of {', '.join(REQUESTS)}")
    return value


def _log_level(value: str) -> str:
    value = {"critical": "error", "fatal": "error", "warn": "warning", "trace": "debug"}.get(
        value.lower(), value.lower()
    )
    return _one_of("debug", "info", "warning", "error")(value)


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
    except ValueError as error:
        raise _NotTakenError("it is no address") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _NotTakenError("it is no address that begins with http:// or https://")
    if "@" in parts.netloc:
        raise _NotTakenError("there is a password in it: set it yourself, from a vault")
    return value


def _batched(value: str) -> Values:
    """It is always on; without it windows were decoded one by one."""
    return {} if _truth(value) else {"stt_server_batch_size": 1}


def _device_index(value: str) -> Values:
    numbers = re.findall(r"\d+", value)
    return {"stt_compose_gpu_devices": numbers} if numbers not in ([], ["0"]) else {}


def _visible(value: str) -> Values:
    if value in ("", "all", "none", "void"):
        return {}
    return {"stt_compose_gpu_devices": [each.strip() for each in value.split(",")]}


def _into(name: str, read: Callable[[str], Any] = str) -> Callable[[str], Values]:
    return lambda value: {name: read(value)}


_MODEL = _into("stt_server_model", _model)
_CORS = _into("stt_server_cors_origins", _list)
_TTL = _into("stt_server_model_ttl", _whole(-1))

TAKEN: dict[str, Callable[[str], Values]] = {
    "WHISPER__MODEL": _MODEL,
    "WHISPER_MODEL": _MODEL,
    "DEFAULT_LANGUAGE": _into("stt_server_language", _language),
    "WHISPER__INFERENCE_DEVICE": _into("stt_server_device", _one_of("auto", "cpu", "cuda")),
    "WHISPER_INFERENCE_DEVICE": _into("stt_server_device", _one_of("auto", "cpu", "cuda")),
    "WHISPER__DEVICE_INDEX": _device_index,
    "WHISPER__COMPUTE_TYPE": _into("stt_server_quantization", _compute_type),
    "WHISPER_COMPUTE_TYPE": _into("stt_server_quantization", _compute_type),
    "WHISPER__CPU_THREADS": _into("stt_server_threads", _whole(0)),
    "WHISPER__NUM_WORKERS": _into("stt_server_workers", _whole(1)),
    "WHISPER__TTL": _TTL,
    "STT_MODEL_TTL": _TTL,
    "TTS_MODEL_TTL": _into("stt_server_tts_model_ttl", _whole(-1)),
    "VAD_MODEL_TTL": _into("stt_server_vad_model_ttl", _whole(-1)),
    "WHISPER__USE_BATCHED_MODE": _batched,
    "PRELOAD_MODELS": _models,
    "API_KEY": _into("stt_server_api_key"),
    "LOG_LEVEL": _into("stt_server_log_level", _log_level),
    "ALLOW_ORIGINS": _CORS,
    "CORS_ORIGINS": _CORS,
    "ENABLE_UI": _into("stt_server_ui", _truth),
    "CHAT_COMPLETION_BASE_URL": _into("stt_server_chat_url", _url),
    "CHAT_COMPLETION_API_KEY": _into("stt_server_chat_api_key"),
    "HF_TOKEN": _into("stt_server_hub_token"),
    "HUGGING_FACE_HUB_TOKEN": _into("stt_server_hub_token"),
    "HF_ENDPOINT": _into("stt_server_hub_endpoint", _url),
    "HF_HUB_OFFLINE": _into("stt_server_hub_offline", _truth),
    "NVIDIA_VISIBLE_DEVICES": _visible,
}
"""What becomes which variables, by the name it had."""

SECRETS = ("stt_server_api_key", "stt_server_chat_api_key", "stt_server_hub_token")

_LIVE = "live transcription is /v1/realtime with intent=transcription now, which finds pauses itself"
_SPEECH = "it was never used by faster-whisper-server; voices are stt_server_tts_models and those beside it"
_OURS = "the role sets it itself"
_IMAGES = "it was the image's own"
GONE: dict[str, str] = {
    "DEFAULT_RESPONSE_FORMAT": "there is no default for it: clients that name no response_format get json",
    **dict.fromkeys(
        (
            *("MAX_NO_DATA_SECONDS", "MIN_DURATION", "WORD_TIMESTAMP_ERROR_MARGIN", "MAX_INACTIVITY_SECONDS"),
            "INACTIVITY_WINDOW_SECONDS",
        ),
        _LIVE,
    ),
    **dict.fromkeys(
        (
            *("SPEECH_BASE_URL", "SPEECH_API_KEY", "SPEECH_MODEL", "SPEECH_EXTRA_BODY"),
            *("TRANSCRIPTION_BASE_URL", "TRANSCRIPTION_API_KEY"),
        ),
        _SPEECH,
    ),
    "MAX_MODELS": "models stay loaded as stt_server_model_ttl says",
    "UVICORN_HOST": "it was the container's; the address is stt_server_host",
    "UVICORN_PORT": "it was the container's; the port is stt_server_port",
    "LOOPBACK_HOST_URL": _OURS,
    "HF_HOME": _OURS,
    "HF_HUB_CACHE": _OURS,
    "HUGGINGFACE_HUB_CACHE": _OURS,
    "HF_HUB_ENABLE_HF_TRANSFER": "models are fetched by the role, which can go on after a break",
    **dict.fromkeys(("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SERVICE_NAME"), "numbers are at /metrics"),
}
"""What becomes nothing, and why."""

_OF_IMAGE = re.compile(
    r"PATH|HOME|HOSTNAME|LANG|LC_\w+|TZ|PUID|PGID|UMASK|PYTHON\w*|UV_\w+|NV_\w+|NVARCH|NVIDIA_\w+|CUDA_\w+"
    r"|LD_LIBRARY_PATH|LIBRARY_PATH|DO_NOT_TRACK|GRADIO_\w+|DISABLE_TELEMETRY|HF_HUB_DISABLE_TELEMETRY|TERM|DEBIAN_FRONTEND"
)
"""What says nothing about speech; it is not told one by one."""

CLIENTS = (
    "a request need not name a model: stt_server_model is meant, and whisper-1 too",
    "a model that is not there is a 404, and is not fetched by the first request: name it in stt_server_extra_models",
    "live transcription is /v1/realtime with intent=transcription, and no WebSocket at /v1/audio/transcriptions",
    "a model is fetched by POST /v1/models/OWNER/NAME, and not by /api/pull, if stt_server_hub_offline is false",
    "voices of Piper are models (speaches-ai/piper-en_US-amy-medium), and no longer names of voices (en_US-amy-medium)",
)
"""What clients of the old server have to know."""

_CACHE = re.compile(r"/(?:root|home/ubuntu)/\.cache/huggingface(?:/hub)?/?")


def move(old: Old) -> Moved:
    """The old server in our variables."""
    moved = Moved(notes=list(old.notes))
    _at(old, moved)
    for name, value in old.environment.items():
        key = name.upper()
        if key in GONE:
            moved.dropped[name] = GONE[key]
        elif key in TAKEN:
            _take(name, value, moved)
        elif not _OF_IMAGE.fullmatch(key):
            moved.dropped[name] = "neither faster-whisper-server nor Speaches knows it"
    _defaults(old, moved)
    for source, target in old.mounts:
        if _CACHE.fullmatch(target):
            moved.notes.append(
                f"its models lie in {source}: copied into hub/ beside compose.yaml they need no download"
            )
    return moved


def _take(name: str, value: str, moved: Moved) -> None:
    if not value:
        return  # as if it were not set
    try:
        found = TAKEN[name.upper()](value)
        if any(sign in json.dumps(found) for sign in ("{{", "{%", "{#")) and not set(found) & set(SECRETS):
            raise _NotTakenError("Ansible would read braces in it as a template")
    except _NotTakenError as error:
        moved.dropped[name] = str(error)
        return
    if not found:
        moved.dropped[name] = "it says what is so here in any case"
        return
    moved.mapped[name] = ", ".join(found)
    for variable, one in found.items():
        (moved.secrets if variable in SECRETS else moved.variables)[variable] = one


def _at(old: Old, moved: Moved) -> None:
    """The address and the port, beside the old one."""
    inner = old.environment.get("UVICORN_PORT", "8000")
    port = next((each for each in old.ports if str(each.target) == inner), None) or next(iter(old.ports), None)
    theirs = port.published if port else int(inner) if inner.isdecimal() and len(inner) < 6 else 8000
    moved.port = theirs
    moved.variables["stt_server_port"] = BESIDE if theirs != BESIDE else BESIDE + 1
    moved.notes.append(
        f"the old one has port {theirs}, and the new one {moved.variables['stt_server_port']} beside it: once the old"
        f" one is stopped for good, stt_server_port: {theirs} spares the clients another address"
    )
    if port and port.host not in ("", "0.0.0.0", "::"):
        moved.variables["stt_server_host"] = port.host


def _defaults(old: Old, moved: Moved) -> None:
    """What the old one did where nothing was said, as far as it differs from ours."""
    known = moved.variables
    if extra := known.get("stt_server_extra_models"):
        chosen = known.get("stt_server_model")
        known["stt_server_extra_models"] = [name for name in extra if name != chosen]
        if not known["stt_server_extra_models"]:
            del known["stt_server_extra_models"]
    if "stt_server_model" not in known and "faster-whisper-server" in old.image:
        known["stt_server_model"] = "small" if "cpu" in old.image else "large-v3"
        moved.notes.append(
            f"it names no model, and its image then took {known['stt_server_model']} (those of 2025 large-v3 in any"
            " case): docker inspect says which it was"
        )
    elif "stt_server_model" not in known:
        moved.notes.append(
            "it names no model, and Speaches up to 0.7 took large-v3: stt_server_model is large-v3-turbo, unless you"
            " set another"
        )
    if "stt_server_quantization" not in known:
        known["stt_server_quantization"] = "auto"
    if "stt_server_model_ttl" not in known:
        moved.notes.append(
            "unused models were unloaded after five minutes; here they stay (stt_server_model_ttl: 300 is as it was)"
        )
    if "stt_server_ui" not in known:
        moved.notes.append("it had a web page; here it is turned off (stt_server_ui: true)")
    if "stt_compose_gpu_devices" in known:
        moved.notes.append("stt_compose_gpu_devices is for Docker; on Incus infra.yml says which GPU a machine gets")


def host_vars(moved: Moved, name: str, origin: str) -> str:
    """The file of variables, with the report as a comment above them."""
    lines = [f"The STT server, taken over from {origin} by make migrate.", *report(moved)]
    told = {variable: _handed_over(variable, name) for variable in SECRETS if variable in moved.secrets}
    return "".join(f"# {line}\n" for line in lines) + to_yaml(moved.variables | told)


def secret_file(variable: str, name: str) -> str:
    """Where the secret lies, in the project."""
    kept = {"stt_server_api_key": "speaches-api-key", "stt_server_chat_api_key": "chat-api-key"}
    return f"secrets/{name}-{kept.get(variable, 'hub-token')}"


def _handed_over(variable: str, name: str) -> str:
    if variable == "stt_server_api_key":
        return "auto"  # which takes the key that lies there
    path = f"inventory_dir | anklume.stt.project_dir ~ '/{secret_file(variable, name)}'"
    return f"{{{{ lookup('ansible.builtin.file', {path}) }}}}"


def report(moved: Moved) -> list[str]:
    """What became of everything, a line each; no value of it."""
    taken = [f"{old}: {new}{' (in secrets/)' if new in SECRETS else ''}" for old, new in moved.mapped.items()]
    left_out = [f"{name}: {why}" for name, why in moved.dropped.items()]
    parts = {"taken over": taken, "left out": left_out, "to know": moved.notes, "clients": CLIENTS}
    lines = [line for part, told in parts.items() if told for line in (f"{part}:", *(f"  {each}" for each in told))]
    # names are anybody's, and may not end a line
    return ["".join(sign if sign.isprintable() else "?" for sign in line) for line in lines]
