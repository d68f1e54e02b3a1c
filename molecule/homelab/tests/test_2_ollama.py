# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases that are not what they should be leave the old version serving; models come and go only when asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, started
from suite import ROOT, long

sys.path.insert(0, str(ROOT / "tests/stand_ins"))
from pack_ollama import pack

Play = Callable[..., Run]


@pytest.fixture
def serving(ai: Any) -> Iterator[None]:
    """0.32.7 serves before, and after, without having been restarted, and nothing is left behind."""
    before = started(ai, "ollama")
    yield
    answer = json.loads(ai.check_output("curl -sS http://127.0.0.1:11434/api/version"))
    assert answer == {"version": "0.32.7"}
    assert started(ai, "ollama") == before
    assert ai.check_output("readlink /opt/ollama/current") == "0.32.7"
    assert set(ai.check_output("find /opt/ollama -mindepth 1 -maxdepth 1 -printf '%f\\n'").split()) <= {
        "0.32.7",
        "current",
    }


@pytest.mark.usefixtures("serving")
class TestWhatCannotBeInstalled:
    def test_a_wrong_digest(self, play: Play, tmp_path: Path) -> None:
        archive = tmp_path / "ollama.tgz"
        pack(archive, "0.33.0")
        run = play("ollama", ollama_version="0.33.0", ollama_source=str(archive), ollama_sha256="0" * 64)
        assert run.status != 0
        assert "SHA-256 digest is not 000" in run.said
        assert "0.32.7 serves on" in run.said

    def test_a_truncated_archive(self, play: Play, tmp_path: Path) -> None:
        archive = tmp_path / "ollama.tgz"
        pack(archive, "0.33.0", padding_mib=1)
        archive.write_bytes(archive.read_bytes()[:-2000])
        run = play("ollama", ollama_version="0.33.0", ollama_source=str(archive), ollama_sha256="")
        assert run.status != 0
        assert "cannot be unpacked" in run.said

    @long
    def test_another_version_than_asked_for(self, play: Play, tmp_path: Path) -> None:
        archive = tmp_path / "ollama.tgz"
        digest = pack(archive, "0.31.0")
        run = play("ollama", ollama_version="0.33.0", ollama_source=str(archive), ollama_sha256=digest)
        assert run.status != 0
        assert "it holds version 0.31.0 and not 0.33.0" in run.said

    @long
    def test_a_disk_that_is_known_to_be_too_small(self, play: Play, ai: Any, tmp_path: Path) -> None:
        archive = tmp_path / "ollama.tgz"
        digest = pack(archive, "0.33.0")
        ai.check_output("mkdir /opt/ollama/0.33.0 && mount -t tmpfs -o size=10m tmpfs /opt/ollama/0.33.0")
        try:
            run = play("ollama", ollama_version="0.33.0", ollama_source=str(archive), ollama_sha256=digest)
        finally:
            ai.check_output("umount /opt/ollama/0.33.0 && rmdir /opt/ollama/0.33.0")
        assert run.status != 0
        assert "10 MiB are free under /opt and Ollama 0.33.0 needs 64" in run.said

    def test_a_disk_that_fills_up(self, play: Play, ai: Any, tmp_path: Path) -> None:
        archive = tmp_path / "ollama.tgz"
        digest = pack(archive, "0.33.0", padding_mib=300)
        ai.check_output("cp -a /opt/ollama /opt/ollama.kept && mount -t tmpfs -o size=100m tmpfs /opt/ollama")
        try:
            ai.check_output("cp -a /opt/ollama.kept/. /opt/ollama/")
            run = play("ollama", ollama_version="0.33.0", ollama_source=str(archive), ollama_sha256=digest)
            left = ai.check_output("ls /opt/ollama").split()
        finally:
            ai.check_output("umount /opt/ollama && rm -rf /opt/ollama.kept")
        assert run.status != 0
        assert "No space left on device" in run.said
        assert sorted(left) == ["0.32.7", "current"]


def test_an_upgrade_that_does_not_serve_goes_back(play: Play, ai: Any, tmp_path: Path) -> None:
    archive = tmp_path / "ollama.tgz"
    digest = pack(archive, "0.33.1", starts=False)
    settings = ai.check_output("cat /etc/ollama/ollama.env")
    run = play(
        "ollama",
        ollama_version="0.33.1",
        ollama_source=str(archive),
        ollama_sha256=digest,
        ollama_keep_alive="1h",
        __ollama_server_patience=5,
    )
    assert run.status != 0
    assert "Ollama 0.33.1 does not answer" in run.said
    assert "so 0.32.7 serves again" in run.said
    assert json.loads(ai.check_output("curl -sS --retry 5 --retry-connrefused http://127.0.0.1:11434/api/version")) == {
        "version": "0.32.7"
    }
    assert ai.check_output("cat /etc/ollama/ollama.env") == settings


@long
def test_an_upgrade_and_the_way_back(play: Play, ai: Any, tmp_path: Path) -> None:
    archive = tmp_path / "ollama.tgz"
    digest = pack(archive, "0.33.0")
    run = play("ollama", ollama_version="0.33.0", ollama_source=str(archive), ollama_sha256=digest)
    assert run.status == 0, run.why
    assert "0.33.0" in ai.check_output("curl -sS http://127.0.0.1:11434/api/version")
    assert "stand-in:1b" in ai.check_output("curl -sS http://127.0.0.1:11434/api/tags")
    assert play("ollama").status == 0
    assert "0.32.7" in ai.check_output("curl -sS http://127.0.0.1:11434/api/version")


def test_models_come_once_and_go_only_when_asked(play: Play, ai: Any) -> None:
    def names() -> list[str]:
        models = json.loads(ai.check_output("curl -sS http://127.0.0.1:11434/api/tags"))["models"]
        return sorted(model["name"] for model in models)

    assert play("ollama", ollama_extra_models=["stand-in-embed"]).status == 0
    assert names() == ["stand-in-embed:latest", "stand-in:1b"]
    run = play("ollama")
    assert run.changed("homelab-ai") == 0
    assert names() == ["stand-in-embed:latest", "stand-in:1b"]
    assert play("ollama", ollama_models_prune=True).changed("homelab-ai") == 1
    assert names() == ["stand-in:1b"]
