# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where in the user's files a thing is said, by its path: what checks need to tell a fault at its line and column."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._infra.diagnostic import Diagnostic, Level
from ansible_collections.anklume.stt.plugins.module_utils._infra.form import diagnose
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import Node

# pylint: disable-next=unsupported-binary-operation
Path = tuple[str | int, ...]
"""Like ("domains", "lab", "machines", "one", "roles", 0)."""


def as_text(path: Path) -> str:
    """A path as it is told."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


class Places:
    """The tree of a project, looked up by path."""

    def __init__(self, root: Node) -> None:
        self.root = root

    def node(self, path: Path, on_key: bool = False) -> Node:
        """The node at a path, or its key when it is a block; the nearest one above when there is none."""
        node, key = self.root, self.root
        for step in path:
            if node.kind == "map" and step in node.value:
                node, key = node.value[step], node.keys[str(step)]
            elif node.kind == "list" and isinstance(step, int) and step < len(node.items):
                node = key = node.items[step]
            else:
                return key
        return key if on_key or node.kind in ("map", "list") else node

    def find(self, path: Path) -> Node | None:
        """The node at a path; none where the file says nothing there."""
        node = self.root
        for step in path:
            if node.kind == "map" and step in node.value:
                node = node.value[step]
            elif node.kind == "list" and isinstance(step, int) and step < len(node.items):
                node = node.items[step]
            else:
                return None
        return node

    def has(self, path: Path) -> bool:
        """Whether the file says something at a path, well-formed or not."""
        node = self.find(path)
        return node is not None and node.kind != "null"

    def names(self, path: Path) -> Iterable[str]:
        """The names that the file has at a path, those of malformed entries too."""
        node = self.find(path)
        return node.value if node and node.kind == "map" else ()

    def items(self, path: Path) -> Iterable[Node]:
        """What the file lists at a path."""
        node = self.find(path)
        return node.items if node and node.kind == "list" else ()

    def at(self, here: Path, there: Path) -> str:
        """Another place of the project, as told at this one: its file is named where it is another."""
        node = self.node(there, on_key=True)
        file = node.file.name
        return f"line {node.line + 1}" if file == self.node(here).file.name else f"{file}:{node.line + 1}"

    def whole_list(self, path: Path, values: list[Any]) -> Iterable[tuple[int, Any]]:
        """A list of the data with its indices in the file; nothing when a part of it was malformed."""
        node = self.find(path)
        return enumerate(values) if node and node.kind == "list" and len(node.items) == len(values) else ()

    def told(self, level: Level, path: Path, message: str, *hints: str, on_key: bool = False) -> Diagnostic:
        """A diagnostic at a path."""
        return diagnose(level, self.node(path, on_key), as_text(path), message, hints)


class Report(Places):
    """The places, and what was said of them so far: passes say what they find, and return what they found out."""

    def __init__(self, root: Node, diagnostics: list[Diagnostic], malformed: Collection[str] = ()) -> None:
        super().__init__(root)
        self.diagnostics = diagnostics
        self._malformed = malformed

    def malformed(self, path: Path) -> bool:
        """Whether what the file says at a path was refused: in the data stands the default."""
        return as_text(path) in self._malformed

    def say(self, level: Level, path: Path, message: str, *hints: str, on_key: bool = False) -> None:
        """Add a diagnostic at a path."""
        self.diagnostics.append(self.told(level, path, message, *hints, on_key=on_key))

    def error(self, path: Path, message: str, *hints: str, on_key: bool = False) -> None:
        """Add a fault."""
        self.say("error", path, message, *hints, on_key=on_key)
