# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ollama's HTTP API, and what has to be pulled or deleted so that the models are those asked for."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._base.http import Answer, HttpError, Server, json_object

Progress = Callable[[str, int, int], None]
"""Takes a layer's name, the bytes that have come and the bytes that it has."""

_SILENCE_SECONDS = 1800.0
"""How long a pull may say nothing: it says nothing while it checks a large layer's digest."""


# --- what is asked for, and what is to be done ---------------------------------------------------


@dataclass(frozen=True)
class Wish:
    """A model that is to be there; `digest` is how its digest has to begin, if that matters."""

    name: str
    digest: str = ""

    def met_by(self, models: Mapping[str, str]) -> bool:
        """Whether it is among the models that are there."""
        return self.name in models and models[self.name].startswith(self.digest)


def wish(text: str) -> Wish:
    """`llama3.2`, `llama3.2:1b` or, to insist on one build of it, `llama3.2:1b@a80c4f17acd5`."""
    name, dummy, digest = text.strip().partition("@")
    digest = digest.removeprefix("sha256:").lower()
    if not re.fullmatch(r"[\w.-]+(?::\d+)?(?:/[\w.-]+)*(?::[\w.-]+)?", name):
        raise ServiceError(f"{text!r} is not a name of a model: write it as llama3.2 or llama3.2:1b")
    if "@" in text and not re.fullmatch(r"[0-9a-f]{12,64}", digest):
        raise ServiceError(f"{text!r}: the digest after @ has 12 to 64 hexadecimal digits, as `ollama list` shows it")
    return Wish(name if ":" in name.rpartition("/")[2] else f"{name}:latest", digest)


@dataclass(frozen=True)
class Work:
    """What has to be done: models to pull and models to delete."""

    pull: tuple[Wish, ...]
    delete: tuple[str, ...]


def work(wishes: Iterable[Wish], models: Mapping[str, str], *, update: bool, prune: bool) -> Work:
    """Compare the models asked for with those that are there (name → digest)."""
    wanted = tuple(wishes)
    names = {one.name for one in wanted}
    return Work(
        pull=tuple(one for one in wanted if not one.met_by(models) or (update and not one.digest)),
        delete=tuple(sorted(name for name in models if name not in names)) if prune else (),
    )


# --- the API -------------------------------------------------------------------------------------


class Ollama:
    """A running Ollama."""

    def __init__(self, url: str, timeout: float = 30) -> None:
        """`timeout` is for each answer, in seconds; a pull has a longer one."""
        # never by way of a proxy: it is this machine, or one beside it
        self._server = Server(url, timeout=timeout, proxies=False)

    def version(self) -> str:
        """Its version."""
        return str(self._json("GET", "/api/version").get("version", ""))

    def wait(self, seconds: float) -> str:
        """Its version, as soon as it answers."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.version()
            except ServiceError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(0.25)

    def models(self) -> dict[str, str]:
        """The models that are there: name → digest."""
        return {model["name"]: model["digest"] for model in self._json("GET", "/api/tags").get("models") or []}

    def delete(self, name: str) -> None:
        """Delete a model."""
        self._json("DELETE", "/api/delete", {"model": name})

    def pull(self, one: Wish, progress: Progress) -> None:
        """Fetch a model; what an earlier, interrupted pull brought is not fetched again."""
        status = ""
        try:
            with self._open("POST", "/api/pull", {"model": one.name, "stream": True}, _SILENCE_SECONDS) as answer:
                for line in answer.lines():
                    step = json_object(line.decode(errors="replace"), one.name)
                    if "error" in step:
                        raise ServiceError(f"{one.name} cannot be pulled: {step['error']}")
                    status = step.get("status", "")
                    if step.get("total"):
                        progress(f"{one.name} {status}", step.get("completed", 0), step["total"])
        except HttpError as error:
            raise ServiceError(f"{one.name}: the pull broke off: {error.reason}; the next run continues it") from error
        if status != "success":
            raise ServiceError(f"{one.name}: the pull broke off after {status!r}; the next run continues it")

    def _json(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        with self._open(method, path, body) as answer:
            return answer.json() if answer.body.strip() else {}

    def _open(self, method: str, path: str, body: object, timeout: float | None = None) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        try:
            answer = self._server.open(method, path, body=data, headers=headers, timeout=timeout)
        except HttpError as error:
            raise ServiceError(
                f"Ollama does not answer at {self._server.address}: {error.reason}; journalctl -u ollama says why"
            ) from error
        if answer.status < 300:
            return answer
        with answer:
            raise ServiceError(f"{answer.url}: HTTP {answer.status}: {answer.detail}")
