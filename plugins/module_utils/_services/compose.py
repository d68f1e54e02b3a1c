# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaches as a service of Docker Compose: settings of the role stt_server → the files beside compose.yaml. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error

Given = Mapping[str, Any]
Document = dict[str, Any]

_RELEASE = "ghcr.io/speaches-ai/speaches:0.9.0-rc.3"
IMAGES = {
    "cpu": f"{_RELEASE}-cpu@sha256:2163775b6df5e451a71200e8f675fed68dbd8ab184fc604453d549e486f22fd2",
    # the digest is pinned by one source alone
    "cuda": f"{_RELEASE}-cuda@sha256:f4eb14d1c53b19c5bd1f76d10ea9fc10288ceaf82dca09506d3f0ef92ee943de",
}
"""The published images of the commit that the role stt_server pins, by device."""

SOURCE_TREE = "ab9542582a3e9935f7727be5586d38bc90d61206"
"""The git tree id of src/speaches in that commit."""

OWN_PACKAGES = ("av", "ctranslate2", "prometheus-client")
"""Those that the image has in the version of Speaches' own lock, or not at all; the factory needs them as in ours."""

MENDED_PACKAGES = (
    *OWN_PACKAGES,
    *("fastapi", "faster-whisper", "gradio", "h11", "httpx", "huggingface-hub", "markdown-it-py", "numpy"),
    *("onnxruntime", "openai", "pydantic-settings", "python-multipart", "starlette", "uvicorn"),
)
"""Those that the factory patches or builds on."""

SECRETS = ("API_KEY", "ANKLUME_API_KEYS", "CHAT_COMPLETION_API_KEY", "HF_TOKEN")
"""Settings that `docker inspect` has no business to show."""

ELSEWHERE = ("LD_LIBRARY_PATH",)
"""Settings that say where things lie on an instance."""

CANNOT = (
    *("stt_server_memory_high", "stt_server_unit_template", "stt_server_wheels"),
    *("stt_server_speaches_commit", "stt_server_speaches_tree"),
)
"""Variables of the role stt_server that mean nothing to a container."""

_HOME = "/home/ubuntu/speaches"
"""Where Speaches runs in its image."""
_OURS = "/opt/anklume"
_HUB = "/var/lib/speaches/hub"
"""Where the settings say that the models lie, as on an instance."""

_PTH = f"{_HOME}/.venv/lib/python3.12/site-packages/anklume.pth"
"""What Python reads at every start, also where it takes no PYTHONPATH, as for the processes that decode sound."""

_LINE = re.compile(r"([A-Za-z_]\w*)=(.*)")
_PLAIN = re.compile(r"[\w./:,@%+=-]*", re.ASCII)
_SIZE = re.compile(r"(\d+)([KMGT]?)")
_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
_ITSELF = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Files:
    """What lies beside each other; the document is compose.yaml."""

    document: Document
    texts: dict[str, str]
    secrets: str


def settings_of(environment: str) -> dict[str, str]:
    """The variables of an environment file as the role stt_server writes it for systemd."""
    found = {}
    for line in environment.splitlines():
        if match := _LINE.fullmatch(line):
            name, value = match.groups()
            if value[:1] == "'":
                value = value[1:-1]
            elif value[:1] == '"':
                value = re.sub(r"\\(.)", r"\1", value[1:-1])
            found[name] = value
    return found


def in_container(settings: Mapping[str, str]) -> dict[str, str]:
    """The same settings for a container: it listens on all its addresses, and who reaches it is said by the port."""
    kept = {name: value for name, value in settings.items() if name not in ELSEWHERE}
    return kept | {
        "UVICORN_HOST": "0.0.0.0",
        "LOOPBACK_HOST_URL": f"http://127.0.0.1:{settings['UVICORN_PORT']}",
        "PYTHONDONTWRITEBYTECODE": "1",
        # not in memory, as /tmp is
        "TMPDIR": "/var/tmp",
    }


def environment_file(settings: Mapping[str, str]) -> str:
    """The settings as Compose reads an env_file: nothing in single quotes means anything else."""
    lines = []
    for name, value in settings.items():
        if "'" in value or not value.isprintable():
            raise Error(
                f"{name} has a quote or a line break in it, which an env_file of Compose cannot hold: leave it out"
            )
        lines.append(f"{name}={value}" if _PLAIN.fullmatch(value) else f"{name}='{value}'")
    return "\n".join(lines) + "\n"


def pins(lock: str, names: Iterable[str]) -> str:
    """Those packages of a lock, with their digests."""
    entries = re.findall(r"^([\w.-]+)(==[^\n]*\\\n(?:[ ]+--hash=[^\n]*\n?)+)", lock, re.MULTILINE)
    found = {name.lower().replace("_", "-"): name + rest for name, rest in entries}
    return "".join(found[name].rstrip("\n") + "\n" for name in names)


def versions(lock: str) -> dict[str, str]:
    """The version of each package of a lock."""
    found = re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock, re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in found}


def refusals(values: Given, given: Given, defaults: Given) -> Iterable[str]:
    """Why what the variables ask for cannot be had in a container, each with what to do."""
    if values["stt_server_engine"] != "speaches":
        yield f"with Docker there is the engine speaches alone, and stt_server_engine is {values['stt_server_engine']}"
    for name in CANNOT:
        if values[name] != defaults[name]:
            yield f"{name} means nothing in a container: leave it at {json.dumps(defaults[name])}"
    limit = values["stt_server_memory_max"]
    if limit and not _SIZE.fullmatch(limit):
        yield f"stt_server_memory_max is {limit}, and Docker wants a size: 6G for example"
    chat = values["stt_server_chat_url"]
    if chat and urlsplit(chat).hostname in _ITSELF:
        yield "stt_server_chat_url names the host itself, which here is the container: give the address of the host"
    image = given["stt_compose_image"]
    if image and not _DIGEST.fullmatch(image):
        yield f"stt_compose_image is {image}, without a digest: give it as NAME@sha256:…, so that it stays the same"
    if given["stt_compose_gpu"] not in ("cdi", "nvidia"):
        yield f"stt_compose_gpu is {given['stt_compose_gpu']}: set it to cdi or nvidia"


def files(told: Given, given: Given, lock: str) -> Files:
    """All of them, from what the role stt_server was told, the variables of stt_compose and the lock of Speaches."""
    settings = in_container(settings_of(told["environment"]))
    texts = {
        "speaches.env": environment_file({name: value for name, value in settings.items() if name not in SECRETS}),
        "model_aliases.json": json.dumps(told["aliases"], indent=2) + "\n",
        "anklume.pth": f"import sys; sys.path[:0] = ['{_OURS}/factory', '{_OURS}/packages']\n",
        "requirements.txt": pins(lock, OWN_PACKAGES),
        "versions.json": _json({"packages": _mended(lock), "python": "3.12", "tree": SOURCE_TREE}),
    }
    secrets = {name: settings[name] for name in SECRETS if name in settings}
    return Files(document(told, given, packages_folder(texts["requirements.txt"])), texts, _json(secrets))


def packages_folder(requirements: str) -> str:
    """Where the packages beside the image lie: others beside them, so that there is a way back without an index."""
    return f"packages/{hashlib.sha256(requirements.encode()).hexdigest()[:12]}"


def local_url(values: Given) -> str:
    """The address of the API on the host itself."""
    given = str(values["stt_server_host"])
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(given, given)
    return f"http://{f'[{host}]' if ':' in host else host}:{values['stt_server_port']}/v1"


def _mended(lock: str) -> dict[str, str]:
    known = versions(lock)
    return {name: known[name] for name in sorted(MENDED_PACKAGES)}


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def document(told: Given, given: Given, packages: str) -> Document:
    """What compose.yaml says, with the folder of the packages beside the image."""
    values, device = told["values"], told["device"]
    image = _literal(given["stt_compose_image"] or IMAGES[device])
    user = f"{given['stt_compose_uid']}:{given['stt_compose_gid']}"
    # the home of the image's own user, where Python lies, is open to its group
    groups = {} if given["stt_compose_gid"] == 1000 else {"group_add": ["1000"]}
    service = {
        "image": image,
        "command": ["python", "-m", "anklume_container"],
        "user": user,
        **groups,
        "init": True,
        "restart": "unless-stopped",
        **({} if values["stt_server_enabled"] else {"scale": 0}),
        "ports": [_published(values["stt_server_host"], values["stt_server_port"])],
        "env_file": ["./speaches.env"],
        "volumes": [
            f"./hub:{_HUB}:{'ro,z' if values['stt_server_hub_offline'] else 'z'}",
            f"./factory:{_OURS}/factory:ro,z",
            f"./{packages}:{_OURS}/packages:ro,z",
            f"./versions.json:{_OURS}/versions.json:ro,z",
            f"./secrets.json:{_OURS}/secrets.json:ro,z",
            f"./model_aliases.json:{_HOME}/model_aliases.json:ro,z",
            f"./anklume.pth:{_PTH}:ro,z",
            "uploads:/var/tmp",
        ],
        "tmpfs": ["/tmp"],
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "pids_limit": 512,
        "ulimits": {"nofile": 4096},
        **_memory(values["stt_server_memory_max"]),
        "stop_grace_period": "30s",
        "healthcheck": {
            "test": ["CMD", "python", "-m", "anklume_container", "health"],
            "interval": "10s",
            "timeout": "10s",
            "retries": 3,
            "start_period": "5m",
        },
        "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}},
        **(_gpu(given["stt_compose_gpu"], given["stt_compose_gpu_devices"]) if device == "cuda" else {}),
    }
    return {
        "name": "stt-compose",
        "services": {
            "speaches": service,
            "packages": _packages(image, user, groups, packages, given["stt_compose_index_url"]),
        },
        "volumes": {"uploads": {}},
    }


def _packages(image: str, user: str, groups: Document, folder: str, index_url: str) -> Document:
    """What runs once, to fetch what the image does not have; the image brings uv."""
    index = ["--default-index", _literal(index_url)] if index_url else []
    install = ["uv", "pip", "install", "--no-cache", "--no-deps", "--require-hashes", "--only-binary", ":all:", *index]
    return {
        "image": image,
        "profiles": ["packages"],
        "user": user,
        **groups,
        "command": [*install, "--target", f"{_OURS}/packages", "-r", f"{_OURS}/requirements.txt"],
        "volumes": [
            f"./{folder}:{_OURS}/packages:z",
            f"./requirements.txt:{_OURS}/requirements.txt:ro,z",
        ],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }


def _published(host: str, port: int) -> Document:
    return {"target": port, "published": str(port), "host_ip": host, "protocol": "tcp"}


def _memory(limit: str) -> Document:
    match = _SIZE.fullmatch(limit)
    return {"mem_limit": f"{match[1]}{match[2].lower() or 'b'}"} if match else {}


def _gpu(how: str, devices: list[str]) -> Document:
    if how == "cdi":
        wanted: Document = {
            "driver": "cdi",
            "device_ids": [f"nvidia.com/gpu={_literal(each)}" for each in devices or ["all"]],
        }
    else:
        chosen = {"device_ids": [_literal(each) for each in devices]} if devices else {"count": "all"}
        wanted = {"driver": "nvidia", **chosen}
    return {"deploy": {"resources": {"reservations": {"devices": [{**wanted, "capabilities": ["gpu"]}]}}}}


def _literal(text: Any) -> str:
    """A text that Compose takes as it is: it would put variables in."""
    return str(text).replace("$", "$$")
