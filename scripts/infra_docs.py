# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes docs/schema/ and docs/reference/infra.md from the one description of infra.yml.

usage: infra_docs.py [--check]     (--check writes nothing and fails when a file is not what it should be)
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import generated

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / ".cache" / "collections"))

from ansible_collections.anklume.stt.plugins.module_utils._infra import schema  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._infra.form import words  # noqa: E402

SCHEMAS = {
    "infra": (schema.ROOT, "infra.yml: the whole project in one file"),
    "infra-base": (schema.BASE, "infra/base.yml: the project without its domains"),
    "infra-domains": (schema.DOMAINS, "infra/domains/*.yml: domains, by name"),
    "infra-policies": (schema.POLICIES, "infra/policies.yml: the network policies"),
}


def json_schema(kind: schema.Kind) -> dict[str, Any]:
    """A kind as Draft-07."""
    match kind:
        case schema.Text():
            found: dict[str, Any] = {"type": "string"}
            if kind.pattern:
                found["pattern"] = kind.pattern
            if kind.longest:
                found["maxLength"] = kind.longest
            if kind.refused:
                found["not"] = {"enum": list(kind.refused)}
            return found
        case schema.Choice():
            return {"type": "string", "enum": list(kind.values)}
        case schema.Whole():
            high = {} if kind.high is None else {"maximum": kind.high}
            return {"type": "integer", "minimum": kind.low, **high}
        case schema.Number():
            return {"type": "number", "exclusiveMinimum": 0}
        case schema.Flag():
            return {"type": "boolean"} if kind.only is None else {"type": "boolean", "enum": [kind.only]}
        case schema.Plain():
            return {"type": ["string", "number", "boolean"]}
        case schema.Listing():
            return {"type": "array", "items": json_schema(kind.item), **({"minItems": 1} if kind.empty else {})}
        case schema.Table():
            names = {key: value for key, value in json_schema(kind.name).items() if key != "type"}
            filled = {"minProperties": 1} if kind.filled else {}
            values = json_schema(kind.value)
            return {"type": "object", "propertyNames": names, "additionalProperties": values, **filled}
        case schema.Record():
            required = [name for name, key in kind.keys.items() if key.required]
            return {
                "type": "object",
                "properties": {name: _property(key) for name, key in kind.keys.items()},
                **({"required": required} if required else {}),
                **({"patternProperties": {"^x-": {}}} if kind.notes else {}),
                "additionalProperties": False if kind.others is None else json_schema(kind.others),
            }
        case schema.Either():
            return {"anyOf": [json_schema(one) for one in kind.kinds]}
    return {}


def _property(key: schema.Key) -> dict[str, Any]:
    found = json_schema(key.kind)
    if not key.required and not key.empty:
        _allow_empty(found)
    default = f" Default: {key.default_words}." if key.default_words else ""
    carried = "" if key.acted else " Carried, not acted on."
    return {"description": f"{key.description}{default}{carried}", "examples": [key.example], **found}


def _allow_empty(found: dict[str, Any]) -> None:
    """An optional key without a value counts as left out."""
    if "type" in found:
        kinds = found["type"] if isinstance(found["type"], list) else [found["type"]]
        found["type"] = [*kinds, "null"]
    if "enum" in found:
        found["enum"] = [*found["enum"], None]
    if "anyOf" in found:
        found["anyOf"] = [*found["anyOf"], {"type": "null"}]


INTRODUCTION = """\
<!-- Written by scripts/infra_docs.py: change plugins/module_utils/_infra/schema.py or that script, not this page. -->
# infra.yml

One file says which machines there are; `make sync` turns it into an Ansible inventory and `make apply` into Incus
objects and services. `make check` says every fault at once, each with file, line and column. `make init` writes one
that works on this machine. Whole examples, all synced by the tests, are in [docs/examples](../examples), and
[Reach it from the phone](../how-to/reach-it-from-the-phone.md) is about `publish`.

## Where it is

- `infra.yml` in the project's folder; or
- a folder `infra/` with `base.yml` (everything but the domains), `domains/*.yml` (domains by name, merged in sorted
  order, a later file wins with a warning) and `policies.yml` (`network_policies`). The folder is read when
  `infra/base.yml` exists. Other files there are not read, and named in a warning.

Editors that speak to yaml-language-server check the file while you write, when its first line is
`# yaml-language-server: $schema=<path>/docs/schema/infra.schema.json`. The parts of the folder form have schemas of
their own beside it: `infra-base`, `infra-domains` and `infra-policies`.

## Rules for all of it

- Every key is known or a fault; so are a key that is there twice, a value of the wrong type and an empty entry.
- Text that looks like a number needs quotes: `"10.100"`. Where a number has to be, one with leading zeros, in base 60
  or hexadecimal is a fault: YAML reads `022` as 18 and `1:30` as 90.
- An optional key without a value counts as left out, with a warning. Where that would open or allow more (`ports`,
  `protocol`, `from` of `publish`, `readonly`) it is a fault.
- A size has its unit, as in `8GiB`; a number alone is bytes, and a fault where it is small.
- Anchors, aliases and `<<` work. Keys at the top whose name begins with `x-` are let through: a place for anchors.

## What sync writes

| file | content |
|---|---|
| `inventory/<domain>.yml` | group `<domain>` with its machines, and a group `role_<role>` per role |
| `group_vars/all.yml` | `project_name`, `base_subnet` or `addressing`, `default_os_image`, `psot_default_connection`, \
`psot_default_user`, `incus_all_images`, `network_policies`, `ansible_pipelining`; `infra_stt_url`, \
`infra_ollama_url`, `infra_edge_tts_url` and `infra_prometheus_url` where exactly one machine has the role; \
`infra_stt_url` is the balancer's where a machine has the role `stt_balancer`, and `infra_ollama_url` names all \
machines with Ollama |
| `group_vars/<domain>.yml` | `domain_*`, `incus_project`, `incus_network`, `subnet_id`, `incus_profiles` |
| `host_vars/<machine>.yml` | `instance_*`, `ansible_connection`, `ansible_shell_type`, `ansible_incus_host`, \
`ansible_incus_project`, `ansible_host` |
| `inventory/host_vars`, `inventory/group_vars` | links to the folders beside infra.yml, so that Ansible finds them \
from anywhere |

Sync owns the lines from `# === MANAGED BY infra.yml ===` to `# === END MANAGED ===`. All else in these files is yours
and is kept byte for byte; this is where settings of the services belong. No role reads `infra_stt_url` by itself:
write `open_webui_stt_url: "{{ infra_stt_url }}"` to use it.

All files are changed or none, and none is more readable than infra.yml. `make apply` and `make apply-stt` refuse an
inventory that is older than infra.yml, `make plan` and `make verify` say so and go on. Variables beside the
block that say what infra.yml says (`instance_config`, `incus_profiles`, …) change nothing in Incus; sync and plan name
them.
"""


def reference() -> str:
    """The reference page."""
    parts = [INTRODUCTION]
    seen: set[int] = set()
    for path, record in _records(schema.ROOT, ""):
        if id(record) in seen:
            continue
        seen.add(id(record))
        parts.append(_section(path, record))
    return "\n".join(parts)


def _records(kind: schema.Kind, path: str) -> Iterator[tuple[str, schema.Record]]:
    """Every record, outer ones first, with the path that leads to it."""
    match kind:
        case schema.Record():
            yield path, kind
            for name, key in kind.keys.items():
                yield from _records(key.kind, f"{path}.{name}" if path else name)
        case schema.Table():
            yield from _records(kind.value, f"{path}.<{kind.noun.replace(' ', '-')}>")
        case schema.Listing():
            yield from _records(kind.item, f"{path}[]")
        case schema.Either():
            for one in kind.kinds:
                yield from _records(one, path)


def _section(path: str, record: schema.Record) -> str:
    lines = [
        f"## `{path}`" if path else "## Top level",
        "",
        "| key | must be | default | meaning |",
        "|---|---|---|---|",
    ]
    for name, key in record.keys.items():
        meaning = key.description + ("" if key.acted else " **Carried, not acted on.**")
        example = f" Example: `{_inline(key.example)}`." if key.example not in (None, {}, []) else ""
        default = "**required**" if key.required else key.default_words or "none"
        lines.append(f"| `{name}` | {_holds(key.kind)} | {default} | {_cell(meaning + example)} |")
    if record.others is not None:
        lines.append("| any other | a text, number or boolean | | A key that Incus knows for this type of device. |")
    return "\n".join([*lines, ""])


def _holds(kind: schema.Kind) -> str:
    match kind:
        case schema.Table():
            longest = f" of at most {kind.name.longest} characters" if kind.name.longest else ""
            return _cell(f"a mapping by name; a name: {kind.name.says}{longest}")
        case schema.Listing():
            return _cell(f"a list; each {_holds(kind.item)}")
        case schema.Choice():
            return _cell(", ".join(f"`{value}`" for value in kind.values))
        case schema.Either():
            return " or ".join(_holds(one) for one in kind.kinds)
        case schema.Free():
            return "anything"
    return _cell(words(kind))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _inline(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_inline(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, str) and (not value[:1].isalpha() or any(char in value for char in ":#,[]{} ")):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value) if not isinstance(value, str) else value


def contents() -> dict[str, str]:
    """Every generated file, by its path in the repository."""
    files = {"docs/reference/infra.md": reference()}
    for name, (kind, title) in SCHEMAS.items():
        document = {"$schema": "http://json-schema.org/draft-07/schema#", "title": title, **json_schema(kind)}
        files[f"docs/schema/{name}.schema.json"] = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return files


def main(check: bool) -> int:
    """Write or compare."""
    return generated.write(contents(), "infra_docs.py", check)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
