# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions of the Realtime API, with OpenAI's client in the instance: what they hear, and what does not end them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import FOX, NAME, PORT, PROJECT, Ask, speaches_itself
from suite import ROOT

PYTHON = "/opt/stt-server/current/bin/python"
URL = f"http://127.0.0.1:{PORT}/v1"
ANSWER = "Ansible installed the speech server."
Session = Callable[[str], Any]


@pytest.fixture(scope="module")
def session(ai: Any, key: str) -> Session:
    """What one of the cases of realtime.py saw."""
    script = Path(__file__).with_name("realtime.py")
    push = ["incus", "file", "push", "--quiet", "--project", PROJECT]
    subprocess.run([*push, str(script), f"{NAME}/srv/realtime.py"], check=True)

    def seen(case: str) -> Any:
        return json.loads(ai.check_output(f"{PYTHON} /srv/realtime.py {case} {URL} {key} /srv/clips/en-fox.wav"))

    return seen


@pytest.fixture(scope="module")
def chat(ai: Any, session: Session) -> Iterator[None]:
    """A stand-in for a language model's server, where stt_server_chat_url says."""
    ai.check_output(f"systemd-run --collect --unit chat {PYTHON} /srv/realtime.py chat 8390 chat-4711")
    yield
    ai.run("systemctl stop chat")


def test_a_turn_that_the_client_ends(session: Session) -> None:
    """It comes to nothing without LOOPBACK_HOST_URL: a session asks its own server."""
    assert session("a_turn_cut_short") == [FOX]


def test_the_sessions_are_bounded_and_make_room(session: Session) -> None:
    assert session("too_many") == [8, [503, "30"]]


def test_a_key_in_the_address_is_not_logged(ai: Any, key: str, session: Session) -> None:
    assert session("too_many")[0] == 8, "it sends the key so"
    assert key not in ai.check_output("journalctl -b -u speaches --no-pager")


def test_a_full_queue_refuses_no_session(session: Session) -> None:
    heard, statuses = session("in_a_full_queue")
    assert heard == [FOX]
    assert statuses == [200, 503]


def test_wrong_keys_hold_up_no_session(session: Session) -> None:
    heard, statuses = session("while_wrong_keys_are_tried")
    assert heard == [FOX]
    assert 403 in statuses and 200 not in statuses


def test_there_is_no_other_way_in(ask: Ask) -> None:
    assert ask("/v1/realtime?model=whisper-1", "-XPOST").status in (404, 405)


@speaches_itself
class TestSpeaches:
    """What Speaches makes of it, which a stand-in shows nothing of."""

    def test_a_sentence_and_its_silence(self, session: Session) -> None:
        assert session("transcription") == [FOX]

    def test_several_sentences_in_pieces_of_any_size(self, session: Session) -> None:
        assert session("two_turns") == [FOX, FOX]
        assert session("all_at_once") == [FOX, FOX]

    @pytest.mark.usefixtures("chat")
    def test_an_answer_that_is_spoken(self, session: Session) -> None:
        heard, said, seconds, errors = session("answer")
        assert (heard, errors) == ([FOX], [])
        assert said.startswith(ANSWER)
        assert 2 < seconds < 8

    @pytest.mark.usefixtures("chat")
    def test_the_client_says_when(self, session: Session) -> None:
        heard, said = session("push_to_talk")
        assert heard == [FOX]
        assert said.startswith(ANSWER)

    @pytest.mark.usefixtures("chat")
    def test_no_answer_where_none_is_wanted(self, session: Session) -> None:
        assert session("no_answer_wanted") == [[FOX], True, [], 550]

    @pytest.mark.usefixtures("chat")
    @pytest.mark.parametrize("case", ["after_an_error", "unknown_speech_model"])
    def test_an_error_is_told_and_the_session_goes_on(self, session: Session, case: str) -> None:
        errors, heard = session(case)
        assert errors and heard == [FOX]

    def test_what_makes_no_sense_is_told(self, session: Session) -> None:
        errors, heard = session("nonsense")
        assert errors == 4 and heard == [FOX]

    def test_the_example_of_the_docs(self, ai: Any, key: str) -> None:
        page = (ROOT / "docs/how-to/realtime.md").read_text(encoding="utf-8")
        (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        for ours, there in (
            ("ws://homelab-ai:8000", f"ws://127.0.0.1:{PORT}"),
            ("your-key", key),
            ("speech.wav", "/srv/clips/en-fox.wav"),
        ):
            assert ours in block
            block = block.replace(ours, there)
        assert ai.check_output(f"{PYTHON} -c {shlex.quote(block)}").strip() == FOX
