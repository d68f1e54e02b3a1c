# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Docker daemon of these tests' own, with a registry and an index of packages, in namespaces that end with them.

`make test-docker` has laid Debian's packages into .cache/docker, and runs this in a network that holds nothing else.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import ansible_runs
import pytest
from real_compose import COMPOSE

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/stand_ins"))

import docker_images  # noqa: E402

BINARIES = ROOT / ".cache/docker/usr"
INDEX = ROOT / ".cache/docker/index"
SPEACHES = ROOT / ".cache/docker/speaches"
REGISTRY = "127.0.0.1:5000"
HERE = "10.77.0.1"
"""This machine, as containers see it."""
CLIP = ROOT / "data/clips/en.wav"
SENTENCE = "The quick brown fox jumps over the lazy dog."


def until(what: Callable[[], object], seconds: float = 30) -> None:
    """Wait for something."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def listens(port: int) -> bool:
    """Whether somebody does."""
    with socket.socket() as each:
        return each.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Docker:
    """The daemon, by its command line."""

    folder: Path

    @functools.cached_property
    def knows_cdi(self) -> bool:
        """Whether the daemon is of version 25 or later."""
        said = subprocess.run(["dockerd", "--version"], capture_output=True, text=True, check=True).stdout
        return int(re.findall(r"\d+", said)[0]) >= 25

    def stand_in_gpu(self) -> None:
        """What NVIDIA's Container Toolkit has on a host, for two GPUs: the hook of its runtime, and its CDI file."""
        for name in ("bin", "cdi"):
            (self.folder / name).mkdir()
        hook = self.folder / "bin/nvidia-container-runtime-hook"
        hook.write_text("#!/bin/sh\n")
        hook.chmod(0o755)
        os.environ["PATH"] += f":{hook.parent}"
        devices = [{"name": name, "containerEdits": {"env": [f"BY_CDI={name}"]}} for name in ("all", "0", "1")]
        given = {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": devices}
        (self.folder / "cdi/nvidia.json").write_text(json.dumps(given))
        told = {"features": {"cdi": True}, "cdi-spec-dirs": [str(self.folder / "cdi")]} if self.knows_cdi else {}
        (self.folder / "daemon.json").write_text(json.dumps(told))

    def __call__(self, *words: object) -> str:
        """What a command prints, which has to succeed."""
        done = subprocess.run(["docker", *map(str, words)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout.strip()

    def image(self, name: str, kind: str, tar: str = "image.tar") -> str:
        """An image, with a stand-in where no other is named, in the registry; its name with the digest."""
        tag = f"{REGISTRY}/{name}"
        docker_images.load(tag, self.folder / tar, f"ENV STAND_IN={kind}")
        return self.pushed(tag)

    def pushed(self, tag: str) -> str:
        """An image that is here, in the registry; its name with the digest."""
        self("push", "-q", tag)
        return self("inspect", "--format", "{{index .RepoDigests 0}}", tag)

    def names(self, *options: str) -> list[str]:
        """The containers that run."""
        return self("ps", "--format", "{{.Names}}", *options).split()


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """The daemon. The namespace of processes that this is in takes it along, should it ever be left."""
    assert [name for _, name in socket.if_nameindex()] == ["lo"], "this wants a network of its own: make test-docker"
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="stt-docker-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        (folder / "config/cli-plugins").mkdir(parents=True)
        (folder / "config/cli-plugins/docker-compose").symlink_to(COMPOSE)
        stored = f"storage: {{filesystem: {{rootdirectory: {folder}/registry}}}}"
        (folder / "registry.yml").write_text(f"version: 0.1\n{stored}\nhttp: {{addr: '{REGISTRY}'}}\n")
        os.environ["PATH"] = f"{BINARIES}/bin:{BINARIES}/sbin:{os.environ['PATH']}"
        os.environ["DOCKER_HOST"] = f"unix://{folder}/docker.sock"
        os.environ["DOCKER_CONFIG"] = str(folder / "config")
        subprocess.run(["ip", "address", "add", f"{HERE}/32", "dev", "lo"], check=True)
        log = stack.enter_context((folder / "log").open("wb"))

        def start(*command: object) -> None:
            process = subprocess.Popen([*map(str, command)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            stack.callback(process.wait, 60)
            stack.callback(process.terminate)

        start("docker-registry", "serve", folder / "registry.yml")
        start(sys.executable, "-m", "http.server", "8100", "--directory", INDEX)
        folders = ["--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "pid"]
        docker = Docker(folder)
        docker.stand_in_gpu()
        # no firewall is needed here: what is published is handed on by Docker's own proxy
        settings = ["--iptables=false", "--config-file", folder / "daemon.json"]
        start("dockerd", "-H", os.environ["DOCKER_HOST"], *settings, *folders)
        running = ["docker", "info"]
        try:
            until(lambda: subprocess.run(running, capture_output=True, check=False).returncode == 0)
            until(lambda: listens(5000) and listens(8100))
        except AssertionError as error:
            raise AssertionError((folder / "log").read_text()[-4000:]) from error
        docker_images.root_file_system(folder / "image.tar")
        yield docker
        for name in docker("ps", "-aq").split():
            docker("rm", "-f", name)


@pytest.fixture(scope="session")
def new(docker: Docker) -> str:
    """Speaches' image, the stand-in."""
    return docker.image("speaches:0.9.0-rc.3-cpu", "new")


@pytest.fixture(scope="session")
def deaf(docker: Docker) -> str:
    """Another of it, which is healthy and understands nothing."""
    return docker.image("speaches:deaf", "deaf")


@pytest.fixture(scope="session")
def itself(docker: Docker) -> str:
    """Speaches' image with Speaches in it, out of the archive."""
    with tarfile.open(os.environ["SPEACHES_ARCHIVE"]) as archive:
        archive.extractall(docker.folder / "source", filter="data")
    (source,) = (docker.folder / "source").iterdir()
    docker_images.root_file_system(docker.folder / "itself.tar", source, SPEACHES / "packages")
    return docker.image("speaches:itself", "none", "itself.tar")


@pytest.fixture(scope="session")
def sshd(docker: Docker) -> Iterator[dict[str, object]]:
    """An SSH server that lets root in, and how Ansible gets there. What it mounts is seen in this namespace alone."""
    folder = docker.folder / "ssh"
    folder.mkdir()
    for name in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    users = Path("/etc/passwd").read_text()
    its_own = "" if "\nsshd:" in users else "sshd:x:64999:65534::/run/sshd:/bin/false\n"
    (folder / "passwd").write_text(users + its_own)
    (folder / "shadow").write_text(re.sub(r"(?m)^root:[^:]*:", "root:*:", Path("/etc/shadow").read_text()))
    (folder / "shadow").chmod(0o600)
    for name in ("passwd", "shadow"):
        subprocess.run(["mount", "--bind", folder / name, f"/etc/{name}"], check=True)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    told = {name: os.environ[name] for name in ("DOCKER_HOST", "DOCKER_CONFIG")}
    told["PATH"] = f"{BINARIES}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    settings = {
        "ListenAddress": "127.0.0.1:2222",
        "HostKey": folder / "host_key",
        "AuthorizedKeysFile": folder / "key.pub",
        "StrictModes": "no",  # it lies in /tmp
        "PidFile": "none",
        "SetEnv": " ".join(f"{name}={value}" for name, value in told.items()),
    }
    (folder / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    (library,) = BINARIES.parent.rglob("libwrap.so.0")
    with (folder / "log").open("wb") as log:
        command = [BINARIES / "sbin/sshd", "-D", "-e", "-f", folder / "sshd_config"]
        process = subprocess.Popen(command, env=os.environ | {"LD_LIBRARY_PATH": str(library.parent)}, stderr=log)
        until(lambda: listens(2222))
        known = f"-i {folder}/key -o IdentitiesOnly=yes -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no"
        yield {
            "ansible_host": "127.0.0.1",
            "ansible_port": 2222,
            "ansible_user": "root",
            "ansible_ssh_common_args": known,
        }
        process.terminate()
        process.wait(30)


class Project:
    """A folder of somebody with a host attic, which is this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made = folder / "made"
        self.values: dict[str, object] = {}
        (folder / "group_vars").mkdir(parents=True)
        self.reach({"ansible_connection": "local"})

    def reach(self, way: dict[str, object]) -> None:
        """Write docker.yml."""
        hosts = {"all": {"children": {"stt_compose": {"hosts": {"attic": way}}}}}
        (self.folder / "docker.yml").write_text(json.dumps(hosts))

    def set(self, **values: object) -> None:
        """More variables of the host, by its group: the file of the host is make migrate's."""
        self.values |= values
        lines = "".join(f"{name}: {value}\n" for name, value in self.values.items())
        (self.folder / "group_vars/stt_compose.yml").write_text(lines)

    def make(self, *arguments: str) -> ansible_runs.Run:
        """A target of make."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "ARGS"))}
        return ansible_runs.run(["make", f"PROJECT={self.folder}", *arguments], environment=kept, cwd=ROOT)

    @property
    def key(self) -> str:
        """The key that was made for it."""
        return (self.folder / "secrets/attic-speaches-api-key").read_text().strip()


@pytest.fixture
def project(tmp_path: Path, docker: Docker, new: str) -> Iterator[Project]:
    """With all that the host needs, and nothing left at the end."""
    made = Project(tmp_path / "project")
    made.set(
        stt_server_port=8001,
        stt_server_model="tiny",
        stt_server_model_source=ROOT / "tests/data/whisper-test.tar.xz",
        stt_server_quantization="auto",
        stt_server_device="cpu",
        stt_server_api_key="auto",
        stt_compose_folder=made.made,
        stt_compose_image=new,
        stt_compose_index_url=f"http://{HERE}:8100/simple",
        stt_compose_started="true",
    )
    yield made
    for name in docker("ps", "-aq").split():
        docker("rm", "-f", name)


def as_the_page_says(page: str, after: str, folder: Path, instead: dict[str, object]) -> str:
    """The block of commands that stands in a page after some words, run in a folder, and what it prints."""
    text = (ROOT / f"docs/how-to/{page}.md").read_text()
    (commands,) = re.findall(re.escape(after) + r"\n+```sh\n(.*?)```", text, re.DOTALL)
    for said, here in instead.items():
        commands = commands.replace(said, str(here))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "ARGS"))}
    done = subprocess.run(["bash", "-euc", commands], cwd=folder, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout


def transcribed(url: str, key: str = "", seconds: float = 30) -> tuple[int, str]:
    """A sentence by HTTP: the status, and the answer."""
    begin = '--b\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n'
    file = begin.format("file", '; filename="en.wav"').encode() + CLIP.read_bytes()
    rest = f"\r\n{begin.format('model', '')}whisper-1\r\n{begin.format('response_format', '')}text\r\n--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"} | ({"Authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(f"{url}/audio/transcriptions", file + rest.encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return answer.status, answer.read().decode().strip()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
