# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which archive a version of Ollama is, and where Ollama listens."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.anklume.stt.plugins.filter.ollama_release import FilterModule

ollama_address = FilterModule().filters()["ollama_address"]
ollama_archive = FilterModule().filters()["ollama_archive"]


def test_a_version_with_a_known_digest() -> None:
    archive = ollama_archive("0.32.7", "x86_64")
    folder = "https://github.com/ollama/ollama/releases/download/v0.32.7"
    assert archive["url"] == f"{folder}/ollama-linux-amd64.tar.zst"
    assert archive["checksum"] == f"sha256:{archive['sha256']}"
    assert archive["lock"] == f"0.32.7 {archive['sha256']}"
    assert (archive["local"], archive["name"], archive["mib"]) == (False, "ollama-linux-amd64.tar.zst", 5200)
    assert ollama_archive("0.32.7", "aarch64")["sha256"] not in ("", archive["sha256"])


def test_a_version_without_one_is_taken_as_published() -> None:
    archive = ollama_archive("0.13.5", "aarch64", "https://mirror.example.org/ollama/")
    assert archive["url"] == "https://mirror.example.org/ollama/v0.13.5/ollama-linux-arm64.tgz"
    assert archive["checksum"] == "sha256:https://mirror.example.org/ollama/v0.13.5/sha256sum.txt"
    assert archive["lock"] == "0.13.5 as published"


def test_a_digest_that_is_given_wins() -> None:
    assert ollama_archive("0.32.7", "x86_64", "", "abc")["lock"] == "0.32.7 abc"


def test_a_local_archive(tmp_path: Path) -> None:
    file = tmp_path / "ollama.tar.zst"
    file.write_bytes(bytes(3 * 2**20))
    archive = ollama_archive("0.32.9", "x86_64", str(file))
    assert (archive["local"], archive["name"], archive["mib"]) == (True, "ollama.tar.zst", 76)
    assert ollama_archive("0.32.9", "x86_64", "/nowhere")["mib"] == 5200


def test_a_version_that_is_none_is_told() -> None:
    with pytest.raises(AnsibleFilterError, match="not a version of Ollama"):
        ollama_archive("latest", "x86_64")


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        ("0.0.0.0:11434", 11434, "http://127.0.0.1:11434"),
        ("127.0.0.1", 11434, "http://127.0.0.1:11434"),
        (":8080", 8080, "http://127.0.0.1:8080"),
        ("http://10.0.0.2:9", 9, "http://10.0.0.2:9"),
        ("[::]:9", 9, "http://127.0.0.1:9"),
        ("", 11434, "http://127.0.0.1:11434"),
    ],
)
def test_where_it_listens(host: str, port: int, url: str) -> None:
    assert ollama_address(host) == {"port": port, "url": url}


def test_an_address_that_is_none_is_told() -> None:
    with pytest.raises(AnsibleFilterError, match="is no address"):
        ollama_address("0.0.0.0:many")
