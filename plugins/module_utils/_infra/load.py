# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML text into a tree of nodes that know their line and column. The only file that imports PyYAML.

The tree is built from PyYAML's events and not from its nodes: no recursion (a file nested ten thousand
deep is a fault and not a crash), aliases are shared and counted, and duplicate keys are seen.
"""

from __future__ import annotations

import contextlib
import gc
import re
from collections.abc import Iterator
from typing import Any, Literal

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import InfraError
from ansible_collections.anklume.stt.plugins.module_utils._infra.diagnostic import Diagnostic, shorten

try:
    import yaml
except ImportError:
    HAS_YAML = False
else:
    HAS_YAML = True

Kind = Literal["map", "list", "str", "int", "float", "bool", "null", "other"]

DEEPEST = 64
"""infra.yml itself needs nine levels."""
TOO_DEEP = f"nested more than {DEEPEST} deep"

LARGEST = 1_000_000
"""Nodes after aliases are followed; 10,000 machines need about 200,000."""

_TAG = "tag:yaml.org,2002:"
_DATE = f"{_TAG}timestamp"
_KINDS: dict[str, Kind] = {"str": "str", "int": "int", "float": "float", "bool": "bool", "null": "null"}
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_QUOTES = frozenset({"'", '"'})
_TRUE = frozenset({"yes", "true", "on"})


_LOOKALIKES = "\uff1a\ufe55\u00a0\u3000\u200b\u201c\u201d"
"""Signs that office programs and web pages put in the place of those of YAML."""
_WORD_ALONE = re.compile(r"[\w-]+")


class Node:
    """A value of the file. `value` is a dict or list of nodes, or the scalar as Python knows it."""

    __slots__ = ("column", "file", "items", "keys", "kind", "line", "quoted", "size", "text", "value", "width")

    def __init__(  # noqa: PLR0917 (made by the hundred thousand: positional is faster)
        self, kind: Kind, value: Any, text: str, file: File, line: int, column: int, width: int
    ) -> None:
        self.kind: Kind = kind
        self.value = value
        self.text = text
        self.file = file
        self.line = line
        self.column = column
        self.width = width
        self.keys: dict[str, Node] = {}
        self.items: list[Node] = []
        self.size = 1
        self.quoted = False


class File:
    """A file of the project: its name as shown to the user, and its lines."""

    __slots__ = ("lines", "name")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.lines = _LINE_BREAK.split(text)

    def diagnostic(
        self, line: int, column: int, path: str, message: str, *, width: int = 1, hints: tuple[str, ...] = ()
    ) -> Diagnostic:
        """An error at a place (counted from 0, as YAML marks are)."""
        source = self.lines[line] if line < len(self.lines) else ""
        return Diagnostic("error", self.name, line + 1, column + 1, path, message, source, width, hints)


class _Open:
    """A list or map whose end has not come yet."""

    __slots__ = ("key", "merges", "node")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.key: Node | None = None
        self.merges: list[Node] = []


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection meanwhile: all that is made stays, and looking at it over and over takes long."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@uncollected()
def parse(data: bytes, name: str) -> tuple[Node | None, list[Diagnostic]]:
    """The tree of one YAML file and the faults of its form; no tree when it cannot be read at all."""
    if not HAS_YAML:
        raise InfraError("the Python library PyYAML is missing on the machine that runs ansible")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start)
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1)
        message = f"byte 0x{data[error.start]:02x} is not UTF-8 text; save the file as UTF-8"
        return None, [Diagnostic("error", name, line + 1, column + 1, "", message)]
    file = File(name, text)
    builder = _Builder(file)
    try:
        builder.run(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "cannot be read"
        if error.context == "while scanning a quoted scalar" and "end of stream" in problem:
            mark, problem = error.context_mark, "the quote that opens here is never closed"
        line, column = (mark.line, mark.column) if mark else (0, 0)
        bracket = builder.open_bracket()
        if bracket and line > bracket.line and any(one in problem for one in ("expected ',' or", "node content")):
            line, column = bracket.line, bracket.column
            problem = f"the {file.lines[line][column]} that opens here is not closed, or lacks a comma"
        # libyaml has a limit of its own, and looks ahead of the events that it gives
        message = TOO_DEEP if "nesting depth" in problem else f"not valid YAML: {problem}"
        hints = builder.quote_hints(line) or _syntax_hints(file, line, message)
        builder.fault(line, column, message, hints)
        return None, builder.diagnostics
    except yaml.YAMLError:
        bad = yaml.reader.Reader.NON_PRINTABLE.search(text)
        before = _LINE_BREAK.split(text[: bad.start()]) if bad else [""]
        found = f"the character U+{ord(bad[0]):04X}" if bad else "a character"
        builder.fault(len(before) - 1, len(before[-1]), f"not valid YAML: {found} is not allowed here")
        return None, builder.diagnostics
    except _StopError:
        return None, builder.diagnostics
    return builder.root, builder.diagnostics


def _syntax_hints(file: File, line: int, message: str) -> tuple[str, ...]:
    """The most frequent reasons of what PyYAML says."""
    source = file.lines[line] if line < len(file.lines) else ""
    for number in (line, line - 1):
        if any(sign in "".join(file.lines[number : number + 1]) for sign in _LOOKALIKES):
            return (f"line {number + 1} has a sign that only looks like a colon, a space or a quote: type it anew",)
    if "\t" in source[: len(source) - len(source.lstrip())]:
        return ("indent with spaces: YAML does not allow tabs",)
    if "mapping values are not allowed" in message:
        above = file.lines[line - 1].strip() if line else ""
        if above and _WORD_ALONE.fullmatch(above):
            return (f"a key ends with a colon: write {above}: in the line above",)
        return ("a text with a colon in it needs quotes; or is the line indented too far?",)
    if "could not find expected ':'" in message:
        return ("a key ends with a colon; is one missing here or on the line above?",)
    if "escape character" in message:
        return ("in double quotes a backslash is written twice; in single quotes it is one",)
    if "expected comment or line break" in message:
        return ("a text that begins with > or | needs quotes",)
    if "expected <block end>" in message or "did not find expected key" in message:
        if "'" in source and source.count("'") % 2:
            return ("within single quotes an apostrophe is written twice; or use double quotes",)
        if any(source.count(end) > source.count(begin) for begin, end in ("[]", "{}")):
            return ("a bracket is closed here that was not opened",)
        return ("keys of one mapping start in the same column",)
    if "did not find expected '-' indicator" in message:
        return ("the dashes of one list start in the same column",)
    if "cannot start any token" in message:
        return ("quote the text",)
    return ()


def _tag_hints(tag: str) -> tuple[str, ...]:
    if tag == "!vault":
        return ("secrets belong in host_vars/ or group_vars/, which Ansible reads",)
    return ("remove it; a text that begins with ! needs quotes",)


class _StopError(Exception):
    """The tree cannot be completed; the reason is among the diagnostics."""


class _Builder:
    """Turns events into nodes with a stack of its own."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.root: Node | None = None
        self.diagnostics: list[Diagnostic] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0
        self._quote = (0, 0)
        """Where the last quoted text of several lines opens and ends."""

    def fault(self, line: int, column: int, message: str, hints: tuple[str, ...] = (), width: int = 1) -> None:
        self.diagnostics.append(self.file.diagnostic(line, column, "", message, width=width, hints=hints))

    def quote_hints(self, line: int) -> tuple[str, ...]:
        """What to say where a text in quotes ends in the line of a fault, and began above it."""
        opens, ends = self._quote
        if opens == ends or ends != line:
            return ()
        return (f"a quote opens at line {opens + 1} and is closed in this line: is its end missing there?",)

    def open_bracket(self) -> Node | None:
        """The innermost list or map in brackets that has not ended."""
        for entry in reversed(self._stack):
            node = entry.node
            if self.file.lines[node.line][node.column : node.column + 1] in ("[", "{"):
                return node
        return None

    def run(self, text: str) -> None:
        """Read the whole text; raises yaml.YAMLError or _StopError."""
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        resolvers = yaml.SafeLoader.yaml_implicit_resolvers
        scalar_event, map_event, list_event = yaml.ScalarEvent, yaml.MappingStartEvent, yaml.SequenceStartEvent
        end_events = (yaml.MappingEndEvent, yaml.SequenceEndEvent)
        next_event = loader.get_event
        file = self.file
        try:
            while True:
                event = next_event()
                kind_of_event = type(event)
                if kind_of_event is scalar_event:
                    start, end = event.start_mark, event.end_mark
                    line, column, value = start.line, start.column, event.value
                    width = end.column - column if end.line == line else len(value) or 1
                    if event.tag is None and event.implicit[0]:
                        node = self._plain(value, line, column, width, resolvers)
                    elif event.tag is None or event.tag == "!":
                        node = Node("str", value, value, file, line, column, width)
                        node.quoted = True
                        if event.style in _QUOTES:
                            self._quote = (line, end.line)
                    elif event.tag.startswith(_TAG):
                        node = self._tagged(event.tag, value, line, column, width)
                    else:
                        message = f"the tag {shorten(event.tag)} has no meaning here"
                        self.fault(line, column, message, _tag_hints(event.tag), width)
                        node = self._plain(value, line, column, width, resolvers)
                    if event.anchor is not None:
                        self._anchors[event.anchor] = node
                    self._add(node)
                elif kind_of_event is map_event or kind_of_event is list_event:
                    kind: Kind = "map" if kind_of_event is map_event else "list"
                    start = event.start_mark
                    node = Node(kind, {} if kind == "map" else [], "", file, start.line, start.column, 1)
                    if event.tag not in (None, "!", f"{_TAG}map", f"{_TAG}seq"):
                        self.fault(node.line, node.column, f"the tag {shorten(event.tag)} has no meaning here")
                    if kind == "list":
                        node.items = node.value
                    if event.anchor is not None:
                        self._anchors[event.anchor] = node
                    if len(self._stack) >= DEEPEST:
                        self.fault(node.line, node.column, TOO_DEEP)
                        raise _StopError
                    self._stack.append(_Open(node))
                elif kind_of_event in end_events:
                    self._close()
                elif kind_of_event is yaml.AliasEvent:
                    self._alias(event)
                elif kind_of_event is yaml.DocumentStartEvent:
                    self._documents += 1
                    if self._documents > 1:
                        mark = event.start_mark
                        self.fault(mark.line, mark.column, "a second YAML document begins here; keep one in the file")
                        raise _StopError
                elif kind_of_event is yaml.StreamEndEvent:
                    return
        finally:
            loader.dispose()

    def _plain(self, value: str, line: int, column: int, width: int, resolvers: Any) -> Node:
        """A scalar without quotes: a string unless YAML 1.1 reads it as something else. A date is text here."""
        for tag, pattern in resolvers.get(value[:1], ()):
            if pattern.match(value) and tag != _DATE:
                return self._tagged(tag, value, line, column, width)
        return Node("str", value, value, self.file, line, column, width)

    def _tagged(self, tag: str, text: str, line: int, column: int, width: int) -> Node:
        kind = _KINDS.get(tag[len(_TAG) :], "other")
        value: Any = text
        if kind == "bool":
            value = text.lower() in _TRUE
        elif kind == "null":
            value = None
        elif kind == "int":
            value = _whole(text)
        elif kind == "float":
            value = _decimal(text)
        if kind in ("int", "float") and value is None:
            kind, value = "other", text
        return Node(kind, value, text, self.file, line, column, width)

    def _alias(self, event: Any) -> None:
        mark = event.start_mark
        node = self._anchors.get(event.anchor)
        width = len(event.anchor) + 1
        if node is None:
            message = f"there is no anchor &{shorten(event.anchor)} above"
            self.fault(mark.line, mark.column, message, ("a text that begins with * needs quotes",), width)
            raise _StopError
        if any(entry.node is node for entry in self._stack):
            self.fault(mark.line, mark.column, f"*{shorten(event.anchor)} contains itself", width=width)
            raise _StopError
        self._add(node)

    def _close(self) -> None:
        entry = self._stack.pop()
        node = entry.node
        for merged in entry.merges:
            for key, key_node in merged.keys.items():
                if key not in node.value:
                    node.value[key] = merged.value[key]
                    node.keys[key] = key_node
                    node.size += merged.value[key].size
        if node.size > LARGEST:
            self.fault(node.line, node.column, "too large once its aliases are followed")
            raise _StopError
        self._add(node)

    def _add(self, node: Node) -> None:
        """Put a complete node where the stack says."""
        if not self._stack:
            self.root = node
            return
        top = self._stack[-1]
        parent = top.node
        parent.size += node.size
        if parent.kind == "list":
            parent.items.append(node)
        elif top.key is None:
            top.key = node
        else:
            key, top.key = top.key, None
            self._entry(top, key, node)

    def _entry(self, top: _Open, key: Node, value: Node) -> None:
        parent = top.node
        if key.kind == "other" and key.text == "<<":
            maps = value.items if value.kind == "list" else [value]
            if all(node.kind == "map" for node in maps):
                top.merges.extend(maps)
            else:
                self.fault(key.line, key.column, "<< merges mappings only", width=2)
            return
        name = key.value
        if key.kind != "str":
            if key.kind in ("map", "list"):
                hints = ("Ansible's expressions are not worked out in infra.yml: they belong in host_vars/",)
                source = self.file.lines[key.line][: key.column + 1]
                message = "a key must be a word, not a list or a mapping"
                self.fault(key.line, key.column, message, hints if source.endswith("{{") else ())
                return
            message = f"the key {shorten(key.text) or 'null'} without quotes is {KIND_WORDS[key.kind]}"
            hint = f'write "{shorten(key.text)}":' if key.text else "give the key a name"
            self.fault(key.line, key.column, message, (hint,), key.width)
            name = key.text
        earlier = parent.keys.get(name)
        if earlier is not None:
            message = f'the key "{shorten(name)}" is here twice; the first is at line {earlier.line + 1}'
            self.fault(key.line, key.column, message, ("keep one of the two",), key.width)
            return
        parent.keys[name] = key
        parent.value[name] = value


KIND_WORDS: dict[Kind, str] = {
    "map": "a mapping",
    "list": "a list",
    "str": "text",
    "int": "a number",
    "float": "a number",
    "bool": "a boolean",
    "null": "empty",
    "other": "not plain text",
}
"""What a node is, in words for messages."""


def _whole(text: str) -> int | None:
    """An integer as YAML 1.1 writes it (underscores, 0b, 0x, leading 0 for octal, base 60), None if too long."""
    digits = text.replace("_", "")
    if len(digits) > 64:
        return None
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    try:
        if digits.startswith("0b"):
            return sign * int(digits[2:], 2)
        if digits.startswith("0x"):
            return sign * int(digits[2:], 16)
        if len(digits) > 1 and digits.startswith("0"):
            return sign * int(digits, 8)
        number = 0
        for part in digits.split(":"):
            number = number * 60 + int(part)
        return sign * number
    except ValueError:
        return None


def _decimal(text: str) -> float | None:
    try:
        return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        return None
