# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of Ansible for tests: what was said, as text, and what was counted, as Ansible counts it.

For all tests: pyproject.toml puts this folder into their path.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CALLBACKS = Path(__file__).resolve().parent / "callback"


@dataclass(frozen=True)
class Run:
    """A run of ansible-playbook, or of a command with some of them; as a pair, its status and what it said."""

    status: int
    stdout: str
    stderr: str
    counts: list[dict[str, dict[str, int]]]
    """What each playbook counted for each machine."""

    def __iter__(self) -> Iterator[Any]:
        return iter((self.status, self.said))

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    @property
    def said(self) -> str:
        """The output with its line breaks taken out: long messages are wrapped anywhere."""
        return " ".join(self.output.split())

    @property
    def why(self) -> str:
        """The tasks that failed, and the end of what was said."""
        failed = re.findall(r"^(?:(?:TASK .*\n)?fatal:| +✗) .*(?:\n {4}.*)*", self.output, re.M)
        return "\n".join([*failed, self.output[-1500:]])

    def changed(self, machine: str = "") -> int:
        """How many tasks changed something, on a machine or on all."""
        assert self.counts, f"no playbook came to its end:\n{self.why}"
        counted = [count for each in self.counts for name, count in each.items() if machine in ("", name)]
        assert counted, f"nothing ran on {machine or 'any machine'}:\n{self.why}"
        return sum(count["changed"] for count in counted)


class Counter:
    """A file for what playbooks count, and the environment that has them write it; for runs that are begun by hand."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._file = Path(self._folder.name, "counts")
        counting = {"ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS), "ANKLUME_TEST_COUNTS": str(self._file)}
        plain = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "false"}
        self.environment = {**(os.environ if environment is None else environment), **plain, **counting}

    def run(self, status: int, stdout: str, stderr: str = "") -> Run:
        """What became of it."""
        lines = self._file.read_text(encoding="utf-8").splitlines() if self._file.exists() else []
        self._folder.cleanup()
        return Run(status, stdout, stderr, [json.loads(line) for line in lines])


def run(
    command: Sequence[object],
    *,
    environment: Mapping[str, str] | None = None,
    cwd: Path | str | None = None,
    timeout: float | None = None,
) -> Run:
    """Run a command to its end."""
    counter = Counter(environment)
    done = subprocess.run(
        [str(word) for word in command],
        env=counter.environment,
        cwd=cwd,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return counter.run(done.returncode, done.stdout, done.stderr)
