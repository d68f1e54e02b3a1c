# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutated files: whatever stands in infra.yml, the answer is a model or diagnostics, never a traceback."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import yaml
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import InfraError
from ansible_collections.anklume.stt.plugins.module_utils._infra.blocks import merge
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import judge_project
from ansible_collections.anklume.stt.plugins.module_utils._infra.render import render
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from infra_cases import FORM, MEANING, RIGHT
from test_infra_schema import EXAMPLES, EditorLoader, validator

LONG = os.environ.get("ANKLUME_TEST_LONG") == "1"
SEEDS = [path.read_text(encoding="utf-8") for path in EXAMPLES]
SEEDS += [case.text for case in (*FORM, *MEANING)] + list(RIGHT.values())
VALUES = [
    "", "~", "null", "true", "off", "0", "-1", "3", "255", "1e99", ".inf", ".nan", "0x10", "10.100", "1:30", "010",
    '""', "''", '"10.100.3.10"', "10.100.3.254", "[]", "{}", "[a]", "{a: b}", "[[]]", "- x", "|", ">-", "&a", "*a",
    "&a [*a]", "!!str", "!!int x", "!!binary eA==", "!x y", "? a", "<<", "<<: {}", "{<<: [1]}", "all", "host", "lab",
    "default", "a" * 300, "é", "日本語", "😀", "\u2028", "\x85", "\ufeff", "\\", '"\\x00"', "{{ x }}", "%YAML 1.1",
    "---", "...", "# c", "9" * 400, "2026-01-01", "=", "@x", "`x", "\t", "\r",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """One of the known files after one to six changes of lines, values or characters."""
    lines = draw(st.sampled_from(SEEDS)).split("\n")
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(lines) - 1)))
        line = lines[at] if lines else ""
        match draw(st.integers(0, 8)):
            case 0:
                del lines[at : at + 1]
            case 1:
                lines.insert(draw(st.integers(0, len(lines))), line)
            case 2:
                key = line.partition(":")[0]
                lines[at : at + 1] = [f"{key}: {draw(st.sampled_from(VALUES))}"]
            case 3:
                lines[at : at + 1] = [" " * draw(st.integers(0, 8)) + line.lstrip()]
            case 4:
                words = line.split(" ")
                words[draw(st.integers(0, len(words) - 1))] = draw(st.sampled_from(VALUES))
                lines[at : at + 1] = [" ".join(words)]
            case 5:
                where = draw(st.integers(0, len(line)))
                lines[at : at + 1] = [line[:where] + draw(st.text(max_size=3)) + line[where:]]
            case 6:
                other = draw(st.sampled_from(SEEDS)).split("\n")
                start = draw(st.integers(0, len(other)))
                lines[at:at] = other[start : start + draw(st.integers(1, 8))]
            case 7:
                lines = lines[:at]
            case _:
                where = draw(st.integers(0, len(line)))
                lines[at : at + 1] = [line[:where] + line[where + 1 :]]
    return "\n".join(lines)


@settings(
    max_examples=10_000 if LONG else 500,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(mutated())
def test_mutated_files_get_a_verdict(text):
    data = text.encode("utf-8", "surrogatepass")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "infra.yml").write_bytes(data)
        try:
            model, found = judge_project(folder)
        except InfraError as error:
            raise AssertionError(f"the file is there: {error}") from error
    for one in found:
        assert one.line >= 1 and one.column >= 1 and one.message, one
        assert one.render().startswith(one.file)
    if model is None:
        event("refused")
        assert any(one.level == "error" for one in found)
        return
    event("accepted")
    try:
        seen = yaml.load(text.removeprefix("\ufeff"), EditorLoader)
    except yaml.composer.ComposerError:
        event("an anchor is set twice, which YAML allows and PyYAML refuses")
    else:
        assert list(validator().iter_errors(seen)) == []
    for name, content in render(model).items():
        assert isinstance(yaml.safe_load(content), dict), name
        made = merge(None, content, name)
        assert merge(made, content, name) == made


@settings(max_examples=10_000 if LONG else 500, deadline=None, database=None)
@given(st.binary(max_size=200))
def test_any_bytes_get_a_verdict(data):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "infra.yml").write_bytes(data)
        model, found = judge_project(folder)
    assert model is not None or found
