# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events in, lines out: what is under way, what takes long, errors, plans, diffs, sums."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.plugin_utils._output import (
    INDENT,
    About,
    Output,
    clock,
    diff_lines,
    explain,
    parts,
    plan_lines,
    span,
)

PORT = "port 8000 is taken by python3: stop it, or choose another stt_server_port"


def about(host: str = "lab-ai", task: str = "t1", name: str = "anklume.stt.stt_server : Fill the release") -> About:
    return About(task, host, host, name)


def texts(lines: Any) -> list[str]:
    return [line.text.strip() for line in lines]


class TestUnderWay:
    def test_the_longest_is_shown_with_what_it_waits_for(self) -> None:
        output = Output()
        output.started(1.0, "t1", "lab-ai", "anklume.stt.stt_server : Fill the release")
        output.started(30.0, "t2", "lab-webui", "open_webui : Wait")
        output.again("t1", "lab-ai", 90, "status 502")
        assert output.progress(62.0, 120) == (
            "1:02  lab-ai  stt_server : Fill the release  1 min 1 s  try 2 of 90: status 502  (and 1 more)"
        )
        assert output.progress(62.0, 20) == "1:02  lab-ai  stt_…"
        assert output.progress(1.2, 120, 0.5) == ""

    def test_what_a_machine_receives_is_told_with_its_rate(self) -> None:
        output = Output()
        output.started(0.0, "t1", "lab-ai", "Fetch")
        for second in range(1, 40):
            output.received(float(second), "lab-ai", 5_000_000 * second if second < 20 else 95_000_000)
            output.received(float(second), "another", 10**12)
        assert output.progress(40.0, 120) == "0:40  lab-ai  Fetch  40 s  90.0 MB received, 0.0 MB/s"

    def test_a_little_talk_is_no_download(self) -> None:
        output = Output()
        output.started(0.0, "t1", "lab-ai", "Look")
        output.received(1.0, "lab-ai", 100)
        output.received(2.0, "lab-ai", 200_000)
        assert output.progress(3.0, 120) == "0:03  lab-ai  Look  3 s"

    def test_a_log_is_told_now_and_then(self) -> None:
        output = Output()
        output.started(0.0, "t1", "lab-ai", "Fetch")
        told = [second for second in range(200) if output.beat(float(second))]
        assert told == [30, 90, 150]
        assert texts(output.beat(210.0)) == ["… lab-ai  Fetch: 3 min 30 s"]
        output.ended(211.0, "t1", "lab-ai")
        assert output.beat(1000.0) == []

    def test_the_steps_of_incus_are_counted(self) -> None:
        output = Output()
        output.started(0.0, "t1", "localhost", "Apply infra.yml to Incus")
        output.step(0.0, {"state": "begin", "steps": 2})
        first, second = ({"action": "create", "text": f"+ create instance {name} in lab"} for name in ("a", "b"))
        output.step(1.0, {"state": "start", **first})
        output.step(2.0, {"state": "start", **second})
        assert texts(output.step(5.0, {"state": "done", "seconds": 4.2, **first})) == [f"{first['text']}  4.2 s"]
        assert output.progress(9.0, 120) == f"0:09  Apply infra.yml to Incus  1 of 2: {second['text']}  7 s"
        output.image("rootfs: 45% (3.20MB/s)")
        assert output.progress(9.0, 120).endswith("+ create instance b in lab  7 s  rootfs: 45% (3.20MB/s)")
        assert texts(output.step(9.0, {"state": "failed", "seconds": 7.0, **second})) == [
            f"{second['text']}  7.0 s: failed"
        ]


class TestErrors:
    def test_the_same_error_of_the_next_machine_is_named_only(self) -> None:
        output = Output()
        assert texts(output.failed(1.0, about(), [PORT], place="roles/x.yml:3")) == [
            "✗ lab-ai  stt_server : Fill the release",
            PORT,
            "at roles/x.yml:3",
        ]
        assert texts(output.failed(2.0, about("lab-b"), [PORT])) == ["✗ lab-b  stt_server : Fill the release: the same"]
        assert len(output.failed(3.0, about("lab-c"), ["another"])) == 2

    def test_what_is_ignored_is_no_failure(self) -> None:
        lines = Output().failed(1.0, about(), ["no"], ignored=True)
        assert {line.style for line in lines} == {"ignored"}
        assert lines[0].text.endswith("(ignored)")

    def test_a_terminal_gets_whole_words(self) -> None:
        lines = texts(Output(width=50).failed(1.0, about(), [PORT]))
        assert len(lines) == 3
        assert all(len(line) < 50 for line in lines)
        assert " ".join(lines[1:]) == PORT

    @pytest.mark.parametrize(
        ("result", "said"),
        [
            ({"msg": PORT}, [PORT]),
            ({"msg": ["one", "two"]}, ["one", "two"]),
            ({"censored": "hidden", "msg": "hunter2"}, ["hidden"]),
            ({}, ["it said no more: look above"]),
            (
                {
                    "msg": "non-zero return code",
                    "cmd": ["uv", "pip"],
                    "rc": 2,
                    "stderr": "a\nno route\n",
                    "stdout": "x",
                },
                ["ended with status 2: uv pip", "a", "no route"],
            ),
            (
                {"msg": "The command exited with a non-zero return code.", "cmd": "false", "rc": 1},
                ["ended with status 1: false"],
            ),
            (
                {"msg": "apt failed: no route", "cmd": "apt", "rc": 100, "stderr": "no route"},
                ["apt failed: no route", "no route"],
            ),
            (
                {"msg": "Task failed: 'a': The filter plugin 'anklume.stt.migration_plan' failed: wait a day"},
                ["wait a day"],
            ),
            ({"msg": "it crashed", "module_stderr": "Killed"}, ["it crashed", "Killed"]),
            ({"msg": "it crashed: Killed", "module_stderr": "Killed"}, ["it crashed: Killed"]),
        ],
    )
    def test_the_cause(self, result: dict[str, Any], said: list[str]) -> None:
        assert explain(result) == said


class TestChanges:
    def test_modules_of_ours_say_what(self) -> None:
        assert parts({"changed": True}) == []
        assert parts({"changed_files": ["/etc/x"]}) == ["/etc/x"]
        result = {"written": ["a.yml"], "removed": ["b.yml"], "moved": {"c.yml": "backups/c.yml"}}
        assert parts(result) == ["a.yml", "b.yml removed", "c.yml moved to backups/c.yml"]

    def test_items_are_told_together(self) -> None:
        lines = Output().changed(0.0, about(), list("abcdefgh"), "restart")
        assert texts(lines) == ["~ lab-ai  stt_server : Fill the release: a, b, c, d, e, f and 2 more, restart"]

    def test_what_took_long_says_so(self) -> None:
        output = Output()
        output.started(1.0, "t1", "lab-ai", "Fill")
        assert texts(output.changed(76.0, about()))[0].endswith("(1 min 15 s)")

    def test_a_diff_stands_below_its_task_which_is_told_once(self) -> None:
        output = Output()
        diff = {"before": "a\nb\n", "after": "a\nc\n", "after_header": "/etc/x"}
        told = [line.text for line in output.diff(about(), diff_lines(diff, 3))]
        assert told[0] == f"{INDENT}~ lab-ai  stt_server : Fill the release"
        assert [text.strip() for text in told[1:]] == ["/etc/x", "@@ -1,2 +1,2 @@", "a", "-b", "+c"]
        assert output.changed(1.0, about()) == []
        assert texts(output.diff(about(), []))[0] == "~ lab-ai  stt_server : Fill the release", "a handler, again"

    @pytest.mark.parametrize(
        ("diff", "said"),
        [
            (
                {"before": {"state": "absent", "x": 1}, "after": {"state": "directory", "x": 1}},
                ["~ state: absent → directory"],
            ),
            ({"before": {}, "after": {"b": "x", "a": ["y"]}}, ["+ a: y", "+ b: x"]),
            ({"before": "", "after": "", "after_header": "/etc/x"}, []),
            ({"before": None, "after": "x"}, ["@@ -0,0 +1 @@", "+x"]),
            ({"src_binary": 1, "dst_binary": 1}, ["the new content is not text", "the old content is not text"]),
            ({"prepared": "+ a\n- b"}, ["+ a", "- b"]),
        ],
    )
    def test_a_diff(self, diff: dict[str, Any], said: list[str]) -> None:
        assert texts(diff_lines(diff, 3)) == said

    def test_a_plan_that_was_followed_is_not_told_again(self) -> None:
        output = Output()
        step = {"action": "start", "kind": "instance", "project": "lab", "name": "a", "reason": "is stopped"}
        result = {"plan": [{**step, "changes": []}], "summary": ["* start instance a in lab: is stopped"]}
        assert output.applied("t1", "localhost", result, look=True) == []
        assert texts(output.said(about("localhost"), result["summary"])) == result["summary"], "a look tells nothing"
        assert texts(output.applied("t1", "localhost", result, look=False)) == result["summary"]
        output.play(1.0, "Again")
        output.step(1.0, {"state": "begin", "steps": 1})
        output.step(2.0, {"state": "done", "action": "start", "text": result["summary"][0], "seconds": 1})
        assert output.applied("t1", "localhost", result, look=False) == []
        assert output.said(about("localhost"), [*result["summary"], "a note"])[0].text == "a note"
        assert output.said(about("localhost"), result["summary"]) == []

    def test_a_long_line_of_a_plan_hangs_below_itself_on_a_terminal(self) -> None:
        change = {"path": "egress", "before": None, "after": f"{'10.1.1.1-10.1.1.2,' * 5} and more"}
        step = {"action": "update", "kind": "acl", "project": "lab", "name": "a", "reason": "", "changes": [change]}
        result = {"plan": [step], "summary": []}
        assert len(Output().plan("t1", "localhost", result)) == 2
        head, first, *more = [line.text for line in Output(width=60).plan("t1", "localhost", result)]
        assert head.strip() == "~ update acl a in lab"
        assert first.startswith(f"{INDENT}    + egress: 10.1")
        assert more and all(line.startswith(f"{INDENT}      ") and len(line) < 60 for line in more)

    def test_an_empty_line_stays_an_empty_line(self) -> None:
        assert [line.text for line in Output().said(about("localhost"), ["▄▄", "", "▀▀ "])] == ["▄▄", "", "▀▀ "]

    def test_an_instance_that_is_deleted_is_exported_first(self) -> None:
        step = {"kind": "instance", "project": "lab", "name": "a", "reason": "", "changes": []}
        lines = plan_lines([{**step, "action": action} for action in ("export", "delete")])
        assert texts(lines) == ["- delete instance a in lab: exported first"]

    def test_each_server_has_its_section(self) -> None:
        step = {"action": "create", "kind": "project", "project": "", "name": "a", "reason": "", "changes": []}
        far = {**step, "server": "gpu-room"}
        lines = plan_lines([{**step, "server": ""}, far, {**far, "name": "b"}, {**step, "server": "attic"}])
        assert texts(lines) == [
            "+ create project a",
            "server gpu-room",
            "+ create project a",
            "+ create project b",
            "server attic",
            "+ create project a",
        ]


STATS = {
    "ok": 1,
    "changed": 0,
    "unreachable": 0,
    "failures": 0,
    "skipped": 0,
    "rescued": 0,
    "ignored": 0,
}


class TestSums:
    @pytest.mark.parametrize(
        ("more", "check", "said"),
        [
            ({}, False, "Done in 1 min 5 s, nothing changed"),
            ({}, True, "Done in 1 min 5 s, nothing would change"),
            ({"changed": 2}, False, "Done in 1 min 5 s, changed: lab-ai"),
            ({"changed": 2}, True, "Done in 1 min 5 s, would change: lab-ai"),
            ({"failures": 1, "changed": 2}, False, "Failed after 1 min 5 s: lab-ai; changed: lab-ai"),
            ({"unreachable": 1}, False, "Failed after 1 min 5 s: lab-ai; nothing changed"),
        ],
    )
    def test_a_sentence(self, more: dict[str, int], check: bool, said: str) -> None:
        assert texts(Output().summary(65.0, {"lab-ai": STATS | more}, check=check))[1] == said

    def test_a_line_for_each_machine_as_ansible_writes_it(self) -> None:
        stats = {"a": STATS | {"changed": 3, "skipped": 2}, "lab-ai": STATS}
        assert texts(Output().summary(1.0, stats, check=False))[-2:] == [
            "a      : ok=1 changed=3 unreachable=0 failed=0 skipped=2",
            "lab-ai : ok=1 changed=0 unreachable=0 failed=0",
        ]
        assert texts(Output().summary(1.0, {}, check=False))[-1] == "Done in 1 s, nothing changed"

    def test_hours(self) -> None:
        assert (clock(3725.0), clock(65.9), span(59.7), span(3.2)) == ("1:02:05", "1:05", "1 min 0 s", "3 s")
