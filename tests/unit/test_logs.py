# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make logs`: which command each machine is asked, and how an entry of its journal is shown."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import logs
import pytest

INVENTORY = {
    "_meta": {
        "hostvars": {
            "ai": {
                "ansible_connection": "community.general.incus",
                "ansible_incus_project": "home",
                "ansible_incus_host": "ai",
            },
            "web": {"ansible_host": "192.0.2.1", "ansible_user": "admin"},
            "bare": {},
        }
    },
    "role_stt_server": {"hosts": ["ai"]},
    "role_ollama_server": {"hosts": ["ai"]},
    "role_open_webui": {"hosts": ["web"]},
}


def test_each_machine_with_services_is_asked_for_its_units() -> None:
    found = logs.commands(INVENTORY, "-1 hour", follow=False)
    assert list(found) == ["ai", "web"]
    assert found["ai"].startswith("incus exec ai --project home -- sh -c 'journalctl")
    assert "-u speaches -u ollama" in found["ai"]
    assert "sleep 0.1" in found["ai"]
    assert found["web"].startswith("ssh admin@192.0.2.1 sudo 'journalctl")
    assert "-u open-webui -u caddy" in found["web"]
    assert "-1 hour" in found["web"]


def test_a_stream_that_goes_on_has_no_end() -> None:
    found = logs.commands(INVENTORY, "-10min", follow=True)
    assert " -f" in found["ai"]
    assert "sleep" not in found["ai"]


def line(**fields: object) -> str:
    return json.dumps({"__REALTIME_TIMESTAMP": "1700000000000000", **fields})


def test_an_entry_has_time_machine_unit_and_words() -> None:
    when, text = logs.entry("ai", line(MESSAGE="model loaded\n", _SYSTEMD_UNIT="speaches.service")) or (0, "")
    assert when == 1_700_000_000_000_000
    assert text.endswith(" ai speaches: model loaded")


def test_what_systemd_says_of_a_unit_is_the_units() -> None:
    told = logs.entry("ai", line(MESSAGE="Started", UNIT="ollama.service", _SYSTEMD_UNIT="init.scope"))
    assert told and told[1].endswith(" ai ollama: Started")


def test_what_is_no_text_is_read_and_what_is_no_entry_left_out() -> None:
    lines = [line(MESSAGE=[104, 105, 255], UNIT="a.service"), "-- No entries --", "{}", ""]
    assert [text.split(" ", 2)[2] for _when, text in logs.entries("ai", lines)] == ["ai a: hi\ufffd"]


def test_an_inventory_without_services_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    (tmp_path / "hosts.yml").write_text("all: {hosts: {bare: {}}}\n")
    assert logs.main(str(tmp_path)) == 1
    assert "make sync" in capsys.readouterr().err
