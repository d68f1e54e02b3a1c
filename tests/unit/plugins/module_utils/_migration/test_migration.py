# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files as people write them, in variables of the role stt_server; and the real Compose reads the same in them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._migration import env_file
from ansible_collections.anklume.stt.plugins.module_utils._migration.mapping import (
    GONE,
    TAKEN,
    Moved,
    host_vars,
    move,
    report,
)
from ansible_collections.anklume.stt.plugins.module_utils._migration.sources import Old, read
from hypothesis import given, settings
from hypothesis import strategies as st
from real_compose import COMPOSE

CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("cases.yml").read_text(encoding="utf-8"))
GOOD = [case for case in CASES if "refused" not in case]
ROOT = Path(__file__).resolve().parents[5]
KNOWN: dict[str, Any] = {}
for _role in ("stt_server", "stt_compose"):
    KNOWN |= yaml.safe_load((ROOT / f"roles/{_role}/defaults/main.yml").read_text())
ASIDE = {"stt_server_port", "stt_server_quantization", "stt_server_model"}
"""What is said where the file says nothing."""


def read_case(case: dict[str, Any]) -> Old:
    files = case.get("files", {})
    return read(case["text"], case["file"], lambda path: files.get(path.removeprefix("./")), case.get("service", ""))


def named(case: dict[str, Any]) -> str:
    return str(case["name"])


def test_there_are_as_many_as_were_promised() -> None:
    assert len(CASES) >= 30


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_file_as_people_write_it(case: dict[str, Any]) -> None:
    if "refused" in case:
        with pytest.raises(Error) as refused:
            move(read_case(case))
        assert case["refused"] in str(refused.value)
        assert "hunter2" not in str(refused.value)
        return
    old = read_case(case)
    moved = move(old)
    want = case.get("want", {})
    assert {name: moved.variables[name] for name in want} == want
    assert set(moved.variables) - set(want) <= ASIDE
    assert moved.secrets == case.get("key", {})
    assert [port.published for port in old.ports][:1] == (
        [case["port"]] if "port" in case else [8000][: len(old.ports)]
    )
    assert case.get("says", "") in "\n".join(report(moved))


@pytest.mark.parametrize("case", GOOD, ids=named)
def test_what_is_written_is_known_and_holds_no_secret(case: dict[str, Any]) -> None:
    moved = move(read_case(case))
    text = host_vars(moved, "attic", case["file"])
    written = yaml.safe_load(text)
    assert set(written) <= set(KNOWN)
    for name, value in written.items():
        assert type(value) is type(KNOWN[name]), name
    assert {name: value for name, value in written.items() if name in moved.variables} == moved.variables
    assert "{{ lookup('pipe'" not in text
    for secret in [*moved.secrets.values(), "hunter2"]:
        assert secret not in text and secret not in "\n".join(report(moved))


@pytest.mark.parametrize("case", [case for case in GOOD if case["file"].endswith(("yaml", "yml"))], ids=named)
def test_the_real_compose_reads_the_same(case: dict[str, Any], tmp_path: Path) -> None:
    for name, text in {**case.get("files", {}), case["file"]: case["text"]}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    usual = case["file"] in ("compose.yaml", "docker-compose.yml")
    command = [str(COMPOSE), *([] if usual else ["-f", case["file"]]), "config", "--format", "json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={"HOME": "/root"}, check=False)
    assert done.returncode == 0, done.stderr
    files = case.get("files", {})
    theirs = read(done.stdout, "compose.json", lambda path: files.get(Path(path).name), case.get("service", ""))
    ours = read_case(case)
    assert dict(theirs.environment) == dict(ours.environment)
    assert theirs.image == ours.image
    assert [target for _, target in theirs.mounts] == [target for _, target in ours.mounts]
    if not case.get("unlike_compose"):
        assert theirs.ports == ours.ports


@pytest.mark.parametrize("name", [*TAKEN, *GONE])
def test_each_variable_that_was_ever_known_is_told(name: str) -> None:
    values = ("1", "true", "auto", "small", "fr", "info", "http://a.test/v1", '["a/whisper"]')
    moves = [move(Old(environment={name: value})) for value in values]
    assert any(name in moved.mapped for moved in moves) or name in GONE or name in ("WHISPER__USE_BATCHED_MODE",)
    assert all(name in moved.mapped or name in moved.dropped for moved in moves)


@pytest.mark.parametrize(
    ("environment", "variables"),
    [
        ({"WHISPER__COMPUTE_TYPE": "default"}, {"stt_server_quantization": "auto"}),
        ({"LOG_LEVEL": "CRITICAL"}, {"stt_server_log_level": "error"}),
        ({"WHISPER__USE_BATCHED_MODE": "false"}, {"stt_server_batch_size": 1}),
        (
            {"CORS_ORIGINS": "https://a.test, https://b.test"},
            {"stt_server_cors_origins": ["https://a.test", "https://b.test"]},
        ),
        ({"ALLOW_ORIGINS": '["*"]'}, {"stt_server_cors_origins": ["*"]}),
        (
            {"PRELOAD_MODELS": '["speaches-ai/piper-en_US-amy-medium"]'},
            {"stt_server_tts_models": ["speaches-ai/piper-en_US-amy-medium"]},
        ),
        ({"WHISPER__DEVICE_INDEX": "0"}, {}),
        ({"NVIDIA_VISIBLE_DEVICES": "0,1"}, {"stt_compose_gpu_devices": ["0", "1"]}),
        ({"STT_MODEL_TTL": "0", "TTS_MODEL_TTL": "-1"}, {"stt_server_model_ttl": 0, "stt_server_tts_model_ttl": -1}),
    ],
)
def test_values_are_translated(environment: dict[str, str], variables: dict[str, Any]) -> None:
    found = move(Old(environment=environment)).variables
    assert {name: value for name, value in found.items() if name in variables or name not in ASIDE} == variables


def test_a_name_cannot_end_the_comment() -> None:
    moved = Moved(dropped={"A\nstt_server_ui: true\n": "x"})
    assert yaml.safe_load(host_vars(moved, "attic", "x.env")) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=b", "b"),
        ("  export A = b  ", "b"),
        ("A=b # c", "b"),
        ("A=b#c", "b#c"),
        ("A='b $X \\n'", "b $X \\n"),
        ('A="b\\n\\"c\\" \\$X"', 'b\n"c" $X'),
        ("X=1\nA=${X}2$$", "12$"),
        ("A=", ""),
        ("A", None),
        ('A="b\nc"', "b\nc"),
        ("A: b", "b"),
        ("A=b\r\n", "b"),
    ],
)
def test_a_line_of_an_env_file(text: str, value: str | None, tmp_path: Path) -> None:
    assert env_file.parse(text, "x.env")["A"] == value
    (tmp_path / "x.env").write_bytes(text.encode())
    (tmp_path / "compose.yaml").write_text("services: {a: {image: a, env_file: x.env}}\n")
    command = [str(COMPOSE), "config", "--format", "json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={"HOME": "/root"}, check=False)
    environment = read(done.stdout, "compose.json", lambda _: None).environment
    assert environment.get("A") == value


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=6)
    | st.sampled_from(["${A", "${A:-b}", "$$", "8000:8000"])
)
ANYTHING = st.recursive(
    SCALARS, lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=4), each, max_size=3)
)
KEYS = ["image", "environment", "env_file", "ports", "volumes", "secrets", "extends", "strange"]


@settings(max_examples=150 if os.environ.get("ANKLUME_TEST_LONG") else 40, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING), ANYTHING, ANYTHING)
def test_whatever_a_service_says_ends_in_variables_or_in_a_word(said: Any, secrets: Any, elsewhere: Any) -> None:
    document = {"services": {"stt": said, "other": elsewhere}, "secrets": secrets}
    text = yaml.safe_dump(document)
    for source, name in ((text, "compose.yaml"), (json.dumps(elsewhere), "old.json"), (json.dumps([said]), "old.json")):
        with contextlib.suppress(Error):
            moved = move(read(source, name, lambda _: text, "stt"))
            yaml.safe_load(host_vars(moved, "attic", name))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="AB=:'\"$\\{}-?+ #\n\r", max_size=24))
def test_whatever_an_env_file_holds_ends_in_variables_or_in_a_word(text: str) -> None:
    with contextlib.suppress(Error):
        env_file.parse(text, "x.env")


def test_the_old_names_are_in_the_page() -> None:
    page = (ROOT / "docs/how-to/coming-from-faster-whisper-server.md").read_text()
    told = set(re.findall(r"`([A-Z][A-Z_]+)`", page))
    assert {*TAKEN, *GONE} - told == set()
