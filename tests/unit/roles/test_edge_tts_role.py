# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role edge_tts: its voices, its locks, and what it shares with the STT server."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.anklume.stt.plugins.module_utils._services.edge_tts import FORM, known_voices, usual_voice

ROOT = Path(__file__).resolve().parents[3]
FILES = ROOT / "roles/edge_tts/files"
SHARED = {
    "errors.py": "server/anklume_stt_server",
    "keys.py": "server/anklume_stt_server",
    "guards.py": "server/anklume_stt_server",
    "connections.py": "server/anklume_stt_server",
    "addresses.py": "server/anklume_stt_server",
    "speech_text.py": "speaches",
}


@pytest.mark.parametrize(
    ("voice", "language", "found"),
    [
        ("", "pl", "pl-PL-ZofiaNeural"),
        ("", "en", "en-US-EmmaMultilingualNeural"),
        ("", "en-GB", "en-GB-SoniaNeural"),
        ("", "pt_br", "pt-BR-FranciscaNeural"),
        ("", "xx", ""),
        ("", "p", ""),
        ("", "", ""),
        ("pl-PL-MarekNeural", "en", "pl-PL-MarekNeural"),
        ("zh-CN-liaoning-XiaobeiNeural", "en", "zh-CN-liaoning-XiaobeiNeural"),  # not in the list
        ("gosia", "pl", ""),
        ("pl-PL-ZofiaNeural\nEDGE_TTS_HOST=::", "pl", ""),
    ],
)
def test_the_voice_is_the_given_one_or_the_first_of_the_language(voice: str, language: str, found: str) -> None:
    assert usual_voice(voice, language) == found


def test_the_known_voices_are_names_of_voices() -> None:
    voices = known_voices()
    assert {"pl-PL-ZofiaNeural", "pl-PL-MarekNeural"} <= set(voices)
    assert [voice for voice in voices if not FORM.fullmatch(voice)] == []
    assert f" {len(voices)} voices that the role brings" in (ROOT / "docs/how-to/edge-tts.md").read_text()
    source = (FILES / "anklume_edge_tts/voices.py").read_text()
    assert f'FORM = re.compile(r"{FORM.pattern}")' in source, "the service takes other names than the role"


def test_what_is_shared_with_the_stt_server_is_one_file() -> None:
    package = FILES / "anklume_edge_tts"
    links = {path.name: path for path in package.iterdir() if path.is_symlink()}
    assert set(links) == set(SHARED)
    for name, path in links.items():
        assert path.resolve().parent == ROOT / "roles/stt_server/files" / SHARED[name]
        assert path.is_file()


def test_openais_names_of_voices_are_the_same_in_both_servers() -> None:
    both = [FILES / "anklume_edge_tts/voices.py", ROOT / "roles/stt_server/files/speaches/anklume_speech.py"]
    one, other = (re.search(r"^OPENAI_VOICES = \(\n.*?^\)", path.read_text(), re.M | re.S) for path in both)
    assert one and other and one[0] == other[0]


def test_there_is_a_lock_of_the_wanted_version_for_each_python() -> None:
    wanted = re.search(r"^edge-tts==\S+", (FILES / "requirements.in").read_text(), re.M)
    assert wanted
    variables = yaml.safe_load((ROOT / "roles/edge_tts/vars/main.yml").read_text())
    pythons = {version.replace(".", "") for version in variables["__edge_tts_python_versions"]}
    locks = {path.stem.removeprefix("requirements-py"): path.read_text() for path in FILES.glob("requirements-py*.txt")}
    assert set(locks) == pythons
    assert all(f"\n{wanted[0]} \\\n" in lock for lock in locks.values())


def test_the_release_changes_with_each_file_of_the_package() -> None:
    patterns = ("*.py", "*.json")
    held = {path.name for path in (FILES / "anklume_edge_tts").iterdir() if path.is_file()}
    assert held == {path.name for pattern in patterns for path in (FILES / "anklume_edge_tts").glob(pattern)}
    lock = (ROOT / "roles/edge_tts/vars/main.yml").read_text()
    assert all(f"'anklume_edge_tts/{pattern}'" in lock for pattern in patterns)


def test_what_its_modules_import_of_the_package_is_there() -> None:
    """Some are links to modules of the STT server, which may come to need more."""
    package = FILES / "anklume_edge_tts"
    for path in package.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                names = [node.module] if node.module else [name.name for name in node.names]
                assert [name for name in names if not (package / f"{name}.py").exists()] == [], path
