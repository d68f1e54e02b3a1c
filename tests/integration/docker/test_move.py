# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The move from an old server while people speak: there, back, there again and done, and with kills in between."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import CLIP, ROOT, SENTENCE, Docker, Project, as_the_page_says, transcribed, until

pytestmark = [
    pytest.mark.skipif(not os.environ.get("ANKLUME_TEST_LONG"), reason="minutes long: make test-long"),
    pytest.mark.timeout(1800),
]
KEY, ADMIN = "hunter2-of-old", "sk-admin"
OLD, NEW = "http://127.0.0.1:8000/v1", "http://127.0.0.1:8001/v1"
NAME = "faster-whisper-server"
KILLS = int(os.environ.get("ANKLUME_TEST_KILLS", "10"))


@dataclass
class WebUI:
    """Stands in for Open WebUI: the page of its audio settings, and sentences that it hands on to the STT server."""

    settings: dict[str, Any] = field(
        default_factory=lambda: {
            "tts": {"ENGINE": ""},
            "stt": {"ENGINE": "openai", "OPENAI_API_BASE_URL": OLD, "OPENAI_API_KEY": KEY, "MODEL": "whisper-1"},
        }
    )
    in_flight: int = 0
    at_switches: list[int] = field(default_factory=list)
    """How many sentences were on their way at each change."""
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def asks(self) -> str:
        return str(self.settings["stt"]["OPENAI_API_BASE_URL"])

    def say(self) -> tuple[int, str]:
        """A sentence of somebody."""
        with self.lock:
            address, key = self.asks, self.settings["stt"]["OPENAI_API_KEY"]
            self.in_flight += 1
        try:
            return transcribed(address, key)
        except OSError as error:
            return 0, str(error)
        finally:
            with self.lock:
                self.in_flight -= 1

    @contextmanager
    def serving(self) -> Iterator[None]:
        page = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_args: Any) -> None:
                """Say nothing."""

            def answer(self) -> None:
                content = json.dumps(page.settings).encode()
                allowed = self.headers["Authorization"] == f"Bearer {ADMIN}"
                self.send_response(200 if allowed else 401)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self) -> None:
                self.answer()

            def do_POST(self) -> None:
                wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert set(wanted) == {"tts", "stt"} and set(wanted["stt"]) == set(page.settings["stt"])
                with page.lock:
                    page.at_switches.append(page.in_flight)
                    page.settings = wanted
                self.answer()

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.url = f"http://127.0.0.1:{server.server_port}"
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield
            server.shutdown()


@pytest.fixture
def webui() -> Iterator[WebUI]:
    page = WebUI()
    with page.serving():
        yield page


@contextmanager
def people(page: WebUI) -> Iterator[list[tuple[int, str]]]:
    """A sentence every 100 ms, until it ends; then all have been answered. One that was not is told with its second."""
    heard: list[tuple[int, str]] = []
    wrong: list[str] = []
    begun = time.monotonic()

    def one() -> None:
        said_at, asked = time.monotonic() - begun, page.asks
        heard.append(answer := page.say())
        if answer != (200, SENTENCE):
            wrong.append(f"{said_at:.1f} s, {asked}: {answer}")

    over = threading.Event()
    with ThreadPoolExecutor(64) as pool:

        def speak() -> None:
            while not over.wait(0.1):
                pool.submit(one)

        thread = threading.Thread(target=speak)
        thread.start()
        try:
            yield heard
        finally:
            over.set()
            thread.join()
    assert wrong == [], f"{len(wrong)} of {len(heard)}, the last after {time.monotonic() - begun:.0f} s"


def cache(folder: Path) -> None:
    """A cache as Hugging Face's libraries of old made it: blobs by digest, links to them, and no README.md."""
    model = folder / "hub/models--Systran--faster-whisper-tiny"
    snapshot = model / "snapshots" / ("5" * 40)
    for each in (model / "blobs", model / "refs", snapshot):
        each.mkdir(parents=True)
    (model / "refs/main").write_text("5" * 40)
    with tarfile.open(ROOT / "tests/data/whisper-test.tar.xz") as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member) if member.isfile() else None
            if file and not member.name.endswith("README.md"):
                content = file.read()
                digest = hashlib.sha256(content).hexdigest()
                (model / "blobs" / digest).write_bytes(content)
                (snapshot / Path(member.name).name).symlink_to(f"../../blobs/{digest}")


@pytest.fixture
def old(docker: Docker, project: Project, webui: WebUI) -> Path:
    """The old server, as docker inspect shows it."""
    image = "fedirz/faster-whisper-server:latest-cpu"
    docker_image(docker, image)
    models = project.folder / "old cache"
    cache(models)
    environment = {"WHISPER__MODEL": "Systran/faster-whisper-tiny", "API_KEY": KEY, "DEFAULT_LANGUAGE": "en"}
    options = [word for name, value in environment.items() for word in ("-e", f"{name}={value}")]
    volume = ["-v", f"{models}:/root/.cache/huggingface"]
    docker("run", "-d", "--name", NAME, "--restart", "always", "-p", "8000:8000", *volume, *options, image)
    until(lambda: answers(OLD))
    file = project.folder / "old.json"
    file.write_text(docker("inspect", NAME))
    # what the old server says of itself is not said again
    for name in ("stt_server_port", "stt_server_model", "stt_server_model_source", "stt_server_api_key"):
        del project.values[name]
    del project.values["stt_compose_started"]
    project.set(stt_server_hub_endpoint="http://127.0.0.1:9")
    (project.folder / "secrets").mkdir(mode=0o700)
    (project.folder / "secrets/attic-open-webui-key").write_text(ADMIN)
    return file


def answers(address: str) -> bool:
    """Whether a server understands a sentence."""
    with suppress(OSError):
        return transcribed(address, KEY) == (200, SENTENCE)
    return False


def docker_image(docker: Docker, name: str) -> None:
    """The old server's image, the stand-in."""
    import docker_images

    docker_images.load(name, docker.folder / "image.tar", "ENV STAND_IN=old")


def state(docker: Docker) -> tuple[str, str]:
    """Whether the old one runs, and its restart policy."""
    running, policy = docker(
        "inspect", "--format", "{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}", NAME
    ).split()
    return running, policy


def moved(docker: Docker, page: WebUI) -> None:
    """All is as it is to be after the move."""
    assert page.asks == NEW and state(docker) == ("false", "no")
    assert transcribed(NEW, KEY) == (200, SENTENCE)


def back(docker: Docker, page: WebUI) -> None:
    """All is as it was before it."""
    assert page.asks == OLD and state(docker) == ("true", "always")
    assert transcribed(OLD, KEY) == (200, SENTENCE)
    assert docker("ps", "--filter", "publish=8001", "-q") == ""


def test_nobody_waits(docker: Docker, project: Project, old: Path, webui: WebUI) -> None:
    apply = ("migrate", f"FROM={old}", "NAME=attic", "APPLY=1", f"WEBUI={webui.url}")
    with people(webui) as heard:
        planned = project.make(*apply, "ARGS=--check")
        assert planned.status == 0, planned.why
        assert state(docker) == ("true", "always") and webui.asks == OLD
        assert docker("ps", "--filter", "publish=8001", "-q") == ""

        first = project.make(*apply)
        assert first.status == 0, first.why
        moved(docker, webui)
        # the models came out of the old one's cache, with what Speaches wants beside them
        assert list(project.made.glob("hub/models--Systran--faster-whisper-tiny/snapshots/*/README.md"))
        assert KEY not in first.output and ADMIN not in first.output
        again = project.make(*apply)
        assert (again.status, again.changed("attic")) == (0, 0), again.output

        assert (done := project.make("migrate-back", "NAME=attic")).status == 0, done.why
        back(docker, webui)
        assert (done := project.make("migrate-back", "NAME=attic")).changed("attic") == 0
        assert (done := project.make(*apply)).status == 0, done.why
        moved(docker, webui)

        early = project.make("migrate-finish", "NAME=attic")
        assert early.status != 0 and "kept for a day" in early.said
        assert (done := project.make("migrate-finish", "NAME=attic", "NOW=1")).status == 0, done.why
        assert docker("ps", "-aq", "--filter", f"name={NAME}") == ""
        assert project.make("migrate-finish", "NAME=attic", "NOW=1").changed("attic") == 0
        gone = project.make("migrate-back", "NAME=attic")
        assert gone.status != 0 and "the old server is gone" in gone.said
    assert len(heard) > 100 and len(webui.at_switches) == 3 and min(webui.at_switches) >= 1
    print(f"{len(heard)} sentences, in flight at the switches: {webui.at_switches}")


def killed(project: Project, seconds: float, *arguments: str) -> bool:
    """A run that all of it is killed of after a time; whether that was before its end."""
    mark = f"ANKLUME_TEST_KILLED={time.monotonic_ns()}"
    name, value = mark.split("=")
    kept = {key: each for key, each in os.environ.items() if not key.startswith(("MAKE", "ARGS"))}
    command = ["make", f"PROJECT={project.folder}", *arguments]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=ROOT, env=kept | {name: value}, **quiet)  # type: ignore[call-overload]
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    before = process.returncode is None
    left = True
    while left:
        left = False
        for each in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError, ValueError):
                if mark.encode() in each.read_bytes():
                    os.kill(int(each.parent.name), signal.SIGKILL)
                    left = True
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    return before


def test_a_kill_at_any_moment_is_gone_on_from(docker: Docker, project: Project, old: Path, webui: WebUI) -> None:
    apply = ("migrate", f"FROM={old}", "NAME=attic", "APPLY=1", f"WEBUI={webui.url}")
    undo = ("migrate-back", "NAME=attic")
    chance = random.Random(int(os.environ.get("ANKLUME_TEST_SEED", "19")))
    takes = {apply: 20.0, undo: 12.0}
    before_end = []
    with people(webui) as heard:
        for number in range(KILLS):
            way = (apply, undo)[number % 2]
            before_end.append(killed(project, chance.uniform(0.2, takes[way]), *way))
            begun = time.monotonic()
            done = project.make(*way)
            assert done.status == 0, (number, done.why)
            takes[way] = time.monotonic() - begun
            (moved if way is apply else back)(docker, webui)
    assert sum(before_end) >= KILLS / 2, "most kills came after the end"
    print(f"{len(heard)} sentences, {sum(before_end)} kills before the end")


def test_without_knowing_who_asks_nothing_is_stopped(docker: Docker, project: Project, old: Path) -> None:
    apply = ("migrate", f"FROM={old}", "NAME=attic", "APPLY=1")
    first = project.make(*apply)
    assert first.status == 0, first.why
    assert "the old server still runs, for it is not known who asks it" in first.said
    assert state(docker) == ("true", "always")
    assert transcribed(OLD, KEY) == transcribed(NEW, KEY) == (200, SENTENCE)
    assert (done := project.make(*apply, "SWITCHED=1")).status == 0, done.why
    assert state(docker) == ("false", "no")


def test_servers_that_hear_different_things_are_not_switched(
    docker: Docker, project: Project, old: Path, webui: WebUI, tmp_path: Path
) -> None:
    clip = tmp_path / "noise.wav"
    clip.write_bytes((ROOT / "data/clips/fr.wav").read_bytes())
    deaf_to_french = docker.image("speaches:no-french", "english")
    project.set(stt_compose_image=deaf_to_french)
    apply = ("migrate", f"FROM={old}", "NAME=attic", "APPLY=1", f"WEBUI={webui.url}", f"CLIP={clip}")
    failed = project.make(*apply)
    assert failed.status != 0 and "word error rate" in failed.said, failed.output
    assert webui.asks == OLD and state(docker) == ("true", "always")
    assert (done := project.make("migrate-back", "NAME=attic")).status == 0, done.why
    back(docker, webui)


def test_by_hand_it_is_as_the_page_says(docker: Docker, project: Project, old: Path, tmp_path: Path) -> None:
    (tmp_path / "hello.wav").write_bytes(CLIP.read_bytes())
    project.set(stt_compose_started="true")
    assert (done := project.make("migrate", f"FROM={old}", "NAME=attic")).status == 0, done.why
    here = {
        "/opt/stt-compose": project.made,
        "make compose": f"make -C {ROOT} PROJECT={project.folder} compose",
        "http://attic": "http://127.0.0.1",
        "curl": f"curl -fsS -H 'Authorization: Bearer {KEY}'",
    }
    printed = as_the_page_says("coming-from-faster-whisper-server", "By hand it is the same:", tmp_path, here)
    assert printed.count(f'"text": "{SENTENCE}"') == 2
    assert state(docker) == ("false", "always")
    assert transcribed(NEW, KEY) == (200, SENTENCE)
