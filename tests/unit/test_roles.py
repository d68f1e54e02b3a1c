# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All roles read alike: what their defaults say, argument_specs.yml says too, and every variable is explained."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
TYPES = {"bool": bool, "int": int, "float": float, "str": str, "list": list, "dict": dict}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def stem(role: Path) -> str:
    """How the names of the role's variables begin."""
    return {"ollama_server": "ollama"}.get(role.name, role.name)  # AnKLuMe's names are kept


def entered(tasks: Any) -> Iterator[tuple[str, str]]:
    """The roles, and their tasks files, that plays enter from outside; a role may be named by a template."""
    if isinstance(tasks, list):
        for task in tasks:
            yield from entered(task)
    elif isinstance(tasks, dict):
        for name, value in tasks.items():
            if name.endswith((".include_role", ".import_role")):
                yield value["name"].removeprefix("anklume.stt."), value.get("tasks_from", "main")
            yield from entered(value)


ENTERED = {
    entry
    for place in ("playbooks", "molecule", "roles/*/tasks")
    for path in ROOT.glob(f"{place}/**/*.yml")
    for entry in entered(load(path))
}


def test_entry_points_are_found() -> None:
    assert {("{{ __role }}", "hops"), ("ollama_server", "budget"), ("open_webui", "restore")} <= ENTERED


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
class TestRole:
    def test_no_wall_between_roles_is_broken(self, role: Path) -> None:
        others = "|".join(other.name for other in ROLES if other != role)
        for path in role.rglob("*.*"):
            if path.suffix in (".yml", ".j2") and path.parent.name != "meta":
                text = path.read_text()
                assert not re.search(rf"role_path[^\n]*\.\./|roles/({others})/|\.\./({others})/", text), path

    def test_whatever_looks_at_other_machines_is_a_tested_function(self, role: Path) -> None:
        """In vars/ the variables of other machines are handed over, and never looked into."""
        for path in role.glob("vars/*.yml"):
            assert not re.search(r"hostvars *[\[.]|extract', *hostvars|if [^}]*hostvars", path.read_text()), path

    def test_what_is_entered_from_outside_is_specified_and_nothing_else(self, role: Path) -> None:
        there = {path.stem for path in (role / "tasks").iterdir()}
        used = {tasks for name, tasks in ENTERED if name == role.name or "{{" in name}
        assert set(load(role / "meta/argument_specs.yml")["argument_specs"]) == (used & there) | {"main"}

    def test_an_entry_point_specifies_the_variables_that_its_tasks_name(self, role: Path) -> None:
        specs = load(role / "meta/argument_specs.yml")["argument_specs"]
        main = specs.pop("main")["options"]
        for name, spec in specs.items():
            options = spec.get("options", {})
            named = set(re.findall(rf"(?<![\w.'/]){stem(role)}_\w+", (role / f"tasks/{name}.yml").read_text()))
            given = named - set(load(role / "vars/main.yml"))
            assert spec["short_description"] and spec["description"]
            assert given == {option for option in options if option.startswith(stem(role))}, name
            assert {option: main[option] for option in given & set(main)}.items() <= options.items(), name

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
        assert [name for name in load(role / "defaults/main.yml") if not name.startswith(f"{stem(role)}_")] == []

    def test_every_variable_is_explained_above_it(self, role: Path) -> None:
        text = (role / "defaults/main.yml").read_text()
        paragraphs = [block for block in text.split("\n\n") if re.search(r"^\w+:", block, re.M)]
        assert [block for block in paragraphs if not block.lstrip("-\n").startswith("#")] == []

    def test_main_lists_only_the_stages(self, role: Path) -> None:
        for task in load(role / "tasks/main.yml"):
            assert {"ansible.builtin.import_tasks", "ansible.builtin.include_tasks"} & set(task), task
            assert role.name in task["tags"], task
