# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the previous minor version to this one, with an account and a chat: broken, killed, and at last done.

The kill at every single step is in tests/unit/roles/open_webui; here one of each meets the real Open WebUI.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SCENARIO, Machine
from suite import ROOT, long

pytestmark = [long, pytest.mark.timeout(1200)]
OLD_LOCK, NEW_LOCK = SCENARIO / "locks/0.11.4-slim.txt", ROOT / "roles/open_webui/files/locks/0.12.4-slim.txt"
OLD = {"open_webui_version": "0.11.4", "open_webui_lock": str(OLD_LOCK)}
DATABASE = "import sqlite3; c = sqlite3.connect('/var/lib/open-webui/webui.db', timeout=30);"
CHATS = DATABASE + "print(c.execute('select title from chat').fetchall())"


def chat(machine: Machine, title: str) -> None:
    """A chat of the administrator, as the database holds it."""
    machine.python(
        f"{DATABASE} c.execute('insert into chat (id, user_id, title, chat, created_at, updated_at, archived)"
        f" select ?, id, ?, ?, 1, 1, 0 from user', ('{title}', '{title}', '{{}}')); c.commit()"
    )


@pytest.fixture(scope="module")
def old(machine_of: Callable[..., Machine]) -> Machine:
    """Open WebUI of the previous minor version, with a chat."""
    machine = machine_of("mdef-old", "debian/12", "10.176.1.40")
    status, output = machine.apply(**OLD)
    assert status == 0, output[-3000:]
    chat(machine, "kept")
    return machine


def test_a_database_that_the_new_version_cannot_use(old: Machine) -> None:
    old.python(f"{DATABASE} c.execute('create table skill_history (x int)'); c.commit()")
    status, output = old.apply()
    assert status != 0
    assert "0.12.4-slim did not become ready, so 0.11.4-slim serves again with its data as it was" in output
    assert "skill_history already exists" in output
    assert (old.serves(), old.python(CHATS)) == ("0.11.4", "[('kept',)]")
    old.python(f"{DATABASE} c.execute('drop table skill_history'); c.commit()")


def test_a_new_version_that_lacks_a_package(old: Machine, tmp_path: Path) -> None:
    lock = tmp_path / "broken.txt"
    blocks = NEW_LOCK.read_text().split("\nfastapi==")
    lock.write_text(blocks[0] + "\n" + blocks[1].split("\n", 2)[2])
    status, output = old.apply(open_webui_lock=str(lock))
    assert status != 0
    assert "serves again with its data as it was: ModuleNotFoundError: No module named 'fastapi'" in output
    assert (old.serves(), old.python(CHATS)) == ("0.11.4", "[('kept',)]")


def test_killed_in_the_middle_the_next_apply_finishes_it(old: Machine) -> None:
    run = old.start()
    deadline = time.monotonic() + 600
    while not old.host.file("/opt/open-webui/kept/release.json").exists:
        assert time.monotonic() < deadline
        assert run.poll() is None
        time.sleep(0.2)
    os.killpg(run.pid, 9)
    old.host.run_expect([0, 1], "pkill -KILL -f [/]usr/local/sbin/open-webui-admin")
    run.communicate()
    status, output = old.apply()
    assert status == 0, output[-3000:]
    assert (old.serves(), old.python(CHATS)) == ("0.12.4", "[('kept',)]")
    assert not old.host.file("/opt/open-webui/kept").exists
    status, output = old.apply()
    assert (status, "failed=0" in output) == (0, True)


def test_a_python_too_new_without_a_network_is_told(machine_of: Callable[..., Machine]) -> None:
    machine = machine_of("mdef-new", "debian/13", "10.176.1.50")
    status, output = machine.apply(uv_python_mirror="http://127.0.0.1:9/nothing")
    assert status != 0
    assert "Open WebUI needs CPython 3.11 or 3.12, this instance has neither, and uv could not fetch one" in output
    assert not machine.host.file("/opt/open-webui/current").exists
