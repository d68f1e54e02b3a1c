# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to write in the place of a value or a key that was refused, where that can be told. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ansible_collections.anklume.stt.plugins.module_utils._infra import schema
from ansible_collections.anklume.stt.plugins.module_utils._infra.diagnostic import shorten
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import Node
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import MACHINE_ROLES

# pylint: disable-next=unsupported-binary-operation
Judge = Callable[[schema.Text, str], str]
"""The fault of a text, "" where it has none."""

_TYPED = "\u201c\u201d\u201e\u201f\u2018\u2019\u00ab\u00bb"
"""Quotes of books, which YAML takes for letters."""
_ODD_SPACE = re.compile("[\u00a0\u2000-\u200b\u202f\u3000\ufeff]")
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgtpe])(i?)b?\s*", re.IGNORECASE)
_WORD = re.compile(r"[^,\s]+")
_REPEATED = {
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "midnight": "0 0 * * *",
    "weekly": "0 0 * * 0",
    "monthly": "0 0 1 * *",
}
_VARIABLES = tuple(f"{role.removesuffix('_server')}_" for role in MACHINE_ROLES)
_FOR_VARIABLES = ("vars", "variables", "host_vars", "environment", "ansible_")


def size(text: str) -> str:
    """A size as Incus writes it, from one with a space, in small letters, or without its B."""
    found = _SIZE.fullmatch(text)
    if not found:
        return ""
    number, unit, binary = found.groups()
    binary = binary.lower() or ("" if text.strip().lower().endswith("b") else "i")
    return f"{number}{'k' if unit.lower() == 'k' and not binary else unit.upper()}{binary}B"


def _texts(value: str) -> Iterator[str]:
    plain = _ODD_SPACE.sub(" ", value).strip().strip(_TYPED).strip()
    yield plain
    yield plain.lower()
    yield re.sub(r"[\s_.]+", "-", plain.lower()).strip("-")
    yield plain.partition("/")[0]
    yield plain.lower().removesuffix(".local")
    yield size(plain)
    yield _REPEATED.get(plain.lower().lstrip("@"), "")
    yield ".".join(plain.split(".")[:2])
    yield f"/{plain}"
    if plain.isdigit():
        yield f"{plain}GiB"
        yield f"{plain}d"


def text_hints(kind: schema.Text, node: Node, fault_of: Judge) -> tuple[str, ...]:
    """What to write in the place of a text."""
    value = node.text
    rest = node.file.lines[node.line][node.column :] if node.line < len(node.file.lines) else ""
    if not node.quoted and " " in value and value not in rest:
        return ("the text goes on in the next line: is that line indented too far?",)
    if "{{" in value:
        return ("Ansible's expressions are not worked out in infra.yml: they belong in host_vars/",)
    for one in _texts(value):
        if one and one != value and not fault_of(kind, one):
            return (f'write "{shorten(one)}"',)
    return ()


def kind_hints(kind: schema.Kind, node: Node) -> tuple[str, ...]:
    """What to write in the place of a value whose form is another: a list, a mapping, a number."""
    text = node.text
    if isinstance(kind, schema.Either):
        numbers = isinstance(node.value, int) or text.isdigit()
        listings = [one for one in kind.kinds if isinstance(one, schema.Listing) and numbers]
        return kind_hints(listings[0], node) if listings else ()
    if isinstance(kind, schema.Listing):
        if node.kind == "str" and text.startswith("-") and not node.quoted:
            return ("a space is missing after the dash",)
        if node.kind in ("str", "int"):
            return (f"write [{', '.join(shorten(one) for one in re.findall(_WORD, text))}]",)
        return ("put a dash in front of each, or brackets around them",) if node.kind == "map" else ()
    if isinstance(kind, (schema.Table, schema.Record)) and node.kind == "str" and not node.quoted:
        return ("a space is missing after the colon",) if re.match(r"[\w-]+:\S", text) else ()
    if isinstance(kind, schema.Table) and node.kind == "list":
        return (f"no dashes here: each {kind.noun} by its name, as in name: {{}}",)
    if isinstance(kind, schema.Flag) and node.kind == "int" and node.value in (0, 1):
        return (f"write {str(bool(node.value)).lower()}",)
    if isinstance(kind, schema.Whole) and node.kind == "float" and node.value.is_integer():
        return (f"write {int(node.value)}",)
    if isinstance(kind, schema.Text) and node.kind == "list":
        return ("one only; for several, write the whole entry once for each",)
    return ()


def key_hints(name: str, path: str, record: schema.Record) -> tuple[str, ...]:
    """Where a key belongs that is not known here."""
    if _ODD_SPACE.search(name):
        return ("there is a space in it that is none for YAML: delete it, and type a plain one",)
    if name.startswith("x-"):
        return ("keys x-… are let through at the top of the file",)
    if record is schema.MACHINE and name.startswith((*_VARIABLES, *_FOR_VARIABLES)):
        return (f"variables belong in host_vars/{path.rpartition('.')[2]}.yml, below the block that sync writes",)
    above = path.rpartition(".")[2]
    if above in record.keys:
        return (f"{above} has become a name here: is its line indented too little?",)
    homes = [what for what, other in _HOMES if name in other.keys and other is not record]
    return (f"{name} is a key of {homes[0]}: is the line indented right?",) if homes else ()


_HOMES = (
    ("a machine", schema.MACHINE),
    ("a domain", schema.DOMAIN),
    ("global", schema.GLOBAL),
    ("the top of the file", schema.ROOT),
    ("a network policy", schema.POLICY),
)
