# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON schema for editors and the checks give the same verdict; the generated files are up to date."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from infra_cases import FORM, MEANING, RIGHT
from jsonschema import Draft7Validator

ROOT = Path(__file__).resolve().parents[5]
SCHEMAS = ROOT / "docs" / "schema"
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*/infra.yml"))


class EditorLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML as editors read it: dates are text, and a tab may follow a colon (PyYAML's own scanner refuses that)."""


EditorLoader.yaml_implicit_resolvers = {
    first: [entry for entry in entries if entry[0] != "tag:yaml.org,2002:timestamp"]
    for first, entries in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@cache
def validator(name: str = "infra") -> Draft7Validator:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def faults(text: str, name: str = "infra") -> list[str]:
    return [error.message for error in validator(name).iter_errors(yaml.load(text, EditorLoader))]


@pytest.mark.parametrize("case", FORM, ids=lambda case: case.name)
def test_the_schema_refuses_what_the_checks_refuse(case):
    assert faults(case.text) != []


@pytest.mark.parametrize("case", MEANING, ids=lambda case: case.name)
def test_what_is_listed_as_meaning_is_beyond_a_schema(case):
    try:
        found = faults(case.text)
    except yaml.YAMLError:
        return  # no editor reads it either
    assert found == []


@pytest.mark.parametrize("name", RIGHT)
def test_the_schema_accepts_what_the_checks_accept(name):
    assert faults(RIGHT[name]) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_the_schema_accepts_the_examples(path):
    assert faults(path.read_text(encoding="utf-8")) == []


def test_the_schemas_of_the_folder_form():
    folder = ROOT / "docs" / "examples" / "folder" / "infra"
    assert faults((folder / "base.yml").read_text(encoding="utf-8"), "infra-base") == []
    assert faults((folder / "policies.yml").read_text(encoding="utf-8"), "infra-policies") == []
    for path in (folder / "domains").glob("*.yml"):
        assert faults(path.read_text(encoding="utf-8"), "infra-domains") == []
    assert faults("lab: {subnet: 3}", "infra-domains") != []
    assert faults("domains: {}", "infra-policies") != []
    assert faults("globals: {}", "infra-base") != []


def properties(schema: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every property of a schema with its path."""
    found = []
    for name, one in schema.get("properties", {}).items():
        found.append((f"{path}.{name}", one))
        found += properties(one, f"{path}.{name}")
    for below in (schema.get("additionalProperties"), schema.get("items"), *schema.get("anyOf", ())):
        if isinstance(below, dict):
            found += properties(below, f"{path}.*")
    return found


def test_every_key_has_a_description_and_a_valid_example():
    schema = json.loads((SCHEMAS / "infra.schema.json").read_text(encoding="utf-8"))
    found = properties(schema)
    assert len(found) > 60
    for path, one in found:
        assert one["description"].rstrip().endswith("."), path
        assert one["examples"], path
        for example in one["examples"]:
            assert example is not None, path
            assert list(Draft7Validator(one).iter_errors(example)) == [], path


def test_generated_files_are_up_to_date():
    made = subprocess.run(
        [sys.executable, ROOT / "scripts" / "infra_docs.py", "--check"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr


def test_the_template_names_its_schema_first():
    path = ROOT / "docs" / "examples" / "init" / "infra.yml"
    first = path.read_text(encoding="utf-8").split("\n")[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (path.parent / first.partition("=")[2]).resolve() == SCHEMAS / "infra.schema.json"
