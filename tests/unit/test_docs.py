# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages: every link to a file of the repository leads somewhere, and the index names every page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("roles/*/*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "tests/data/README.md"]
)


def targets(page: Path) -> list[str]:
    """What a page links to, inside the repository, without anchors."""
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    return [link.split("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert [link for link in targets(page) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_anchors_are_headings(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]*#[^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        if not re.match(r"[a-z]+:", link):
            text = ((page.parent / path) if path else page).read_text()
            titles = [
                re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
                for title in re.findall(r"^#+ (.+)$", text, re.M)
            ]
            assert anchor in titles, link


def test_the_index_names_every_page() -> None:
    index = ROOT / "docs/README.md"
    named = {(index.parent / link).resolve() for link in targets(index)}
    pages = {page for page in (ROOT / "docs").rglob("*.md") if page != index}
    assert pages - named == set()


def test_the_readme_says_the_same_way_as_the_first_hour() -> None:
    """The commands that tests/integration/first_hour runs are those of the tutorial and of other languages, too."""
    readme = (ROOT / "README.md").read_text().partition("\n## For real\n")[2].partition("\n## ")[0]
    commands = ["make host", "make init", "make sync", "make apply"]
    for text in (readme, *((ROOT / "docs" / page).read_text() for page in ("demarrage.md", "szybki-start.md"))):
        (block,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        assert [line.partition("#")[0].strip() for line in block.splitlines()] == commands
    tutorial = re.findall(r"^make \w+$", (ROOT / "docs/tutorial.md").read_text(), re.MULTILINE)
    assert tutorial[: len(commands)] == commands


@pytest.mark.parametrize(
    ("page", "other"),
    [
        ("with-docker.md", "z-dockerem.md"),
        ("coming-from-faster-whisper-server.md", "przejscie-z-faster-whisper-server.md"),
    ],
)
def test_a_translation_has_the_same_commands_and_names(page: str, other: str) -> None:
    def said(name: str) -> tuple[list[str], list[list[str]], list[int]]:
        text = (ROOT / "docs/how-to" / name).read_text()
        blocks = re.findall(r"^```\w+\n(.*?)^```", text, re.M | re.S)
        commands = [re.sub(r"(?m)[ ]*(?<!\$)#.*$", "", block) for block in blocks]
        rows = [sorted(set(re.findall(r"`[^`]+`", row))) for row in re.findall(r"(?m)^\|.*\|$", text)]
        return commands, rows, [len(level) for level in re.findall(r"(?m)^(#+) ", re.sub(r"(?s)```.*?```", "", text))]

    assert said(page) == said(other)


def test_every_target_that_the_pages_name_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z][a-z -]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    known = {name for line in targets for name in line.split()}
    for page in PAGES:
        named = re.findall(r"(?:`|^)make ([a-z][a-z-]*)", page.read_text(), re.MULTILINE)
        assert set(named) - known == set(), page


def test_every_playbook_that_the_pages_name_is_there() -> None:
    """After a command or an import; a name in a sentence may be a role or a plugin."""
    known = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    for page in PAGES:
        named = re.findall(r"(?:ansible-playbook(?: -\S+ \S+)*|import_playbook:) anklume\.stt\.(\w+)", page.read_text())
        assert set(named) - known == set(), page
