# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the role stt_server, its engines and its settings files against the role itself."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.anklume.stt.plugins.module_utils._vram.gather import VARIABLES

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles/stt_server"
sys.path.insert(0, str(ROOT / "scripts"))

import stt_server_docs  # noqa: E402

ENGINES: dict[str, Any] = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__stt_server_engines"]
DEFAULTS: dict[str, Any] = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
EVERYWHERE = "".join(path.read_text() for path in ROLE.glob("t*/**/*") if path.suffix in {".yml", ".j2"})
EVERYWHERE += (ROLE / "vars/main.yml").read_text()


def test_the_page_is_current() -> None:
    """make it so with: python scripts/stt_server_docs.py"""
    assert stt_server_docs.page(stt_server_docs.PAGE.read_text()) == stt_server_docs.PAGE.read_text()


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_variable_is_used(name: str) -> None:
    assert re.search(rf"\b{name}\b", EVERYWHERE) or name in VARIABLES


@pytest.mark.parametrize("engine", ENGINES)
class TestEngine:
    def test_what_it_cannot_do_is_not_asked_for_by_default(self, engine: str) -> None:
        cannot = ENGINES[engine]["cannot"]
        assert {name: DEFAULTS[name] for name in cannot} == cannot

    def test_a_variable_is_either_in_its_settings_or_cannot_be_had(self, engine: str) -> None:
        """What the templates of the two engines differ in is what one of them cannot do."""
        texts = {name: (ROLE / f"templates/{name}.env.j2").read_text() for name in ENGINES}
        everybodys = {name for text in texts.values() for name in re.findall(r"\bstt_server_\w+", text)}
        mine = set(re.findall(r"\bstt_server_\w+", texts[engine]))
        mends = {"stt_server_hub_endpoint", "stt_server_hub_token"}  # the role itself fetches the models
        assert everybodys - mine - set(ENGINES[engine]["cannot"]) - mends == set()

    def test_has_its_pins(self, engine: str) -> None:
        for python in ENGINES[engine]["python_versions"]:
            pins = (ROLE / f"files/{engine}/requirements-py{python.replace('.', '')}.txt").read_text()
            assert re.findall(r"^[^#\s](?!.*==).*$", pins, re.M) == []
            assert pins.count("--hash=sha256:") > pins.count("==")
