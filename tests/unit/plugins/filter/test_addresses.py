# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What apply says at its end: addresses of published pages, and the code for the camera of a phone."""

from __future__ import annotations

from typing import Any

import pytest
import segno
from ansible_collections.anklume.stt.plugins.filter import addresses as module
from ansible_collections.anklume.stt.plugins.module_utils._services.addresses import HALVES, drawn

FOUND = ["192.168.1.5", "den.local", "den"]
TRUST = "a device that warns gets the authority from"
PAGE = [{"port": 443, "to": 443, "protocol": "tcp"}]


def said(found: list[str] = FOUND, *, code: bool = False, **variables: Any) -> list[str]:
    """The lines for a machine."""
    machine = {"inventory_hostname": "web", "ansible_host": "10.1.2.3", **variables}
    text: str = module.FilterModule().filters()["addresses"](["web"], {"web": machine}, found, code)
    return text.split("\n") if text else []


def test_nothing_is_said_where_no_page_is_published() -> None:
    assert said(code=True) == said(code=True, instance_published=[{"port": 8000, "to": 8000}]) == []


@pytest.mark.parametrize(
    ("variables", "lines"),
    [
        (
            {"instance_published": PAGE},
            [
                "web: https://192.168.1.5",
                "or https://den.local, https://den",
                f"{TRUST} https://192.168.1.5/trust",
            ],
        ),
        (
            {"instance_published": [*PAGE, {"port": 80, "to": 80}], "infra_lan_names": ["voice.local"]},
            [
                "web: https://voice.local",
                "or https://192.168.1.5, https://den.local, https://den",
                f"{TRUST} http://voice.local/trust",
            ],
        ),
        (
            {"instance_published": PAGE, "instance_published_name": "voice.local", "infra_lan_names": ["home.example"]},
            [
                "web: https://voice.local",
                "or https://home.example, https://192.168.1.5, https://den.local, https://den",
                f"{TRUST} https://voice.local/trust",
            ],
        ),
        (
            {
                "instance_published": [{"port": 8443, "to": 443}],
                "open_webui_names": ["chat.example.org"],
                "open_webui_acme_url": "https://acme.example.org/directory",
            },
            ["web: https://chat.example.org:8443"],
        ),
        (
            {"instance_published": [{"port": 80, "to": 3000}], "open_webui_https": False},
            ["web: http://192.168.1.5", "or http://den.local, http://den"],
        ),
    ],
)
def test_the_best_address_comes_first(variables: dict[str, Any], lines: list[str]) -> None:
    assert said(**variables) == lines


def test_the_code_is_that_of_the_first_address_and_has_no_colour() -> None:
    *lines, code = "\n".join(said(code=True, instance_published=PAGE)).split("\n", 3)
    assert lines == said(instance_published=PAGE)
    wanted = [list(row) for row in segno.make_qr("https://192.168.1.5", error="l").matrix_iter(border=4)]
    assert drawn(wanted) == code
    assert set(code) <= {*HALVES, "\n"}


def test_modules_are_two_in_a_character_and_dark_ones_are_blank() -> None:
    assert drawn([[0, 1, 0], [0, 1, 1], [1, 0, 1]]) == "█ ▀\n ▀ "


def test_no_code_where_there_is_no_terminal_or_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = {"web": {"inventory_hostname": "web", "instance_published": PAGE}}
    filtered = module.FilterModule().filters()["addresses"]
    plain = filtered(["web"], machine, FOUND, False)
    for terminal, library, drawing in ((False, segno, False), (True, None, False), (True, segno, True)):
        monkeypatch.setattr(module, "ANSIBLE_COLOR", terminal)
        monkeypatch.setattr(module, "segno", library)
        assert (filtered(["web"], machine, FOUND) != plain) is drawing
