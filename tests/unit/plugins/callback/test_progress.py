# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people see of real runs of ansible-playbook: golden files, warnings, secrets, a terminal, faults of our own."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
PLAYS = ROOT / "tests" / "unit" / "output"
GOLDEN = ROOT / "tests" / "unit" / "golden" / "output"
ANSIBLE = str(Path(sys.executable).with_name("ansible-playbook"))
SECRET = "hunter2"


@dataclass
class Run:
    """What a run said on both channels, and how it ended."""

    status: int
    out: str
    err: str = ""

    @property
    def flat(self) -> str:
        """Both in one line: Ansible wraps its warnings."""
        return " ".join(f"{self.out} {self.err}".split())


def settings(tmp: Path, **more: str) -> dict[str, str]:
    unwanted = ("ANSIBLE_", "NO_COLOR", "CI", "ANKLUME_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    return kept | {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache" / "collections"),
        "ANSIBLE_HOME": str(tmp / "home"),
        "ANSIBLE_STDOUT_CALLBACK": "anklume.stt.progress",
        "TERM": "xterm",
        "OUT": str(tmp / "out"),
        **more,
    }


def command(playbook: Path | str, *options: str) -> list[str]:
    interpreter = f"ansible_python_interpreter={sys.executable}"
    return [ANSIBLE, "-i", str(PLAYS / "machines.yml"), "-e", interpreter, str(PLAYS / playbook), *options]


def run(tmp: Path, playbook: Path | str, *options: str, **more: str) -> Run:
    done = subprocess.run(command(playbook, *options), env=settings(tmp, **more), capture_output=True, text=True)
    return Run(done.returncode, done.stdout, done.stderr)


def terminal(tmp: Path, playbook: Path | str, *options: str, answers: dict[str, str] | None = None, **more: str) -> Run:
    """The same on a terminal, 100 columns wide, with somebody who answers what is asked."""
    screen, theirs = pty.openpty()
    words = ["setsid", "--ctty", "--wait", *command(playbook, *options)]
    environment = settings(tmp, COLUMNS="100", **more)
    said, left = b"", dict(answers or {})
    with subprocess.Popen(words, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        while select.select([screen], [], [], 120)[0]:
            try:
                said += os.read(screen, 65536)
            except OSError:  # the other end is closed
                break
            for question in [one for one in left if one.encode() in said]:
                time.sleep(0.5)  # Ansible throws away what was typed before it asks
                os.write(screen, left.pop(question).encode())
    os.close(screen)
    return Run(process.returncode, said.decode().replace("\r\n", "\n"))


def without_times(text: str, tmp: Path) -> str:
    text = text.replace(str(tmp), "TMP").replace(f"{ROOT}/", "")
    text = re.sub(r"^\d+:\d\d  ", "0:00  ", text, flags=re.M)
    text = re.sub(r"  \((\d+ min )?\d+ s\)$", "", text, flags=re.M)
    text = re.sub(r"\d+\.\d s$", "0.0 s", text, flags=re.M)
    return re.sub(r"\b(after|in) (\d+ min )?\d+ s\b", r"\1 0 s", text)


def is_golden(name: str, text: str) -> None:
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("ANKLUME_GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


class TestGolden:
    def test_a_first_apply_and_one_that_finds_nothing_to_do(self, tmp_path: Path) -> None:
        first = run(tmp_path, "apply.yml")
        assert first.status == 0, first
        is_golden("first", without_times(first.out, tmp_path))
        assert "\r" not in first.out and "\x1b" not in first.out
        again = run(tmp_path, "apply.yml", "-e", "there=true")
        assert again.status == 0, again
        is_golden("no-op", without_times(again.out, tmp_path))

    def test_a_plan(self, tmp_path: Path) -> None:
        plan = run(tmp_path, "apply.yml", "--check", "--diff")
        assert plan.status == 0, plan
        is_golden("plan", without_times(plan.out, tmp_path))

    def test_nothing_that_is_told_steers_the_terminal(self, tmp_path: Path) -> None:
        said = {"hosts": "localhost", "gather_facts": False, "tasks": [{"debug": {"msg": "a\x1b[31mred\x07"}}]}
        (tmp_path / "said.yml").write_text(json.dumps([said]))
        shown = run(tmp_path, tmp_path / "said.yml")
        assert shown.status == 0, shown
        assert "a\\x1b[31mred\\x07" in shown.out and "\x1b" not in shown.out

    def test_a_failure_of_every_kind_is_told_once_with_its_cause(self, tmp_path: Path) -> None:
        failed = run(tmp_path, "failing.yml", "--forks", "1")
        assert failed.status == 2, failed
        is_golden("failing", without_times(failed.out, tmp_path))
        assert failed.out.count("port 8000 is taken by python3") == 1
        assert failed.err == ""

    def test_unreachable_machines_are_named_and_the_others_go_on(self, tmp_path: Path) -> None:
        lost = run(tmp_path, "lost.yml")
        assert lost.status == 4, lost
        assert re.search(r"✗ (two|three)  Ask(  \(\d+ s\))?\n +cannot be reached: .*Connection refused", lost.out), (
            lost.out
        )
        assert re.search(r"✗ (two|three)  Ask: the same\n", lost.out), lost.out
        assert "one  Go on: here" in lost.out
        assert re.search(r"^two +: ok=0 changed=0 unreachable=1 failed=0", lost.out, re.M), lost.out


WARNED = (
    *("a task", "a changed task", "a failed task", "an item", "a failed item", "a handler"),
    *("a try", "an action", "a filter", "a failed action", "a rescue", "an always", "an included role"),
)


class TestNothingIsHidden:
    def test_a_warning_and_a_deprecation_of_every_stage(self, tmp_path: Path) -> None:
        loud = terminal(tmp_path, "warnings.yml")
        assert loud.status == 0, loud
        missing = [
            f"{kind} {stage}"
            for stage in WARNED
            for kind in ("warning of", "deprecation of")
            if f"{kind} {stage}." not in loud.flat
        ]
        assert missing == [], loud.flat
        assert "Could not match supplied host pattern, ignoring: nobody" in loud.flat

    def test_a_question_is_asked_and_nothing_is_written_over_it(self, tmp_path: Path) -> None:
        asked = terminal(tmp_path, "question.yml", answers={"What is your name": "Anna\r"})
        assert asked.status == 0, asked
        assert "Good day, Anna\n" in asked.out, asked.out
        question = asked.out[asked.out.index("What is your name") : asked.out.index("Anna")]
        assert not re.search(r"\d:\d\d  ", question), asked.out
        assert "\x1b[0;33m      ~ Work" in asked.out, "in colour"

    def test_what_no_log_hides_is_hidden(self, tmp_path: Path) -> None:
        quiet = run(tmp_path, "secrets.yml", "--diff")
        assert quiet.status == 0, quiet
        assert SECRET not in quiet.flat, quiet.flat
        assert quiet.flat.count("no_log: true") >= 4

    def test_the_limit_and_the_list_of_tasks(self, tmp_path: Path) -> None:
        one = run(tmp_path, "lost.yml", "--limit", "one")
        assert one.status == 0 and "two" not in one.out, one
        listed = run(tmp_path, "apply.yml", "--list-tasks")
        assert listed.status == 0 and "Write a file" in listed.out, listed


class TestTerminal:
    def test_what_is_under_way_stands_in_a_line_that_goes_again(self, tmp_path: Path) -> None:
        seen = terminal(tmp_path, "slow.yml")
        assert seen.status == 0, seen
        drawn = re.findall(r"\r([^\r\n\x1b]+)\x1b\[K", seen.out)
        assert any(re.fullmatch(r"\d:\d\d  one  Wait for it  \d+ s", line) for line in drawn), drawn
        assert any(re.fullmatch(r"\d:\d\d  one  Try it  \d+ s  try 2 of 3: .*", line) for line in drawn), drawn
        steps = r"\d:\d\d  Apply infra.yml to Incus  1 of 2: \+ create instance lab-ai in lab  \d+ s"
        assert any(re.fullmatch(steps, line) for line in drawn), drawn
        assert all(len(line) < 100 for line in drawn)
        left = re.sub(r"\r[^\r\n]*?(?=\r)", "", seen.out)  # what the next carriage return writes over
        assert "Wait for it" not in re.sub(r"\r\x1b\[K", "", left), left

    def test_a_log_has_plain_lines(self, tmp_path: Path) -> None:
        seen = terminal(tmp_path, "slow.yml", CI="true", NO_COLOR="1")
        assert seen.status == 0, seen
        assert "\r" not in seen.out and "\x1b" not in seen.out
        assert re.search(r"^      \+ create instance lab-ai in lab  \d\.\d s$", seen.out, re.M), seen.out


class TestAnsiblesOwn:
    def test_it_is_there_with_v(self, tmp_path: Path) -> None:
        own = run(tmp_path, "lost.yml", "--limit", "one", "-v")
        assert "TASK [Go on]" in own.out and "PLAY RECAP" in own.out, own.out
        assert not re.search(r"^\d:\d\d  ", own.out, re.M)

    @pytest.mark.parametrize(
        ("part", "playbook"),
        [
            ("play", "lost.yml"),
            ("summary", "lost.yml"),
            ("step", "apply.yml"),
            ("beat", "slow.yml"),
        ],
    )
    def test_it_takes_over_where_ours_has_a_fault(self, part: str, playbook: str, tmp_path: Path) -> None:
        plugin = (ROOT / "plugins/callback/progress.py").read_text().replace("\nname: progress\n", "\nname: broken\n")
        fault = (
            f'def fault(*_: Any, **__: Any) -> Any:\n    raise RuntimeError("of the test")\n\n\nOutput.{part} = fault\n'
        )
        (tmp_path / "broken.py").write_text(f"{plugin}\n\n{fault}")
        given = {"ANSIBLE_CALLBACK_PLUGINS": str(tmp_path), "ANSIBLE_STDOUT_CALLBACK": "broken"}
        broken = run(tmp_path, playbook, "--limit", "one,localhost", **given)
        assert broken.status == 0, broken
        assert "has a fault (RuntimeError: of the test): from here on" in broken.err
        assert broken.out.count("PLAY RECAP") == 1
        assert re.search(r"^(one|localhost) +: ok=\d+ +changed=\d", broken.out, re.M), broken.out


def test_make_takes_it_where_no_other_is_asked_for() -> None:
    done = subprocess.run(["make", "-n", "-o", "venv", "verify"], cwd=ROOT, capture_output=True, text=True)
    assert "ANSIBLE_STDOUT_CALLBACK=${ANSIBLE_STDOUT_CALLBACK:-anklume.stt.progress} " in done.stdout, done
