# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the sections of docs/reference/doctor.md from the rules; --check only compares.

usage: doctor_docs.py [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import generated

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".cache" / "collections"))

from ansible_collections.anklume.stt.plugins.module_utils._doctor.catalogue import RULES  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._doctor.rules import Rule  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._doctor.snapshot import INCUS_HOST  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "doctor.md"
BEGIN = "\n## Codes\n"


def section(rule: Rule) -> Iterator[str]:
    """What the page says of a rule."""
    place = "on the Incus host" if rule.kind == INCUS_HOST else "on a machine"
    yield f"### {rule.code}"
    yield f"**{rule.title[0].upper()}{rule.title[1:]}** ({rule.severity}, seen {place}). {rule.cause}"
    yield "\n".join(["```", *(command.removeprefix("@ ") for command in rule.fix), "```"])
    if rule.hides:
        yield f"Silences {', '.join(f'`{pattern}`' for pattern in rule.hides)}."


def page() -> str:
    """The page as it should be: what people wrote, then the sections."""
    written = PAGE.read_text(encoding="utf-8").partition(BEGIN)[0]
    return written + BEGIN + "\n" + "\n\n".join(part for rule in RULES for part in section(rule)) + "\n"


def main(*, check: bool) -> int:
    """Write the page, or say that it is older."""
    return generated.write({str(PAGE.relative_to(ROOT)): page()}, "doctor_docs.py", check)


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv))
