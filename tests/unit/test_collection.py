# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as people have it: nothing is used that is not declared, and what is said once is said once."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import role_docs
import yaml
from link_collections import declared

ROOT = Path(__file__).resolve().parents[2]
OURS = {"ansible.builtin", "anklume.stt"}
ACTION = re.compile(r"([a-z_]+\.[a-z_]+)\.[a-z_0-9]+")


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def named(tree: Any) -> set[str]:
    """The collections of all actions that a tree of plays and tasks names, by their full names."""
    if isinstance(tree, list):
        return set().union(*map(named, tree))
    if not isinstance(tree, dict):
        return set()
    keys = {match[1] for key in tree if (match := ACTION.fullmatch(key))}
    return keys.union(*map(named, tree.values()))


def in_text(text: str) -> set[str]:
    """The collections whose plugins a text names: in a template by lookup, filter or test, elsewhere in quotes."""
    lookups = re.findall(r"(?:lookup|query)\(\s*['\"]([a-z_]+\.[a-z_]+)\.", text)
    filters = re.findall(r"(?:\||\bis(?: not)?)\s*([a-z_]+\.[a-z_]+)\.[a-z_]+", text)
    imports = re.findall(r"ansible_collections\.([a-z_]+\.[a-z_]+)", text)
    quoted = re.findall(r"['\"]((?:ansible|community)\.[a-z_]+)\.[a-z_]+['\"]", text)
    return {*lookups, *filters, *imports, *quoted} - {"ansible.plugins", "ansible.module_utils"}


def used() -> set[str]:
    """The collections that roles, playbooks and plugins use."""
    found: set[str] = set()
    for path in [*ROOT.glob("roles/**/*"), *ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("plugins/**/*.py")]:
        if path.suffix in (".yml", ".j2", ".py"):
            found |= in_text(path.read_text())
        if path.suffix == ".yml" and path.parent.name in ("tasks", "handlers", "playbooks"):
            found |= named(load(path))
    return found - OURS


def test_the_collections_that_are_used_are_declared_and_no_others() -> None:
    assert used() == set(declared())


def test_uses_are_found() -> None:
    play = [{"tasks": [{"block": [{"ansible.posix.mount": {}}]}]}]
    assert named(play) == {"ansible.posix"}
    assert in_text("{{ lookup('community.dns.x') | ansible.utils.ipaddr is community.crypto.y }}") == {
        "community.dns",
        "ansible.utils",
        "community.crypto",
    }


def test_what_git_ignores_is_in_no_archive() -> None:
    """A checkout may be a project too, with its secrets."""
    ignored = load(ROOT / "galaxy.yml")["build_ignore"]
    for line in (ROOT / ".gitignore").read_text().split():
        path = line.strip("/").replace("inventory/*", "inventory/one.yml").replace("*", "any")
        parts = [str(part) for part in [Path(path), *Path(path).parents]]
        assert line.startswith("!") or any(fnmatch(part, each) for part in parts for each in ignored), line


def test_the_folder_of_infra_yml_is_looked_up_in_one_file() -> None:
    lookups = [path for path in ROOT.glob("playbooks/**/*.yml") if re.search(r"env', *'PROJECT'", path.read_text())]
    assert lookups == [ROOT / "playbooks/vars/project.yml"]


def test_a_variable_is_explained_once_and_the_readmes_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert role_docs.main(check=True) == 0, capsys.readouterr().err


def test_every_variable_is_in_the_readme_of_its_role() -> None:
    for role in ROOT.glob("roles/*"):
        readme = (role / "README.md").read_text()
        assert [name for name in load(role / "defaults/main.yml") if f"| `{name}` |" not in readme] == []


def test_a_variable_has_no_text_but_that_of_its_paragraph() -> None:
    role = ROOT / "roles/open_webui"
    found = {variable.name: variable for variable in role_docs.variables(role)}
    assert found["open_webui_tls_key"].text == found["open_webui_tls_certificate"].text
    assert found["open_webui_stt_language"].example == "fr"
    assert "Example" not in found["open_webui_stt_language"].text


def test_the_modules_that_read_a_project_are_a_group() -> None:
    """So that module_defaults names the folder once."""
    files = [path for kind in ("action", "modules") for path in ROOT.glob(f"plugins/{kind}/*.py")]
    modules = {path.stem for path in files if "PROJECT_DIR" in path.read_text()}
    assert set(load(ROOT / "meta/runtime.yml")["action_groups"]["project"]) == modules | {"incus_info"}


@pytest.mark.parametrize("option", ["project_dir", "socket"])
def test_a_shared_option_is_documented_once(option: str) -> None:
    files = [path for path in ROOT.glob("plugins/**/*.py") if re.search(rf"^  {option}:\n", path.read_text(), re.M)]
    # the one module that can do without a project says what happens then
    others = {"project_dir": ["incus_info"], "socket": []}
    assert [path.stem for path in files if path.parent.name == "modules"] == others[option]
    assert len([path for path in files if path.parent.name == "doc_fragments"]) == 1


def filters() -> Iterator[tuple[Path, str, Any]]:
    """Every filter: its file, its name and its function."""
    for path in sorted(ROOT.glob("plugins/filter/*.py")):
        module = importlib.import_module(f"ansible_collections.anklume.stt.plugins.filter.{path.stem}")
        for name, function in module.FilterModule().filters().items():
            yield path, name, function


def documentation(path: Path, name: str) -> dict[str, Any]:
    """What a filter's documentation says: in its file where that holds no other filter, else in a file beside it."""
    module = importlib.import_module(f"ansible_collections.anklume.stt.plugins.filter.{path.stem}")
    if hasattr(module, "DOCUMENTATION"):
        return yaml.safe_load(module.DOCUMENTATION) | {"example": module.EXAMPLES, "return": module.RETURN}
    beside = load(path.with_name(f"{name}.yml"))
    return beside["DOCUMENTATION"] | {"example": beside["EXAMPLES"], "return": beside["RETURN"]}


@pytest.mark.parametrize(
    ("path", "name", "function"), list(filters()), ids=[name for _path, name, _function in filters()]
)
def test_a_filter_is_documented_as_it_is_called(path: Path, name: str, function: Any) -> None:
    said = documentation(path, name)
    _input, *given = inspect.signature(function).parameters.values()
    assert said["name"] == name
    assert f"anklume.stt.{name}" in said["example"]
    assert said["return"]
    nothing = inspect.Parameter.empty
    options = {
        option: nothing if body.get("required") else body.get("default") for option, body in said["options"].items()
    }
    assert options.pop("_input") is nothing
    assert list(options) == [parameter.name for parameter in given]
    assert [option.strip() for option in said.get("positional", "").split(",") if option] == list(options)
    # a mapping that may be left out is None in Python and empty in words
    assert [default or None for default in options.values()] == [parameter.default or None for parameter in given]


def test_no_filter_documents_another() -> None:
    """What stands in a file beside a filter's is overridden by what the file itself says."""
    for path, name, _function in filters():
        assert name == path.stem or "DOCUMENTATION" not in path.read_text(), name


def test_no_documentation_is_of_a_filter_that_is_gone() -> None:
    names = {name for _path, name, _function in filters()}
    assert {path.stem for path in ROOT.glob("plugins/filter/*.yml")} <= names
