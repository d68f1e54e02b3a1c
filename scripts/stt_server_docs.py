# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the tables of docs/reference/stt_server.md, from the role's own argument_specs, engines and voices."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / ".cache/collections"))

from ansible_collections.anklume.stt.plugins.module_utils._models.voices import BEST, VOICES  # noqa: E402

PAGE = ROOT / "docs/reference/stt_server.md"
ROLE = ROOT / "roles/stt_server"
MARKS = {
    name: (f"<!-- {name}: written by scripts/stt_server_docs.py -->", f"<!-- end of {name} -->")
    for name in ("engines", "voices", "variables")
}


def load(path: Path) -> Any:
    """A YAML file of the role."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def engines() -> str:
    """Which engine understands which variable, where they differ."""
    table = load(ROLE / "vars/main.yml")["__stt_server_engines"]
    names = sorted({name for engine in table.values() for name in engine["cannot"]})
    lines = ["| | " + " | ".join(table) + " |", "|---" * (len(table) + 1) + "|"]
    lines += [
        f"| `{name}` | " + " | ".join("no" if name in engine["cannot"] else "yes" for engine in table.values()) + " |"
        for name in names
    ]
    lines += ["| Python | " + " | ".join(", ".join(engine["python_versions"]) for engine in table.values()) + " |"]
    for device, said in (("cpu", "room needed, MiB"), ("cuda", "the same with a GPU")):
        lines += [
            f"| {said} | " + " | ".join(str(engine["disk_mib"].get(device, "–")) for engine in table.values()) + " |"
        ]
    return "\n".join(lines)


def voices() -> str:
    """Every voice that has a short name, and where it is `auto`."""
    lines = ["| name | speaks | `auto` for | licence | from |", "|---|---|---|---|---|"]
    for name, voice in VOICES.items():
        best = ", ".join(language for language, chosen in BEST.items() if chosen == name)
        spoken = ", ".join(voice.languages)
        lines.append(f"| `{name}` | {spoken} | {best} | {voice.licence} | [{voice.hub_id}]({voice.source}) |")
    return "\n".join(lines)


def variables() -> str:
    """Every variable with its default."""
    options = load(ROLE / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    lines = ["| variable | default | |", "|---|---|---|"]
    for name, option in options.items():
        text = " ".join(option["description"].split()).replace("|", "\\|")
        lines.append(f"| `{name}` | `{json.dumps(option['default'])}` | {text} |")
    return "\n".join(lines)


def page(text: str) -> str:
    """The page with its tables as they should be."""
    for name, (start, end) in MARKS.items():
        before, _, rest = text.partition(start)
        _, _, after = rest.partition(end)
        text = f"{before}{start}\n{globals()[name]()}\n{end}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
