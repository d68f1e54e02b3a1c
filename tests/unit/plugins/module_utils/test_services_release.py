# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a change of release from every state, half states included, and wherever they are cut."""

from __future__ import annotations

from itertools import product

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._services.release import (
    Kept,
    State,
    Step,
    after,
    folder_of,
    prove,
    show,
    switch,
    take_back,
)

ALL = ("1", "2", "3")
SERVES = State("1", ALL)
# where a run from 1 to 2 can be killed, but for the first and the last state, in which nothing is under way
KEPT = State("1", ALL, Kept("1", "2"))
SWITCHED = State("2", ALL, Kept("1", "2"))
REMOVED = State("2", ("1", "2"), Kept("1", "2"))
HALF = (KEPT, SWITCHED, REMOVED)


def steps(*named: tuple[str, str]) -> list[Step]:
    return [Step(do, what) for do, what in named]


class TestFolder:
    """Where a release lies or is filled: what serves, and what may be gone back to, is never filled anew."""

    @pytest.mark.parametrize(
        ("served", "before", "whole", "folder"),
        [
            ("", "", "", "1"),
            ("0", "", "", "1"),
            ("0", "", "1", "1"),
            ("1", "", "1", "1"),
            ("1", "", "", "1-2"),
            ("1", "", "1-2", "1-2"),
            ("1-2", "1", "1-2", "1-2"),
            ("1-2", "1", "", "1-3"),
            ("1-2", "", "", "1"),
            ("1-2", "", "1 1-2", "1-2"),
            ("0", "1", "", "1-2"),
            ("0", "1", "1 1-2", "1"),
        ],
    )
    def test_folder(self, served: str, before: str, whole: str, folder: str) -> None:
        assert folder_of("1", served, before, whole.split().__contains__) == folder

    def test_one_is_free_whatever_is_there(self) -> None:
        names = ["", "1", "1-2", "1-3"]
        for served, before in product(names, names):
            assert folder_of("1", served, before, lambda _: False) not in (served, before)


class TestSwitch:
    def test_to_where_it_is_takes_nothing(self) -> None:
        assert switch(SERVES, "1", ["drain"]) == []

    def test_the_first_release_has_none_to_go_back_to(self) -> None:
        assert switch(State("", ("1",)), "1") == steps(("link", "1"))

    def test_a_link_that_leads_nowhere_is_no_release_to_go_back_to(self) -> None:
        assert switch(State("0", ("1",)), "1") == steps(("link", "1"))

    def test_what_the_old_one_runs_with_is_kept_first_and_the_drain_comes_before_all(self) -> None:
        assert switch(SERVES, "2", ["drain"]) == steps(("run", "drain"), ("keep", "2"), ("link", "2"))

    def test_data_is_kept_before_the_files_and_never_again_once_the_new_one_may_have_run(self) -> None:
        assert switch(SERVES, "2", ["drain"], ["keep"], ["back"]) == steps(
            ("run", "drain"), ("run", "keep"), ("keep", "2"), ("link", "2")
        )
        assert switch(SWITCHED, "2", keep=["keep"], back=["back"]) == steps(("take_up", "2"))

    def test_data_is_kept_anew_where_the_old_one_may_have_written_since(self) -> None:
        assert switch(KEPT, "2", keep=["keep"], back=["back"]) == steps(
            ("run", "keep"), ("take_up", "2"), ("link", "2")
        )
        assert switch(KEPT, "1", keep=["keep"], back=["back"]) == steps(("take_up", "1"))

    @pytest.mark.parametrize("release", ["1", "3"])
    def test_data_is_brought_back_where_a_change_gives_way_to_another(self, release: str) -> None:
        assert switch(SWITCHED, release, keep=["keep"], back=["back"]) == steps(
            ("run", "back"), ("take_up", release), ("link", release)
        )

    @pytest.mark.parametrize("state", HALF)
    @pytest.mark.parametrize("release", ALL)
    def test_an_interrupted_change_is_taken_up_and_nothing_is_kept_anew(self, state: State, release: str) -> None:
        todo = switch(state, release)
        assert todo[0] == Step("take_up", release), "something to restart for"
        assert not [step for step in todo if step.do == "keep"]
        end = after(state, todo)
        assert (end.current, end.kept) == (release, Kept("1", release))


class TestProve:
    def test_the_one_before_stays_and_what_was_kept_goes_last(self) -> None:
        assert prove(SWITCHED, "2", ready=["ready"]) == steps(("run", "ready"), ("remove", "3"), ("drop", "1"))

    def test_nothing_under_way_takes_nothing(self) -> None:
        assert prove(SERVES, "1") == []

    def test_only_releases_are_removed(self) -> None:
        state = State("a-2", ("a-0", "a-1", "a-2", "clips"), Kept("a-1", "a-2"))
        assert [step.what for step in prove(state, "a-2", ["a-*", "b-*"]) if step.do == "remove"] == ["a-0"]

    def test_halfway_and_back_nobody_knows_what_came_before(self) -> None:
        assert prove(State("1", ALL, Kept("1", "1")), "1") == steps(("drop", "1"))

    @pytest.mark.parametrize(("state", "release"), [(KEPT, "2"), (SWITCHED, "3"), (State("", (), Kept("1", "2")), "2")])
    def test_what_is_not_switched_to_is_not_proved(self, state: State, release: str) -> None:
        with pytest.raises(ServiceError, match="switch to it first"):
            prove(state, release)


class TestTakeBack:
    def test_files_link_mark_start_ready_and_then_nothing_is_kept(self) -> None:
        assert take_back(SWITCHED, "stt", ["ready"]) == steps(
            ("put_back", "1"), ("link", "1"), ("forget", "2"), ("start", "stt"), ("run", "ready"), ("drop", "1")
        )

    def test_nothing_under_way_takes_nothing(self) -> None:
        assert take_back(SERVES, "stt") == []

    def test_data_comes_back_before_the_link_unless_the_old_release_was_never_left(self) -> None:
        assert take_back(SWITCHED, "stt", back=["back"])[:3] == steps(("put_back", "1"), ("run", "back"), ("link", "1"))
        assert Step("run", "back") not in take_back(KEPT, "stt", back=["back"])

    def test_the_release_that_served_is_not_marked_as_failed(self) -> None:
        assert "forget" not in [step.do for step in take_back(State("1", ALL, Kept("1", "1")), "stt")]

    def test_a_release_that_is_gone_cannot_come_back(self) -> None:
        with pytest.raises(ServiceError, match="1, which served before 2, is gone"):
            take_back(State("2", ("2", "3"), Kept("1", "2")), "stt")


@pytest.mark.parametrize("works", [True, False])
@pytest.mark.parametrize("first", ["2", "3"])
@pytest.mark.parametrize("wanted", ALL)
def test_cut_anywhere_the_next_run_ends_right(first: str, wanted: str, works: bool) -> None:
    """All that a run does, one step after the other, cut after each; then a run to any release."""

    def run(state: State, release: str, works: bool) -> list[Step]:
        todo = switch(state, release)
        then = after(state, todo)
        return todo + (prove(then, release) if works else take_back(then, "stt"))

    whole = run(SERVES, first, works)
    for cut in range(len(whole) + 1):
        state = after(SERVES, whole[:cut])
        assert state.current in ("1", first)
        assert state.current == "1" or state.kept == Kept("1", first) or cut == len(whole)
        if wanted not in state.folders:
            continue
        again = run(state, wanted, works=True)
        end = after(state, again)
        assert (end.current, end.kept) == (wanted, None)
        if wanted == first:
            assert set(end.folders) == {"1", first}
        failed = after(state, run(state, wanted, works=False))
        assert failed.kept is None
        assert failed.current in ("1", first), "never one that nobody has proved"


@pytest.mark.parametrize("reboots", [True, False])
@pytest.mark.parametrize("works", [True, False])
@pytest.mark.parametrize("first", ["2", "3"])
@pytest.mark.parametrize("wanted", ALL)
def test_data_cut_anywhere_is_of_the_release_that_serves_or_older(
    first: str, wanted: str, works: bool, reboots: bool
) -> None:
    """A release makes data its own when it starts, after a reboot too; an older one cannot read it then."""
    data, saved = "1", ""

    def run(state: State, release: str, works: bool, cut: int = 99) -> State:
        nonlocal data, saved
        todo = switch(state, release, keep=["keep"], back=["back"])
        then = after(state, todo)
        todo += [Step("start", "new")]
        todo += prove(then, release) if works else take_back(then, "old", back=["back"])
        for step in todo[:cut]:
            if step == Step("run", "keep"):
                assert data == "1", "only what was proved is kept"
                saved = data
            elif step == Step("run", "back"):
                data = saved
            state = after(state, [step])
            if step.do == "start" or (step.do == "link" and reboots):
                assert data <= state.current, "an older release cannot read it"
                data = state.current
        return state

    for cut in range(20):
        data, saved = "1", ""
        state = run(SERVES, first, works, cut)
        if wanted in state.folders and (state.kept or state.current <= wanted):
            end = run(state, wanted, works=True)
            assert (end.current, end.kept, data) == (wanted, None, wanted)


def test_every_step_can_be_said() -> None:
    for state, release in product((SERVES, *HALF), ALL):
        todo = switch(state, release, ["d"])
        then = after(state, todo)
        for step in todo + take_back(then, "stt") + prove(then, release, ready=["r"]):
            assert step.what in str(step)


def test_the_diff_says_from_and_to() -> None:
    assert show(SERVES) == "current: 1\nreleases: 1, 2, 3\n"
    assert show(SWITCHED).endswith("kept: the files of 1, until 2 is proved\n")
    assert show(State()) == "current: none\nreleases: none\n"
