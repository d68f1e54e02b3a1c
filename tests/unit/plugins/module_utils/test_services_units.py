# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemctl and ss print, as units and listeners."""

from __future__ import annotations

from ansible_collections.anklume.stt.plugins.module_utils._services.units import Unit, listeners, units_of

SHOWN = """\
ExecMainStartTimestampMonotonic=2500000
LoadState=loaded
ActiveState=active
UnitFileState=enabled

LoadState=not-found
ActiveState=inactive
UnitFileState=

LoadState=loaded
ActiveState=active
UnitFileState=disabled
"""
SOCKETS = """\
LISTEN 0 4096 127.0.0.53%lo:53 0.0.0.0:*
LISTEN 0 511 0.0.0.0:80 0.0.0.0:* users:(("nginx",pid=12,fd=6),("nginx",pid=11,fd=6))
LISTEN 0 511 [::]:80 [::]:* users:(("nginx",pid=11,fd=7))
LISTEN 0 4096 *:8000 *:* users:(("python",pid=40,fd=3))
"""


def test_units_come_in_the_order_in_which_they_were_asked_for() -> None:
    assert units_of(SHOWN) == [Unit(True, True, True, 2.5), Unit(), Unit(True, True)]
    assert units_of("") == [Unit()]


def test_one_that_runs_is_as_wanted_only_where_it_starts_with_the_machine() -> None:
    assert Unit(active=True, enabled=True).as_wanted(True)
    assert not Unit(active=True).as_wanted(True)
    assert Unit().as_wanted(False)
    assert not Unit(enabled=True).as_wanted(False)


def test_a_file_written_after_the_start_wants_a_restart() -> None:
    unit = Unit(active=True, started=50.0)
    assert unit.needs_restart(1000.0, 2000.0, [900.0, 1051.0])
    assert not unit.needs_restart(1000.0, 2000.0, [900.0, 1050.0])
    assert not unit.needs_restart(1000.0, 2000.0, [2001.0])
    assert not unit.needs_restart(1000.0, 2000.0, [])
    assert not Unit(active=False, started=50.0).needs_restart(1000.0, 2000.0, [1051.0])
    assert not Unit(active=True).needs_restart(1000.0, 2000.0, [1051.0])


def test_listeners_by_port() -> None:
    assert listeners(SOCKETS) == {
        53: [("another program", "")],
        80: [("nginx", "12"), ("nginx", "11"), ("nginx", "11")],
        8000: [("python", "40")],
    }
