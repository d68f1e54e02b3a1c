# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A person at a browser: Debian's Chromium with a microphone that plays a file, in a network namespace of its own.

It trusts the internal authority as a person would make it: by adding ca.crt to its store. Where instances come and go,
as on this host's own networks, Chromium breaks off its requests each time (ERR_NETWORK_CHANGED).
"""

from __future__ import annotations

import json
import os
import subprocess
import wave
from array import array
from pathlib import Path
from typing import Any

from suite import ROOT

SCREENSHOTS = ROOT / "tests/output/browser"


def trust(home: Path, authority: Path) -> Path:
    """Make a home folder whose browser trusts an authority."""
    store = home / ".pki/nssdb"
    store.mkdir(parents=True)
    subprocess.run(["certutil", "-N", "--empty-password", "-d", f"sql:{store}"], check=True)
    added = ["-t", "C,,", "-n", "internal", "-i", str(authority)]
    subprocess.run(["certutil", "-A", "-d", f"sql:{store}", *added], check=True)
    return home


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


def speak(
    computer: str,
    profile: Path,
    url: str,
    source: Path | None,
    *,
    password: Path,
    folder: Path,
    shots: str,
    program: str = "voice.mjs",
) -> dict[str, Any]:
    """Open the page, sign in, press the microphone, speak and press again, or call; what stood on the pages."""
    clip, screenshots = folder / "clip.wav", SCREENSHOTS / shots
    microphone_clip(source, clip)
    screenshots.mkdir(parents=True, exist_ok=True)
    with wave.open(str(clip)) as file:
        spoken_ms = 1000 * file.getnframes() // file.getframerate()
    command = ["ip", "netns", "exec", computer, "node", program]
    command += [str(part) for part in (profile, url, "admin@localhost", password, clip, screenshots)]
    result = subprocess.run(
        command,
        cwd=ROOT / "tests/browser",
        env=os.environ | {"SPEAK_MS": str(spoken_ms)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    seen: dict[str, Any] = json.loads(result.stdout)
    return seen
