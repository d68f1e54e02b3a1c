# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service changes its release on a real systemd, in a container: there, back, and there after runs that were cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import CLONE, Project, Run, inside

pytestmark = pytest.mark.timeout(900)  # the first test waits for the container too
TINY = Path(__file__).with_name("playbooks") / "tiny.yml"


def play(project: Project, *options: str, **variables: Any) -> Run:
    return project.play(TINY, *options, collections=CLONE, **variables)


def serves() -> str:
    return inside(
        "python3 -c 'from urllib.request import urlopen; print(urlopen(\"http://127.0.0.1:8080\").read().decode())'"
    )


def lies() -> str:
    """The link, the settings, the unit's last line, and what lies beside the releases."""
    return inside(
        "cd /opt/tiny; readlink current; cat /etc/tiny/tiny.env; tail -n 1 /etc/systemd/system/tiny.service; ls"
    )


FIRST = "1\nWORD=hello\n# of 1\n"


@pytest.mark.usefixtures("applied")
def test_there_and_back(project: Project) -> None:
    run = play(project)
    assert run.status == 0, run.output
    assert serves() == "1 hello"

    # what check mode shows
    foreseen = play(project, "--check", "--diff", version="2", word="bye")
    assert "-current: 1 +current: 2" in foreseen.said
    assert lies() == f"{FIRST}1\ncurrent"

    # a run that was cut off leaves settings that nobody proved; the release does not start: what was proved comes back
    assert play(project, version="2", word="bye", starts=False, end_after="settings").status == 0
    assert serves() == "1 hello", "nothing was restarted"
    run = play(project, version="2", word="good night")
    assert run.status != 0
    assert "2 does not serve, so 1 serves again" in run.said
    assert (serves(), lies()) == ("1 hello", f"{FIRST}1\n2\ncurrent")
    assert inside("systemctl show -P NeedDaemonReload tiny; ls /run/tiny-drained || echo ready") == "no\nready"

    # one that was cut off after the switch goes on, and a clean-up that fails takes nothing back
    inside("mkdir /opt/tiny/0 && mount -t tmpfs tmpfs /opt/tiny/0")
    assert play(project, version="2", word="bye", end_after="switch").status == 0
    assert lies().startswith("2\nWORD=bye\n# of 2\n"), "whatever starts now, a reboot too, has its own settings"
    run = play(project, version="2", word="bye")
    assert run.status == 0, run.output
    assert "/opt/tiny/0 could not be removed" in run.said
    assert serves() == "2 bye"
    assert lies() == "2\nWORD=bye\n# of 2\n0\n1\n2\ncurrent"
    assert play(project, version="2", word="bye").changed() == 0
