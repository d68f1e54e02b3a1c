# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of Open WebUI share: its API over HTTPS, runs of the role, and a stand-in for another STT server."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ansible_runs
import browser
import lan
import pytest
from ansible_runs import Run
from suite import PLAIN, ROOT, Instance

# a test makes certificates as the collection does
sys.path.insert(0, str(ROOT / ".cache/collections"))
SCENARIO = Path(__file__).resolve().parents[1]
CLIPS = ROOT / "tests/data/clips"
ADDRESS = "10.176.1.30"
BROWSER_ADDRESS = "10.176.1.99"
PASSWORD = "secrets/mdef-webui-open-webui-admin-password"
ANNA = "anna@example.org"


def form(content: bytes, name: str, kind: str) -> tuple[bytes, str]:
    """The body of an upload, and its type."""
    boundary = uuid.uuid4().hex
    part = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
    body = f"{part}Content-Type: {kind}\r\n\r\n".encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


@dataclass
class Api:
    """Open WebUI's API, as a browser that trusts the internal authority reaches it."""

    project: Path
    token: str = ""

    def __post_init__(self) -> None:
        self.context = ssl.create_default_context(cafile=self.project / "secrets/ca/ca.crt")

    def call(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, kind: str = "") -> Any:
        """The decoded answer; an HTTPError when it is none of success."""
        return json.loads(self.answer(method, path, body, raw=raw, kind=kind))

    def answer(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, kind: str = "") -> bytes:
        """The answer as it came."""
        content = raw if raw is not None else json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": kind or "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(f"https://{ADDRESS}{path}", content, headers, method=method)
        with urllib.request.urlopen(request, context=self.context, timeout=900) as answer:
            return answer.read()

    def ready(self) -> bool:
        """Whether the service answers through the proxy."""
        try:
            return self.call("GET", "/ready")["status"] is True
        except urllib.error.URLError:
            return False

    def sign_in(self, email: str = "admin@localhost", password: str = "") -> None:
        """As the administrator that the role made, or another; a test before may have restarted the service."""
        deadline = time.monotonic() + 300
        while not self.ready():
            assert time.monotonic() < deadline
            time.sleep(1)
        account = {"email": email, "password": password or (self.project / PASSWORD).read_text()}
        self.token = self.call("POST", "/api/v1/auths/signin", account)["token"]

    def chat(self, title: str) -> None:
        """Keeps a chat of one sentence."""
        message = {"id": "1", "role": "user", "content": title, "parentId": None, "childrenIds": []}
        history = {"messages": {"1": message}, "currentId": "1"}
        self.call("POST", "/api/v1/chats/new", {"chat": {"title": title, "models": ["x"], "history": history}})

    def titles(self) -> set[str]:
        """Those of the chats that are kept."""
        return {chat["title"] for chat in self.call("GET", "/api/v1/chats/")}

    def transcribe(self, content: bytes) -> str:
        """What the microphone button gets for a recording."""
        body, kind = form(content, "a.wav", "audio/wav")
        return self.call("POST", "/api/v1/audio/transcriptions", raw=body, kind=kind)["text"]

    def refusal(self, *args: Any, **kwargs: Any) -> int:
        """The status of a call that must fail."""
        with pytest.raises(urllib.error.HTTPError) as caught:
            self.call(*args, **kwargs)
        return caught.value.code


@pytest.fixture(scope="session")
def webui(machine: Callable[[str], Any]) -> Any:
    """The machine with Open WebUI, for testinfra."""
    return machine("mdef-webui")


@pytest.fixture(scope="session")
def api(project: Path) -> Api:
    """The API, signed in once: Open WebUI allows few sign-ins."""
    api = Api(project)
    api.sign_in()
    return api


@pytest.fixture(scope="session")
def network() -> Iterator[str]:
    """The name of a network namespace that is a machine beside Open WebUI."""
    with lan.computer("mdef-browser", "net-mdef", f"{BROWSER_ADDRESS}/24") as name:
        yield name


@pytest.fixture(scope="session")
def profile(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Path:
    """A home folder whose browser trusts the internal authority."""
    return browser.trust(tmp_path_factory.mktemp("home"), project / "secrets/ca/ca.crt")


@pytest.fixture(scope="session")
def role(project: Path) -> Callable[..., Run]:
    """A function that runs the role with other variables, and tells what it said."""

    def run(*options: str, playbook: str = str(SCENARIO / "role.yml"), **variables: Any) -> Run:
        command = ["ansible-playbook", "-i", str(project / "inventory"), playbook, *options]
        command += ["-e", json.dumps(variables)]
        return ansible_runs.run(command, environment=os.environ | PLAIN, timeout=600)

    return run


@dataclass
class OtherServer:
    """An STT server that is not ours, beside Open WebUI."""

    url: str
    webui: Any

    def uploads(self, number: int) -> list[dict[str, str]]:
        """The form fields of what it was sent, once that many have come: it writes them down a moment later."""
        deadline = time.monotonic() + 10
        while len(sent := json.loads(self.webui.file("/run/other-stt.json").content_string)) < number:
            assert time.monotonic() < deadline, sent
            time.sleep(0.2)
        return sent


OTHER = """
import json, pathlib, sys, time
sys.path.insert(0, "/run")
from stt_stand_in import SttStandIn
with SttStandIn(key="other-key", models=("big-whisper", "an-llm")) as server:
    pathlib.Path("/run/other-stt.url").write_text(server.origin)
    while True:
        fields = [upload.fields for upload in server.uploads]
        pathlib.Path("/run/other-stt.new").write_text(json.dumps(fields))
        pathlib.Path("/run/other-stt.new").rename("/run/other-stt.json")
        time.sleep(0.1)
"""


@pytest.fixture(scope="session")
def other_server(webui: Any) -> Iterator[OtherServer]:
    """The stand-in, running on the machine itself: with a key, and models of other names."""
    push = ["incus", "file", "push", "--quiet", "--project", "mdef"]
    subprocess.run([*push, str(ROOT / "tests/unit/stt_stand_in.py"), "mdef-webui/run/stt_stand_in.py"], check=True)
    webui.run_expect([0], "systemd-run --quiet --unit other-stt python3 -c %s", OTHER)
    deadline = time.monotonic() + 30
    while not webui.file("/run/other-stt.json").exists:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    yield OtherServer(webui.file("/run/other-stt.url").content_string, webui)
    webui.run_expect([0], "systemctl stop other-stt")


class Machine(Instance):
    """An instance of its own; cached: it shares uv's cache with the others."""

    def __init__(self, name: str, image: str, address: str, folder: Path, cached: bool) -> None:
        profiles = "default cached" if cached else "default"
        super().__init__(name, image, "mdef", folder, address=address, profiles=profiles)
        variables = {"ansible_host": address, "open_webui_https": False, "open_webui_ollama_url": ""}
        self.write("open_webui", **variables)
        self.install("python3-apt")

    def python(self, program: str) -> str:
        """What a program prints there."""
        return self.host.run_expect([0], "python3 -c %s", program).stdout.strip()

    def serves(self) -> str:
        """The version that answers."""
        url = "http://127.0.0.1:3000/api/version"
        said = self.python(f"import urllib.request as u; print(u.urlopen('{url}').read().decode())")
        return json.loads(said)["version"]


@pytest.fixture(scope="module")
def machine_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Machine]]:
    """A function that makes an instance; all go at the end."""
    made = []

    def make(name: str, image: str, address: str, *, cached: bool = True) -> Machine:
        made.append(name)
        return Machine(name, image, address, tmp_path_factory.mktemp(name), cached)

    yield make
    for name in made:
        subprocess.run(["incus", "delete", "--force", name, "--project", "mdef"], check=True)
