# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A person at a browser: signs in over HTTPS, presses the microphone, speaks, and reads the sentence.

The browser is Debian's Chromium with a microphone that plays a file. It trusts the internal authority as a person would
make it: by adding ca.crt to its store. It has a network of its own: where instances come and go, as on this host's,
Chromium breaks off its requests each time (ERR_NETWORK_CHANGED).
"""

from __future__ import annotations

import json
import os
import subprocess
import wave
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ADDRESS, CLIPS, PASSWORD
from suite import ROOT

BROWSER_ADDRESS = "10.175.1.99"
SCREENSHOTS = ROOT / "tests/output/browser"


def microphone_clip(source: Path | None, target: Path) -> None:
    """A recording as the browser's microphone plays it: 48 kHz, with a breath before and after. None is silence."""
    samples, rate = array("h", bytes(2 * 16000 * 3)), 16000
    if source:
        with wave.open(str(source)) as file:
            samples, rate = array("h", file.readframes(file.getnframes())), file.getframerate()
    breath = array("h", bytes(2 * rate))
    samples = breath + samples + breath
    slow = array("h")
    for step in range(len(samples) * 48000 // rate - 48000 // rate):
        whole, part = divmod(step * rate, 48000)
        slow.append(samples[whole] + (samples[whole + 1] - samples[whole]) * part // 48000)
    with wave.open(str(target), "wb") as file:
        file.setparams((1, 2, 48000, 0, "NONE", ""))
        file.writeframes(slow.tobytes())


@pytest.fixture(scope="session")
def network() -> Iterator[str]:
    """The name of a network namespace that is a machine beside Open WebUI."""
    name, link = "mow-browser", "mow-browser0"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for command in (
            f"ip link add {link} type veth peer name eth0 netns {name}",
            f"ip link set {link} master net-mow up",
            f"ip -n {name} link set eth0 addrgenmode none up",
            f"ip -n {name} address add {BROWSER_ADDRESS}/24 dev eth0",
            f"ip -n {name} link set lo up",
        ):
            subprocess.run(command.split(), check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def use_browser(network: str, profile: Path, project: Path, source: Path | None, tmp_path: Path) -> dict[str, Any]:
    """What stood on the pages."""
    clip, screenshots = tmp_path / "clip.wav", SCREENSHOTS / (source.stem if source else "silence")
    microphone_clip(source, clip)
    screenshots.mkdir(parents=True, exist_ok=True)
    with wave.open(str(clip)) as file:
        spoken_ms = 1000 * file.getnframes() // file.getframerate()
    command = [
        *("ip", "netns", "exec", network),
        "node",
        "voice.mjs",
        profile,
        f"https://{ADDRESS}",
        "admin@localhost",
        project / PASSWORD,
        clip,
        screenshots,
    ]
    result = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT / "tests/browser",
        env=os.environ | {"SPEAK_MS": str(spoken_ms)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_the_spoken_sentence_stands_in_the_chat_input(
    network: str, profile: Path, project: Path, tmp_path: Path
) -> None:
    seen = use_browser(network, profile, project, CLIPS / "en-fox.wav", tmp_path)
    assert seen["secure"] is True
    assert seen["answer"] == seen["chat_input"] == "The quick brown fox jumps over the lazy dog."
    assert seen["audio_page"] == ["http://10.175.1.10:8000/v1", "whisper-1"]
    assert seen["elsewhere"] == [], "the page makes the browser ask other hosts"


def test_silence_puts_nothing_there(network: str, profile: Path, project: Path, tmp_path: Path) -> None:
    seen = use_browser(network, profile, project, None, tmp_path)
    assert seen["answer"] == seen["chat_input"] == ""
