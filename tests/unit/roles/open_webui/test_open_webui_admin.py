# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups, restores and upgrades on a real database, with a service that only pretends: killed at every step, too.

An upgrade is what the role does: service_release's steps, with open-webui-admin as its hooks, around a proof.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sqlite3
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._services.release import Step, prove, switch, take_back
from ansible_collections.anklume.stt.plugins.module_utils._services.release_files import Releases

PROGRAM = Path(__file__).resolve().parents[4] / "roles/open_webui/files/open-webui-admin"
OLD, NEW = "0.11.4-slim", "0.12.4-slim"


def load() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("open_webui_admin", str(PROGRAM))
    spec = importlib.util.spec_from_loader("open_webui_admin", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


admin = load()


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


class Site(admin.Site):
    """A site whose service starts at once, changes the database to its version, and refuses that of a newer one."""

    broken: tuple[str, ...] = ()
    running = ""
    stops = 0
    steps_to_live = 10**6

    def step(self) -> None:
        self.steps_to_live -= 1
        if self.steps_to_live < 0:
            raise Killed

    def systemctl(self, verb: str) -> None:
        self.step()
        if verb == "stop":
            self.running = ""
            self.stops += 1

    def start(self) -> bool:
        self.step()
        release = self.current_release()
        with sqlite3.connect(self.database) as database:
            (schema,) = database.execute("select max(version) from schema").fetchone()
            if schema > release:
                return False
            database.execute("insert into schema values (?)", (release,))
        if release in self.broken:
            return False
        self.step()
        self.running = release
        return True

    def note(self, backup: Path | None, tried: bool) -> None:
        self.step()
        super().note(backup, tried)

    def backup(self, label: str) -> Path:
        self.step()
        return super().backup(label)

    def put_back(self, content: Path, folders: bool) -> None:
        self.step()
        super().put_back(content, folders)
        self.step()

    def last_words(self) -> str:
        return "ModuleNotFoundError: no module"

    def chats(self) -> list[str]:
        with sqlite3.connect(self.database) as database:
            return [title for (title,) in database.execute("select title from chat")]

    def run(self, command: str) -> None:
        """What service_release runs: a hook, or the service manager."""
        program, verb, *_ = command.split()
        if program == "open-webui-admin":
            getattr(admin, verb)(self)
        elif verb == "restart":
            self.start()

    def apply(self, steps: list[Step]) -> None:
        for step in steps:
            self.step()
            self.releases.apply(step)
        self.step()

    @property
    def releases(self) -> Releases:
        return Releases(self.home, [], self.run)

    def is_under_way(self) -> bool:
        return self.releases.observe().kept is not None

    def goes_to(self, release: str) -> None:
        """As on a machine that was restored: this release is the one in use."""
        self.releases.apply(Step("link", release))


def upgrade(site: Site, release: str) -> bool:
    """What the role does; whether there was anything to do."""
    if not site.releases.whole(release):
        (site.home / release / "lock.sha256").touch()
    hooks = {name: [f"open-webui-admin {name}"] for name in ("keep", "back", "ready")}
    steps = switch(site.releases.observe(), release, keep=hooks["keep"], back=hooks["back"])
    site.apply(steps)
    if not steps:
        return False
    try:
        admin.prove(site)
    except admin.AdminError:
        site.apply(take_back(site.releases.observe(), "open-webui", hooks["ready"], hooks["back"]))
        raise
    site.apply(prove(site.releases.observe(), release, ["[0-9]*"]))
    return True


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(admin.subprocess, "run", lambda *_args, **_options: None)
    site = Site(tmp_path, 5)
    for folder in (site.data / "uploads", site.backups, site.home / OLD, site.home / NEW):
        folder.mkdir(parents=True)
    for release in (OLD, NEW):
        (site.home / release / "pyvenv.cfg").touch()
        (site.home / release / "lock.sha256").touch()
    with sqlite3.connect(site.database) as database:
        database.execute("pragma journal_mode = wal")
        database.execute("create table schema (version text)")
        database.execute("insert into schema values (?)", (OLD,))
        database.execute("create table chat (title text)")
        database.execute("insert into chat values ('kept')")
    (site.data / "uploads/a.txt").write_text("attached")
    site.goes_to(OLD)
    site.running = OLD
    return site


def test_an_upgrade_serves_and_keeps_the_data(site: Site) -> None:
    assert upgrade(site, NEW)
    assert (site.running, site.current.readlink().name, site.chats()) == (NEW, NEW, ["kept"])
    assert not site.is_under_way()
    assert not upgrade(site, NEW)


def test_a_broken_version_gives_way_to_the_old_one_with_its_data(site: Site) -> None:
    site.broken = (NEW,)
    with pytest.raises(admin.AdminError, match="ModuleNotFoundError"):
        upgrade(site, NEW)
    assert (site.running, site.chats(), site.is_under_way()) == (OLD, ["kept"], False)
    assert not (site.home / NEW / "lock.sha256").exists()


def test_an_old_version_that_does_not_start_either_is_told(site: Site) -> None:
    site.broken = (OLD, NEW)
    with pytest.raises(admin.AdminError, match=f"{OLD} was put back and does not become ready: ModuleNotFoundError"):
        upgrade(site, NEW)
    site.broken = ()
    assert upgrade(site, OLD)
    assert (site.running, site.chats(), site.is_under_way()) == (OLD, ["kept"], False)


def test_the_reason_is_the_error_of_the_first_attempt_however_much_follows() -> None:
    error = "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) table x already exists"
    log = f"ValueError: earlier\n  {error}\n[SQL:\nCREATE TABLE x (\n" + "  column,\n" * 50 + ")]\n"
    log += "open-webui.service: Main process exited, code=exited\n"
    log += "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) duplicate column name: y\n"
    assert admin.reason(log) == error
    assert admin.reason("started\n\n  stopped\n") == "stopped"
    assert admin.reason("") == "its log says nothing"


def test_no_backup_no_upgrade(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(admin, "copy_database", full)
    with pytest.raises(admin.AdminError, match="No space left on device"):
        upgrade(site, NEW)
    assert (site.running, site.current_release(), site.chats()) == (OLD, OLD, ["kept"])
    assert [path.name for path in site.backups.iterdir()] == []


@pytest.mark.parametrize("broken", [(), (NEW,)], ids=["works", "broken"])
def test_killed_anywhere_the_next_run_finishes_or_goes_back(site: Site, broken: tuple[str, ...]) -> None:
    """Every step once: after the kill and one more run, one version serves, and the chat is there."""
    steps, finished = 0, False
    while not finished:
        site.steps_to_live = steps
        site.broken = broken
        try:
            upgrade(site, NEW)
            finished = True
        except admin.AdminError:
            finished = True
        except Killed:
            pass
        site.steps_to_live = 10**6
        try:
            upgrade(site, NEW)
        except admin.AdminError:
            assert broken
        assert site.running == (OLD if broken else NEW), f"killed at step {steps}"
        assert site.chats() == ["kept"]
        assert not site.is_under_way()
        assert [path for path in site.data.iterdir() if path.name.startswith(".")] == []
        # back to the start, as a restored machine
        site.broken = ()
        for path in sorted(site.backups.glob("*-upgrade.tar.gz"))[:1]:
            with site.unpacked(path) as content:
                site.put_back(content, folders=False)
        site.goes_to(OLD)
        (site.home / NEW / "lock.sha256").touch()
        steps += 1
    assert steps > 10


def killed_while_it_serves(site: Site) -> None:
    """An upgrade to the new version that was killed once it served, before anybody knew."""
    prove_it = admin.prove

    def prove_and_die(site: Site) -> None:
        prove_it(site)
        raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(admin, "prove", prove_and_die)
        upgrade(site, NEW)
    assert site.is_under_way()
    assert site.current_release() == NEW


def test_data_written_since_a_kill_is_not_thrown_away(site: Site) -> None:
    """The new version came up after the kill and people worked with it for days."""
    killed_while_it_serves(site)
    with sqlite3.connect(site.database) as database:
        database.execute("insert into chat values ('written since')")
    upgrade(site, NEW)
    assert site.chats() == ["kept", "written since"]


def test_another_version_wanted_after_a_kill_goes_back_first(site: Site) -> None:
    killed_while_it_serves(site)
    upgrade(site, OLD)
    assert (site.running, site.chats(), site.current.readlink().name) == (OLD, ["kept"], OLD)


def test_what_is_thrown_away_is_in_a_backup(site: Site) -> None:
    killed_while_it_serves(site)
    with sqlite3.connect(site.database) as database:
        database.execute("insert into chat values ('written since')")
    upgrade(site, OLD)
    assert site.chats() == ["kept"]
    (backup,) = site.backups.glob(f"*-{NEW}-restore.tar.gz")
    with site.unpacked(backup) as content, sqlite3.connect(content / "webui.db") as database:
        assert database.execute("select title from chat").fetchall() == [("kept",), ("written since",)]


def test_killed_halfway_through_the_change_of_the_database_it_is_given_the_backup_again(site: Site) -> None:
    killed_while_it_serves(site)
    with sqlite3.connect(site.database) as database:
        database.execute("insert into schema values ('9 of a step that cannot be done twice')")
    upgrade(site, NEW)
    assert (site.running, site.chats(), site.is_under_way()) == (NEW, ["kept"], False)


def test_what_was_kept_for_an_earlier_change_counts_no_more(site: Site) -> None:
    upgrade(site, NEW)
    with sqlite3.connect(site.database) as database:
        database.execute("insert into chat values ('written since')")
    site.broken = (NEW,)
    with pytest.raises(admin.AdminError):
        admin.prove(site)
    admin.back(site)
    assert site.chats() == ["kept", "written since"]


def test_the_address_is_the_one_that_the_unit_says(site: Site) -> None:
    site.unit.parent.mkdir(parents=True)
    site.unit.write_text("[Service]\nExecStart=/x/bin/open-webui serve --host 0.0.0.0 --port 3000\n")
    assert site.url() == "http://127.0.0.1:3000"


def test_a_backup_holds_what_was_written_last_and_the_attachments(site: Site) -> None:
    live = sqlite3.connect(site.database)
    live.execute("insert into chat values ('just now')")
    live.commit()
    backup = site.backup("asked")
    live.close()
    with tarfile.open(backup) as archive:
        assert {"webui.db", "uploads", "uploads/a.txt"} == set(archive.getnames())
    (site.data / "uploads/a.txt").write_text("changed")
    assert admin.restore(site, backup).startswith(f"restored {backup.name}")
    assert site.chats() == ["kept", "just now"]
    assert (site.data / "uploads/a.txt").read_text() == "attached"


def cut(backup: Path) -> None:
    backup.write_bytes(backup.read_bytes()[:200])


def flip_a_bit(backup: Path) -> None:
    content = bytearray(backup.read_bytes())
    content[-8] ^= 1  # in the checksum; elsewhere in so small a file it may change nothing
    backup.write_bytes(content)


def replace_by_a_page(backup: Path) -> None:
    backup.write_text("<html>404</html>")


def take_the_database_out(backup: Path) -> None:
    with tarfile.open(backup, "w:gz") as archive:
        archive.add(backup.parent, "uploads", recursive=False)


def put_text_in_the_place_of_the_database(backup: Path) -> None:
    text = backup.with_name("text")
    text.write_text("no database at all, and longer than the header of one would be" * 9)
    with tarfile.open(backup, "w:gz") as archive:
        archive.add(text, "webui.db")
    text.unlink()


@pytest.mark.parametrize(
    "damage", [cut, flip_a_bit, replace_by_a_page, take_the_database_out, put_text_in_the_place_of_the_database]
)
def test_a_damaged_backup_changes_nothing_and_stops_nothing(site: Site, damage: Callable[[Path], None]) -> None:
    backup = site.backup("asked")
    damage(backup)
    with pytest.raises(admin.AdminError, match=f"{backup.name} is not a whole backup"):
        admin.restore(site, backup)
    assert (site.chats(), site.running, site.stops) == (["kept"], OLD, 0)
    assert list(site.backups.iterdir()) == [backup]
    assert [path for path in site.data.iterdir() if path.name.startswith(".")] == []


def test_a_backup_cannot_write_elsewhere(site: Site, tmp_path: Path) -> None:
    evil = tmp_path / f"open-webui-x-{OLD}-asked.tar.gz"
    with tarfile.open(site.backup("asked")) as good, tarfile.open(evil, "w:gz") as archive:
        member = good.getmember("webui.db")
        archive.addfile(member, good.extractfile(member))
        for name in ("../escaped", "uploads/../../escaped", "/etc/escaped"):
            archive.addfile(tarfile.TarInfo(name))
        link = tarfile.TarInfo("uploads/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    admin.restore(site, evil)
    assert not list(tmp_path.rglob("escaped"))
    assert not list(site.data.rglob("link"))


def test_a_backup_of_a_newer_version_is_refused(site: Site) -> None:
    upgrade(site, NEW)
    backup = site.backup("asked")
    site.goes_to(OLD)
    with pytest.raises(admin.AdminError, match="was made by a newer Open WebUI"):
        admin.restore(site, backup)


def test_data_that_does_not_start_gives_way_to_what_was_there(site: Site) -> None:
    backup = site.backup("asked")
    site.broken = (OLD,)
    with pytest.raises(admin.AdminError, match="does not start with"):
        admin.restore(site, backup)
    assert site.chats() == ["kept"]


def test_old_backups_go_by_kind(site: Site) -> None:
    for kind, count in (("scheduled", 9), ("upgrade", 7), ("asked", 9)):
        for number in range(count):
            (site.backups / f"open-webui-2020010{number}T000000Z-{OLD}-{kind}.tar.gz").touch()
    site.prune(3)
    left = [path.name.split("-")[-1].split(".")[0] for path in site.backups.iterdir()]
    assert {kind: left.count(kind) for kind in set(left)} == {"scheduled": 3, "upgrade": 5, "asked": 9}


def test_two_at_once_are_kept_apart(site: Site) -> None:
    with (
        admin.only_one(site),
        pytest.raises(admin.AdminError, match="another open-webui-admin is at work"),
        admin.only_one(site),
    ):
        pass


def test_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "var/backups/open-webui").mkdir(parents=True)
    result = subprocess.run([PROGRAM, "--root", tmp_path, "backup"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("open-webui-admin: there is no SQLite database")
