# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of infra.yml: a tree of nodes against the schema, one value at a time.

What comes out is plain data with everything malformed left out, so that the later checks can go on and
all faults are found in one run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._infra import schema
from ansible_collections.anklume.stt.plugins.module_utils._infra.diagnostic import Diagnostic, Level, nearest, shorten
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import KIND_WORDS, Node
from ansible_collections.anklume.stt.plugins.module_utils._infra.mended import key_hints, kind_hints, text_hints

INVALID: Any = object()
"""What stands for a value that was refused; it never leaves this module's containers."""

_pattern = lru_cache(maxsize=None)(re.compile)
_PLAIN_NUMBER = re.compile(
    r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?\Z|[-+]?\.(inf|nan)\Z", re.IGNORECASE
)
_LEADING_ZEROS = re.compile(r"\A[-+]?0+(?=[0-9])")


def diagnose(level: Level, node: Node, path: str, message: str, hints: tuple[str, ...] = ()) -> Diagnostic:
    """A diagnostic at a node of the tree."""
    lines = node.file.lines
    source = lines[node.line] if node.line < len(lines) else ""
    return Diagnostic(level, node.file.name, node.line + 1, node.column + 1, path, message, source, node.width, hints)


def words(kind: schema.Kind) -> str:
    """What a kind allows, completing "must be …"."""
    if isinstance(kind, schema.Text):
        return kind.says
    if isinstance(kind, schema.Choice):
        return kind.values[0] if len(kind.values) == 1 else "one of " + ", ".join(kind.values)
    if isinstance(kind, schema.Whole):
        if kind.high is None:
            return f"a whole number, {kind.low} or more"
        return str(kind.low) if kind.low == kind.high else f"a whole number from {kind.low} to {kind.high}"
    if isinstance(kind, schema.Number):
        return "a number above 0"
    if isinstance(kind, schema.Flag):
        return "true or false" if kind.only is None else str(kind.only).lower()
    if isinstance(kind, schema.Listing):
        return "a list"
    if isinstance(kind, schema.Either):
        return ", or ".join(words(one) for one in kind.kinds)
    if isinstance(kind, schema.Plain):
        return "a text, number or boolean"
    return "a mapping"


def _accepts(kind: schema.Kind, node: Node) -> bool:
    """Whether the node has the form of this kind, whatever its value."""
    if isinstance(kind, (schema.Text, schema.Choice)):
        return node.kind == "str"
    if isinstance(kind, schema.Whole):
        return node.kind == "int"
    if isinstance(kind, schema.Number):
        return node.kind in ("int", "float")
    if isinstance(kind, schema.Flag):
        return node.kind == "bool"
    if isinstance(kind, schema.Listing):
        return node.kind == "list"
    if isinstance(kind, (schema.Table, schema.Record)):
        return node.kind == "map"
    return True


class Form:
    """One run over a project's files: values with every default filled in, and what is to be said of them."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.carried: dict[str, Node] = {}
        self.malformed: set[str] = set()
        """The paths of keys whose value was refused; in the data they have their default."""
        self._readers: dict[type, Callable[[Any, Node, str], Any]] = {
            schema.Text: self._text,
            schema.Choice: self._choice,
            schema.Whole: self._whole,
            schema.Number: self._number,
            schema.Flag: self._flag,
            schema.Plain: self._plain,
            schema.Free: self._free,
            schema.Listing: self._listing,
            schema.Table: self._table,
            schema.Record: self._record,
            schema.Either: self._either,
        }

    def read(self, kind: schema.Kind, node: Node, path: str) -> Any:
        """The value of a node, or INVALID after a diagnostic."""
        return self._readers[type(kind)](kind, node, path)

    def error(self, node: Node, path: str, message: str, *hints: str) -> Any:
        self.diagnostics.append(diagnose("error", node, path, message, hints))
        return INVALID

    def _mistyped(self, kind: schema.Kind, node: Node, path: str) -> Any:
        """The fault of a value whose form is wrong, with the most likely reason."""
        text, hints = shorten(node.text), kind_hints(kind, node)
        if node.kind == "null":
            return self.error(node, path, f"is empty; must be {words(kind)}")
        if isinstance(kind, schema.Text) and node.kind in ("int", "float", "bool", "other"):
            what = KIND_WORDS[node.kind]
            if node.kind in ("int", "float"):
                what = f"the number {shorten(str(node.value))}"
            if self._text_fault(kind, node.text):  # quotes alone would not do
                hints = text_hints(kind, node, self._text_fault)
                return self.error(node, path, f"{text} is {what}; must be {words(kind)}", *hints)
            return self.error(node, path, f"{text} without quotes is {what}", f'write "{text}"')
        if node.kind == "str":
            if (
                isinstance(kind, schema.Flag)
                and node.quoted
                and node.text.lower() in ("true", "false", "yes", "no", "on", "off")
            ):
                return self.error(node, path, f'"{text}" in quotes is text', f"write {text.lower()}")
            if isinstance(kind, schema.Whole) and node.text.isascii() and node.text.isdigit():
                number = _LEADING_ZEROS.sub("", node.text)
                if node.quoted:
                    return self.error(node, path, f'"{text}" in quotes is text', f"write {shorten(number)}")
                return self.error(node, path, f"{text} begins with a zero", f"write {shorten(number)}")
            return self.error(node, path, f'must be {words(kind)}, not "{text}"', *hints)
        if node.kind in ("map", "list"):
            return self.error(node, path, f"must be {words(kind)}, not {KIND_WORDS[node.kind]}", *hints)
        return self.error(node, path, f"{text} is {KIND_WORDS[node.kind]}; must be {words(kind)}", *hints)

    def _text(self, kind: schema.Text, node: Node, path: str) -> Any:
        if node.kind != "str":
            return self._mistyped(kind, node, path)
        fault = self._text_fault(kind, node.value)
        return self.error(node, path, fault, *text_hints(kind, node, self._text_fault)) if fault else node.value

    @staticmethod
    def _text_fault(kind: schema.Text, value: str) -> str:
        if kind.longest is not None and len(value) > kind.longest:
            why = f": {kind.because}" if kind.because else ""
            return f'"{shorten(value)}" has {len(value)} characters; at most {kind.longest} are allowed{why}'
        if kind.pattern is not None and (not _pattern(kind.pattern).match(value) or value.endswith("\n")):
            return f'must be {kind.says}, not "{shorten(value)}"'
        if value in kind.refused:
            return f'"{value}" cannot be used: {kind.refused[value]}'
        return ""

    def _choice(self, kind: schema.Choice, node: Node, path: str) -> Any:
        if node.kind != "str":
            return self._mistyped(kind, node, path)
        if node.value in kind.values:
            return node.value
        near = kind.also.get(node.value.lower()) or nearest(node.value, kind.values)
        hints = (f"did you mean {near}?",) if near else ()
        return self.error(node, path, f'must be {words(kind)}, not "{shorten(node.value)}"', *hints)

    def _whole(self, kind: schema.Whole, node: Node, path: str) -> Any:
        if node.kind != "int":
            return self._mistyped(kind, node, path)
        if is_disguised(node):
            return self._disguised(node, path)
        if node.value < kind.low or (kind.high is not None and node.value > kind.high):
            return self.error(node, path, f"must be {words(kind)}, not {shorten(node.text)}")
        return node.value

    def _number(self, kind: schema.Number, node: Node, path: str) -> Any:
        if node.kind not in ("int", "float"):
            return self._mistyped(kind, node, path)
        if is_disguised(node):
            return self._disguised(node, path)
        if not 0 < node.value < float("inf"):
            return self.error(node, path, f"must be {words(kind)}, not {shorten(node.text)}")
        return node.value

    def _disguised(self, node: Node, path: str, *hints: str) -> Any:
        """The fault of a number that YAML reads as another one than it looks like."""
        looks = _LEADING_ZEROS.sub("", node.text)
        if not hints and looks.isdigit():
            hints = (f"write {looks}",)
        if not hints and ":" in looks:
            hints = ("write the number alone, without a colon",)
        return self.error(node, path, _disguise(node), *(hints or (f"write {shorten(str(node.value))}",)))

    def _flag(self, kind: schema.Flag, node: Node, path: str) -> Any:
        if node.kind != "bool":
            return self._mistyped(kind, node, path)
        if kind.only is not None and node.value is not kind.only:
            return self.error(node, path, f"must be {words(kind)}; to switch it off, remove the line")
        return node.value

    def _plain(self, kind: schema.Plain, node: Node, path: str) -> Any:
        if node.kind in ("map", "list", "null"):
            hints = ('write "" for an empty text',) if node.kind == "null" else ()
            self._mistyped(kind, node, path)
            if hints:
                last = self.diagnostics.pop()
                self.diagnostics.append(diagnose("error", node, path, last.message, hints))
            return INVALID
        return str(node.value).lower() if node.kind == "bool" else node.text

    def _free(self, kind: schema.Free, node: Node, path: str) -> Any:
        self._carry(node, path)
        return plain_data(node)

    def _carry(self, node: Node, path: str) -> None:
        """Say which numbers in a part that is carried along are not what they look like."""
        for name, child in node.value.items() if node.kind == "map" else enumerate(node.items):
            self._carry(child, f"{path}[{name}]" if isinstance(name, int) else f"{path}.{shorten(name)}")
        if is_disguised(node):
            hint = f'write "{node.text}" if a text is meant'
            self.diagnostics.append(diagnose("warning", node, path, _disguise(node), (hint,)))

    def _listing(self, kind: schema.Listing, node: Node, path: str) -> Any:
        if node.kind != "list":
            return self._mistyped(kind, node, path)
        if kind.empty and not node.items:
            return self.error(node, path, f"is an empty list: {kind.empty}")
        values = []
        for index, item in enumerate(node.items):
            value = self.read(kind.item, item, f"{path}[{index}]")
            if value is not INVALID:
                values.append(value)
        return values

    def _table(self, kind: schema.Table, node: Node, path: str) -> Any:
        if node.kind != "map":
            return self._mistyped(kind, node, path)
        if kind.filled and not node.value:
            return self.error(node, path, f"names no {kind.noun}; name one or remove the whole entry")
        values = {}
        for name, child in node.value.items():
            here = f"{path}.{name}" if name.isprintable() and len(name) <= 64 else f"{path}.{shorten(name)}"
            key = node.keys[name]
            if key.kind == "str":
                fault = self._text_fault(kind.name, name)
                if fault:
                    hints = self._name_hints(kind, key)
                    self.error(key, here, f"the name of a {kind.noun}: {fault}", *hints)
            if child.kind == "null" and not isinstance(kind.value, schema.Choice):
                hint = f"give it keys, or write {shorten(name)}: {{}}"
                if isinstance(kind.value, schema.Plain):
                    hint = 'write "" for an empty text'
                self.error(key, here, f"the {kind.noun} is empty", hint)
                continue
            value = self.read(kind.value, child, here)
            if value is not INVALID:
                values[name] = value
        return values

    def _record(self, kind: schema.Record, node: Node, path: str) -> Any:
        if node.kind != "map":
            return self._mistyped(kind, node, path)
        values = {}
        keys = kind.keys
        for name, child in node.value.items():
            here = f"{path}.{name}" if path else name
            key = keys.get(name)
            if key is None:
                if kind.notes and name.startswith("x-"):
                    continue
                if kind.others is not None:
                    value = self.read(kind.others, child, here)
                    if value is not INVALID:
                        values[name] = value
                else:
                    self._unknown(node, name, path, kind)
                continue
            if child.kind == "null":
                if key.empty:
                    self.error(node.keys[name], here, f"is empty: {key.empty}")
                    self.malformed.add(here)
                    continue
                if not key.required:
                    message = "is empty, which counts as left out"
                    self.diagnostics.append(
                        diagnose("warning", node.keys[name], here, message, ("give it a value or remove the line",))
                    )
                    continue
                hints = (f"write {name}: {{}}",) if isinstance(key.kind, schema.Table) and not key.kind.filled else ()
                self.error(node.keys[name], here, f"is empty; must be {words(key.kind)}", *hints)
                continue
            value = self.read(key.kind, child, here)
            if not key.acted:
                self.carried.setdefault(here.rpartition(".")[2], node.keys[name])
            if value is INVALID:
                self.malformed.add(here)
            else:
                values[name] = value
        for name, default in kind.defaults.items():
            values.setdefault(name, default)
        for name, key in keys.items():
            if key.required and name not in node.value:
                self.error(node, path, f"has no {name}", f"it must be {words(key.kind)}")
        return values

    def _name_hints(self, kind: schema.Table, key: Node) -> tuple[str, ...]:
        """What to write in the place of a name; a key of what is named is one level too far out."""
        if isinstance(kind.value, schema.Record) and key.value in kind.value.keys:
            return (f"{key.value} is a key of a {kind.noun}: indent it further than the name of its {kind.noun}",)
        return text_hints(kind.name, key, self._text_fault)

    def _unknown(self, node: Node, name: str, path: str, record: schema.Record) -> None:
        elsewhere = key_hints(name, path, record)
        near = None if elsewhere else nearest(name, record.keys)
        hints = [f"did you mean {near}?"] if near else list(elsewhere)
        hints.append("allowed: " + ", ".join(sorted(record.keys)))
        self.error(node.keys[name], path, f'unknown key "{shorten(name)}"', *hints)

    def _either(self, kind: schema.Either, node: Node, path: str) -> Any:
        if is_disguised(node):
            for one in kind.kinds:
                if isinstance(one, schema.Text) and not self._text_fault(one, node.text):
                    return self._disguised(node, path, f'write "{node.text}"')
        for one in kind.kinds:
            if _accepts(one, node):
                if isinstance(one, schema.Choice) and node.value not in one.values:
                    break  # the others are told too
                return self.read(one, node, path)
        return self._mistyped(kind, node, path)


def is_disguised(node: Node) -> bool:
    """Whether a number is written in a way that YAML 1.1 reads as another one: leading zeros, base 60, underscores."""
    return node.kind in ("int", "float") and _PLAIN_NUMBER.match(node.text) is None


def _disguise(node: Node) -> str:
    base = {":": "60", "x": "16", "b": "2"}
    why = next((f", base {number}" for sign, number in base.items() if sign in node.text), "")
    if not why and node.kind == "int" and node.text.replace("_", "").lstrip("+-").startswith("0"):
        why = ", base 8"
    return f"{shorten(node.text)} without quotes is the number {shorten(str(node.value))}{why}"


def plain_data(node: Node) -> Any:
    """The value of a node with everything below it."""
    if node.kind == "map":
        return {name: plain_data(child) for name, child in node.value.items()}
    if node.kind == "list":
        return [plain_data(child) for child in node.items]
    return node.text if node.kind == "other" else node.value
