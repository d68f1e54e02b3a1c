# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the module that manages models: run as Ansible runs it, seen by the official client of the hub."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import yaml
from ansible_collections.anklume.stt.plugins.module_utils._models import hub as hub_client
from ansible_collections.anklume.stt.plugins.modules import stt_model, stt_model_info
from hub_stand_in import HubStandIn, Repo
from module_runner import result_of, run_module, spawn_module

NAME = "example/whisper-test"
README = "---\nlanguage:\n- en\ntags:\n- audio\nlicense: mit\n---\n\n# A model\n"
WEIGHTS = random.Random(1).randbytes(300_000)


def files_of(weights: bytes = WEIGHTS) -> dict[str, bytes]:
    return {
        ".gitattributes": b"*.bin filter=lfs\n",
        "README.md": README.encode(),
        "config.json": b'{"lang_ids": [50259]}',
        "model.bin": weights,
        "preprocessor_config.json": b'{"feature_size": 80}',
        "tokenizer.json": b'{"version": "1.0"}' + b" " * 20_000,
        "vocabulary.json": b'["a", "b"]',
        "pytorch_model.bin": b"not wanted" * 10_000,
    }


KEPT = {"README.md", "config.json", "model.bin", "preprocessor_config.json", "tokenizer.json", "vocabulary.json"}


@pytest.fixture
def hub() -> Iterator[HubStandIn]:
    with HubStandIn({NAME: Repo(files_of())}, token="hf_right") as stand_in:
        yield stand_in


@pytest.fixture(autouse=True)
def straight_to_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of this machine, and no pause between attempts."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(hub_client, "PAUSE", 0.01)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    """A cache that is not there yet; in memory where that is possible, for the module syncs each file to the disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as folder:
        yield Path(folder) / "cache"


def run(**params: Any) -> dict[str, Any]:
    return run_module(stt_model, **params)


def from_hub(hub: HubStandIn, cache: Path, **params: Any) -> dict[str, Any]:
    return run(model=NAME, endpoint=hub.endpoint, cache=str(cache), timeout=2, **params)


def good(result: dict[str, Any]) -> dict[str, Any]:
    assert not result.get("failed"), result["msg"]
    return result


def listed_by_the_official_client(cache: Path) -> dict[str, str]:
    """Model → main revision, as huggingface_hub (and so Speaches) sees it; anything half-made is a warning there."""
    if not (cache / "hub").exists():
        return {}
    seen = huggingface_hub.scan_cache_dir(cache / "hub")
    assert seen.warnings == []
    return {repo.repo_id: repo.refs["main"].commit_hash for repo in seen.repos}


def loaded_offline(cache: Path, name: str = NAME) -> Path:
    """The folder that faster-whisper would load, with the patterns that it asks for."""
    patterns = ["config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*"]
    return Path(
        huggingface_hub.snapshot_download(name, cache_dir=cache / "hub", local_files_only=True, allow_patterns=patterns)
    )


def card(cache: Path, name: str = NAME) -> Any:
    return huggingface_hub.ModelCard.load(loaded_offline(cache, name) / "README.md").data


# --- the stand-in itself


def test_the_official_client_downloads_from_the_stand_in(hub: HubStandIn, tmp_path: Path) -> None:
    """So what this module is tested against is the protocol, and not our idea of it."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, huggingface_hub as h;"
            f"print(h.snapshot_download({NAME!r}, endpoint=sys.argv[1], cache_dir=sys.argv[2], token='hf_right'))",
            hub.endpoint,
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "*"},
    )
    assert done.returncode == 0, done.stderr
    path = done.stdout.strip()
    assert (Path(path) / "model.bin").read_bytes() == WEIGHTS
    assert Path(path).name == hub.repos[NAME].sha


# --- from the hub


def test_a_model_arrives_whole_and_the_second_run_needs_no_network(hub: HubStandIn, cache: Path) -> None:
    first = good(from_hub(hub, cache))
    assert first["changed"] and first["model"]["complete"]
    assert first["model"]["revision"] == hub.repos[NAME].sha
    assert set(first["model"]["files"]) == KEPT
    assert first["diff"]["before"] == {}
    assert listed_by_the_official_client(cache) == {NAME: hub.repos[NAME].sha}
    snapshot = loaded_offline(cache)
    assert str(snapshot) == first["model"]["path"]
    assert (snapshot / "model.bin").read_bytes() == WEIGHTS
    assert list((cache / "staging").iterdir()) == [cache / "staging" / ".lock"]
    asked = len(hub.requests)
    second = good(from_hub(hub, cache))
    assert second["changed"] is False
    assert second["diff"]["before"] == second["diff"]["after"]
    assert len(hub.requests) == asked


def test_speaches_finds_its_metadata(hub: HubStandIn, cache: Path) -> None:
    good(from_hub(hub, cache))
    data = card(cache)
    assert data.library_name == "ctranslate2"
    assert data.tags == ["automatic-speech-recognition", "audio"]
    assert (data.language, data.license) == (["en"], "mit")


def test_check_mode_asks_the_hub_and_writes_nothing(hub: HubStandIn, cache: Path) -> None:
    result = good(from_hub(hub, cache, check=True))
    assert result["changed"] is True
    assert result["diff"]["after"]["revision"] == hub.repos[NAME].sha
    assert not cache.exists()
    assert hub.count("resolve") == 0


@pytest.mark.parametrize("cut", [0, 1, 20_000, 150_000, 299_999])
def test_a_download_cut_off_goes_on_where_it_stopped(hub: HubStandIn, cache: Path, cut: int) -> None:
    hub.faults.cut_after = [cut]
    result = good(from_hub(hub, cache))
    assert (loaded_offline(cache) / "model.bin").read_bytes() == WEIGHTS
    assert result["received"] == sum(len(files_of()[name]) for name in KEPT)
    if cut:
        assert hub.count(f"bytes={cut}-") > 0


def test_a_download_given_up_goes_on_in_the_next_run(hub: HubStandIn, cache: Path) -> None:
    hub.faults.cut_after = [100_000, 0, 0, 0, 0, 0]
    failed = from_hub(hub, cache)
    assert failed["failed"]
    assert "the connection was cut off at 97.7 KiB of 293.0 KiB: run again to go on from there" in failed["msg"]
    assert listed_by_the_official_client(cache) == {}
    info = good(run_module(stt_model_info, cache=str(cache)))
    assert info["models"] == []
    assert info["unfinished"][0]["name"] == NAME and info["unfinished"][0]["size"] > 100_000
    result = good(from_hub(hub, cache))
    assert result["resumed"] == 100_000
    assert (loaded_offline(cache) / "model.bin").read_bytes() == WEIGHTS


def test_a_mirror_without_ranges_is_asked_from_the_start(hub: HubStandIn, cache: Path) -> None:
    hub.faults.cut_after = [100_000]
    hub.faults.no_ranges = True
    good(from_hub(hub, cache))
    assert (loaded_offline(cache) / "model.bin").read_bytes() == WEIGHTS


def test_a_begun_file_of_another_content_is_not_gone_on_with(hub: HubStandIn, cache: Path) -> None:
    stage = cache / "staging" / "models--example--whisper-test" / hub.repos[NAME].sha
    stage.mkdir(parents=True)
    (stage / "model.bin.part").write_bytes(b"x" * 1000)
    good(from_hub(hub, cache))
    assert (loaded_offline(cache) / "model.bin").read_bytes() == WEIGHTS


@pytest.mark.parametrize("name", ["model.bin", "config.json"])
def test_a_wrong_digest_keeps_nothing(hub: HubStandIn, cache: Path, name: str) -> None:
    hub.faults.served_instead[name] = bytes(len(files_of()[name]))
    failed = from_hub(hub, cache)
    assert failed["failed"] and f"{name}: wrong digest" in failed["msg"]
    assert listed_by_the_official_client(cache) == {}
    assert not list(cache.rglob(f"{name}*"))


def test_a_hub_without_digests_is_refused(hub: HubStandIn, cache: Path) -> None:
    hub.faults.no_blobs = True
    failed = from_hub(hub, cache)
    assert failed["failed"] and "could not be verified" in failed["msg"]
    assert hub.count("resolve") == 0


def test_the_token_is_for_the_hub_alone(hub: HubStandIn, cache: Path) -> None:
    hub.repos[NAME].private = True
    assert "private and wants a token" in from_hub(hub, cache)["msg"]
    good(from_hub(hub, cache, token="hf_right"))
    assert hub.count("/cdn/") > 0 and hub.leaks == []


def test_a_wrong_token_is_named_and_not_shown(hub: HubStandIn, cache: Path) -> None:
    failed = from_hub(hub, cache, token="hf_wr0ng")
    assert "HTTP 401: the hub refuses the token" in failed["msg"]
    assert "hf_wr0ng" not in json.dumps(failed)
    assert from_hub(hub, cache, token="hf_\n")["failed"]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"model": "example/absent"}, "the hub has no such model, or it is private"),
        ({"revision": "v9"}, "the model has no such revision"),
        ({"model": "example/gated"}, "the publisher asks for consent"),
        ({"model": "example/torch"}, "has no config.json, model.bin, tokenizer.json, vocabulary.*"),
        ({"model": "wispr"}, "'wispr' is not a known model"),
        ({"model": "../../etc"}, "not a model"),
        ({"model": "example/whis--per"}, "'example/whis--per' is not the id of a model"),
        ({"endpoint": "file:///etc"}, "not the address of a model hub"),
        ({"endpoint": "http://no-such-host.invalid"}, "cannot be resolved"),
        ({"ca_path": "/nowhere/ca.pem"}, "no certificate authority"),
    ],
)
def test_what_cannot_be_had_is_said_plainly(hub: HubStandIn, cache: Path, params: dict[str, str], words: str) -> None:
    hub.repos["example/gated"] = Repo(files_of(), gated=True)
    hub.repos["example/torch"] = Repo({"pytorch_model.bin": b"x" * 100})
    failed = run(**{"model": NAME, "endpoint": hub.endpoint, "cache": str(cache), **params})
    assert failed["failed"] and words in failed["msg"]
    assert not list(cache.glob("hub/*"))


def test_no_hub_at_this_address(hub: HubStandIn, cache: Path) -> None:
    failed = run(model=NAME, endpoint=f"{hub.endpoint}/elsewhere", cache=str(cache))
    assert (failed["failed"] and "is private and wants a token" in failed["msg"]) or "a model hub" in failed["msg"]


def test_a_hub_that_is_busy_is_asked_again(hub: HubStandIn, cache: Path) -> None:
    hub.faults.statuses = [503, 200, 429, 200, 500]
    good(from_hub(hub, cache))


def test_a_renamed_model_is_followed(hub: HubStandIn, cache: Path) -> None:
    hub.repos["example/old"] = Repo({}, renamed_to=NAME)
    hub.repos[NAME].private = True
    good(run(model="example/old", endpoint=hub.endpoint, cache=str(cache), token="hf_right"))
    assert (loaded_offline(cache, "example/old") / "model.bin").read_bytes() == WEIGHTS


def test_a_redirect_out_of_http_is_refused(hub: HubStandIn, cache: Path) -> None:
    hub.faults.downgrade_to = "ftp://localhost"
    assert "it redirects from http to ftp://localhost" in from_hub(hub, cache)["msg"]


def test_a_short_name_is_resolved(hub: HubStandIn, cache: Path) -> None:
    hub.repos["Systran/faster-whisper-tiny"] = Repo(files_of())
    good(run(model="tiny", endpoint=hub.endpoint, cache=str(cache)))
    assert list(listed_by_the_official_client(cache)) == ["Systran/faster-whisper-tiny"]


# --- revisions, repair, removal


def test_a_branch_is_not_looked_up_again_and_a_commit_is(hub: HubStandIn, cache: Path) -> None:
    old = good(from_hub(hub, cache))["model"]["revision"]
    hub.repos[NAME] = Repo({**files_of(), "config.json": b'{"new": true}'})
    new = hub.repos[NAME].sha
    assert good(from_hub(hub, cache))["changed"] is False
    sent = hub.sent
    updated = good(from_hub(hub, cache, revision=new))
    assert updated["changed"] and updated["diff"]["before"]["revision"] == old
    assert listed_by_the_official_client(cache) == {NAME: new}
    assert (loaded_offline(cache) / "config.json").read_bytes() == b'{"new": true}'
    assert [path.name for path in loaded_offline(cache).parent.iterdir()] == [new]
    assert hub.sent - sent < 10_000, "the weights did not change and were fetched again"
    assert good(from_hub(hub, cache, revision=new))["changed"] is False
    assert good(run_module(stt_model_info, cache=str(cache), wanted=[NAME]))["differing"] == [NAME]


def test_what_serves_goes_on_serving_while_a_new_revision_fails(hub: HubStandIn, cache: Path) -> None:
    old = good(from_hub(hub, cache))["model"]["revision"]
    hub.repos[NAME] = Repo(files_of(WEIGHTS[::-1]))
    hub.faults.cut_after = [100_000, 0, 0, 0, 0, 0]
    assert from_hub(hub, cache, revision=hub.repos[NAME].sha)["failed"]
    assert listed_by_the_official_client(cache) == {NAME: old}
    assert (loaded_offline(cache) / "model.bin").read_bytes() == WEIGHTS
    good(from_hub(hub, cache, revision=hub.repos[NAME].sha))
    assert (loaded_offline(cache) / "model.bin").read_bytes() == WEIGHTS[::-1]


@pytest.mark.parametrize("damage", ["gone", "short", "no ref", "wrong ref", "no snapshot"])
def test_a_damaged_model_is_seen_and_repaired(hub: HubStandIn, cache: Path, damage: str) -> None:
    snapshot = Path(good(from_hub(hub, cache))["model"]["path"])
    if damage == "gone":
        (snapshot / "vocabulary.json").unlink()
    elif damage == "short":
        os.truncate(snapshot / "model.bin", 1000)
    elif damage == "no ref":
        (snapshot.parents[1] / "refs" / "main").unlink()
    elif damage == "wrong ref":
        (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    else:
        shutil.rmtree(snapshot)
    (seen,) = good(run_module(stt_model_info, cache=str(cache)))["models"]
    assert seen["complete"] is False and seen["problems"]
    assert good(run_module(stt_model_info, cache=str(cache), wanted=[NAME]))["differing"] == [NAME]
    sent = hub.sent
    assert good(from_hub(hub, cache))["changed"]
    assert (loaded_offline(cache) / "model.bin").read_bytes() == WEIGHTS
    assert listed_by_the_official_client(cache) == {NAME: hub.repos[NAME].sha}
    if damage not in ("short", "no snapshot"):
        assert hub.sent - sent < 10_000
    assert good(from_hub(hub, cache))["changed"] is False


def test_info_says_what_the_module_would_find_to_do(hub: HubStandIn, cache: Path) -> None:
    def look(*wanted: str, **params: str) -> tuple[list[str], list[str]]:
        seen = good(run_module(stt_model_info, cache=str(cache), wanted=list(wanted), **params))
        return seen["differing"], seen["unnamed"]

    assert look(NAME) == ([NAME], [])
    snapshot = Path(good(from_hub(hub, cache))["model"]["path"])
    assert look(NAME) == ([], [])
    assert look("tiny") == (["Systran/faster-whisper-tiny"], [NAME])
    (snapshot / "model.bin").chmod(0o600)
    assert look(NAME) == ([NAME], [])
    assert look(NAME, mode="0600") == ([NAME], [])
    good(from_hub(hub, cache, mode="0600"))
    assert look(NAME, mode="0600") == ([], [])


def laid_out_as_the_official_client_does(snapshot: Path) -> Path:
    """Turn what this module installed into links to blobs, with the publisher's README.md; the folder of the blobs."""
    repo = snapshot.parents[1]
    (repo / "anklume.json").unlink()
    (repo / "blobs").mkdir()
    (snapshot / "README.md").write_text(README)
    for path in list(snapshot.iterdir()):
        blob = repo / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        path.rename(blob)
        path.symlink_to(Path("../../blobs") / blob.name)
    return repo / "blobs"


def test_a_model_that_the_official_client_put_there_is_taken_over(hub: HubStandIn, cache: Path) -> None:
    blobs = laid_out_as_the_official_client_does(Path(good(from_hub(hub, cache))["model"]["path"]))
    asked = len(hub.requests)
    result = good(from_hub(hub, cache))
    assert result["changed"] and result["model"]["adjusted"] == ["metadata in README.md"]
    assert len(hub.requests) == asked
    assert card(cache).library_name == "ctranslate2"
    assert (blobs / hashlib.sha256(README.encode()).hexdigest()).read_text() == README
    assert good(from_hub(hub, cache))["changed"] is False


def test_what_the_official_client_put_there_is_used_for_a_new_revision_and_not_written_to(
    hub: HubStandIn, cache: Path
) -> None:
    blobs = laid_out_as_the_official_client_does(Path(good(from_hub(hub, cache))["model"]["path"]))
    hub.repos[NAME] = Repo({**files_of(), "config.json": b'{"new": true}'})
    sent = hub.sent
    good(from_hub(hub, cache, revision=hub.repos[NAME].sha))
    assert hub.sent - sent < 10_000
    assert (blobs / hashlib.sha256(README.encode()).hexdigest()).read_text() == README
    assert listed_by_the_official_client(cache) == {NAME: hub.repos[NAME].sha}


def test_absent_removes_the_model_and_what_was_begun(hub: HubStandIn, cache: Path) -> None:
    good(from_hub(hub, cache))
    hub.repos["example/other"] = Repo(files_of())
    good(run(model="example/other", endpoint=hub.endpoint, cache=str(cache)))
    (cache / "staging" / "models--example--whisper-test" / ("0" * 40)).mkdir(parents=True)
    for check, changed in ((True, True), (False, True), (False, False)):
        result = good(run(model=NAME, cache=str(cache), state="absent", check=check))
        assert result["changed"] is changed
        assert (NAME in listed_by_the_official_client(cache)) is check
    assert list(listed_by_the_official_client(cache)) == ["example/other"]
    assert good(run_module(stt_model_info, cache=str(cache)))["unfinished"] == []


def test_info_of_no_cache_at_all(cache: Path) -> None:
    result = good(run_module(stt_model_info, cache=str(cache)))
    assert (result["changed"], result["models"], result["unfinished"]) == (False, [], [])
    assert not cache.exists()


# --- faults of the host


def test_kill_9_at_random_moments_never_shows_a_half_made_model(hub: HubStandIn, cache: Path) -> None:
    hub.faults.bytes_per_second = 250_000
    chance = random.Random(7)
    for _attempt in range(6):
        asked = hub.count("/cdn/")
        process = spawn_module(stt_model, model=NAME, endpoint=hub.endpoint, cache=str(cache))
        while hub.count("/cdn/") == asked and process.poll() is None:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.6))
        with process:
            process.kill()
        seen = listed_by_the_official_client(cache)
        assert seen in ({}, {NAME: hub.repos[NAME].sha})
        if seen:
            assert (loaded_offline(cache) / "model.bin").read_bytes() == WEIGHTS
    assert hub.count("bytes=") > 0, "no kill came while the weights were on their way"
    hub.faults.bytes_per_second = 0
    good(from_hub(hub, cache))
    assert (loaded_offline(cache) / "model.bin").read_bytes() == WEIGHTS
    assert list((cache / "staging").iterdir()) == [cache / "staging" / ".lock"]


def run_and_die(step: int, **params: Any) -> bool:
    """Run in a forked process that gets SIGKILL before its n-th change of a folder; tell whether it did."""
    child = os.fork()
    if child == 0:
        left = step

        def hook(event: str, _arguments: object) -> None:
            nonlocal left
            if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link"):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        run(**params)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
    return status != 0


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_kill_9_at_every_step_of_putting_a_new_revision_in_place(hub: HubStandIn, cache: Path) -> None:
    """However far the process comes, something whole serves, and the next run ends what it began."""
    first, second = Repo(files_of()), Repo(files_of(WEIGHTS[::-1]))
    killed = 0
    while True:
        hub.repos[NAME] = first
        good(from_hub(hub, cache, revision=first.sha))
        hub.repos[NAME] = second
        died = run_and_die(killed + 1, model=NAME, endpoint=hub.endpoint, cache=str(cache), revision=second.sha)
        (seen,) = listed_by_the_official_client(cache).values()
        weights = (loaded_offline(cache) / "model.bin").read_bytes()
        assert (seen, weights) in ((first.sha, WEIGHTS), (second.sha, WEIGHTS[::-1])), f"step {killed + 1}"
        good(from_hub(hub, cache, revision=second.sha))
        assert listed_by_the_official_client(cache) == {NAME: second.sha}
        assert [path.name for path in loaded_offline(cache).parent.iterdir()] == [second.sha], f"step {killed + 1}"
        assert list((cache / "staging").iterdir()) == [cache / "staging" / ".lock"]
        if not died:
            break
        killed += 1
    assert killed > 20


def test_too_little_space_is_said_before_anything_is_fetched(hub: HubStandIn, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    shell = f'mount -t tmpfs -o size=1m tmpfs {small} && exec "$@"'
    prefix = ("unshare", "--mount", "--user", "--map-root-user", "sh", "-c", shell, "sh")
    params = {"model": NAME, "endpoint": hub.endpoint, "cache": str(small / "cache")}
    result = result_of(spawn_module(stt_model, prefix=prefix, **params))
    assert result["failed"]
    assert "needs 16.3 MiB and 1020.0 KiB are available: make room or choose a smaller model" in result["msg"]
    assert hub.count("resolve") == 0


def test_a_disk_that_fills_up_keeps_what_serves_and_gives_the_space_back(hub: HubStandIn, cache: Path) -> None:
    good(from_hub(hub, cache))
    hub.repos["example/second"] = Repo(files_of(WEIGHTS * 2))

    params = {"model": "example/second", "endpoint": hub.endpoint, "cache": str(cache)}
    result = result_of(spawn_module(stt_model, prefix=("prlimit", "--fsize=250000"), **params))
    assert result["failed"] and "no space left for example/second" in result["msg"]
    assert list(listed_by_the_official_client(cache)) == [NAME]
    assert list((cache / "staging").iterdir()) == [cache / "staging" / ".lock"]
    good(run(**params))


def test_two_at_once_one_says_who_is_there(hub: HubStandIn, cache: Path) -> None:
    hub.faults.bytes_per_second = 200_000
    first = spawn_module(stt_model, model=NAME, endpoint=hub.endpoint, cache=str(cache))
    deadline = time.monotonic() + 20
    while hub.count("/cdn/") == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    second = from_hub(hub, cache)
    assert second["failed"] and f"process {first.pid} is changing models here" in second["msg"]
    assert result_of(first)["changed"]


def test_a_cache_that_cannot_be_written(hub: HubStandIn, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run(model=NAME, endpoint=hub.endpoint, cache=str(tmp_path / "file" / "cache"))
    assert result["failed"] and "the cache folder cannot be made: Not a directory" in result["msg"]


def test_progress_is_written_for_people(hub: HubStandIn, cache: Path, tmp_path: Path) -> None:
    good(from_hub(hub, cache, progress=str(tmp_path / "progress")))
    assert "model.bin 100 % (293.0 KiB of 293.0 KiB)" in (tmp_path / "progress").read_text().splitlines()


# --- owners and modes


def test_owner_and_mode_are_set_and_put_right(hub: HubStandIn, cache: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root may give files away")
    wanted = {"owner": "nobody", "group": "nogroup", "mode": "0640"}
    good(from_hub(hub, cache, **wanted))
    paths = [path for path in cache.rglob("*") if "staging/" not in str(path)]
    assert {path.owner() for path in paths} == {"nobody"}
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_file()} == {0o640}
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_dir()} == {0o750}
    assert good(from_hub(hub, cache, **wanted))["changed"] is False
    (loaded_offline(cache) / "model.bin").chmod(0o600)
    assert good(from_hub(hub, cache, check=True, **wanted))["changed"] is True
    assert good(from_hub(hub, cache, **wanted))["model"]["adjusted"] == ["owner, group or mode"]
    assert good(from_hub(hub, cache, **wanted))["changed"] is False


def test_an_unknown_owner_is_an_error_but_not_in_check_mode(hub: HubStandIn, cache: Path) -> None:
    assert "there is no such user" in from_hub(hub, cache, owner="no-such-user")["msg"]
    assert "three octal digits" in from_hub(hub, cache, mode="u=rw")["msg"]
    assert good(from_hub(hub, cache, owner="no-such-user", check=True))["changed"]


# --- from a folder, from an archive


def write_folder(folder: Path, weights: bytes = WEIGHTS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files_of(weights).items():
        (folder / name).write_bytes(content)
    return folder


def pack(archive: Path, members: dict[str, bytes], extra: tuple[tarfile.TarInfo, ...] = ()) -> Path:
    suffix = archive.suffix.removeprefix(".").replace("tar", "")
    with tarfile.open(archive, f"w:{suffix}") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in extra:
            tar.addfile(info)
    return archive


def test_from_a_folder(cache: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "own model")
    first = good(run(model=NAME, cache=str(cache), source=str(folder)))
    assert first["changed"] and set(first["model"]["files"]) == KEPT
    assert (loaded_offline(cache) / "model.bin").read_bytes() == WEIGHTS
    assert good(run(model=NAME, cache=str(cache), source=str(folder)))["changed"] is False
    os.utime(folder / "model.bin", (1, 1))
    assert good(run(model=NAME, cache=str(cache), source=str(folder)))["changed"] is False
    write_folder(folder, WEIGHTS[::-1])
    assert good(run(model=NAME, cache=str(cache), source=str(folder), check=True))["changed"]
    assert good(run(model=NAME, cache=str(cache), source=str(folder)))["changed"]
    assert (loaded_offline(cache) / "model.bin").read_bytes() == WEIGHTS[::-1]
    shutil.rmtree(folder)
    assert good(run(model=NAME, cache=str(cache), source=str(folder)))["changed"] is False


def test_a_folder_that_is_no_model(cache: Path, tmp_path: Path) -> None:
    assert "no such folder or archive" in run(model=NAME, cache=str(cache), source=str(tmp_path / "gone"))["msg"]
    folder = write_folder(tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    assert "no tokenizer.json" in run(model=NAME, cache=str(cache), source=str(folder))["msg"]
    assert listed_by_the_official_client(cache) == {}


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.xz"])
@pytest.mark.parametrize("prefix", ["", "tiny/"])
def test_from_an_archive(cache: Path, tmp_path: Path, suffix: str, prefix: str) -> None:
    members = {f"{prefix}{name}": content for name, content in files_of().items()}
    archive = pack(tmp_path / f"model.{suffix}", {"README.md": b"of the archive", **members})
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    given = {"model": NAME, "cache": str(cache), "source": str(archive), "sha256": digest.upper()}
    assert good(run(check=True, **given))["changed"]
    first = good(run(**given))
    assert first["changed"] and set(first["model"]["files"]) == KEPT
    assert first["model"]["source"]["sha256"] == digest
    assert (loaded_offline(cache) / "model.bin").read_bytes() == WEIGHTS
    assert card(cache).license == "mit"
    assert good(run(**given))["changed"] is False
    assert good(run(model=NAME, cache=str(cache), source=str(archive)))["changed"] is False
    archive.unlink()
    assert good(run(**given))["changed"] is False
    assert "no such folder or archive" in run(**{**given, "sha256": "0" * 64})["msg"]


def test_a_changed_archive_replaces_the_model(cache: Path, tmp_path: Path) -> None:
    archive = pack(tmp_path / "model.tar", files_of())
    good(run(model=NAME, cache=str(cache), source=str(archive)))
    pack(archive, files_of(WEIGHTS[::-1]))
    assert good(run(model=NAME, cache=str(cache), source=str(archive)))["changed"]
    assert (loaded_offline(cache) / "model.bin").read_bytes() == WEIGHTS[::-1]


def test_an_archive_with_a_wrong_digest_is_not_unpacked(cache: Path, tmp_path: Path) -> None:
    archive = pack(tmp_path / "model.tar.xz", files_of())
    result = run(model=NAME, cache=str(cache), source=str(archive), sha256="0" * 64)
    assert result["failed"] and "wrong digest: sha256 is" in result["msg"]
    assert not list(cache.rglob("model.bin*"))


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.xz"])
def test_a_truncated_archive_is_refused(cache: Path, tmp_path: Path, suffix: str) -> None:
    archive = pack(tmp_path / f"model.{suffix}", files_of())
    os.truncate(archive, 150_000)
    result = run(model=NAME, cache=str(cache), source=str(archive))
    assert result["failed"] and "not a whole tar or zip archive" in result["msg"]
    assert listed_by_the_official_client(cache) == {}


def link(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("members", "extra", "words"),
    [
        ({"../../config.json": b"{}"}, (), "points out of the archive"),
        ({"/tmp/model.bin": b"x"}, (), "points out of the archive"),
        ({"a/../../x/model.bin": b"x"}, (), "points out of the archive"),
        ({}, (link("model.bin", tarfile.SYMTYPE, "/etc/shadow"),), "is a link or a device"),
        ({}, (link("model.bin", tarfile.LNKTYPE, "config.json"),), "is a link or a device"),
        ({}, (link("pipe", tarfile.FIFOTYPE, ""),), "is a link or a device"),
        ({"notes.txt": b"x"}, (), "no model.bin in the archive"),
        ({"a/model.bin": b"x", "b/model.bin": b"y"}, (), "2 model.bin in the archive"),
        (
            {"a/model.bin": b"x", "b/config.json": b"y"},
            (),
            "no config.json, tokenizer.json, vocabulary.* beside model.bin",
        ),
    ],
)
def test_archives_that_are_refused(
    cache: Path, tmp_path: Path, members: dict[str, bytes], extra: tuple[tarfile.TarInfo, ...], words: str
) -> None:
    archive = pack(tmp_path / "model.tar", members, extra)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    result = run(model=NAME, cache=str(cache), source=str(archive))
    assert result["failed"] and words in result["msg"]
    after = sorted(str(path) for path in tmp_path.rglob("*") if cache not in [path, *path.parents])
    assert after == before
    assert not list(cache.glob("hub/*"))


def test_a_file_system_without_hard_links(hub: HubStandIn, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good(from_hub(hub, cache))
    hub.repos[NAME] = Repo({**files_of(), "config.json": b'{"new": true}'})

    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    sent = hub.sent
    good(from_hub(hub, cache, revision=hub.repos[NAME].sha))
    assert (loaded_offline(cache) / "model.bin").read_bytes() == WEIGHTS
    assert hub.sent - sent < 10_000


def test_what_is_no_archive(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html>")
    assert (
        "not a whole tar or zip archive" in run(model=NAME, cache=str(cache), source=str(tmp_path / "page.html"))["msg"]
    )


def test_a_large_v3_model_needs_its_preprocessor_config(cache: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / "vocabulary.json").write_text(json.dumps(["x"] * 51866))
    (folder / "preprocessor_config.json").unlink()
    assert "no preprocessor_config.json" in run(model=NAME, cache=str(cache), source=str(folder))["msg"]
    assert listed_by_the_official_client(cache) == {}


@pytest.mark.parametrize("module", [stt_model, stt_model_info])
def test_documentation_and_spec_agree(module: Any) -> None:
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert set(documented) == set(module.SPEC)
    for name, option in module.SPEC.items():
        assert documented[name].get("default") == option.get("default"), name
    yaml.safe_load(module.EXAMPLES)
    yaml.safe_load(module.RETURN)


# --- models that speak

GOSIA = "speaches-ai/piper-pl_PL-gosia-medium"
VOICE = {"model.onnx": b"weights" * 1000, "config.json": b"{}", "README.md": README.encode(), "extra.txt": b"x"}


def test_a_voice_comes_from_the_hub_by_its_short_name(hub: HubStandIn, cache: Path) -> None:
    hub.repos[GOSIA] = Repo(VOICE)
    params = {"model": "piper-gosia", "cache": str(cache), "endpoint": hub.endpoint}
    done = good(run(**params))
    assert set(done["model"]["files"]) == {"model.onnx", "config.json", "README.md"}
    card = huggingface_hub.ModelCard.load(Path(done["model"]["path"], "README.md")).data.to_dict()
    assert (card["library_name"], card["language"], card["license"]) == ("onnx", ["en"], "mit")
    assert {"text-to-speech", "speaches", "piper", "audio"} == set(card["tags"])
    assert good(run(**params))["changed"] is False


def test_what_is_no_voice_is_said(hub: HubStandIn, cache: Path) -> None:
    hub.repos[GOSIA] = Repo(files_of())
    result = run(model=GOSIA, cache=str(cache), endpoint=hub.endpoint)
    assert "has no model.onnx: it is not a voice of Piper" in result["msg"]
    assert "no name of a voice" in run(model="rhasspy/piper-voices", cache=str(cache), endpoint=hub.endpoint)["msg"]


@pytest.mark.parametrize("names", [("model.onnx", "config.json"), ("pl-gosia.onnx", "pl-gosia.onnx.json")])
def test_a_voice_comes_from_a_folder_or_an_archive(cache: Path, tmp_path: Path, names: tuple[str, str]) -> None:
    folder = tmp_path / "voice"
    folder.mkdir()
    for name, content in zip(names, (b"weights", b"{}"), strict=True):
        (folder / name).write_bytes(content)
    with tarfile.open(tmp_path / "voice.tar.xz", "w:xz") as archive:
        archive.add(folder, "voice")
    given = {"model": GOSIA, "cache": str(cache)}
    done = good(run(**given, source=str(folder)))
    assert set(done["model"]["files"]) == {"model.onnx", "config.json", "README.md"}
    again = good(run(**given, source=str(tmp_path / "voice.tar.xz")))
    assert again["model"]["revision"] == done["model"]["revision"]
    (folder / "other.onnx").write_bytes(b"x")
    assert "are both there: it has to hold one model" in run(**given, source=str(folder))["msg"]


# --- a model that comes in two precisions

PARAKEET = "istupakov/parakeet-tdt-0.6b-v3-onnx"
INT8 = {"encoder-model.int8.onnx", "decoder_joint-model.int8.onnx"}
FLOAT32 = {"encoder-model.onnx", "encoder-model.onnx.data", "decoder_joint-model.onnx"}
BOTH = {"config.json", "vocab.txt", "README.md"}
CHANGED = {"README.md"}  # its metadata are ours, so that it is fetched anew


@pytest.fixture
def parakeets() -> Iterator[HubStandIn]:
    files = {name: name.encode() * 3000 for name in {*INT8, *FLOAT32, *BOTH, "nemo128.onnx", "encoder-model.fp16.onnx"}}
    with HubStandIn({PARAKEET: Repo(files)}) as stand_in:
        yield stand_in


def test_of_two_precisions_the_one_that_is_asked_for_is_fetched(parakeets: HubStandIn, cache: Path) -> None:
    where = {"cache": str(cache), "endpoint": parakeets.endpoint, "timeout": 2}
    done = good(run(model="parakeet-v3", **where))
    assert set(done["model"]["files"]) == INT8 | BOTH
    assert not good(run(model="parakeet-v3", **where))["changed"]
    seen = run_module(stt_model_info, cache=str(cache), wanted=["parakeet-v3"])
    assert (seen["differing"], seen["unnamed"]) == ([], [])
    seen = run_module(stt_model_info, cache=str(cache), wanted=["parakeet-v3"], precision="float32")
    assert seen["differing"] == [PARAKEET] and "encoder-model.onnx is missing" in seen["models"][0]["problems"]
    planned = good(run(model="parakeet-v3", precision="float32", check=True, **where))
    assert planned["changed"] and planned["received"] == 0
    done = good(run(model="parakeet-v3", precision="float32", **where))
    assert set(done["model"]["files"]) == FLOAT32 | BOTH
    assert done["received"] == sum(len(name) * 3000 for name in {*FLOAT32, *CHANGED})
    back = good(run(model="parakeet-v3", **where))
    assert set(back["model"]["files"]) == INT8 | BOTH and back["received"] == sum(map(len, CHANGED)) * 3000
    assert {path.name for path in loaded_offline(cache, PARAKEET).iterdir()} >= INT8 | BOTH


def test_a_folder_without_the_precision_is_refused_by_name(cache: Path, tmp_path: Path) -> None:
    for name in {*INT8, "config.json", "vocab.txt"}:
        (tmp_path / name).write_bytes(b"x" * 100)
    given = {"model": "me/parakeet-mine", "cache": str(cache), "source": str(tmp_path)}
    result = run(**given, precision="float32")
    assert (
        "no encoder-model.onnx, decoder_joint-model.onnx: not the folder of a Parakeet in ONNX files" in result["msg"]
    )
    assert good(run(**given))["changed"]


# --- models of Vosk, which come as zip archives and have folders

VOSK = "alphacep/vosk-model-small-xx-9.9"
PUBLISHED = "vosk-model-small-xx-9.9.zip"
VOSK_FILES = {
    "am/final.mdl": b"model" * 30_000,
    "conf/mfcc.conf": b"--use-energy=false\n--dither=1.0\n",
    "conf/model.conf": b"--beam=13\n",
    "graph/HCLr.fst": b"hcl" * 30_000,
    "graph/Gr.fst": b"g",
    "graph/phones/word_boundary.int": b"1 nonword\n",
    "ivector/final.ie": b"ie",
    "README": b"by somebody\n",
}


def zipped(members: dict[str, bytes], kind: int = 0) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = kind << 16
            archive.writestr(info, content)
    return out.getvalue()


def as_published() -> bytes:
    noise = random.Random(3).randbytes(60_000)  # so that it is not too small to be cut
    inside = {**VOSK_FILES, "graph/disambig_tid.int": noise, "demo/a.wav": b"no part of it"}
    return zipped({f"vosk-model-small-xx-9.9/{name}": content for name, content in inside.items()})


@pytest.fixture
def publisher() -> Iterator[HubStandIn]:
    """The publisher's folder of archives."""
    with HubStandIn({"alphacep/models": Repo({PUBLISHED: as_published()})}) as stand_in:
        yield stand_in


def from_publisher(publisher: HubStandIn, cache: Path, **params: Any) -> dict[str, Any]:
    endpoint = f"{publisher.cdn}/alphacep/models"
    return run(**{"model": VOSK, "endpoint": endpoint, "cache": str(cache), "timeout": 2, **params})


def test_a_vosk_model_comes_from_its_publisher_and_the_second_run_needs_no_network(
    publisher: HubStandIn, cache: Path
) -> None:
    planned = good(from_publisher(publisher, cache, check=True))
    assert planned["changed"] and planned["received"] == 0 and planned["model"]["size"] == len(as_published())
    done = good(from_publisher(publisher, cache, token="hf_secret"))
    assert publisher.leaks == [], "the token is the hub's"
    assert set(done["model"]["files"]) == {*VOSK_FILES, "graph/disambig_tid.int", "README.md"}
    assert (done["received"], done["model"]["licence"]) == (len(as_published()), "")
    assert done["model"]["source"]["archive"] == PUBLISHED
    folder = Path(done["model"]["path"])
    assert (folder / "am/final.mdl").read_bytes() == VOSK_FILES["am/final.mdl"]
    assert (folder / "conf/mfcc.conf").read_text() == "--use-energy=false\n--dither=0\n"
    assert card(cache, VOSK).language == "xx" and set(listed_by_the_official_client(cache)) == {VOSK}
    asked = len(publisher.requests)
    assert not good(from_publisher(publisher, cache))["changed"]
    seen = run_module(stt_model_info, cache=str(cache), wanted=[VOSK])
    assert (seen["differing"], seen["unnamed"], len(publisher.requests)) == ([], [], asked)
    (folder / "graph/Gr.fst").unlink()
    (folder / "conf/mfcc.conf").write_text("--dither=1\n--use-energy=false\n")
    assert good(from_publisher(publisher, cache))["changed"] and len(publisher.requests) > asked
    assert (folder / "graph/Gr.fst").read_bytes() == b"g" and "--dither=0" in (folder / "conf/mfcc.conf").read_text()


def test_noise_that_is_added_again_is_taken_away_without_a_network(publisher: HubStandIn, cache: Path) -> None:
    folder = Path(good(from_publisher(publisher, cache))["model"]["path"])
    (folder / "conf/mfcc.conf").write_text("--dither=1\n--use-energy=no   \n")
    asked, size = len(publisher.requests), (folder / "conf/mfcc.conf").stat().st_size
    assert size == len("--use-energy=false\n--dither=0\n")
    assert good(from_publisher(publisher, cache))["changed"] and len(publisher.requests) == asked
    assert (folder / "conf/mfcc.conf").read_text() == "--use-energy=no   \n--dither=0\n"
    assert not good(from_publisher(publisher, cache))["changed"]


def test_an_archive_on_its_way_goes_on_where_it_stopped(publisher: HubStandIn, cache: Path) -> None:
    publisher.faults.cut_after = [0, 30_000, 0, 0, 0, 0, 0, 0]
    assert "run again to go on from there" in from_publisher(publisher, cache)["msg"]
    assert listed_by_the_official_client(cache) == {}
    publisher.faults.cut_after = []
    assert good(from_publisher(publisher, cache))["resumed"] == 30_000
    assert list((cache / "staging").iterdir()) == [cache / "staging" / ".lock"]


def test_of_an_archive_that_changed_on_its_way_nothing_is_kept(publisher: HubStandIn, cache: Path) -> None:
    stage = cache / "staging" / "models--alphacep--vosk-model-small-xx-9.9" / "archive"
    stage.mkdir(parents=True)
    (stage / f"{PUBLISHED}.part").write_bytes(bytes(30_000))
    assert "not a whole tar or zip archive" in from_publisher(publisher, cache)["msg"]
    assert good(from_publisher(publisher, cache))["changed"]


def test_an_archive_with_a_known_digest_is_held_to_it(
    publisher: HubStandIn, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "wrong digest" in from_publisher(publisher, cache, sha256="0" * 64)["msg"]
    assert not list(cache.rglob(PUBLISHED))
    publisher.repos["alphacep/models"].files["vosk-model-small-fr-0.22.zip"] = as_published()
    named = {"model": "vosk-small-fr"}
    assert (
        "cabf6180e177eb9b3a9a9d43a437bd5e549f3a7d09525e5d69a3fed787be12ad"
        in (from_publisher(publisher, cache, **named)["msg"])
    )
    mine = hashlib.sha256(as_published()).hexdigest()
    done = good(from_publisher(publisher, cache, **named, sha256=mine.upper()))
    assert (done["model"]["licence"], done["model"]["source"]["sha256"]) == ("Apache-2.0", mine)
    assert card(cache, done["model"]["name"]).language == "fr"


def test_a_vosk_model_of_somebody_else_is_given(cache: Path, tmp_path: Path) -> None:
    assert "give its archive or folder as source" in run(model="me/vosk-fr-mine", cache=str(cache))["msg"]
    archive = tmp_path / "mine.zip"
    archive.write_bytes(as_published())
    done = good(run(model="me/vosk-fr-mine", cache=str(cache), source=str(archive)))
    assert set(done["model"]["files"]) == {*VOSK_FILES, "graph/disambig_tid.int", "README.md"}
    folder = tmp_path / "mine"
    with zipfile.ZipFile(archive) as content:
        content.extractall(folder)
    inside = folder / "vosk-model-small-xx-9.9"
    given = {"model": "me/vosk-fr-mine", "cache": str(cache), "source": str(inside)}
    assert not good(run(**given))["changed"]
    (inside / "am/final.mdl").write_bytes(b"another")
    assert good(run(**given))["changed"] and not good(run(**given))["changed"]
    nameless = run(**{**given, "model": "me/vosk-mine"})
    assert "neither its name nor a README.md in it says what it hears" in nameless["msg"]
    (inside / "README.md").write_text("---\nlanguage: fr\n---\n")
    assert good(run(**{**given, "model": "me/vosk-mine"}))["changed"]


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (zipped({"../../am/final.mdl": b"x"}), "points out of the archive"),
        (zipped({"a/am/final.mdl": b"x"}, stat.S_IFLNK | 0o777), "is a link or a device"),
        (zipped({"a/am/final.mdl": b"x"}), "no conf/model.conf, conf/mfcc.conf, graph/HCL*.fst beside am/final.mdl"),
        (zipped({"a/final.mdl": b"x"}), "no am/final.mdl in the archive"),
        (zipped({"a/am/final.mdl": b"x", "b/am/final.mdl": b"x"}), "2 am/final.mdl in the archive"),
        (as_published()[:-40_000], "not a whole tar or zip archive"),
    ],
)
def test_zip_archives_that_are_refused(cache: Path, tmp_path: Path, archive: bytes, words: str) -> None:
    (tmp_path / "model.zip").write_bytes(archive)
    result = run(model="me/vosk-fr-mine", cache=str(cache), source=str(tmp_path / "model.zip"))
    assert result["failed"] and words in result["msg"]
    assert not list(cache.glob("hub/*"))


def test_a_whisper_may_come_in_a_zip_archive_too(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "model.zip").write_bytes(zipped({f"tiny/{name}": content for name, content in files_of().items()}))
    done = good(run(model=NAME, cache=str(cache), source=str(tmp_path / "model.zip")))
    assert set(done["model"]["files"]) == KEPT


def test_the_licence_is_told(parakeets: HubStandIn, cache: Path) -> None:
    done = good(run(model="parakeet-v3", endpoint=parakeets.endpoint, cache=str(cache), timeout=2))
    assert done["model"]["licence"] == "CC-BY-4.0"
    (seen,) = run_module(stt_model_info, cache=str(cache))["models"]
    assert seen["licence"] == "CC-BY-4.0"


def test_a_digest_is_for_an_archive(hub: HubStandIn, cache: Path) -> None:
    assert "give source too, or leave it out" in from_hub(hub, cache, sha256="0" * 64)["msg"]
