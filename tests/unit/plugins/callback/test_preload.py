# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every task would load is there before the first one, and only where instances are asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
PROGRAM = """
import gc, sys
from types import SimpleNamespace
ENDS = ("plugins.connection.incus", "plugins.shell.incus", "plugins.filter.hops", "plugins.filter.stt_server")
from ansible.plugins.loader import callback_loader, init_plugin_loader
init_plugin_loader()
plays = [SimpleNamespace(hosts=[one]) for one in sys.argv[1:]]
callback_loader.get("anklume.stt.preload").v2_playbook_on_start(SimpleNamespace(get_plays=lambda: plays))
print(*sorted(name for name in sys.modules if name.endswith(ENDS)), *["frozen"] * (gc.get_freeze_count() > 10_000))
"""


@pytest.mark.parametrize(
    ("hosts", "loaded"),
    [
        (
            "all",
            "ansible_collections.anklume.stt.plugins.filter.hops"
            " ansible_collections.anklume.stt.plugins.filter.stt_server"
            " ansible_collections.anklume.stt.plugins.shell.incus"
            " ansible_collections.community.general.plugins.connection.incus"
            " frozen",
        ),
        ("localhost", ""),
    ],
)
def test_the_connection_and_the_filters_are_loaded_once(hosts: str, loaded: str) -> None:
    command = [sys.executable, "-c", PROGRAM, hosts]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == loaded, done.stderr


def test_work_from_a_clone_uses_it() -> None:
    assert "\ncallbacks_enabled = anklume.stt.preload\n" in (ROOT / "ansible.cfg").read_text()
