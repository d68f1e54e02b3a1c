# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page on memory and its plot are what the code writes."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from ansible_collections.anklume.stt.plugins.module_utils._vram.models import MODELS

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_and_the_plot_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/vram_docs.py"), "--check"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_the_page_has_every_size_of_card() -> None:
    page = (ROOT / "docs/reference/vram.md").read_text(encoding="utf-8")
    assert re.findall(r"^### (\d+) GB", page, re.MULTILINE) == ["4", "6", "6", "8", "11", "12", "16", "24"]


def test_the_plot_has_two_bars_for_every_model() -> None:
    plot = ET.parse(ROOT / "docs/images/vram-parts.svg").getroot()
    texts = [text.text for text in plot.iter("{http://www.w3.org/2000/svg}text")]
    assert [text for text in texts if text in MODELS] == list(MODELS)
    assert texts.count("float16") == texts.count("int8") == len(MODELS)
