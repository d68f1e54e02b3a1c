# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints the configuration of a blackbox exporter that has an STT server hear a spoken sentence, and asks pages.

usage: blackbox.py [LANGUAGE] > blackbox.yml      the languages are those of data/clips; en where none is said
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".cache" / "collections"))

from ansible_collections.anklume.stt.plugins.module_utils._services.speech import spoken_clip  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._services.spoken_probe import sentences  # noqa: E402

KEY = "/etc/prometheus/stt-api-key"
HEAD = """\
# Made by scripts/blackbox.py: a spoken sentence for STT servers, and pages with their certificates.
modules:
"""
PAGE = """\
  page:
    prober: http
    timeout: 10s
    http: {preferred_ip_protocol: ip4}  # tls_config: {ca_file: ca.crt} for a certificate of your own authority
"""


def configuration(language: str) -> str:
    """All of it."""
    clip = spoken_clip(language)
    if clip["language"] != language:
        raise SystemExit(f"blackbox.py: no sentence in {language!r}; see data/clips/sentences.json")
    probe = {"name": "sentence", "spoken": clip, "key_file": KEY}
    return HEAD + sentences([probe], remark="  # leave this line out where the server has no key") + PAGE


if __name__ == "__main__":
    print(configuration(sys.argv[1] if len(sys.argv) > 1 else "en"), end="")
