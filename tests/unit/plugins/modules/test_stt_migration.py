# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module stt_migration: what it writes and shows, what it leaves alone, and Compose where it is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.modules import stt_migration
from module_runner import run_module
from real_compose import COMPOSE

FILE = """\
services:
  stt:
    image: fedirz/faster-whisper-server:latest-cuda
    environment: {API_KEY: hunter2, HF_TOKEN: hf_hunter2, DEFAULT_LANGUAGE: fr}
"""


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A compose file, on a machine without Docker."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    path = tmp_path / "whisper/compose.yaml"
    path.parent.mkdir()
    path.write_text(FILE)
    return path


def run(source: Path, project: Path, **params: Any) -> dict[str, Any]:
    given = {"source": str(source), "project_dir": str(project), "name": "attic", **params}
    result = run_module(stt_migration, **given)
    assert "hunter2" not in str({name: one for name, one in result.items() if name != "invocation"})
    return result


def test_it_writes_once_and_keeps_secrets_apart(old: Path, tmp_path: Path) -> None:
    planned = run(old, tmp_path, check=True)
    assert planned["written"] == ["host_vars/attic.yml", "secrets/attic-speaches-api-key", "secrets/attic-hub-token"]
    assert planned["changed"] and not (tmp_path / "host_vars").exists() and not (tmp_path / "secrets").exists()
    assert (
        'stt_server_language: "fr"' in planned["diff"][0]["after"]
        or "stt_server_language: fr" in planned["diff"][0]["after"]
    )
    assert planned["diff"][1]["after"] == "(secret)\n"
    assert run(old, tmp_path)["written"] == planned["written"]
    assert (tmp_path / "secrets/attic-speaches-api-key").read_text() == "hunter2\n"
    assert (tmp_path / "secrets/attic-hub-token").read_text() == "hf_hunter2\n"
    modes = [oct((tmp_path / name).stat().st_mode & 0o777) for name in ("secrets", "secrets/attic-hub-token")]
    assert modes == ["0o700", "0o600"]
    assert "hunter2" not in (tmp_path / "host_vars/attic.yml").read_text()
    assert run(old, tmp_path)["changed"] is False


def test_what_exists_is_not_overwritten(old: Path, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/attic-speaches-api-key").write_text("another\n")
    said = run(old, tmp_path)["msg"]
    assert said.endswith("attic-speaches-api-key is there and says something else: move it away, or give another NAME")
    assert not (tmp_path / "host_vars").exists()


def test_what_somebody_has_changed_since_can_be_kept(old: Path, tmp_path: Path) -> None:
    assert run(old, tmp_path)["port"] == 8000
    (tmp_path / "host_vars/attic.yml").write_text("stt_server_port: 8005\n")
    (tmp_path / "secrets/attic-hub-token").unlink()
    assert run(old, tmp_path, keep=True)["written"] == ["secrets/attic-hub-token"]
    assert (tmp_path / "host_vars/attic.yml").read_text() == "stt_server_port: 8005\n"


def test_compose_itself_is_asked_where_it_is_there(old: Path, tmp_path: Path) -> None:
    """By the name that people have it under, a plugin of docker."""
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    docker.write_text(f'#!/bin/sh\nshift\nexec {COMPOSE} "$@"\n')
    docker.chmod(0o755)
    (old.parent / "more.yaml").write_text(FILE.replace("fr}", "pl}"))
    old.write_text("include: [more.yaml]\nservices: {}\n")
    assert run(old, tmp_path)["written"][0] == "host_vars/attic.yml"
    assert "stt_server_language: pl" in (tmp_path / "host_vars/attic.yml").read_text().replace('"', "")


def test_without_it_what_only_compose_understands_is_named(old: Path, tmp_path: Path) -> None:
    old.write_text("include: [more.yaml]\nservices: {}\n")
    assert "include, which only Compose itself follows" in run(old, tmp_path)["msg"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nothing.yaml", None, "is not there: give a compose file"),
        ("latin.env", b"API_KEY=\xe9\n", "is no UTF-8 text: save it as UTF-8"),
        ("large.env", b"#" * 1_000_001, "is larger than any compose file"),
    ],
)
def test_what_cannot_be_read_is_said(old: Path, tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    source = tmp_path / name
    if content is not None:
        source.write_bytes(content)
    assert said in run(source, tmp_path)["msg"]


def test_a_name_is_no_path(old: Path, tmp_path: Path) -> None:
    assert "../x is no name of a host" in run(old, tmp_path, name="../x")["msg"]
