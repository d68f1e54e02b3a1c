# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of release in a folder of its own, with a systemctl that pretends; killed at every write, too."""

from __future__ import annotations

import getpass
import grp
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._services.release import after, prove, switch, take_back
from ansible_collections.anklume.stt.plugins.module_utils._services.release_files import Releases
from ansible_collections.anklume.stt.plugins.modules import service_release
from module_runner import run_module

ME = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}

# writes its words down, and fails where a file tells it to
SYSTEMCTL = """#!/bin/sh
echo "$@" >>{here}/said
[ ! -e {here}/fails ] || {{ echo "Job for $2 failed." >&2; exit 1; }}
"""


class Place:
    """A service with the releases 1 (serves) to 3, a unit, settings, and aliases that only some releases have."""

    def __init__(self, here: Path) -> None:
        self.here, self.home = here, here / "opt"
        self.unit, self.env, self.aliases = (here / name for name in ("stt.service", "stt.env", "aliases.json"))
        self.files = [str(path) for path in (self.unit, self.env, self.aliases)]
        for release in "123":
            self.fill(release)
        (self.home / "current").symlink_to("1")
        self.write("1")

    def fill(self, release: str) -> None:
        (self.home / release / "bin").mkdir(parents=True, exist_ok=True)
        (self.home / release / "lock.sha256").write_text(release)

    def write(self, release: str) -> bool:
        """The settings of a release; whether that changed anything. Release 1 has no aliases."""
        changed = False
        for path in (self.unit, self.env) if release == "1" else (self.unit, self.env, self.aliases):
            wanted = f"{path.name} of {release}"
            if not path.exists() or path.read_text() != wanted:
                staged = path.with_suffix(".written")
                staged.write_text(wanted)
                staged.chmod(0o640 if path == self.env else 0o644)
                staged.replace(path)
                changed = True
        if release == "1" and self.aliases.exists():
            self.aliases.unlink()
            changed = True
        return changed

    def current(self) -> str:
        return (self.home / "current").readlink().name

    def settings(self) -> list[str]:
        return [path.read_text() for path in (self.unit, self.env, self.aliases) if path.exists()]

    def folders(self) -> set[str]:
        return {path.name for path in self.home.iterdir()} - {"current"}

    def said(self) -> list[str]:
        path = self.here / "said"
        return path.read_text().splitlines() if path.exists() else []

    def wanted(self, release: str) -> list[dict[str, Any]]:
        """The same settings, as the module takes them."""
        files = [{"path": str(path), "content": f"{path.name} of {release}", **ME} for path in (self.unit, self.env)]
        files[1]["mode"] = "0640"
        alias = {"state": "absent"} if release == "1" else {"content": f"aliases.json of {release}"}
        return [*files, {"path": str(self.aliases), **alias, **ME}]

    def go(self, state: str, release: str = "2", **params: Any) -> dict[str, Any]:
        files = self.wanted(release)
        words = {"service": "stt", "home": str(self.home), "state": state, "release": release, "files": files}
        return run_module(service_release, **words | params)


def written(release: str) -> list[str]:
    names = ["stt.service", "stt.env"] + ([] if release == "1" else ["aliases.json"])
    return [f"{name} of {release}" for name in names]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "systemctl").write_text(SYSTEMCTL.format(here=tmp_path))
    (tools / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    return Place(tmp_path)


class TestModule:
    def test_switched_and_proved(self, place: Place) -> None:
        result = place.go("switched")
        assert (result["changed"], result["before"], result["current"]) == (True, "1", "2")
        assert place.current() == "2"
        assert place.settings() == written("2"), "whatever starts now starts with its own settings"
        assert place.said() == [], "the old one goes on running"
        place.write("2")
        result = place.go("proved")
        assert result["changed"]
        assert place.folders() == {"1", "2"}
        for state in ("switched", "proved", "taken_back"):
            assert not place.go(state)["changed"], state
        assert (place.current(), place.settings()) == ("2", written("2"))

    def test_moved_to_another_folder_with_a_link_in_its_place(self, place: Place) -> None:
        new = place.here / "new"
        params: dict[str, Any] = {"home": str(new), "former_home": str(place.home)}
        assert place.go("moved", check=True, **params)["steps"] == [
            f"bring the releases here from {place.home}, and leave a link there"
        ]
        assert not new.exists()
        assert place.go("moved", **params)["changed"]
        assert place.home.readlink() == Path("new") and (place.home / "1/lock.sha256").read_text() == "1"
        assert {path.name for path in new.iterdir()} == {"1", "2", "3", "current"}
        assert not place.go("moved", **params)["changed"]
        assert place.go("switched", home=str(new))["current"] == "2"

    def test_moved_though_it_was_cut_off_before_the_link(self, place: Place) -> None:
        new = place.here / "new"
        (place.home / "former").symlink_to("new")
        place.home.rename(new)
        assert place.go("moved", home=str(new), former_home=str(place.home))["changed"]
        assert (place.home / "current").exists() and not (new / "former").exists()

    def test_nothing_to_move_is_no_fault(self, place: Place) -> None:
        assert not place.go("moved", former_home=str(place.here / "nowhere"))["changed"]
        fresh = {"home": str(place.here / "new"), "former_home": str(place.here / "nowhere")}
        assert not place.go("moved", **fresh)["changed"]

    def test_taken_back_with_the_files_that_it_ran_with(self, place: Place) -> None:
        place.env.chmod(0o640)
        place.go("switched")
        place.write("2")
        place.env.chmod(0o600)
        result = place.go("taken_back")
        assert (result["changed"], result["before"], result["current"]) == (True, "2", "1")
        assert (place.current(), place.settings()) == ("1", written("1"))
        assert place.env.stat().st_mode & 0o777 == 0o640
        assert place.said() == ["daemon-reload", "restart stt"]
        assert not (place.home / "2/lock.sha256").exists(), "installed anew before it is tried again"
        assert not place.go("taken_back")["changed"]

    def test_check_mode_shows_from_and_to_and_leaves_all(self, place: Place) -> None:
        shutil.rmtree(place.home / "2")
        result = place.go("switched", check=True)
        assert result["changed"]
        assert result["diff"][0]["before"] == "current: 1\nreleases: 1, 3\n"
        assert result["diff"][0]["after"].startswith("current: 2\n")
        assert result["steps"][-1] == "point current to 2"
        assert (place.current(), place.folders()) == ("1", {"1", "3"})
        place.fill("2")
        place.go("switched")
        place.write("2")
        for state, first in (("proved", "2"), ("taken_back", "1")):
            result = place.go(state, check=True)
            assert result["diff"][0]["after"].startswith(f"current: {first}\n")
        assert (place.current(), place.folders()) == ("2", {"1", "2", "3", "kept"})
        assert place.settings() == written("2")

    def test_the_first_installation(self, place: Place, tmp_path: Path) -> None:
        home = tmp_path / "new"
        assert (
            place.go("switched", home=str(home), check=True)["diff"][0]["before"] == "current: none\nreleases: none\n"
        )
        (home / "2").mkdir(parents=True)
        (home / "2/lock.sha256").touch()
        assert place.go("switched", home=str(home))["steps"] == ["point current to 2"]
        assert not place.go("taken_back", home=str(home))["changed"], "there is nothing to go back to"

    def test_a_release_that_is_not_whole_is_not_switched_to(self, place: Place) -> None:
        (place.home / "2/lock.sha256").unlink()
        result = place.go("switched")
        assert "2 is not whole (it has no lock.sha256): install it first" in result["msg"]
        assert (place.current(), place.folders()) == ("1", {"1", "2", "3"})

    def test_settings_come_with_the_switch_and_secrets_are_shown_nowhere(self, place: Place) -> None:
        files = place.wanted("2")
        del files[1]["content"]
        hidden = {"files": files, "secret_contents": {str(place.env): "KEY=hush"}}
        result = place.go("switched", check=True, **hidden)
        assert place.settings() == written("1")
        assert [change.get("after_header", "") for change in result["diff"]] == ["", *place.files]
        assert "hush" not in str(result)
        assert "hush" not in str(place.go("switched", **hidden)["diff"])
        assert (place.env.read_text(), place.env.stat().st_mode & 0o777) == ("KEY=hush", 0o640)
        assert place.go("switched", **hidden)["changed"], "a change under way"
        place.go("proved")
        place.env.write_text("of somebody's hand")
        assert not place.go("switched", **hidden)["changed"], "settings alone are no switch"
        assert place.env.read_text() == "of somebody's hand"

    def test_settings_that_nobody_proved_are_never_kept(self, place: Place) -> None:
        place.go("switched")
        place.write("2")
        assert place.go("switched")["changed"], "nobody knows what runs: something to restart for"
        place.go("switched", "3")
        place.write("3")
        place.go("taken_back")
        assert (place.current(), place.settings()) == ("1", written("1"))

    def test_a_folder_that_cannot_be_removed_is_a_warning(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        def busy(path: Path, ignore_errors: bool = False) -> None:
            if not ignore_errors:
                raise OSError(16, "Device or resource busy", str(path))

        warned: list[str] = []
        place.go("switched")
        with monkeypatch.context() as patch:
            # where a test before has loaded Ansible's controller, warnings are shown and not in the result
            patch.setattr(AnsibleModule, "warn", lambda _, text: warned.append(text))
            patch.setattr(shutil, "rmtree", busy)
            place.go("proved")
        (warning,) = warned
        assert "3 could not be removed" in warning
        assert "Device or resource busy" in warning
        assert place.current() == "2"
        assert not place.go("taken_back")["changed"]

    def test_only_folders_that_are_named_as_releases_go(self, place: Place) -> None:
        (place.home / "clips").mkdir()
        place.go("switched")
        place.go("proved", releases=["[0-9]*"])
        assert place.folders() == {"1", "2", "clips"}

    def test_hooks_before_the_switch_and_after_the_gate(self, place: Place) -> None:
        hooks = {"drain": [f"cp -P {place.home}/current {place.here}/drained"], "ready": [f"touch {place.here}/ready"]}
        place.go("switched", **hooks)
        assert (place.here / "drained").readlink().name == "1"
        assert not (place.here / "ready").exists()
        place.go("proved", **hooks)
        assert (place.here / "ready").exists()

    def test_data_is_kept_before_the_switch_and_brought_back_before_the_old_one_starts(self, place: Place) -> None:
        data, kept = place.here / "data", place.here / "kept-data"
        data.write_text("of 1")
        hooks = {"keep": [f"cp {data} {kept}"], "back": [f"cp {kept} {data}", f"cp {place.here}/said {kept}.said"]}
        place.go("switched", **hooks)
        data.write_text("of 2")
        (place.here / "said").touch()
        place.go("taken_back", **hooks)
        assert data.read_text() == "of 1"
        assert (place.here / "kept-data.said").read_text() == "", "nothing was started yet"
        assert place.said() == ["daemon-reload", "restart stt"]

    def test_data_that_cannot_be_kept_leaves_all(self, place: Place) -> None:
        assert "no room" in place.go("switched", keep=["sh -c 'echo no room >&2; exit 1'"])["msg"]
        assert (place.current(), place.folders()) == ("1", {"1", "2", "3"})

    def test_a_drain_that_fails_leaves_all(self, place: Place) -> None:
        result = place.go("switched", drain=["sh -c 'echo still busy >&2; exit 1'"])
        assert result["msg"] == "`sh -c 'echo still busy >&2; exit 1'` failed: still busy"
        assert (place.current(), place.folders()) == ("1", {"1", "2", "3"})

    def test_who_was_taken_back_is_ready_again(self, place: Place) -> None:
        place.go("switched")
        place.go("taken_back", ready=[f"cp {place.here}/said {place.here}/ready"])
        assert "restart stt" in (place.here / "ready").read_text()

    def test_an_old_release_that_does_not_start_either_can_be_taken_back_again(self, place: Place) -> None:
        place.go("switched")
        place.write("2")
        (place.here / "fails").touch()
        assert "failed: Job for" in place.go("taken_back")["msg"]
        (place.here / "fails").unlink()
        assert place.go("taken_back")["changed"]
        assert place.settings() == written("1")

    def test_a_record_that_is_damaged_is_no_traceback(self, place: Place) -> None:
        place.go("switched")
        (place.home / "kept/release.json").write_text("[")
        assert "release.json is damaged: remove" in place.go("switched")["msg"]

    def test_an_older_kept_folder_counts_for_nothing(self, place: Place) -> None:
        (place.home / "kept").mkdir()
        (place.home / "kept/stt.env").write_text("of long ago")
        assert not place.go("taken_back")["changed"]
        place.go("switched")
        assert place.go("taken_back")["changed"]
        assert place.settings() == written("1")

    def test_files_cannot_be_written(self, place: Place) -> None:
        place.go("switched")
        place.env.unlink()
        place.env.mkdir()
        result = place.go("taken_back")
        assert result["msg"].startswith("cannot put back the files that 1 ran with: ")
        assert str(place.env) in result["msg"]


WRITES = {"os.rename", "os.remove", "os.symlink", "os.mkdir", "os.rmdir", "os.chmod", "os.chown"}


def killed(act: Callable[[], Any], write: int) -> bool:
    """Do it in a process of its own, which is killed before the n-th write to the disk; whether it came to that."""
    child = os.fork()
    if not child:
        left = [write]

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            if event in WRITES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_ACCMODE):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        status = 1
        try:
            sys.addaudithook(watch)
            act()
            status = 0
        finally:
            os._exit(status)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), "it failed by itself"
    return status != 0


class Life:
    """What a role does around a change, with a service that notes what it was started with."""

    def __init__(self, place: Place, broken: str = "") -> None:
        self.place, self.broken = place, broken
        self.releases = Releases(place.home, place.files, self.command)
        self.log = place.here / "running"
        self.command("systemctl restart stt")

    def command(self, command: str) -> None:
        if "restart" in command:
            staged = self.log.with_suffix(".new")
            staged.write_text("\n".join([self.place.current(), *self.place.settings()]))
            staged.replace(self.log)

    def running(self) -> list[str]:
        return self.log.read_text().splitlines()

    def do(self, release: str) -> bool:
        """Fill, switch, write, restart, prove or take back; whether the release serves."""
        if not self.releases.whole(release):
            self.place.fill(release)
        state = self.releases.observe()
        change = state.kept is not None or state.current != release
        self.apply(switch(state, release))
        if self.place.write(release) or change:
            self.command("systemctl restart stt")
        if release == self.broken:
            self.apply(take_back(self.releases.observe(), "stt"))
            return False
        if change:
            self.apply(prove(self.releases.observe(), release))
        return True

    def apply(self, steps: list[Any]) -> None:
        state = self.releases.observe()
        for step in steps:
            self.releases.apply(step)
            state = after(state, [step])
            assert self.releases.observe() == state, f"{step}: what was planned is what is there"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # the child writes files, and no more
@pytest.mark.parametrize("wanted", ["2", "1", "3"])
@pytest.mark.parametrize("broken", ["", "2"])
def test_killed_at_any_write_the_next_run_ends_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, wanted: str
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)  # a kill is no loss of power, and this is many runs

    def attempts() -> Iterator[Life]:
        for write in range(500):
            here = tmp_path / str(write)
            here.mkdir()
            life = Life(Place(here), broken)
            died = killed(lambda life=life: life.do("2"), write)  # type: ignore[misc]
            yield life
            shutil.rmtree(here)
            if not died:
                assert write > 20, "it writes more often than that"
                return
        pytest.fail("it never came to its end")

    for life in attempts():
        place = life.place
        # the old or the new serves, whole, and so it would after a reboot
        assert life.running() in (["1", *written("1")], ["2", *written("2")])
        assert place.current() in ("1", "2")
        assert place.settings()[0] in ("stt.service of 1", "stt.service of 2")

        works = life.do(wanted)
        assert works == (wanted != broken)
        serves = wanted if works else "1"
        assert (life.running(), place.current(), place.settings()) == (
            [serves, *written(serves)],
            serves,
            written(serves),
        )
        assert life.releases.observe().kept is None
        if works and wanted == "2":
            assert {"1", "2"} <= place.folders() <= {"1", "2", "kept"}
        assert life.do(serves)
        assert life.running() == [serves, *written(serves)]
