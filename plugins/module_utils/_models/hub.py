# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model hub, or a publisher's folder of archives: what a model consists of, and its files, resumed and verified."""

from __future__ import annotations

import hashlib
import re
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._base.files import sync_path
from ansible_collections.anklume.stt.plugins.module_utils._base.http import Answer, HttpError, Server
from ansible_collections.anklume.stt.plugins.module_utils._models.kinds import Kind, kind_of

PAUSE = 1.0
"""Seconds before the first further attempt after a passing failure; they double."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_CHUNK = 1024 * 1024
_GIVE_UP_AFTER = 5
_Read = TypeVar("_Read")

Progress = Callable[[str, int, int], None]
"""Called with a file's name, the bytes that are there and the bytes that it has in the end."""


def is_commit(revision: str) -> bool:
    """Whether a revision names one commit, and so can never mean something else later."""
    return _COMMIT.fullmatch(revision) is not None


def human_bytes(count: float) -> str:
    """A number of bytes for people: 1.5 GiB."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


@dataclass(frozen=True)
class RemoteFile:
    """A file of a model with the publisher's own digest: sha256, git's sha1 for small files, or none that is known."""

    name: str
    size: int
    digest: str

    def matches(self, path: Path) -> bool:
        """Whether a local file has this size and this digest."""
        if path.stat().st_size != self.size:
            return False
        if not self.digest:
            return True
        if len(self.digest) == 64:
            digest = hashlib.sha256()
        else:
            digest = hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest() == self.digest


@dataclass(frozen=True)
class Listing:
    """One commit of a model on the hub, reduced to the files that are wanted."""

    model: str
    revision: str
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


def parse_listing(model: str, document: Mapping[str, Any], where: str, kind: Kind | None = None) -> Listing:
    """The hub's description of a commit, asked for with its blobs → a listing whose files can all be verified."""
    revision = document.get("sha")
    if not isinstance(revision, str) or not is_commit(revision):
        raise ServiceError(f"{where}: the answer names no commit: is this a model hub")
    kind, files = kind or kind_of(model), []
    for entry in document.get("siblings") or []:
        name = entry.get("rfilename")
        if not isinstance(name, str) or not kind.wants(name):
            continue
        large = entry.get("lfs") or {}
        size = large.get("size", entry.get("size"))
        digest = large.get("sha256") or large.get("oid") or entry.get("blobId")
        if (
            not isinstance(size, int)
            or not isinstance(digest, str)
            or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", digest)
        ):
            raise ServiceError(
                f"{where}: no size or digest of {name}, so it could not be verified: use the hub itself, or an archive"
                " whose sha256 you know"
            )
        files.append(RemoteFile(name, size, digest))
    if missing := kind.missing(file.name for file in files):
        raise ServiceError(
            f"{where}: {model} has no {', '.join(missing)}: it is not {kind.what}, and no server of ours could load it"
        )
    return Listing(model, revision, tuple(files))


class Hub:
    """A model hub or its mirror, by its endpoint."""

    def __init__(self, endpoint: str, *, token: str = "", timeout: float = 30.0, ca_path: str = "") -> None:
        self.endpoint = endpoint.rstrip("/")
        if urllib.parse.urlsplit(self.endpoint).scheme not in ("http", "https"):
            raise ServiceError(f"{endpoint!r} is not the address of a model hub: it begins with https://")
        self.resumed = 0
        self.received = 0
        self._token = token
        self._server = Server(self.endpoint, timeout=timeout, ca_path=ca_path)

    def listing(self, model: str, revision: str, kind: Kind | None = None) -> Listing:
        """What the model consists of at a commit, branch or tag."""
        path = f"/api/models/{model}/revision/{urllib.parse.quote(revision, safe='')}?blobs=true"
        return self._patiently(path, lambda answer: parse_listing(model, answer.json(), answer.url, kind))

    def archive(self, name: str, sha256: str) -> RemoteFile:
        """An archive that lies in a publisher's folder, without its content."""

        def described(answer: Answer) -> RemoteFile:
            size = answer.headers.get("Content-Length", "")
            if not size.isdigit():
                raise ServiceError(f"{answer.url}: the server does not say how long it is: fetch it by other means")
            return RemoteFile(name, int(size), sha256)

        return self._patiently(f"/{name}", described)

    def _patiently(self, path: str, read: Callable[[Answer], _Read]) -> _Read:
        """What is read of an answer, which is asked for again after a passing failure."""
        attempt = 0
        while True:
            try:
                with self._open(path) as answer:
                    return read(answer)
            except HttpError as exc:
                attempt += 1
                if not exc.passing or attempt == _GIVE_UP_AFTER:
                    raise
            time.sleep(PAUSE * 2 ** (attempt - 1))

    def download(self, listing: Listing, file: RemoteFile, target: Path, progress: Progress) -> None:
        """Bring one file of a listing to ``target``."""
        self.fetch(f"/{listing.model}/resolve/{listing.revision}/{file.name}", file, target, progress)

    def fetch(self, path: str, file: RemoteFile, target: Path, progress: Progress) -> None:
        """Bring a file to ``target``, which appears only when it is whole and its digest is right.

        What arrived before an interruption lies in ``target.part`` and is gone on from, in this run or a later one.
        """
        part = target.with_name(f"{target.name}.part")
        resumed = self._receive(path, file, part, progress)
        if resumed and not file.matches(part):
            part.unlink()  # what an earlier run left may be another content: once from the start
            self._receive(path, file, part, progress)
        if not file.matches(part):
            part.unlink()
            raise ServiceError(
                f"{self.endpoint}{path}: wrong digest: what arrived is not what it should be ({file.digest}):"
                " nothing was kept"
            )
        sync_path(part)
        part.replace(target)

    def _receive(self, path: str, file: RemoteFile, part: Path, progress: Progress) -> bool:
        """Fill ``part`` over as many connections as it takes; tell whether an earlier run had begun it."""
        part.touch()
        if part.stat().st_size > file.size:
            part.unlink()
            part.touch()
        begun = part.stat().st_size
        self.resumed += begun
        fruitless = 0
        while (have := part.stat().st_size) < file.size:
            reason = "the connection was cut off"
            try:
                self._append(path, file, part, progress)
            except HttpError as exc:
                if not exc.passing:
                    raise
                reason = exc.reason
            now = part.stat().st_size
            self.received += max(now - have, 0)
            if now >= file.size:
                break
            fruitless = 0 if now - have >= _CHUNK else fruitless + 1
            if fruitless == _GIVE_UP_AFTER:
                raise ServiceError(
                    f"{self.endpoint}{path}: {reason} at {human_bytes(now)} of {human_bytes(file.size)}:"
                    " run again to go on from there"
                )
            time.sleep(PAUSE * 2 ** max(fruitless - 1, 0))
        return begun > 0

    def _append(self, path: str, file: RemoteFile, part: Path, progress: Progress) -> None:
        have = part.stat().st_size
        with self._open(path, {"Range": f"bytes={have}-"} if have else {}) as answer:
            goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            if have and not goes_on:
                have = 0
            with part.open("ab" if have else "wb") as out:
                while have < file.size and (chunk := answer.piece(min(_CHUNK, file.size - have))):
                    out.write(chunk)
                    have += len(chunk)
                    progress(file.name, have, file.size)

    def _open(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        authorization = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        answer = self._server.open("GET", path, headers={**authorization, **(headers or {})})
        if answer.status < 300:
            return answer
        with answer:
            if answer.status in (408, 429, 500, 502, 503, 504):
                raise HttpError(answer.url, f"HTTP {answer.status} {answer.reason}")
            raise ServiceError(f"{answer.url}: {self._why_refused(answer)}")

    def _why_refused(self, answer: Answer) -> str:
        code = answer.headers.get("X-Error-Code", "")
        said = f"HTTP {answer.status}"
        if code == "GatedRepo":
            return (
                f"{said}: the publisher asks for consent: accept the terms on the hub's page, give that account's token"
            )
        if code == "RevisionNotFound":
            return f"{said}: the model has no such revision"
        if code == "RepoNotFound" or (answer.status == 401 and not self._token):
            token = "another token" if self._token else "a token"
            return f"{said}: the hub has no such model, or it is private and wants {token}"
        if answer.status in (401, 403):
            return f"{said}: the hub refuses the token"
        if answer.status == 404:
            return f"{said}: not there: is the model's name right, and is {self.endpoint} a model hub"
        return f"{said} {answer.reason}"
