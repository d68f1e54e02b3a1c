# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""publish_name: the name is announced, follows another address, and goes; asked for from outside the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lan
from suite import ROOT, long
from test_wyoming import play

pytestmark = long
NAMES = ROOT / "molecule/wyoming/names.yml"
UNIT = "anklume-names-mwyo.service"
VOICE, DEN = "mwyo-page.local", "mwyo-den.local"
HERE, MOVED = "10.173.1.10", "10.173.1.11"


def addresses(name: str) -> list[str]:
    return lan.multicast_names(name, "10.173.1.254", 3)


def announce(project: Path, *pairs: tuple[str, str]) -> int:
    """Run it; how much changed on the machine."""
    run = play(project, NAMES, names=[{"name": name, "address": address} for name, address in pairs])
    assert run.status == 0, run.said
    return run.changed()


def test_a_name_is_announced_follows_the_address_and_goes(machine: Any, project: Path) -> None:
    host = machine("mwyo-voice")
    assert addresses(VOICE) == []
    assert announce(project, (VOICE, HERE), (DEN, HERE)) == 3  # avahi-utils, the unit, its start
    assert addresses(VOICE) == addresses(DEN) == [HERE]
    assert host.service(UNIT).is_enabled
    assert announce(project, (VOICE, HERE), (DEN, HERE)) == 0
    host.check_output(f"ip addr add {MOVED}/24 dev eth0")
    try:
        assert announce(project, (VOICE, MOVED)) == 2
        assert addresses(VOICE) == [MOVED]
        assert addresses(DEN) == []
    finally:
        host.check_output(f"ip addr del {MOVED}/24 dev eth0")
    assert announce(project) == 2
    assert addresses(VOICE) == []
    assert not host.file(f"/etc/systemd/system/{UNIT}").exists
    assert announce(project) == 0


def test_a_name_that_another_computer_has_is_refused(machine: Any, project: Path) -> None:
    """A stand-in answers in the other computer's place."""
    host = machine("mwyo-voice")
    stand_in = "/usr/local/bin/avahi-resolve-host-name"
    host.check_output(f"printf '#!/bin/sh\necho $2 10.173.1.99\n' >{stand_in} && chmod +x {stand_in}")
    try:
        status, said = play(project, NAMES, names=[{"name": VOICE, "address": HERE}])
    finally:
        host.check_output(f"rm {stand_in}")
    assert status != 0
    assert f"{VOICE} does not lead to this host" in said
    assert announce(project) == 2
