# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All roles read alike: what their defaults say, argument_specs.yml says too, and every variable is explained."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = sorted(path for path in (Path(__file__).resolve().parents[2] / "roles").iterdir() if path.is_dir())
TYPES = {"bool": bool, "int": int, "float": float, "str": str, "list": list, "dict": dict}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
class TestRole:
    def test_argument_specs_equal_defaults(self, role: Path) -> None:
        options = load(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
        specified = {name: option.get("default") for name, option in options.items()}
        assert specified == load(role / "defaults/main.yml")

    def test_defaults_have_the_type_that_is_specified(self, role: Path) -> None:
        defaults = load(role / "defaults/main.yml")
        for name, option in load(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"].items():
            templated = isinstance(defaults[name], str) and "{{" in defaults[name]
            assert option["type"] == "raw" or templated or type(defaults[name]) is TYPES[option["type"]], name

    def test_public_variables_carry_the_name_of_the_role(self, role: Path) -> None:
        stem = {"ollama_server": "ollama"}.get(role.name, role.name)  # AnKLuMe's names are kept
        assert [name for name in load(role / "defaults/main.yml") if not name.startswith(f"{stem}_")] == []

    def test_every_variable_is_explained_above_it(self, role: Path) -> None:
        text = (role / "defaults/main.yml").read_text()
        paragraphs = [block for block in text.split("\n\n") if re.search(r"^\w+:", block, re.M)]
        assert [block for block in paragraphs if not block.lstrip("-\n").startswith("#")] == []

    def test_main_lists_only_the_stages(self, role: Path) -> None:
        for task in load(role / "tasks/main.yml"):
            assert {"ansible.builtin.import_tasks", "ansible.builtin.include_tasks"} & set(task), task
            assert role.name in task["tags"], task
