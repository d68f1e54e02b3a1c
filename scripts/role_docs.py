# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the README of every role, and the descriptions in its argument_specs.

usage: role_docs.py [--check]     (--check writes nothing and fails when a file is not what it should be)

What a variable is stands above it in defaults/main.yml alone; its type and choices in meta/argument_specs.yml.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import generated
import yaml

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 120


@dataclass(frozen=True)
class Variable:
    """What the defaults of a role say of a variable."""

    name: str
    text: str
    example: str
    default: Any


def load(path: Path) -> Any:
    """A YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def variables(role: Path) -> Iterator[Variable]:
    """The public variables of a role; those in one paragraph share its text, each has its own example."""
    path = role / "defaults/main.yml"
    defaults = load(path)
    for paragraph in path.read_text(encoding="utf-8").split("\n\n"):
        lines = [line.removeprefix("#").strip() for line in paragraph.splitlines() if line.startswith("#")]
        text, *examples = re.split(r"\s*Example: ", " ".join(lines))
        shown = dict(example.split(": ", 1) for example in examples)
        for name in re.findall(r"^(\w+):", paragraph, re.M):
            yield Variable(name, text, shown.get(name, ""), defaults[name])


def specs(role: Path) -> dict[str, Any]:
    """The entry points of a role, each with its options."""
    return dict(load(role / "meta/argument_specs.yml")["argument_specs"])


def argument_specs(role: Path) -> str:
    """The argument_specs with the descriptions of the defaults; where a text is right already, it keeps its lines."""
    text = (role / "meta/argument_specs.yml").read_text(encoding="utf-8")
    options = specs(role)["main"]["options"]
    for variable in variables(role):
        if " ".join(str(options[variable.name]["description"]).split()) == variable.text:
            continue
        block = re.compile(
            rf"(^      {variable.name}:.*\n(?:        .*\n)*?)        description:.*\n(?:          .*\n)*", re.M
        )
        folded = textwrap.fill(
            variable.text, WIDTH, initial_indent=" " * 10, subsequent_indent=" " * 10, break_on_hyphens=False
        )
        text = block.sub(lambda found, folded=folded: f"{found[1]}        description: >-\n{folded}\n", text, count=1)
    return text


INTRODUCTION = """\
<!-- Written by scripts/role_docs.py: change the defaults, the argument_specs or that script, not this page. -->
# anklume.stt.{name}

{short}.

{description}

```yaml
- name: {short}
  hosts: all
  roles:
    - role: anklume.stt.{name}
```

It runs on {platforms}, and wants ansible-core {ansible} or later on the controller.{page}

## Variables

Types and choices are checked before the role changes anything. `ansible-doc -t role anklume.stt.{name}` shows the same.

| variable | type | default | what it is |
|---|---|---|---|
"""
RELEASES = {"bookworm": "12", "trixie": "13", "noble": "24.04"}


def readme(role: Path) -> str:
    """The README of a role."""
    found, galaxy = specs(role), load(role / "meta/main.yml")["galaxy_info"]
    main = found.pop("main")
    page = ROOT / f"docs/reference/{role.name}.md"
    described = main["description"]
    text = INTRODUCTION.format(
        name=role.name,
        short=main["short_description"],
        description="\n".join(f"- {_marked(line)}" for line in described),
        platforms=" and ".join(
            f"{platform['name']} {' and '.join(RELEASES[release] for release in platform['versions'])}"
            for platform in galaxy["platforms"]
        ),
        ansible=galaxy["min_ansible_version"],
        page=f"\n[Its page](../../docs/reference/{page.name}) says more." if page.exists() else "",
    )
    for variable in variables(role):
        option = main["options"][variable.name]
        choices = f" One of {', '.join(f'`{choice}`' for choice in option['choices'])}." if "choices" in option else ""
        example = f" Example: `{_cell(variable.example)}`." if variable.example else ""
        default = f"`{_cell(json.dumps(variable.default, ensure_ascii=False))}`"
        kind = f"list of {option['elements']}" if "elements" in option else option["type"]
        text += f"| `{variable.name}` | {kind} | {default} | {_marked(_cell(variable.text))}{choices}{example} |\n"
    others = [
        f"| `{name}` | {' '.join(map(_marked, [spec['short_description'] + '.', *spec['description']]))} "
        f"| {', '.join(f'`{option}`' for option in spec.get('options', {})) or 'none'} |\n"
        for name, spec in found.items()
    ]
    if others:
        text += (
            "\n## Other entry points\n\nBy `tasks_from` of `ansible.builtin.include_role`.\n\n"
            "| tasks | what they do | variables |\n|---|---|---|\n" + "".join(others)
        )
    return text


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _marked(text: str) -> str:
    """Ansible's markup as Markdown; what looks like HTML is none."""
    return re.sub(r"\b[CVOM]\(([^)]*)\)", r"`\1`", text).replace("<", "&lt;")


def contents() -> dict[str, str]:
    """Every generated file, by its path in the repository."""
    files = {}
    for role in sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir()):
        files[f"roles/{role.name}/meta/argument_specs.yml"] = argument_specs(role)
        files[f"roles/{role.name}/README.md"] = readme(role)
    return files


def main(check: bool) -> int:
    """Write or compare."""
    return generated.write(contents(), "role_docs.py", check)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
