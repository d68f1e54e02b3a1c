# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module source_tree against real git: archives of every kind, clones, and what is not the asked version."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_collections.anklume.stt.plugins.modules import source_tree
from module_runner import run_module


def git(folder: Path, *arguments: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Names whose order differs between git and plain sorting, an executable, a link, an empty file."""
    folder = tmp_path / "repository"
    for name in ("a/b", "a.txt", "a-b/c", "é/ü", "z"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o755)
    (folder / "link").symlink_to("a/b")
    (folder / "empty").touch()
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "one")
    return folder


@pytest.fixture
def tree(repository: Path) -> str:
    return git(repository, "rev-parse", "HEAD^{tree}")


@pytest.mark.parametrize("options", [["--format=tar"], ["--format=tar.gz"], ["--format=tar.gz", "--prefix=program-1/"]])
def test_an_archive_however_it_was_packed(repository: Path, tree: str, tmp_path: Path, options: list[str]) -> None:
    git(repository, "archive", *options, "-o", str(tmp_path / "archive"), "HEAD")
    call = partial(run_module, source_tree, source=str(tmp_path / "archive"), dest=str(tmp_path / "dest"), tree=tree)
    assert call(check=True)["changed"]
    assert not (tmp_path / "dest").exists()
    assert call()["changed"]
    assert (tmp_path / "dest/a/b").read_text() == "a/b"
    assert not call()["changed"]
    (tmp_path / "dest/z").write_text("changed by hand")
    assert call()["changed"]
    assert (tmp_path / "dest/z").read_text() == "z"


def test_a_git_repository(repository: Path, tree: str, tmp_path: Path) -> None:
    address = f"file://{repository}/.git"
    commit = git(repository, "rev-parse", "HEAD")
    assert run_module(source_tree, source=address, dest=str(tmp_path / "dest"), tree=tree, commit=commit)["changed"]
    assert not (tmp_path / "dest/.git").exists()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_mirror(repository: Path, tree: str, tmp_path: Path, server: str) -> None:
    git(repository, "archive", "-o", str(tmp_path / "archive.tar.gz"), "HEAD")
    call = partial(run_module, source_tree, dest=str(tmp_path / "dest"), tree=tree)
    assert "404" in call(source=f"{server}/other.tar.gz")["msg"]
    assert call(source=f"{server}/archive.tar.gz")["changed"]


def test_another_version_is_refused_and_leaves_nothing(repository: Path, tree: str, tmp_path: Path) -> None:
    (repository / "z").write_text("two")
    result = run_module(source_tree, source=str(repository), dest=str(tmp_path / "deep/dest"), tree=tree)
    assert tree in result["msg"]
    assert list((tmp_path / "deep").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08 cut off"])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "archive").write_bytes(content)
    result = run_module(source_tree, source=str(tmp_path / "archive"), dest=str(tmp_path / "dest"), tree="0" * 40)
    assert result["failed"]
    assert not (tmp_path / "dest").exists()


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/../../outside"])
def test_an_archive_that_reaches_outside_is_refused(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "archive.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    result = run_module(source_tree, source=str(tmp_path / "archive.tar"), dest=str(tmp_path / "dest"), tree="0" * 40)
    assert "refused" in result["msg"]


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "archive.tar", "w") as archive:
        link = tarfile.TarInfo("way-out")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("way-out/file"), io.BytesIO())
    run_module(source_tree, source=str(tmp_path / "archive.tar"), dest=str(tmp_path / "dest"), tree="0" * 40)
    assert not (tmp_path / "file").exists()
