# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of what is computed about models: listings, digests, metadata, names; actions are tested with the module."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import yaml
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error, ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._models.cache import (
    Ownership,
    content_revision,
    folder_name,
)
from ansible_collections.anklume.stt.plugins.module_utils._models.hub import (
    RemoteFile,
    human_bytes,
    is_commit,
    parse_listing,
)
from ansible_collections.anklume.stt.plugins.module_utils._models.kinds import (
    KOKORO,
    PIPER,
    WHISPER,
    check_name,
    kind_of,
    voice_of,
    with_metadata,
)
from hypothesis import given, settings
from hypothesis import strategies as st

SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
LISTING: dict[str, Any] = {
    "sha": "a" * 40,
    "siblings": [
        {"rfilename": ".gitattributes", "size": 10, "blobId": "b" * 40},
        {"rfilename": "config.json", "size": 4, "blobId": "c" * 40},
        {
            "rfilename": "model.bin",
            "size": 7,
            "blobId": "d" * 40,
            "lfs": {"sha256": SHA256, "size": 7, "pointerSize": 9},
        },
        {"rfilename": "sub/model.bin", "size": 7, "blobId": "d" * 40},
        {"rfilename": "tokenizer.json", "size": 4, "blobId": "e" * 40},
        {"rfilename": "vocabulary.txt", "size": 4, "blobId": "f" * 40},
    ],
}


def test_a_listing_keeps_what_is_wanted_with_the_publishers_digests() -> None:
    listing = parse_listing("a/b", LISTING, "hub")
    assert listing.revision == "a" * 40 and listing.size == 19
    assert {file.name: file.digest for file in listing.files} == {
        "config.json": "c" * 40,
        "model.bin": SHA256,
        "tokenizer.json": "e" * 40,
        "vocabulary.txt": "f" * 40,
    }


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("sha",), None, "names no commit"),
        (("sha",), "main", "names no commit"),
        (("siblings",), [], "has no config.json, model.bin, tokenizer.json, vocabulary.*"),
        (("siblings", 2, "lfs", "sha256"), "short", "no size or digest of model.bin"),
        (("siblings", 2, "lfs", "size"), "7", "no size or digest of model.bin"),
        (("siblings", 1, "blobId"), None, "no size or digest of config.json"),
        (("siblings", 4, "rfilename"), "other.json", "has no tokenizer.json"),
    ],
)
def test_a_listing_that_cannot_be_verified_is_refused(path: tuple[Any, ...], value: object, words: str) -> None:
    document = copy.deepcopy(LISTING)
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ServiceError, match=words.replace("*", r"\*")):
        parse_listing("a/b", document, "hub")


def test_digests_are_those_of_sha256sum_and_of_git(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content\n")
    sha256 = subprocess.run(["sha256sum", file], capture_output=True, text=True, check=True).stdout.split()[0]
    git = subprocess.run(["git", "hash-object", file], capture_output=True, text=True, check=True).stdout.strip()
    for digest in (sha256, git):
        assert RemoteFile("file", 8, digest).matches(file)
        assert not RemoteFile("file", 7, digest).matches(file)
        assert not RemoteFile("file", 8, digest[::-1]).matches(file)


@pytest.mark.parametrize("name", ["config.json", "vocabulary.txt", "vocabulary.json", "README.md", "model.bin"])
def test_wanted(name: str) -> None:
    assert WHISPER.wants(name)


@pytest.mark.parametrize(
    "name", ["model.bin.part", "xmodel.bin", "sub/model.bin", "vocabulary.", "..", "", "model.bin\n"]
)
def test_not_wanted(name: str) -> None:
    assert not WHISPER.wants(name)


def test_missing_files() -> None:
    assert WHISPER.missing(["config.json", "model.bin", "tokenizer.json", "vocabulary.txt"]) == []
    assert WHISPER.missing(["model.bin", "README.md", "tokenizer.json"]) == ["config.json", "vocabulary.*"]


def test_a_commit_is_forty_digits() -> None:
    assert is_commit("a" * 40)
    assert not any(is_commit(text) for text in ("main", "a" * 39, "A" * 40, "a" * 40 + "\n"))


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1617884929, "1.5 GiB"), (5 << 40, "5120.0 GiB")],
)
def test_bytes_for_people(count: int, words: str) -> None:
    assert human_bytes(count) == words


def test_the_folder_of_a_model_is_the_official_clients() -> None:
    from huggingface_hub.file_download import repo_folder_name

    for model in ("Systran/faster-whisper-base", "example/whisper.v2_x"):
        assert folder_name(model) == repo_folder_name(repo_id=model, repo_type="model")


@pytest.mark.parametrize("model", ["", "base", "a/b/c", "../x", "a/..", "a--b/c", "/etc/passwd", "a/b\n", "a b/c"])
def test_what_is_no_id_gets_no_folder(model: str) -> None:
    with pytest.raises(Error, match="not the id of a model"):
        folder_name(model)


def test_the_revision_follows_from_the_content_alone() -> None:
    one = content_revision({"a": "1", "b": "2"})
    assert one == content_revision({"b": "2", "a": "1"}) and is_commit(one)
    assert one != content_revision({"a": "2", "b": "1"})


# --- kinds

GOSIA = "speaches-ai/piper-pl_PL-gosia-medium"


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("Systran/faster-whisper-base", WHISPER),
        ("piper-fans/faster-whisper-base", WHISPER),
        (GOSIA, PIPER),
        ("speaches-ai/Kokoro-82M-v1.0-ONNX", KOKORO),
    ],
)
def test_the_kind_follows_from_the_name(model: str, kind: object) -> None:
    assert kind_of(model) is kind


def test_a_voice_that_speaches_could_not_list_is_refused() -> None:
    check_name(GOSIA)
    check_name("Systran/faster-whisper-base")
    for name in ("rhasspy/piper-voices", "x/piper-pl_PL-gosia", "x/piper-pl-gosia-medium", "x/piper-pl_PL-g-o-medium"):
        with pytest.raises(Error, match="no name of a voice: Speaches wants owner/piper-"):
            check_name(name)


def test_voice_and_language_are_in_the_name() -> None:
    assert voice_of(GOSIA) == ("gosia", "pl")
    assert voice_of("Systran/faster-whisper-base") == ("", "")


def test_the_files_of_a_voice_as_piper_gives_them() -> None:
    kept = {name: PIPER.kept_as(name) for name in ("pl-gosia.onnx", "pl-gosia.onnx.json", "README.md", "MODEL_CARD")}
    assert list(kept.values()) == ["model.onnx", "config.json", "README.md", ""]
    assert KOKORO.kept_as("af.onnx") == WHISPER.kept_as("af.onnx") == ""


# --- metadata


@pytest.mark.parametrize(
    ("before", "language"),
    [
        ("", "pl"),
        ("---\nlanguage: pl\n---\n# A voice\n", "pl"),
        ("---\nlanguage:\n- pl-PL\n---\n", ["pl-PL"]),
        ("---\nlanguage:\n- pl\n- en\nlicense: mit\n---\n", "pl"),
        ("---\nlanguage: [pl, en]\n---\n", "pl"),
    ],
)
def test_a_voice_has_what_speaches_asks_for(before: str, language: object) -> None:
    after = with_metadata(before, GOSIA)
    data = front_matter(after)
    assert {"text-to-speech", "speaches", "piper"} <= set(data["tags"])
    assert (data["library_name"], data["language"]) == ("onnx", language)
    assert with_metadata(after, GOSIA) == after


def front_matter(readme: str) -> dict[str, Any]:
    """As Speaches reads it."""
    data: dict[str, Any] = huggingface_hub.ModelCard(readme).data.to_dict()
    return data


@pytest.mark.parametrize(
    ("before", "tags"),
    [
        ("", ["automatic-speech-recognition"]),
        ("# A model\n", ["automatic-speech-recognition"]),
        ("---\n---\n# A model\n", ["automatic-speech-recognition"]),
        ("---\nlicense: mit\n---\n", ["automatic-speech-recognition"]),
        ("---\ntags:\n- audio\n- x\nlicense: mit\n---\n", ["automatic-speech-recognition", "audio", "x"]),
        ("---\ntags:\n  - audio\n\n  - x\nlicense: mit\n---\n", ["automatic-speech-recognition", "audio", "x"]),
        ("---\ntags: [audio, x]\n---\n", ["automatic-speech-recognition", "audio", "x"]),
        ("---\ntags: [audio,\n  x]\n---\n", ["automatic-speech-recognition", "audio", "x"]),
        ("---\ntags: []\n---\n", ["automatic-speech-recognition"]),
        ("---\ntags:\n---\n", ["automatic-speech-recognition"]),
        ("---\ntags: audio\n---\n", ["automatic-speech-recognition", "audio"]),
        ("---\ntags: # none\nlicense: mit\n---\n", ["automatic-speech-recognition"]),
        (
            "---\nlibrary_name: transformers\ntags:\n- automatic-speech-recognition\n---\n",
            ["automatic-speech-recognition"],
        ),
        (
            "---\ntags:\n- hf-automatic-speech-recognition-x\n---\n",
            ["automatic-speech-recognition", "hf-automatic-speech-recognition-x"],
        ),
        ("---\r\ntags:\r\n- audio\r\n---\r\n# A\r\n", ["automatic-speech-recognition", "audio"]),
        ("---\ntitle: a---b\ntags:\n- audio\n---\ntext\n---\nmore\n", ["automatic-speech-recognition", "audio"]),
        ("\n---\ntags:\n- audio\n---", ["automatic-speech-recognition", "audio"]),
    ],
)
def test_metadata_is_added_and_the_rest_is_left(before: str, tags: list[str]) -> None:
    after = with_metadata(before, "a/b")
    data = front_matter(after)
    assert (data["library_name"], data["tags"]) == ("ctranslate2", tags)
    old = front_matter(before) if before.lstrip().startswith("---\n") else {}
    for key in set(old) - {"library_name", "tags"}:
        assert data[key] == old[key]
    assert with_metadata(after, "a/b") == after
    if "# A" in before:
        assert after.rstrip().endswith(before.rstrip().splitlines()[-1])


def test_metadata_that_is_there_is_not_touched() -> None:
    readme = (
        "---\nlanguage: [en]\nlibrary_name: ctranslate2\ntags:\n- automatic-speech-recognition\n- audio\n---\n# x\n"
    )
    assert with_metadata(readme, "a/b") == readme


@settings(deadline=None)
@given(
    keys=st.dictionaries(
        st.from_regex(r"[a-z_]{1,12}", fullmatch=True),
        st.one_of(st.text(max_size=20), st.integers(), st.lists(st.text("abc-", max_size=8), max_size=4)),
        max_size=4,
    ),
    tags=st.one_of(st.none(), st.lists(st.text("abcdefg-", min_size=1, max_size=8), max_size=4)),
    flow=st.booleans(),
)
def test_metadata_of_any_front_matter(keys: dict[str, Any], tags: list[str] | None, flow: bool) -> None:
    keys = {key: value for key, value in keys.items() if key not in ("tags", "library_name")}
    block = yaml.safe_dump(keys) if keys else ""
    if tags is not None:
        block += f"tags: {json.dumps(tags)}\n" if flow else yaml.safe_dump({"tags": tags})
    after = with_metadata(f"---\n{block}---\nbody\n", "a/b")
    data = yaml.safe_load(after[4 : after.rindex("---\nbody")])
    assert data.pop("library_name") == "ctranslate2"
    assert data.pop("tags") == ["automatic-speech-recognition", *(tags or [])]
    assert data == keys
    assert after.endswith("---\nbody\n")
    assert with_metadata(after, "a/b") == after


# --- owners


@pytest.mark.parametrize(
    ("mode", "file", "folder"), [("0640", 0o640, 0o750), ("644", 0o644, 0o755), ("0600", 0o600, 0o700)]
)
def test_folders_are_entered_by_whoever_may_read_files(tmp_path: Path, mode: str, file: int, folder: int) -> None:
    ownership = Ownership.named(None, None, mode)
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path, wanted in ((tmp_path / "file", file), (tmp_path / "folder", folder)):
        ownership.apply(path)
        assert path.stat().st_mode & 0o777 == wanted
        assert not ownership.differs(path)
