# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for a model hub: its real file protocol over HTTP on loopback, with faults that a test asks for.

It answers ``/api/models/{id}/revision/{rev}`` (with sizes and digests when asked for blobs), ``…/tree/{rev}`` and
``/{id}/resolve/{rev}/{file}``: small files directly, large ones by a redirect to a CDN under another
host name, with Range, ETag, X-Linked-Etag and X-Repo-Commit. The official client downloads from it,
which a test proves.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LARGE = 16 * 1024


@dataclass
class Repo:
    """A model on the hub: one commit, its files, and who may have it."""

    files: dict[str, bytes]
    private: bool = False
    gated: bool = False
    renamed_to: str = ""

    @property
    def sha(self) -> str:
        digest = hashlib.sha1(usedforsecurity=False)
        for name, content in sorted(self.files.items()):
            digest.update(f"{name}\0".encode() + content)
        return digest.hexdigest()


@dataclass
class Faults:
    """What is to go wrong: lists are used up, one entry per answer."""

    cut_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    served_instead: dict[str, bytes] = field(default_factory=dict)
    listed_size: dict[str, int] = field(default_factory=dict)
    bytes_per_second: int = 0
    no_blobs: bool = False
    no_ranges: bool = False
    downgrade_to: str = ""


class HubStandIn:
    """``with HubStandIn({"org/name": Repo(...)}) as hub``: answers on ``hub.endpoint``."""

    def __init__(self, repos: dict[str, Repo], token: str = "") -> None:
        self.repos = repos
        self.token = token
        self.faults = Faults()
        self.requests: list[str] = []
        self.leaks: list[str] = []
        self.sent = 0
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_args: Any) -> None:
                """Say nothing on stderr."""

            def do_GET(self) -> None:
                stand_in.answer(self)

            def do_HEAD(self) -> None:
                stand_in.answer(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_args: Any) -> None:
                """Say nothing of a client that went away: tests make it do so."""

        self.http = Server(("127.0.0.1", 0), Handler)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}"

    @property
    def cdn(self) -> str:
        return f"http://localhost:{self.http.server_port}/cdn"

    def __enter__(self) -> HubStandIn:
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.http.shutdown()
        self.http.server_close()

    def count(self, part: str) -> int:
        return sum(part in request for request in self.requests)

    # --- routes

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urllib.parse.urlsplit(handler.path)
        asked = urllib.parse.parse_qs(parts.query)
        self.requests.append(f"{handler.command} {handler.path} {handler.headers.get('Range', '')}".strip())
        if self.faults.statuses and (status := self.faults.statuses.pop(0)) != 200:
            self.error(handler, status, "", "come back later")
        elif found := re.fullmatch(r"/cdn/([^/]+/[^/]+)/(.+)", parts.path):
            if handler.headers.get("Authorization"):
                self.leaks.append(handler.path)
            self.send(handler, found[2], self.content(self.repos[found[1]], found[2]), {})
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/([^/]+)", parts.path):
            if repo := self.allowed(handler, *found.groups()):
                body = json.dumps(self.listing(found[1], repo, "blobs" in asked and not self.faults.no_blobs)).encode()
                self.send(handler, "", body, {"Content-Type": "application/json"})
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", parts.path):
            if repo := self.allowed(handler, *found.groups()):
                self.send(handler, "", json.dumps(self.tree(repo)).encode(), {"Content-Type": "application/json"})
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", parts.path):
            if repo := self.allowed(handler, found[1], found[2]):
                self.resolve(handler, found[1], repo, found[3])
        else:
            self.error(handler, 404, "", "Sorry, we can't find the page you are looking for.")

    def allowed(self, handler: BaseHTTPRequestHandler, name: str, revision: str) -> Repo | None:
        given = handler.headers.get("Authorization", "").removeprefix("Bearer ")
        repo = self.repos.get(name)
        if given and given != self.token:
            self.error(handler, 401, "", "Invalid credentials in Authorization header")
        elif repo is None or (repo.private and not given):
            # as the real one: whether it is missing or private is told to nobody who has no token
            self.error(handler, 404 if given else 401, "RepoNotFound", "Repository not found")
        elif repo.gated:
            self.error(handler, 403, "GatedRepo", f"Access to model {name} is restricted")
        elif repo.renamed_to:
            handler.send_response(307)
            handler.send_header("Location", urllib.parse.unquote(handler.path).replace(name, repo.renamed_to, 1))
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        elif revision not in ("main", repo.sha):
            self.error(handler, 404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            return repo
        return None

    def listing(self, name: str, repo: Repo, blobs: bool) -> dict[str, Any]:
        siblings: list[dict[str, Any]] = []
        for file, content in sorted(repo.files.items()):
            entry: dict[str, Any] = {"rfilename": file}
            if blobs:
                size = self.faults.listed_size.get(file, len(content))
                entry |= {"size": size, "blobId": git_sha1(content)}
                if len(content) >= LARGE:
                    entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": size, "pointerSize": 134}
            siblings.append(entry)
        return {
            "id": name,
            "modelId": name,
            "sha": repo.sha,
            "private": repo.private,
            "gated": False,
            "siblings": siblings,
        }

    def tree(self, repo: Repo) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        for file, content in sorted(repo.files.items()):
            entry: dict[str, Any] = {"type": "file", "path": file, "size": len(content), "oid": git_sha1(content)}
            if len(content) >= LARGE:
                entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
            entries.append(entry)
        return entries

    def resolve(self, handler: BaseHTTPRequestHandler, name: str, repo: Repo, file: str) -> None:
        if file not in repo.files:
            self.error(handler, 404, "EntryNotFound", f"Entry not found: {file}")
            return
        content = repo.files[file]
        if len(content) < LARGE:
            headers = {"ETag": f'"{git_sha1(content)}"', "X-Repo-Commit": repo.sha, "Content-Type": "text/plain"}
            self.send(handler, file, self.content(repo, file), headers)
            return
        handler.send_response(302)
        handler.send_header("Location", f"{self.faults.downgrade_to or self.cdn}/{name}/{file}")
        handler.send_header("X-Repo-Commit", repo.sha)
        handler.send_header("X-Linked-Etag", f'"{hashlib.sha256(content).hexdigest()}"')
        handler.send_header("X-Linked-Size", str(len(content)))
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def content(self, repo: Repo, file: str) -> bytes:
        return self.faults.served_instead.get(file, repo.files[file])

    # --- answers

    def send(self, handler: BaseHTTPRequestHandler, name: str, content: bytes, headers: dict[str, str]) -> None:
        start = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if name and wanted and not self.faults.no_ranges:
            start = int(wanted[1])
            if start >= len(content):
                self.error(handler, 416, "", "Requested Range Not Satisfiable")
                return
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            handler.send_response(200)
        for key, value in {"Accept-Ranges": "bytes", **headers}.items():
            handler.send_header(key, value)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        if handler.command == "HEAD":
            return
        body = content[start:]
        if name.endswith((".bin", ".zip")) and self.faults.cut_after:
            body = body[: self.faults.cut_after.pop(0)]
            handler.close_connection = True
        try:
            self.trickle(handler, body, slowly=name.endswith((".bin", ".zip")))
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True

    def trickle(self, handler: BaseHTTPRequestHandler, body: bytes, *, slowly: bool) -> None:
        rate = self.faults.bytes_per_second if slowly else 0
        step = max(rate // 50, 1) if rate else max(len(body), 1)
        for at in range(0, len(body), step):
            handler.wfile.write(body[at : at + step])
            self.sent += len(body[at : at + step])
            if rate:
                time.sleep(0.02)

    def error(self, handler: BaseHTTPRequestHandler, status: int, code: str, message: str) -> None:
        body = json.dumps({"error": message}).encode()
        handler.send_response(status)
        if code:
            handler.send_header("X-Error-Code", code)
        handler.send_header("X-Error-Message", message)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)


def git_sha1(content: bytes) -> str:
    """The id that git gives a blob."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
