# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a text the STT server speaks: words, and no markdown or emoji."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "roles/stt_server/files/speaches"))

from anklume_speech_text import LONGEST, pieces, spoken


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("The answer is 42.", "The answer is 42."),
        ("## A **bold** _title_", "A bold title."),
        ("Well done! 🎉👍🏽 Go on ✅.", "Well done! Go on ."),
        ("- one\n- two", "one.\ntwo."),
        ("1. Januar ist Neujahr.", "1. Januar ist Neujahr."),
        ("2) second", "2. second."),
        ("See [the page](https://example.org/a?b=c) and ![a cat](cat.png).", "See the page and a cat."),
        ("Run `make apply` now.", "Run make apply now."),
        ("Before\n\n```sh\nrm -rf /\n```\n\nafter", "Before.\nafter."),
        ("    indented text", "indented text."),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a, b.\n1, 2."),
        ("> quoted\n\n---\n\n~~no~~ yes", "quoted.\nno yes."),
        ("a < b and 5 * 3 * 2, snake_case_name", "a < b and 5 * 3 * 2, snake_case_name."),
        ("<b>loud</b> &amp; clear", "loud & clear."),
        ("Zażółć gęślą jaźń", "Zażółć gęślą jaźń."),
        ("two\nlines", "two lines."),
        ("[[h@loU]]", "[ [h@loU]]."),
        ("👍", ""),
        ("---\n***", ""),
    ],
)
def test_words_are_spoken_and_their_decoration_is_not(text: str, said: str) -> None:
    assert spoken(text) == said


def test_short_texts_stay_whole_and_long_ones_are_cut_at_sentences() -> None:
    assert pieces("One. Two.") == ["One. Two."]
    assert pieces("One.\nTwo.") == ["One.", "Two."]
    sentence = "This sentence has some forty characters."
    assert pieces(" ".join([sentence] * 20)) == [" ".join([sentence] * 6)] * 3 + [" ".join([sentence] * 2)]
    clause = "a clause of thirty characters,"
    assert all(piece.endswith(",") for piece in pieces(" ".join([clause] * 40)))
    assert pieces("x" * 600) == ["x" * 250, "x" * 250, "x" * 100]


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=800))
def test_no_text_fails_and_no_piece_is_too_long(text: str) -> None:
    assert all(0 < len(piece) <= LONGEST for piece in pieces(spoken(text)))


def test_no_word_of_a_long_text_is_lost() -> None:
    words = [f"word{number}" + "." * (number % 9 == 0) for number in range(500)]
    assert " ".join(pieces(" ".join(words))).split() == words
