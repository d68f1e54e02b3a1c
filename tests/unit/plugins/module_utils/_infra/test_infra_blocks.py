# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Managed blocks: the user's bytes stay as they are, whatever they are."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import WriteError
from ansible_collections.anklume.stt.plugins.module_utils._infra.blocks import (
    BEGIN,
    END,
    INVITATION,
    has_user_content,
    merge,
)
from ansible_collections.anklume.stt.plugins.module_utils._infra.render import to_yaml
from hypothesis import given
from hypothesis import strategies as st

OLD = b"# === MANAGED BY infra.yml ===\n# Do not edit this section\ninstance_name: old\n# === END MANAGED ==="
NEW = "instance_name: new\n"


def block(newline: bytes = b"\n") -> bytes:
    """The new block as it has to be."""
    fresh = merge(None, NEW, "f")
    return fresh[fresh.index(BEGIN) : fresh.index(END) + len(END)].replace(b"\n", newline)


def test_a_new_file():
    assert merge(None, NEW, "f") == b"---\n" + block() + b"\n\n# Your custom variables below:\n"
    assert block().startswith(b"# === MANAGED BY infra.yml ===\n# ")
    assert block().endswith(b"\ninstance_name: new\n# === END MANAGED ===")


@pytest.mark.parametrize("empty", [b"", b"\n", b" \n\t\n"])
def test_an_empty_file_is_a_new_file(empty):
    assert merge(empty, NEW, "f") == merge(None, NEW, "f")


AROUND = {
    "usual": (b"---\n", b"\n\n# Your custom variables below:\nport: 1\n"),
    "backslashes": (b"---\n", b'\npath: "C:\\\\new\\n\\1\\g<0>"\n'),
    "no final line break": (b"---\n", b"\nport: 1"),
    "nothing after": (b"---\n", b""),
    "nothing before": (b"", b"\nport: 1\n"),
    "tabs and trailing spaces": (b"---  \n# a\t\n", b"\n\nport:\t1   \n\t\n"),
    "not ASCII": ("---\n# été\n".encode(), "\nnom: Zoë 日本 😀\n".encode()),
    "not UTF-8": (b"---\n", b"\nnom: caf\xe9\n"),
    "NUL": (b"---\n", b"\n# \x00\n"),
    "lines above": (b"---\nabove: 1\n\n", b"\nbelow: 2\n"),
    "a marker inside a line": (b"---\n", b"\n# see # === END MANAGED === above\nx: '# === MANAGED BY infra.yml ==='\n"),
    "BOM": (b"\xef\xbb\xbf---\n", b"\nport: 1\n"),
    "second document": (b"---\n", b"\n---\nport: 1\n...\n"),
    "form feed and separators": (b"---\n", "\na: 1\x0c\u2028b\x85\n".encode()),
}


@pytest.mark.parametrize("name", AROUND)
def test_everything_around_the_block_is_kept(name):
    before, after = AROUND[name]
    made = merge(before + OLD + after, NEW, "f")
    assert made == before + block() + after
    assert merge(made, NEW, "f") == made


@pytest.mark.parametrize("name", AROUND)
def test_crlf_is_kept(name):
    before, after = (part.replace(b"\n", b"\r\n") for part in AROUND[name])
    made = merge(before + OLD.replace(b"\n", b"\r\n") + after, NEW, "f")
    assert made == before + block(b"\r\n") + after
    assert merge(made, NEW, "f") == made


UNMARKED = st.binary(max_size=60).filter(lambda content: BEGIN not in content and END not in content)


@given(UNMARKED, UNMARKED)
def test_any_bytes_around_the_block_are_kept(before, after):
    before, after = before + b"\n", b"\n" + after
    made = merge(before + OLD + after, NEW, "f")
    assert made == before + block() + after


@pytest.mark.parametrize(
    "value",
    [
        "a\\b",
        "\\1",
        "\\g<0>",
        "tab\there",
        "x: y",
        "# === END MANAGED ===",
        "line\n# === END MANAGED ===\n",
        "é😀\x85\u2028",
    ],
)
def test_any_value_in_the_block_survives_twice(value):
    content = to_yaml({"text": value, "list": [value, {"a": value}], value: {}})
    made = merge(None, content, "f")
    assert merge(made, content, "f") == made
    assert merge(made, NEW, "f") == merge(None, NEW, "f")
    assert yaml.safe_load(made) == {"text": value, "list": [value, {"a": value}], value: {}}


TAKEN_OVER = {
    "plain": (b"port: 1\n", b"---\n%s\n\nport: 1\n"),
    "with a start": (b"---\nport: 1\n", b"---\n%s\n\nport: 1\n"),
    "with a comment above the start": (b"# mine\n\n---\nport: 1\n", b"# mine\n\n---\n%s\n\nport: 1\n"),
    "with a comment on the start": (b"--- # mine\nport: 1\n", b"--- # mine\n%s\n\nport: 1\n"),
    "start without a line break": (b"---", b"---\n%s\n\n"),
    "only a comment": (b"# mine", b"---\n%s\n\n# mine"),
    "BOM": (b"\xef\xbb\xbfport: 1\n", b"\xef\xbb\xbf---\n%s\n\nport: 1\n"),
    "CRLF": (b"---\r\nport: 1\r\n", b"---\r\n%s\r\n\r\nport: 1\r\n"),
    "directive": (b"%YAML 1.1\n---\nport: 1\n", b"%%YAML 1.1\n---\n%s\n\nport: 1\n"),
}


@pytest.mark.parametrize("name", TAKEN_OVER)
def test_a_file_without_a_block_is_taken_over(name):
    before, after = TAKEN_OVER[name]
    made = merge(before, NEW, "f")
    assert made == after % block(b"\r\n" if name == "CRLF" else b"\n")
    assert merge(made, NEW, "f") == made


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"---\n" + BEGIN + b"\nport: 1\n", "f:2: the managed block begins here and never ends"),
        (b"---\nport: 1\n" + END + b"\n", "f:3: the managed block ends here and never begins"),
        (b"---\n" + END + b"\n" + BEGIN + b"\n", "f: the markers at lines 2, 3 are not one block"),
        (b"---\n" + OLD + b"\n" + OLD + b"\n", "f: the markers at lines 2, 5, 6, 9 are not one block"),
        (b"---\n" + BEGIN + b"\n" + OLD + b"\n", "f: the markers at lines 2, 3, 6 are not one block"),
        (b"a: |\n  " + BEGIN + b"\n", "f:2: a marker of the managed block is indented"),
        (b"---\r\n" + BEGIN + b"\r\nport: 1\r\n", "f:2: the managed block begins here and never ends"),
        (b"$ANSIBLE_VAULT;1.1;AES256\n6162\n", "f: is encrypted as a whole"),
    ],
)
def test_markers_that_do_not_pair_are_refused(content, says):
    with pytest.raises(WriteError) as error:
        merge(content, NEW, "f")
    assert str(error.value).startswith(says)


@pytest.mark.parametrize(
    ("rest", "mine"),
    [
        (b"", False),
        (b"\n\n" + INVITATION + b"\n", False),
        (b"\r\n\r\n" + INVITATION + b"\r\n", False),
        (b"\n# a word\n", True),
        (b"\nport: 1\n", True),
        (b"\n---\n", False),
        (b"\n" + OLD, True),
    ],
)
def test_what_counts_as_content_of_the_user(rest, mine):
    assert has_user_content(b"---\n" + OLD + rest, "f") is mine


SCALARS = (
    st.text()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["yes", "~", "1e3", "0x1", "a: b", "- x", "=", "<<", "1:2"])
)


@given(st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)))
def test_what_is_written_reads_back_the_same(value):
    text = to_yaml({"value": value})
    assert yaml.safe_load(text) == {"value": value}
    assert yaml.load(text, yaml.CSafeLoader) == {"value": value}
