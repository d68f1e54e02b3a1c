# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a service goes from one release to another, and back: what is there → steps → what is there then.

A release is a folder; ``current`` points to the one that serves. The files that the old one ran with (unit, settings)
are kept from the switch until the new one is proved, so a run that is killed leaves either nothing begun, or something
kept: the next run takes it up from there, and never keeps the files of a release that nobody has proved.

    current = old ──keep──▶ kept ──link──▶ current = new ──settings──▶ (restart, proof) ──┬─▶ remove older ones, drop
                                                                                         └─▶ put back, link, start, drop

What a new release changes for good (a database) has commands of the service that keep it and bring it back. While a
change is under way and ``current`` is the old release, the data is the old one's: it is kept before the link leaves the
old release, and brought back before the link returns to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError

KEPT = "kept"
"""The folder beside the releases that holds the files which the old one ran with."""
RECORD = "release.json"
"""What is in it says from where to where; a kept folder without it counts for nothing."""
LOCK = "lock.sha256"
"""What is in a release when it is whole."""


@dataclass(frozen=True)
class Kept:
    """A change of release that was begun, and neither proved nor taken back."""

    before: str
    after: str


@dataclass(frozen=True)
class State:
    """What lies in a service's home."""

    current: str = ""
    """The release that `current` points to; empty when there is none."""
    folders: tuple[str, ...] = ()
    kept: Kept | None = None


@dataclass(frozen=True)
class Step:
    """One thing to do; each can be done twice, and being killed in it is as being killed before it."""

    do: str
    what: str = ""

    def __str__(self) -> str:
        return _SAID[self.do].format(self.what)


_SAID = {
    "run": "run {}",
    "move": "bring the releases here from {}, and leave a link there",
    "keep": "keep the files that the old release runs with, until {} is proved",
    "take_up": "take up the change that was interrupted, to {}",
    "link": "point current to {}",
    "put_back": "put back the files that {} ran with",
    "forget": "have {} installed anew before it is tried again",
    "start": "restart {}",
    "remove": "remove {}",
    "drop": "drop the files that {} ran with",
}


def folder_of(release: str, served: str, before: str, whole: Callable[[str], bool]) -> str:
    """The folder that a release lies in, or is to be filled in: never one that serves, or that may be gone back to.

    Where `served` bears the release's name and is not whole, or is made of other things, a folder beside it is taken.
    """
    names = [release, f"{release}-2", f"{release}-3"]
    there = [name for name in (served, *names) if name in names and whole(name)]
    return next(iter(there), next(name for name in names if name not in (served, before)))


def switch(
    state: State, release: str, drain: Iterable[str] = (), keep: Iterable[str] = (), back: Iterable[str] = ()
) -> list[Step]:
    """The steps to another release; something to restart for wherever a change is under way."""
    if state.kept is None and state.current == release:
        return []
    steps = _run(drain)
    if state.kept:
        if state.current == state.kept.before != release:
            steps += _run(keep)  # the old release may have written since
        elif state.current not in (state.kept.before, release):
            steps += _run(back)
        steps.append(Step("take_up", release))
    elif state.current in state.folders:
        steps += [*_run(keep), Step("keep", release)]
    if state.current != release:
        steps.append(Step("link", release))
    return steps


def prove(state: State, release: str, releases: Sequence[str] = ("*",), ready: Iterable[str] = ()) -> list[Step]:
    """The steps once the new release serves: it and the one before it stay; `releases` are patterns of names."""
    if state.kept is None:
        return []
    if {state.current, state.kept.after} != {release}:
        raise ServiceError(
            f"{release} cannot be proved while {state.current or 'nothing'} is current: switch to it first"
        )
    older = [
        name
        for name in state.folders
        # of a release that was gone back to halfway, nobody knows what came before it
        if state.kept.before not in (name, release) and name != release and any(fnmatch(name, one) for one in releases)
    ]
    return [
        *_run(ready),
        *(Step("remove", name) for name in older),
        Step("drop", state.kept.before),
    ]


def take_back(state: State, service: str, ready: Iterable[str] = (), back: Iterable[str] = ()) -> list[Step]:
    """The steps back to the release that served, with the files it ran with; none when nothing was switched."""
    if state.kept is None:
        return []
    before, after = state.kept.before, state.kept.after
    if before not in state.folders:
        raise ServiceError(f"{before}, which served before {after}, is gone: nothing can be taken back")
    return [
        Step("put_back", before),
        *([*_run(back), Step("link", before)] if state.current != before else []),
        *([Step("forget", after)] if after != before else []),
        Step("start", service),
        *_run(ready),
        Step("drop", before),
    ]


def _run(commands: Iterable[str]) -> list[Step]:
    return [Step("run", command) for command in commands]


def after(state: State, steps: Iterable[Step]) -> State:
    """What is there once the steps are done."""
    for step in steps:
        match step.do:
            case "keep":
                state = replace(state, kept=Kept(state.current, step.what))
            case "take_up" if state.kept:
                state = replace(state, kept=replace(state.kept, after=step.what))
            case "link":
                state = replace(state, current=step.what)
            case "remove":
                state = replace(state, folders=tuple(name for name in state.folders if name != step.what))
            case "drop":
                state = replace(state, kept=None)
    return state


def show(state: State) -> str:
    """What is there, for a diff."""
    kept = f"kept: the files of {state.kept.before}, until {state.kept.after} is proved\n" if state.kept else ""
    return f"current: {state.current or 'none'}\nreleases: {', '.join(state.folders) or 'none'}\n{kept}"
