# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every locked library that reports to its makers is told not to, and no new one of that kind comes in unseen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reference/network.md").read_text()
SWITCHES = {
    "chromadb": "ANONYMIZED_TELEMETRY",
    "gradio": "GRADIO_ANALYTICS_ENABLED",
    "huggingface-hub": "HF_HUB_DISABLE_TELEMETRY",
    "langsmith": "LANGSMITH_TRACING",
    "onnxruntime": "ORT_DISABLE_TELEMETRY",
}
# libraries whose purpose is to report: none has been needed so far
REPORTERS = {"amplitude-analytics", "comet-ml", "ddtrace", "mixpanel", "newrelic", "posthog", "rollbar", "scarf"}
REPORTERS |= {"sentry-sdk", "statsig", "wandb"}
ENVIRONMENTS = {
    "roles/stt_server/files/faster_whisper": "roles/stt_server/templates/faster_whisper.env.j2",
    "roles/stt_server/files/parakeet": "roles/stt_server/templates/parakeet.env.j2",
    "roles/stt_server/files/vosk": "roles/stt_server/templates/vosk.env.j2",
    "roles/stt_server/files/speaches": "roles/stt_server/templates/speaches.env.j2",
    "roles/open_webui/files/locks": "plugins/module_utils/_services/open_webui_plan.py",
}
# read through, and none of them sends anything but what it is asked to: a newcomer is to be read, too
QUIET = {
    "roles/wyoming/files": {
        *("annotated-types", "anyio", "h11", "httpcore2", "httpx2", "idna", "jiter", "openai", "pydantic"),
        *("pydantic-core", "radicli", "regex", "retrie", "sniffio", "truststore", "typing-extensions"),
        *("typing-inspection", "websockets", "wyoming", "wyoming-openai", "yasbd-lib"),
    },
    "roles/edge_tts/files": {
        *("aiohappyeyeballs", "aiohttp", "aiosignal", "anyio", "attrs", "certifi", "click", "edge-tts", "frozenlist"),
        *("h11", "idna", "markdown-it-py", "mdurl", "multidict", "propcache", "starlette", "tabulate"),
        *("typing-extensions", "uvicorn", "yarl"),
    },
}
LOCKS = [lock for folder in ENVIRONMENTS for lock in (ROOT / folder).glob("*.txt")]


def packages(lock: Path) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)==", lock.read_text(), re.M))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: f"{lock.parent.name}/{lock.name}")
def test_what_a_lock_holds_is_quiet(lock: Path) -> None:
    environment = (ROOT / ENVIRONMENTS[str(lock.parent.relative_to(ROOT))]).read_text()
    assert packages(lock) & REPORTERS == set()
    loud = {name: switch for name, switch in SWITCHES.items() if name in packages(lock)}
    assert loud, "no library that is known: are names spelled otherwise now?"
    for name, switch in loud.items():
        assert re.search(rf'^\s*"?{switch}"?[=:]', environment, re.M), f"{name} is not told to be quiet"
        assert f"{switch}=" in PAGE


@pytest.mark.parametrize("folder", QUIET)
def test_a_lock_without_a_reporter_stays_without(folder: str) -> None:
    locks = list((ROOT / folder).glob("*.txt"))
    assert locks
    for lock in locks:
        assert packages(lock) == QUIET[folder], f"{lock}: read what is new in it, then name it here"


def test_every_lock_is_looked_at() -> None:
    found = {path.parent for path in (ROOT / "roles").rglob("*.txt") if "==" in path.read_text()}
    others = {ROOT / "roles/stt_server/files"}  # cuBLAS, which CTranslate2 loads
    assert found - others == {ROOT / folder for folder in (*ENVIRONMENTS, *QUIET)}


def test_ollama_is_quiet() -> None:
    template = (ROOT / "roles/ollama_server/templates/ollama.env.j2").read_text()
    switch = template.index("\nOLLAMA_NO_CLOUD=1\n")
    assert switch < template.index("ollama_environment"), "who wants the cloud could not turn it on"
    assert "`OLLAMA_NO_CLOUD=1`" in PAGE
