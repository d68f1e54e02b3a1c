# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees of a run: its stages, what takes long, what changed, what failed and why."""

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: stdout
short_description: Stages, what changed and what failed, and a line for what takes long
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Each play is a stage, with the time since the beginning. Below it stands what changed or failed, and what tasks
    say by M(ansible.builtin.debug); what is as it should be is left out. An error stands there once, with its cause.
  - On a terminal a line at the end shows what is under way, for how long, and how far it is; of an instance that
    M(anklume.stt.infra_apply) made on this host also the bytes that it receives meanwhile. In a pipe, in CI (E(CI)) or
    where E(TERM) is C(dumb), that line is left out, and what takes longer than half a minute is told now and then.
  - The plan of M(anklume.stt.infra_apply) is shown object by object, its steps as they are done.
  - Warnings and deprecations are shown as Ansible shows them, and what C(no_log) hides is hidden. There is no colour
    where there is no terminal, or with E(NO_COLOR).
  - With C(-v), or where tracebacks are asked for, the output is Ansible's own. So it is when this plugin has a fault,
    from there on, which it says on the error channel.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - to be turned on, as C(stdout_callback = anklume.stt.progress) in the section C(defaults) of C(ansible.cfg), or by
    E(ANSIBLE_STDOUT_CALLBACK)
"""

import atexit
import functools
import json
import os
import shutil
import sys
import tempfile
import textwrap
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

from ansible import constants as C  # noqa: N812
from ansible import context
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as Default
from ansible.utils.fqcn import add_internal_fqcns
from ansible_collections.anklume.stt.plugins.plugin_utils._output import (
    PREFIX,
    About,
    Line,
    Output,
    diff_lines,
    explain,
    flat,
    parts,
    visible,
)
from ansible_collections.anklume.stt.plugins.plugin_utils._traffic import Traffic

APPLY = ("anklume.stt.infra_apply", "infra_apply")
WAITS_FOR_PEOPLE = add_internal_fqcns(("pause",))
HERE = "ansible_collections/anklume/stt/"
LOG = "ANKLUME_LOG"
SOON = 0.5
"""A task is shown as under way after so many seconds: most are over by then."""
A_WHILE = 2.0
"""What a machine receives is looked at once a task takes so many seconds."""
LOOKS = {True: 0.2, False: 1.0}
"""Seconds between two looks at what is under way, on a terminal and elsewhere."""
COLOURS = {
    "": None,
    "stage": C.COLOR_HIGHLIGHT,
    "added": C.COLOR_DIFF_ADD,
    "changed": C.COLOR_CHANGED,
    "removed": C.COLOR_DIFF_REMOVE,
    "failed": C.COLOR_ERROR,
    "ignored": C.COLOR_WARN,
    "quiet": C.COLOR_SKIP,
}


class _Screen:
    """A stream of the terminal: before anything is written to it, the line of what is under way goes."""

    def __init__(self, stream: TextIO, lock: Any, wipe: Callable[[], None]) -> None:
        self._stream, self._lock, self._wipe = stream, lock, wipe

    def write(self, text: str) -> int:
        with self._lock:
            self._wipe()
            return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Watch:
    """Looks now and then, in a thread: at the log of infra_apply, and at what is under way.

    What is written is written under Ansible's own lock, which it holds whenever it starts a worker.
    """

    def __init__(self, output: Output, lock: Any, emit: Callable[[Iterable[Line]], None], give_up: Any) -> None:
        self._output, self._lock, self._emit, self._give_up = output, lock, emit, give_up
        self._stdout, self._stderr = sys.stdout, sys.stderr
        self.live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("CI")
        self.began = time.monotonic()
        self._traffic = Traffic()
        self._drawn = False
        self._over = threading.Event()
        self._own_log = LOG not in os.environ
        self._path = Path(os.environ.get(LOG) or self._make_log())
        self._read = self._path.stat().st_size if self._path.exists() else 0
        self._pid = os.getpid()
        if self.live:
            sys.stdout, sys.stderr = (_Screen(one, lock, self.wipe) for one in (sys.stdout, sys.stderr))
        atexit.register(self.stop)
        threading.Thread(target=self._look_on, daemon=True).start()

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    @staticmethod
    def _make_log() -> str:
        handle, path = tempfile.mkstemp(prefix="anklume-", suffix=".jsonl")
        os.close(handle)
        os.environ[LOG] = path
        return path

    def stop(self) -> None:
        """Leave the terminal and the environment as they were."""
        if self._over.is_set() or os.getpid() != self._pid:
            return
        self._over.set()
        with self._lock:
            self.wipe()
            sys.stdout, sys.stderr = self._stdout, self._stderr
        if self._own_log:
            os.environ.pop(LOG, None)
            self._path.unlink(missing_ok=True)

    def wipe(self) -> None:
        """Take the line of what is under way from the screen."""
        if self._drawn:
            self._drawn = False
            self._stdout.write("\r\x1b[K")
            self._stdout.flush()

    def steps(self) -> None:
        """Tell what infra_apply has written into its log since the last look."""
        try:
            with self._path.open(encoding="utf-8") as log:
                if self._path.stat().st_size < self._read:
                    self._read = 0
                log.seek(self._read)
                text = log.read()
        except OSError:
            return
        whole = text[: text.rfind("\n") + 1]
        self._read += len(whole.encode())
        for line in whole.splitlines():
            self._emit(self._output.step(self.now, json.loads(line)))

    def _look_on(self) -> None:
        while not self._over.wait(LOOKS[self.live]):
            try:
                with self._lock:
                    long = self._output.long(self.now, A_WHILE)
                # nobody waits for Incus to answer
                image = self._traffic.image() if "localhost" in long else ""
                counts = {host: self._traffic.received(host) for host in long}
                with self._lock:
                    if not self._over.is_set():
                        self._tell(image, counts)
            except Exception as error:
                self._give_up(error)
                return

    def _tell(self, image: str, counts: Mapping[str, int | None]) -> None:
        self.steps()
        self._output.image(image)
        for host, count in counts.items():
            if count is not None:
                self._output.received(self.now, host, count)
        if self.live:
            self._draw()
        else:
            self._emit(self._output.beat(self.now))

    def _draw(self) -> None:
        text = self._output.progress(self.now, shutil.get_terminal_size().columns, SOON)
        if text:
            self._stdout.write(f"\r{text}\x1b[K")
            self._stdout.flush()
            self._drawn = True
        else:
            self.wipe()


def _event(method: Callable[..., None]) -> Callable[..., None]:
    """An event that is told in our words; in Ansible's where they are asked for, or where ours failed."""

    @functools.wraps(method)
    def told(self: CallbackModule, *args: Any, **options: Any) -> None:
        if self.ours:
            try:
                with self._display._lock:
                    method(self, *args, **options)
                return
            except BrokenPipeError:
                raise
            except Exception as error:
                self.give_up(error)
        getattr(super(CallbackModule, self), method.__name__)(*args, **options)

    return told


class CallbackModule(Default):
    """From Ansible's events to those of Output, and from its lines to the screen."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "anklume.stt.progress"

    def __init__(self) -> None:
        super().__init__()
        traced = C.config.get_config_value("DISPLAY_TRACEBACK")
        self.ours = self._display.verbosity == 0 and set(traced) <= {"never"}
        self._output = Output()
        self._watch: _Watch | None = None
        self._names: dict[str, str] = {}
        self._items: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._told: set[tuple[str, str]] = set()

    # --- the edges ---

    @property
    def _now(self) -> float:
        return self._watch.now if self._watch else 0.0

    def _emit(self, lines: Iterable[Line]) -> None:
        for line in lines:
            to_stderr = line.style == "failed" and self.get_option("display_failed_stderr")
            self._display.display(visible(line.text), color=COLOURS[line.style], stderr=to_stderr)
        sys.stdout.flush()

    def give_up(self, error: Exception) -> None:
        """Leave the rest of the run to Ansible's own output."""
        self.ours = False
        if self._watch:
            self._watch.stop()
        fault = f"anklume.stt.progress has a fault ({type(error).__name__}: {error})"
        said = f"{fault}: from here on the output is Ansible's own"
        self._display.display(said, color=C.COLOR_WARN, stderr=True)

    # --- the run ---

    @_event
    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Begin to watch."""
        if self._watch:
            self._watch.stop()
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        self._output = Output(width=width)
        self._watch = _Watch(self._output, self._display._lock, self._emit, self.give_up)

    @_event
    def v2_playbook_on_play_start(self, play: Any) -> None:
        """A stage."""
        self._play = play
        self._emit(self._output.play(self._now, play.get_name().strip()))

    @_event
    def v2_playbook_on_no_hosts_matched(self) -> None:
        """A stage for nobody."""
        self._emit([Line("      no machine is asked here", "quiet")])

    @_event
    def v2_playbook_on_no_hosts_remaining(self) -> None:
        """Nobody goes on."""
        self._emit([Line("      no machine is left to go on with", "failed")])

    @_event
    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The end."""
        self._tell_steps()
        if self._watch:
            self._watch.stop()
        sums = {host: stats.summarize(host) for host in sorted(stats.processed)}
        self._emit(self._output.summary(self._now, sums, check=context.CLIARGS.get("check", False)))
        if stats.custom and self.get_option("show_custom_stats"):
            self._emit(Line(f"{host}: {self._dump_results(told)}") for host, told in sorted(stats.custom.items()))

    # --- tasks ---

    @_event
    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Keep the name as it is now: later its variables may be gone."""
        self._names[task._uuid] = task.get_name()

    @_event
    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """The same for a handler."""
        self._names[task._uuid] = task.get_name()

    @_event
    def v2_playbook_on_include(self, included_file: Any) -> None:
        """Say nothing."""

    @_event
    def v2_runner_on_async_poll(self, result: Any) -> None:
        """It is under way as any other."""

    @_event
    def v2_runner_on_async_ok(self, result: Any) -> None:
        """Its end is told as that of any other."""

    @_event
    def v2_runner_on_async_failed(self, result: Any) -> None:
        """The same."""

    @_event
    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Under way on a machine; but nothing is written over a question."""
        if task.action not in WAITS_FOR_PEOPLE:
            self._output.started(self._now, task._uuid, host.get_name(), self._name_of(task))

    @_event
    def v2_runner_retry(self, result: Any) -> None:
        """What it waits for."""
        self._handle_warnings(result.result)
        most, why = result.result.get("retries", 0), explain(result.result)[-1]
        self._output.again(*self._key(result), most, why)

    @_event
    def v2_runner_on_ok(self, result: Any) -> None:
        """What changed, and what is said to people."""
        self._ended(result)
        outcome = result.result
        if result.task.action in APPLY and outcome.get("changed") and "plan" in outcome:
            self._emit(self._output.applied(*self._key(result), outcome, look=bool(result.task.check_mode)))
        if isinstance(result.task, TaskInclude):
            self._output.ended(self._now, *self._key(result))
        elif outcome.get("changed"):
            self._tell_change(result)
        else:
            self._output.ended(self._now, *self._key(result))
        if result.task.action in C._ACTION_DEBUG and "results" not in outcome:
            self._tell_debug(result)

    @_event
    def v2_runner_on_skipped(self, result: Any) -> None:
        """Its warnings alone."""
        self._ended(result)
        self._output.ended(self._now, *self._key(result))

    @_event
    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Why it failed."""
        self._ended(result)
        if self._items.get(self._key(result)):
            self._tell_change(result)
        if self._key(result) in self._told:  # item by item
            self._told.discard(self._key(result))
            self._output.ended(self._now, *self._key(result))
        else:
            self._tell_failure(result, ignored=bool(ignore_errors))

    @_event
    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Why a machine cannot be reached."""
        self._ended(result)
        self._tell_failure(result, "cannot be reached: ", ignored=bool(result.task.ignore_unreachable))

    @_event
    def v2_on_file_diff(self, result: Any) -> None:
        """What changes, line by line."""
        outcome = result.result
        self._tell_steps()
        if result.task.action in APPLY and "plan" in outcome:
            self._emit(self._output.plan(*self._key(result), outcome))
            return
        many = result.task.loop and "results" in outcome
        for one in outcome["results"] if many else [outcome]:
            if one.get("diff") and one.get("changed"):
                diffs = one["diff"] if isinstance(one["diff"], list) else [one["diff"]]
                lines = [line for diff in diffs for line in diff_lines(diff, C.DIFF_CONTEXT)]
                if lines:
                    self._emit(self._output.diff(self._about(result), lines))

    # --- the items of a loop ---

    @_event
    def v2_runner_item_on_ok(self, result: Any) -> None:
        """An item that changed stands in the line of its task."""
        self._handle_warnings(result.result)
        if result.task.action in C._ACTION_DEBUG:
            self._tell_debug(result)
        elif result.result.get("changed") and not isinstance(result.task, TaskInclude):
            hidden = result.result.get("_ansible_no_log", False)
            self._items[self._key(result)].append("" if hidden else self._item(result))

    @_event
    def v2_runner_item_on_failed(self, result: Any) -> None:
        """Why an item failed."""
        self._handle_warnings(result.result)
        self._told.add(self._key(result))
        self._tell_failure(result, ignored=bool(result.task.ignore_errors), item=self._item(result), ends=False)

    @_event
    def v2_runner_item_on_skipped(self, result: Any) -> None:
        """Its warnings alone."""
        self._handle_warnings(result.result)

    # --- what they share ---

    def _tell_steps(self) -> None:
        if self._watch:
            self._watch.steps()

    def _ended(self, result: Any) -> None:
        """What is told of every end of a task: the steps of infra_apply before it, and its warnings."""
        self._tell_steps()
        self._handle_warnings(result.result)

    @staticmethod
    def _key(result: Any) -> tuple[str, str]:
        return result.task._uuid, result.host.get_name()

    def _name_of(self, task: Any) -> str:
        return self._names.get(task._uuid) or task.get_name()

    def _about(self, result: Any) -> About:
        return About(*self._key(result), self.host_label(result), self._name_of(result.task))

    def _item(self, result: Any) -> str:
        return flat(self._get_item_label(result.result))[:80]

    def _tell_change(self, result: Any) -> None:
        given = result.task.args if isinstance(result.task.args, Mapping) else {}
        note = "restart" if given.get("state") == "restarted" else ""
        items = self._items.pop(self._key(result), [])
        if result.task.action.startswith(PREFIX):
            items = items or parts(result.result)
        items = [item for item in items if item]
        self._emit(self._output.changed(self._now, self._about(result), items, note))

    def _tell_failure(self, result: Any, before: str = "", *, ignored: bool, item: str = "", ends: bool = True) -> None:
        first, *rest = explain(result.result)
        about, place = self._about(result), _place(result.task.get_path() or "")
        if item:
            about = about._replace(name=f"{about.name} ({item.strip('()')})")
        message = [f"{before}{first}", *rest]
        self._emit(self._output.failed(self._now, about, message, place=place, ignored=ignored, ends=ends))

    def _tell_debug(self, result: Any) -> None:
        self._clean_results(result.result, result.task.action)
        said = self._dump_results(result.result, serialize=False)
        for name in ("changed", "failed"):
            said.pop(name, None)
        self._emit(self._output.said(self._about(result), self._lines_of(said)))

    def _lines_of(self, said: Mapping[str, Any]) -> list[str]:
        if "censored" in said:
            return [str(said["censored"])]
        values = [said["msg"]] if set(said) == {"msg"} else None
        if values is None:
            single = next(iter(said.values())) if len(said) == 1 else None
            values = [single] if isinstance(single, list) else [dict(said)]
        lines: list[str] = []
        for value in values:
            if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
                lines += [line for one in value for line in str(one).split("\n")]
            elif isinstance(value, Mapping | list):
                told = value if isinstance(value, Mapping) else {"msg": value}
                lines += textwrap.dedent(self._dump_results(told)).strip("\n").split("\n")
            else:
                lines += str(value).split("\n")
        return lines


def _place(path: str) -> str:
    """Where a task stands: from the collection, from here, or from the root."""
    if HERE in path:
        return path.rpartition(HERE)[2]
    here = f"{Path.cwd()}{os.sep}"
    return path.removeprefix(here)
