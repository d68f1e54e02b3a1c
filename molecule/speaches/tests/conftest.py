# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of Speaches share: the instance, its key, requests from inside it, and runs of the role."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import ansible_runs
import pytest
from suite import LONG, ROOT

DATA = ROOT / "tests/data"
NAME, PROJECT = "mspc-ai", "mspc"
PORT, STOCK = 8000, 8101
CURRENT = "/opt/stt-server/current"
FOX = "The quick brown fox jumps over the lazy dog."
REAL = bool(os.environ.get("SPEACHES_ARCHIVE"))

speaches_itself = pytest.mark.skipif(
    not REAL, reason="SPEACHES_ARCHIVE names no archive of Speaches: a stand-in runs, and shows nothing of this"
)
thorough = pytest.mark.skipif(
    not (LONG or REAL),
    reason="with a stand-in part of make test-long, for the time it takes",
)


class Answer(NamedTuple):
    """Status and body."""

    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


Ask = Callable[..., Answer]


@pytest.fixture(scope="session")
def key(project: Path) -> str:
    return (project / "secrets" / f"{NAME}-speaches-api-key").read_text()


@pytest.fixture(scope="session")
def ai(machine: Any) -> Any:
    """The instance, with the clips of tests/data, sound without speech, and files that are no sound."""
    push = ["incus", "file", "push", "--recursive", "--quiet", "--project", PROJECT]
    subprocess.run([*push, f"{DATA}/clips", f"{NAME}/srv/"], check=True)
    host = machine(NAME)
    for name, source, seconds in (
        ("silence5", "anullsrc=r=16000:cl=mono", 5),
        ("silence45", "anullsrc=r=16000:cl=mono", 45),
        ("noise45", "anoisesrc=r=16000:a=0.01", 45),
    ):
        host.check_output(f"ffmpeg -y -loglevel error -f lavfi -i {source} -t {seconds} /srv/clips/{name}.wav")
    host.check_output(
        "cd /srv/clips && : > empty.wav && echo 'no sound' > text.wav && head -c 30 en-fox.wav > truncated.wav"
        " && head -c 44 en-fox.wav > zero.wav && head -c 54444 en-fox.wav > cut.wav"
        r" && head -c 70000 /dev/zero | tr '\0' m > large.txt"
        r" && { head -c 20 en-fox.wav; printf '\x34\x12'; tail -c +23 en-fox.wav; } > unknown.wav"
        " && ffmpeg -y -loglevel error -f lavfi -i color=red:s=8x8 -frames:v 1 picture.png"
        " && ffmpeg -y -loglevel error -f lavfi -i color=red:s=16x16:d=1 -an video.mp4"
    )
    return host


@pytest.fixture(scope="session")
def ask(ai: Any, key: str) -> Ask:
    """Send a request from inside the instance, with the key."""

    def send(path: str, *options: str, port: int = PORT, key: str | None = key, **fields: str) -> Answer:
        words = ["curl", "-s", "-m", "600", "-w", r"\n%{http_code}", f"http://127.0.0.1:{port}{path}", *options]
        words += ["-H", f"Authorization: Bearer {key}"] if key else []
        words += [word for name, value in fields.items() for word in ("-F", f"{name}={value}")]
        body, status = ai.run(shlex.join(words)).stdout.rsplit("\n", 1)
        return Answer(int(status), body)

    return send


def transcribe(ask: Ask, clip: str = "en-fox.wav", task: str = "transcriptions", **fields: Any) -> Answer:
    return ask(f"/v1/audio/{task}", file=f"@/srv/clips/{clip}", **({"model": "whisper-1"} | fields))


def wait(ask: Ask, seconds: int = 120) -> None:
    """Until the service transcribes what it should."""
    end = time.monotonic() + seconds
    while (answer := transcribe(ask)).status != 200:
        assert time.monotonic() < end, f"the service does not come back: {answer}"
        time.sleep(1)
    assert answer.json["text"] == FOX


def apply(project: Path, *options: str, **variables: Any) -> ansible_runs.Run:
    """Apply the STT role again, with other variables."""
    command = ["ansible-playbook", "-i", f"{project}/inventory", "anklume.stt.stt", *options]
    return ansible_runs.run([*command, "-e", json.dumps(variables)])


@pytest.fixture(scope="module")
def stock(ai: Any, ask: Ask) -> Iterator[None]:
    """Speaches, or what stands in for it, as it is: with the same settings but another port and its own start."""
    ai.check_output(
        "systemd-run --collect --unit stock --property User=speaches"
        " --property EnvironmentFile=/etc/speaches/speaches.env"
        f" --property WorkingDirectory={CURRENT}/run /bin/sh -c"
        f" 'UVICORN_PORT={STOCK} exec {CURRENT}/bin/python -m uvicorn --factory speaches.main:create_app'"
    )
    for _ in range(120):
        if ask("/health", port=STOCK).status == 200:
            break
        time.sleep(1)
    yield
    ai.run("systemctl stop stock")


def refused(answer: Answer, status: int, param: str | None = None) -> bool:
    """Whether it is this error, in the form that OpenAI's clients expect."""
    if answer.status != status or '"error"' not in answer.text:
        return False
    error = answer.json["error"]
    return set(error) == {"message", "type", "param", "code"} and param in (None, error["param"])


def in_its_place(ai: Any, program: str) -> str:
    """What a program prints that runs where the service does, with its settings."""
    place = f"cd {CURRENT}/run && set -a && . /etc/speaches/speaches.env"
    return str(ai.check_output(f"{place} && {CURRENT}/bin/python -c {shlex.quote(program)}"))
