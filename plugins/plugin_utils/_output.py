# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens in a run of Ansible → what a person reads of it. Pure: the time and the events come in, lines go out."""

from __future__ import annotations

import difflib
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Style = Literal["", "stage", "added", "changed", "removed", "failed", "ignored", "quiet"]

INDENT = " " * 6
DEEPER = " " * 10
FIRST_BEAT, NEXT_BEATS = 30.0, 60.0
"""Where there is no terminal, what takes long is told after so many seconds, and again after so many more."""
ITEMS_SHOWN = 6
TAIL = 12
"""So many of the last lines of a command's output stand below its failure."""
PREFIX = "anklume.stt."
WORTH_A_WORD = 1_000_000
"""Bytes that a machine receives during a task are told from here on: what is less is Ansible's own talk."""
RATE_OF = 12
"""The rate is that of so many of the last looks."""


class Line(NamedTuple):
    """A line, and what it is: the callback gives it its colour."""

    text: str
    style: Style = ""


_OWN_WORDS = re.compile(r".*The filter plugin 'anklume\.stt\.\w+' failed: ", re.DOTALL)
"""What Ansible puts before what a filter of this collection refuses."""
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def visible(text: str) -> str:
    """Nothing of what is told may steer the terminal: a control character is shown as its escape."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


class About(NamedTuple):
    """Which task, on which machine; the label also names the machine that it was delegated to."""

    task: str
    host: str
    label: str
    name: str

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others that are under way."""
        return self.task, self.host

    @property
    def words(self) -> str:
        """The machine and the task as they begin a line; what happens here needs no machine."""
        return where(self.label) + short(self.name)


@dataclass
class Work:
    """A task under way on a machine."""

    host: str
    name: str
    since: float
    beat: float
    tries: int = 1
    detail: str = ""
    counts: list[tuple[float, int]] = field(default_factory=list)

    @property
    def received(self) -> str:
        """The bytes that its machine has received meanwhile, and how many in a second of late."""
        if len(self.counts) < 2:
            return ""
        (_begin, least), (then, before), (now, most) = self.counts[0], self.counts[-RATE_OF:][0], self.counts[-1]
        if most - least < WORTH_A_WORD:
            return ""
        return f"{size(most - least)} received, {size(round((most - before) / max(now - then, 0.001)))}/s"


class Output:
    """What has been said so far, and what is under way."""

    def __init__(self, *, width: int | None = None) -> None:
        """`width` is that of the terminal, for wrapping errors; None where lines are left to be long."""
        self._width = width
        self._work: dict[tuple[str, str], Work] = {}
        self._shown: set[str] = set()
        self._headed: set[tuple[str, str]] = set()
        self._errors: set[tuple[str, ...]] = set()
        self._steps: dict[str, float] = {}
        self._done = self._all = 0
        self._image = ""

    def play(self, now: float, name: str) -> list[Line]:
        """A stage begins."""
        self._work.clear()
        self._shown.clear()
        self._headed.clear()
        self._errors.clear()
        return [Line(f"{clock(now)}  {name}", "stage")]

    def started(self, now: float, task: str, host: str, name: str) -> None:
        """A task begins on a machine."""
        self._work[task, host] = Work(host, short(name), now, now + FIRST_BEAT)

    def again(self, task: str, host: str, most: int, why: str) -> None:
        """A task is tried again: it waits for something that is not so yet."""
        if work := self._work.get((task, host)):
            work.tries += 1
            work.detail = f"try {work.tries} of {most}: {why}"

    def ended(self, now: float, task: str, host: str) -> float:
        """A task has ended, with nothing to say; its seconds."""
        work = self._work.pop((task, host), None)
        return now - work.since if work else 0.0

    def changed(self, now: float, about: About, items: Sequence[str] = (), note: str = "") -> list[Line]:
        """A task has changed something, or would."""
        seconds = self.ended(now, *about.key)
        if about.key in self._headed:
            self._headed.discard(about.key)
            return []
        some = ", ".join(items[:ITEMS_SHOWN])
        if len(items) > ITEMS_SHOWN:
            some += f" and {len(items) - ITEMS_SHOWN} more"
        detail = ", ".join(filter(None, [some, note]))
        text = f"{INDENT}~ {about.words}{f': {detail}' if detail else ''}{took(seconds)}"
        return self._hanging(Line(text, "changed"))

    def diff(self, about: About, lines: Iterable[Line]) -> list[Line]:
        """What a task changes, before the task's end is told."""
        head = [] if about.key in self._headed else [Line(f"{INDENT}~ {about.words}", "changed")]
        self._headed.add(about.key)
        return [*head, *lines]

    def plan(self, task: str, host: str, result: Mapping[str, Any]) -> list[Line]:
        """What infra_apply would do, or has done, object by object."""
        self._headed.add((task, host))
        self._shown.update(result.get("summary", ()))
        return [line for one in plan_lines(result["plan"]) for line in self._hanging(one)]

    def applied(self, task: str, host: str, result: Mapping[str, Any], *, look: bool) -> list[Line]:
        """The end of infra_apply: its steps, unless each has been told as it was done, or it only looked."""
        self._headed.add((task, host))
        summary = [str(text) for text in result.get("summary", ())]
        if look or self._shown.issuperset(summary):
            return []
        self._shown.update(summary)
        return [line for text in summary for line in self._hanging(Line(f"{INDENT}{text}", style_of(text)))]

    def failed(
        self,
        now: float,
        about: About,
        message: Sequence[str],
        *,
        place: str = "",
        ignored: bool = False,
        ends: bool = True,
    ) -> list[Line]:
        """A task has failed on a machine, or (`ends` is false) for one item of its loop.

        The same error of the next machine is not told again.
        """
        seconds = self.ended(now, *about.key) if ends else 0.0
        style: Style = "ignored" if ignored else "failed"
        head = f"{INDENT}{'!' if ignored else '✗'} {about.words}{' (ignored)' if ignored else ''}"
        key = (about.task, *message)
        if key in self._errors:
            return [Line(f"{head}: the same", style)]
        self._errors.add(key)
        lines = [Line(f"{head}{took(seconds)}", style)]
        lines += [Line(f"{DEEPER}{line}" if line else "", style) for text in message for line in self._wrapped(text)]
        if place and not ignored:
            lines.append(Line(f"{DEEPER}at {place}", "quiet"))
        return lines

    def said(self, about: About, lines: Sequence[str]) -> list[Line]:
        """What a task says to people, as it is; what infra_apply has just told is not told again."""
        new = [line for line in lines if line not in self._shown]
        if lines and not new:
            return []
        if about.label == "localhost":
            return [Line(line) for line in new]
        if len(new) == 1:
            return [Line(f"{INDENT}{about.words}: {new[0]}")]
        return [Line(f"{INDENT}{about.words}"), *map(Line, new)]

    def step(self, now: float, entry: Mapping[str, Any]) -> list[Line]:
        """A line of infra_apply's log: a step begins or ends."""
        what = entry.get("text") or f"{entry.get('action', '')} {entry.get('object', '')}"
        match entry["state"]:
            case "begin":
                self._steps, self._done, self._all = {}, 0, entry["steps"]
            case "start":
                self._steps[what] = now
            case "done" | "failed" as state:
                self._steps.pop(what, None)
                self._done += entry.get("action") != "ready"
                self._shown.add(what)
                seconds = f"{entry['seconds']:.1f} s"
                if state == "failed":
                    return [Line(f"{INDENT}{what}  {seconds}: failed", "failed")]
                return [Line(f"{INDENT}{what}  {seconds}", style_of(what))]
            case "end":
                self._steps, self._done, self._all = {}, 0, 0
        return []

    def progress(self, now: float, columns: int, soon: float = 0.0) -> str:
        """The line that stands at the end of a terminal while something takes longer than `soon`; else nothing."""
        works = sorted((work for work in self._work.values() if now - work.since >= soon), key=lambda work: work.since)
        if not works:
            return ""
        first = works[0]
        text = f"{clock(now)}  {where(first.host)}{first.name}"
        if self._all:
            text += f"  {self._done} of {self._all}"
            if self._steps:
                step, since = min(self._steps.items(), key=lambda one: one[1])
                text += f": {step}  {span(now - since)}"
            text += f"  {self._image}" if self._image else ""
        else:
            image = self._image if first.host == "localhost" else ""
            parts = (span(now - first.since), first.detail, first.received, image)
            text += "".join(f"  {part}" for part in parts if part)
        if len(works) > 1:
            text += f"  (and {len(works) - 1} more)"
        return text if len(text) < columns else f"{text[: columns - 2]}…"

    def long(self, now: float, seconds: float) -> set[str]:
        """The machines on which something has been under way for so long."""
        return {work.host for work in self._work.values() if now - work.since >= seconds}

    def image(self, text: str) -> None:
        """How far Incus is with an image, empty where it fetches none."""
        self._image = text

    def received(self, now: float, host: str, count: int) -> None:
        """How many bytes a machine has received by now."""
        for work in self._work.values():
            if work.host == host:
                work.counts.append((now, count))
                del work.counts[1:-RATE_OF]

    def beat(self, now: float) -> list[Line]:
        """What takes long, for a log: not too often."""
        lines = []
        for work in self._work.values():
            if now >= work.beat:
                work.beat = now + NEXT_BEATS
                told = ", ".join(filter(None, [span(now - work.since), work.detail, work.received]))
                lines.append(Line(f"{INDENT}… {where(work.host)}{work.name}: {told}", "quiet"))
        return lines

    def summary(self, now: float, stats: Mapping[str, Mapping[str, int]], *, check: bool) -> list[Line]:
        """How it went in a sentence, and machine by machine."""
        failed = [host for host, sums in stats.items() if sums["failures"] or sums["unreachable"]]
        changed = [host for host, sums in stats.items() if sums["changed"]]
        did = f"would change: {', '.join(changed)}" if check else f"changed: {', '.join(changed)}"
        nothing = "nothing would change" if check else "nothing changed"
        if failed:
            told = f"Failed after {span(now)}: {', '.join(failed)}; {did if changed else nothing}"
        else:
            told = f"Done in {span(now)}, {did if changed else nothing}"
        style: Style = "failed" if failed else "changed" if changed else "added"
        lines = [Line(""), Line(told, style)]
        if failed:
            lines.append(Line("Ansible's own words: the same with -v (make: ARGS=-v)", "quiet"))
        column = max(map(len, stats), default=0)
        for host, sums in stats.items():
            counts = {"ok": sums["ok"], "changed": sums["changed"], "unreachable": sums["unreachable"]}
            counts["failed"] = sums["failures"]
            counts |= {name: sums[name] for name in ("skipped", "rescued", "ignored") if sums[name]}
            text = " ".join(f"{name}={count}" for name, count in counts.items())
            lines.append(Line(f"{host:<{column}} : {text}", "failed" if host in failed else ""))
        return lines

    def _hanging(self, line: Line) -> list[Line]:
        """A long line of a plan or a change: on a terminal it goes on below itself."""
        if not self._width or len(line.text) < self._width:
            return [line]
        start = " " * (len(line.text) - len(line.text.lstrip()) + 2)
        parts = textwrap.wrap(line.text, self._width - 1, subsequent_indent=start, break_on_hyphens=False)
        return [Line(part, line.style) for part in parts]

    def _wrapped(self, text: str) -> list[str]:
        width = self._width and max(40, self._width - len(DEEPER) - 1)
        lines = text.splitlines() or [""]
        if not width:
            return lines
        return [part for line in lines for part in (_wrap(line, width) or [""])]


def _wrap(line: str, width: int) -> list[str]:
    start = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(line, width, subsequent_indent=start, break_long_words=False, break_on_hyphens=False)


def explain(result: Mapping[str, Any]) -> list[str]:
    """Why a task failed, from its result: what it says, and the end of what a command printed."""
    if result.get("censored"):
        return [str(result["censored"])]
    said = result.get("msg", "")
    said = said if isinstance(said, list) else _OWN_WORDS.sub("", str(said)).strip().splitlines()
    message = [str(part) for part in said]
    command, status = result.get("cmd"), result.get("rc")
    if command is not None and status and "non-zero return code" in "\n".join(message or ["non-zero return code"]):
        words = " ".join(map(str, command)) if isinstance(command, list) else str(command)
        message = [f"ended with status {status}: {textwrap.shorten(words, 200, placeholder=' …')}"]
    for name in ("stderr", "module_stderr", "stdout", "module_stdout"):
        printed = [line for line in str(result.get(name) or "").splitlines() if line.strip()]
        if printed:
            known = "\n".join(message[0 if command is None else 1 :])
            message += [line for line in printed[-TAIL:] if line.strip() not in known]
            break
    return message or ["it said no more: look above"]


def parts(result: Mapping[str, Any]) -> list[str]:
    """What a module of this collection has changed, where its result says so."""
    found = [str(one) for key in ("written", "changed_files", "changed_settings") for one in result.get(key) or ()]
    found += [f"{one} removed" for one in result.get("removed") or ()]
    return found + [f"{old} moved to {new}" for old, new in dict(result.get("moved") or {}).items()]


def plan_lines(plan: Iterable[Mapping[str, Any]]) -> Iterator[Line]:
    """The steps of infra_apply, one object after the other with the fields that change."""
    objects: dict[tuple[str, str, str, str], list[Mapping[str, Any]]] = {}
    for step in plan:
        key = step.get("server") or "", step["kind"], step["project"], step["name"]
        objects.setdefault(key, []).append(step)
    section = ""
    for (server, kind, project, name), steps in objects.items():
        if server != section:
            section = server
            yield Line(f"{INDENT}server {server}", "quiet")
        actions = [step["action"] for step in steps]
        does = next((action for action in ("create", "update", "delete") if action in actions), actions[0])
        extra = [words for action, words in EXTRA.items() if action in actions and action != does]
        if {"stop", "start"} <= set(actions) and "create" not in actions:
            extra.append("restart")
        extra += [step["reason"] for step in steps if step["reason"] and step["action"] == does]
        head = f"{SIGNS.get(does, '~')} {does} {kind} {name}"
        head += f" in {project}" if project else ""
        head += f": {', '.join(extra)}" if extra else ""
        yield Line(f"{INDENT}{head}", style_of(head))
        for step in steps:
            for change in step["changes"]:
                yield from change_lines(change["path"], change["before"], change["after"])


SIGNS = {"create": "+", "update": "~", "delete": "-"}
EXTRA = {"snapshot": "a snapshot first", "export": "exported first"}


def change_lines(path: str, before: Any, after: Any) -> Iterator[Line]:
    """A field before and after."""
    if isinstance(before, list) or isinstance(after, list):
        old, new = before or [], after or []
        for one in old:
            if one not in new:
                yield Line(f"{DEEPER}- {path}: {flat(one)}", "removed")
        for one in new:
            if one not in old:
                yield Line(f"{DEEPER}+ {path}: {flat(one)}", "added")
    elif before is None:
        yield Line(f"{DEEPER}+ {path}: {flat(after)}", "added")
    elif after is None:
        yield Line(f"{DEEPER}- {path}: {flat(before)}", "removed")
    else:
        yield Line(f"{DEEPER}~ {path}: {flat(before)} → {flat(after)}", "changed")


def diff_lines(diff: Mapping[str, Any], context: int) -> Iterator[Line]:
    """A diff of Ansible: of two mappings key by key, of two texts line by line."""
    before, after = diff.get("before"), diff.get("after")
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}, key=str):
            if before.get(key) != after.get(key):
                yield from change_lines(str(key), before.get(key), after.get(key))
    elif "before" in diff and "after" in diff:
        name = diff.get("after_header") or diff.get("before_header")
        if name and before != after:
            yield Line(f"{DEEPER}{name}")
        old, new = ("" if text is None else str(text) for text in (before, after))
        lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=context)
        for line in list(lines)[2:]:
            yield Line(f"{DEEPER}{line}".rstrip(), DIFF_STYLES.get(line[:1], ""))
    for key, words in NOT_SHOWN.items():
        if key in diff:
            yield Line(f"{DEEPER}{words}", "quiet")
    for line in str(diff.get("prepared", "")).splitlines():
        yield Line(f"{DEEPER}{line}".rstrip(), DIFF_STYLES.get(line[:1], ""))


DIFF_STYLES: dict[str, Style] = {"+": "added", "-": "removed", "@": "quiet"}
NOT_SHOWN = {
    "src_binary": "the new content is not text",
    "dst_binary": "the old content is not text",
    "src_larger": "the new content is too long to be shown",
    "dst_larger": "the old content is too long to be shown",
}


def flat(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        return " ".join(f"{key}={flat(one)}" for key, one in value.items() if one not in ("", None))
    return " ⏎ ".join(str(value).splitlines())


def style_of(step: str) -> Style:
    """The style of a step's line, from its sign."""
    signs: dict[str, Style] = {"+": "added", "-": "removed"}
    return signs.get(step[:1], "changed")


def short(name: str) -> str:
    """A task's name; roles of this collection are known without its name."""
    return name.strip().removeprefix(PREFIX)


def where(label: str) -> str:
    """The machine before a task's name; what happens here needs none."""
    return "" if label == "localhost" else f"{label}  "


def clock(seconds: float) -> str:
    """The time since the beginning, as on a stopwatch."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def span(seconds: float) -> str:
    """How long something took, in words."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def size(count: int) -> str:
    """A number of bytes, as networks count them."""
    if count < 1_000_000_000:
        return f"{count / 1_000_000:.1f} MB" if count < 100_000_000 else f"{count / 1_000_000:.0f} MB"
    return f"{count / 1_000_000_000:.2f} GB"


def took(seconds: float) -> str:
    """The same at the end of a line, where it is worth a word."""
    return f"  ({span(seconds)})" if seconds >= 1 else ""
