# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Env files and ${VARIABLES} as Docker Compose reads them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error

_NAME = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)
_ASSIGNED = re.compile(r"(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*(?:[=:][ \t]*(.*))?", re.ASCII)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class Variables:
    """What is put in for ${VARIABLES}, and which were asked for and are set nowhere."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self.known = known
        self.missing: dict[str, None] = {}

    def put_in(self, text: str) -> str:
        """The text with its variables put in; $$ is a dollar sign."""
        done, rest = "", text
        while "$" in rest:
            before, _dollar, rest = rest.partition("$")
            done += before
            if rest.startswith("$"):
                done, rest = f"{done}$", rest[1:]
            elif rest.startswith("{"):
                inside, rest = _braced(rest)
                done += self._braced(inside)
            elif match := _NAME.match(rest):
                done, rest = done + self._value(match[0]), rest[match.end() :]
            else:
                done += "$"
        return done + rest

    def _value(self, name: str) -> str:
        if name not in self.known:
            self.missing[name] = None
        return self.known.get(name, "")

    def _braced(self, inside: str) -> str:
        """What stands for NAME, NAME:-x, NAME-x, NAME:+x, NAME+x, NAME:?x or NAME?x."""
        match = _NAME.match(inside)
        how = re.fullmatch(r"(:?)([-+?])(.*)", inside[match.end() :], re.DOTALL) if match else None
        if match and match.end() == len(inside):
            return self._value(inside)
        if not match or not how:
            what = match[0] if match else "…"  # the rest may be a key
            raise Error(f"${{{what} …}} is not understood: write what it stands for")
        name = match[0]
        is_set = name in self.known and (self.known[name] != "" or not how[1])
        if how[2] == "+":
            return self.put_in(how[3]) if is_set else ""
        if is_set:
            return self.known[name]
        if how[2] == "?":
            raise Error(f"{name} has to be set, and is not: put it into .env beside the file")
        return self.put_in(how[3])


def _braced(rest: str) -> tuple[str, str]:
    """What is in the braces that a text begins with, and what follows them."""
    depth = 0
    for at, sign in enumerate(rest):
        depth += (sign == "{") - (sign == "}")
        if not depth:
            return rest[1:at], rest[at + 1 :]
    raise Error("a ${ is never closed with }: look for it in the file")


def parse(text: str, name: str, known: Mapping[str, str] | None = None, *, raw: bool = False) -> dict[str, str | None]:
    """The variables of an env file; None for one that is named alone, which is taken from the shell.

    `raw` is the format in which nothing is a quote, as `docker run --env-file` reads it.
    """
    found: dict[str, str | None] = {}
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    at = 0
    while at < len(lines):
        line, number = lines[at].strip(), at + 1
        at += 1
        if not line or line.startswith("#"):
            continue
        match = _ASSIGNED.fullmatch(line)
        if not match:
            raise Error(f"{name}:{number}: this is no NAME=value: mend it or take it out")
        variable, value = match[1], match[2]
        if value is None or raw:
            found[variable] = value
            continue
        # lines of one quoted value belong together
        while value[:1] in ("'", '"') and _end_of_quote(value) < 0:
            if at == len(lines):
                raise Error(f"{name}:{number}: the quote that opens here is never closed")
            value, at = f"{value}\n{lines[at]}", at + 1
        before = {**(known or {}), **{name: each for name, each in found.items() if each is not None}}
        found[variable] = _unquoted(value, Variables(before))
    return found


def _end_of_quote(value: str) -> int:
    """Where the quote ends that a value begins with; -1 where it does not."""
    at = 1
    while at < len(value):
        if value[at] == "\\" and value[0] == '"':
            at += 2
        elif value[at] == value[0]:
            return at
        else:
            at += 1
    return -1


def _unquoted(value: str, variables: Variables) -> str:
    if value[:1] == "'":
        return value[1 : _end_of_quote(value)]
    if value[:1] == '"':
        inside = value[1 : _end_of_quote(value)].replace("\\$", "$$")
        return variables.put_in(re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), inside))
    return variables.put_in(re.split(r"\s#", value, maxsplit=1)[0].strip())
