# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the role stt_compose, from what stt_server says, and what the real Compose reads in them.

UPDATE_GOLDEN=1 writes the expected files anew.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.anklume.stt.plugins.filter.compose import FilterModule
from ansible_collections.anklume.stt.plugins.filter.stt_server import role_defaults
from ansible_collections.anklume.stt.plugins.module_utils._infra.render import to_yaml
from ansible_collections.anklume.stt.plugins.module_utils._services import compose
from real_compose import COMPOSE

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles/stt_server"
GOLDEN = ROOT / "tests/unit/golden_compose"
LOCK = (ROLE / "files/speaches/requirements-py312.txt").read_text()
FILTERS = FilterModule().filters()

TURBO = "mobiuslabsgmbh/faster-whisper-large-v3-turbo"
KEY = 'ke"y with $HOME, \\ and #'
SETS: dict[str, dict[str, Any]] = {
    "cpu": {},
    "cuda-cdi": {"device": "cuda"},
    "cuda-nvidia": {"device": "cuda", "gpu": "nvidia"},
    "one-gpu-by-cdi": {"device": "cuda", "gpu_devices": ["1"]},
    "two-gpus-by-the-runtime": {"device": "cuda", "gpu": "nvidia", "gpu_devices": ["0", "GPU-3a"]},
    "port-8001": {"stt_server_port": 8001},
    "this-host-alone": {"stt_server_host": "127.0.0.1", "stt_server_port": 8001},
    "ipv6": {"stt_server_host": "::1"},
    "key": {"stt_server_api_key": KEY},
    "keys": {"stt_server_api_key": "one", "stt_server_api_keys": {"phone": "two", "tablet": "three"}},
    "hub": {
        "stt_server_hub_offline": False,
        "stt_server_hub_token": "hf_$ecret",
        "stt_server_hub_endpoint": "https://hub.test",
    },
    "cors": {"stt_server_cors_origins": ["https://app.test", "https://b.test"]},
    "ttl": {"stt_server_model_ttl": 300, "stt_server_tts_model_ttl": -1, "stt_server_vad_model_ttl": 0},
    "more-models": {
        "stt_server_extra_models": ["small"],
        "stt_server_resident_models": ["small"],
        "stt_server_aliases": {"fast": "small"},
    },
    "it-speaks": {"stt_server_tts_models": ["piper-gosia"], "stt_server_language": "pl"},
    "limits": {
        "stt_server_memory_max": "6G",
        "stt_server_queue": 2,
        "stt_server_max_upload": 10,
        "stt_server_max_audio": 60,
    },
    "decoding": {
        "stt_server_batch_size": 1,
        "stt_server_beam_size": 1,
        "stt_server_audio_context": "full",
        "stt_server_workers": 2,
    },
    "page": {"stt_server_ui": True, "stt_server_log_level": "debug"},
    "who-answers": {"stt_server_chat_url": "http://192.0.2.7:11434/v1", "stt_server_chat_api_key": "chat key"},
    "another-user": {"uid": 1001, "gid": 1002},
    "a-mirror": {"image": "registry.test/$team/speaches@sha256:" + "a" * 64, "index_url": "https://pypi.test/simple"},
    "turned-off": {"stt_server_enabled": False},
}


def given(chosen: dict[str, Any]) -> dict[str, Any]:
    """The variables of the role stt_compose."""
    own = {f"stt_compose_{name}": value for name, value in chosen.items() if not name.startswith("stt_server_")}
    own.pop("stt_compose_device", None)
    return role_defaults("stt_compose") | own


@functools.cache
def all_told() -> dict[str, Any]:
    """What the role stt_server keeps for each set, from its own variables and its own template."""
    asked = {}
    for name, chosen in SETS.items():
        fit = {"device": chosen.get("device", "cpu"), "compute_type": "int8", "model": {"hub_id": TURBO}, "cores": 4}
        variables = {name: value for name, value in chosen.items() if name.startswith("stt_server_")}
        asked[name] = variables | {"__stt_server_fit": fit}
    command = [sys.executable, str(ROOT / "tests/unit/told_by_stt_server.py")]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def told(name: str) -> dict[str, Any]:
    return dict(all_told()[name])


def made(name: str) -> compose.Files:
    return compose.files(told(name), given(SETS[name]), LOCK)


@pytest.mark.parametrize("name", SETS)
def test_the_files_are_as_expected(name: str) -> None:
    files = made(name)
    env = files.texts["speaches.env"]
    text = f"{to_yaml(files.document)}---\nspeaches.env: |\n{''.join(f'  {line}' for line in env.splitlines(True))}"
    text += f"secrets.json: {json.dumps(json.loads(files.secrets))}\n"
    expected = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(text)
    assert text == expected.read_text()


def test_no_expected_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(SETS)


@pytest.mark.parametrize("name", SETS)
def test_a_variable_means_what_it_means_on_an_instance(name: str) -> None:
    """All that the template says is in the settings or the secrets, but for where the service is."""
    files, there = made(name), compose.settings_of(told(name)["environment"])
    here = compose.settings_of(files.texts["speaches.env"]) | json.loads(files.secrets)
    moved = {"UVICORN_HOST", "LOOPBACK_HOST_URL", *compose.ELSEWHERE}
    assert {name: value for name, value in there.items() if name not in moved} == {
        name: value for name, value in here.items() if name in there and name not in moved
    }
    assert set(here) - set(there) == {"PYTHONDONTWRITEBYTECODE", "TMPDIR"}


@pytest.mark.parametrize("name", SETS)
def test_compose_reads_what_was_meant(name: str, tmp_path: Path) -> None:
    """The real Compose takes it, and the service gets each setting as it is on an instance."""
    files = made(name)
    (tmp_path / "compose.yaml").write_text(to_yaml(files.document))
    (tmp_path / "speaches.env").write_text(files.texts["speaches.env"])
    command = [str(COMPOSE), "-f", "compose.yaml", "--profile", "packages", "config", "--format", "json"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={"HOME": str(tmp_path)}, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    services = json.loads(done.stdout.replace("$$", "$"))["services"]
    assert services["speaches"]["environment"] == compose.settings_of(files.texts["speaches.env"])
    wanted = given(SETS[name])["stt_compose_image"]
    assert services["speaches"]["image"] == services["packages"]["image"] == (wanted or services["speaches"]["image"])
    for secret in filter(None, json.loads(files.secrets).values()):
        assert secret not in done.stdout


def test_a_key_is_in_its_file_as_it_was_given() -> None:
    assert json.loads(made("key").secrets)["API_KEY"] == KEY


def test_what_an_env_file_cannot_hold_is_refused() -> None:
    strange = {"environment": 'UVICORN_PORT=8000\nANKLUME_LANGUAGE="it\'s"\n'}
    with pytest.raises(AnsibleFilterError, match="ANKLUME_LANGUAGE has a quote or a line break in it"):
        FILTERS["stt_compose_files"](given({}), told("cpu") | strange)


def test_the_packages_beside_the_image_are_those_of_the_lock() -> None:
    requirements = made("cpu").texts["requirements.txt"]
    assert compose.versions(requirements).items() <= compose.versions(LOCK).items()
    assert set(compose.versions(requirements)) == set(compose.OWN_PACKAGES)
    assert requirements.count("--hash=sha256:") >= 3
    assert not requirements.rstrip().endswith("\\")


def test_other_packages_lie_beside_those_before() -> None:
    """So that there is a way back without an index."""
    placed = FILTERS["stt_compose_files"](given({}), told("cpu"))
    folder = placed["packages"]
    assert {"path": f"/opt/stt-compose/{folder}", "state": "directory", "owner": "1000", "group": "1000"} in placed[
        "files"
    ]
    services = made("cpu").document["services"]
    assert f"./{folder}:/opt/anklume/packages:ro,z" in services["speaches"]["volumes"]
    assert f"./{folder}:/opt/anklume/packages:z" in services["packages"]["volumes"]
    assert compose.packages_folder(made("cpu").texts["requirements.txt"]) == folder
    assert compose.packages_folder("av==1\n") != folder


def test_what_is_kept_is_all_that_compose_and_the_service_read() -> None:
    placed = FILTERS["stt_compose_files"](given({}), told("cpu"))
    written = {file["path"].removeprefix("/opt/stt-compose/").split("/")[0] for file in placed["factory"]}
    written |= {file["path"].removeprefix("/opt/stt-compose/") for file in placed["files"] if "state" not in file}
    assert set(placed["names"]) == written


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8001/v1"),
        ("127.0.0.1", "http://127.0.0.1:8001/v1"),
        ("192.168.1.20", "http://192.168.1.20:8001/v1"),
        ("::", "http://[::1]:8001/v1"),
    ],
)
def test_it_is_asked_where_it_is_published(host: str, url: str) -> None:
    assert compose.local_url({"stt_server_host": host, "stt_server_port": 8001}) == url


def test_the_factory_lies_beside_it_and_the_keys_are_for_the_service_alone() -> None:
    placed = FILTERS["stt_compose_files"](given({}), told("cpu"))
    there = {file["path"].removeprefix("/opt/stt-compose/"): file for file in placed["files"] + placed["factory"]}
    modules = {path.name for path in (ROLE / "files/speaches").glob("*.py")} | {"anklume_container.py"}
    factory = {name for name in there if name.startswith("factory/") and name.count("/") == 1}
    assert factory == {f"factory/{name}" for name in modules}
    assert "factory/anklume_stt_server/settings.py" in there
    assert there["compose.yaml"]["content"].splitlines()[1] == "name: stt-compose"
    assert there["secrets.json"] == {
        "path": "/opt/stt-compose/secrets.json",
        "mode": "0400",
        "owner": "1000",
        "group": "1000",
    }
    assert set(placed["secret_contents"]) == {"/opt/stt-compose/secrets.json"}


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({}, ""),
        ({"stt_server_engine": "parakeet"}, "stt_server_engine is parakeet"),
        ({"stt_server_memory_high": "3G"}, 'stt_server_memory_high means nothing in a container: leave it at ""'),
        ({"stt_server_memory_max": "75%"}, "stt_server_memory_max is 75%, and Docker wants a size: 6G for example"),
        ({"stt_server_wheels": "/srv/wheels"}, "stt_server_wheels means nothing in a container"),
        ({"stt_server_speaches_commit": "abc"}, "stt_server_speaches_commit means nothing in a container"),
        ({"stt_server_chat_url": "http://localhost:11434/v1"}, "stt_server_chat_url names the host itself"),
        ({"image": "ghcr.io/speaches-ai/speaches:latest-cpu"}, "without a digest"),
        ({"gpu": "rocm"}, "stt_compose_gpu is rocm: set it to cdi or nvidia"),
    ],
)
def test_what_cannot_be_had_is_refused(chosen: dict[str, Any], said: str) -> None:
    values = role_defaults("stt_server") | {
        name: value for name, value in chosen.items() if name.startswith("stt_server_")
    }
    refused = "; ".join(FILTERS["stt_compose_refusals"](given(chosen), values))
    assert said in refused if said else refused == ""


class TestFactory:
    """anklume_container, as the container runs it, with a Speaches of a file or two."""

    @pytest.fixture
    def home(self, tmp_path: Path) -> Path:
        (tmp_path / "factory").mkdir()
        shutil.copy(ROOT / "roles/stt_compose/files/anklume_container.py", tmp_path / "factory")
        (tmp_path / "factory/anklume_speaches.py").write_text("import os\ndef main(): print(os.environ['API_KEY'])\n")
        (tmp_path / "speaches/routers").mkdir(parents=True)
        for name in ("__init__.py", "main.py", "routers/stt.py"):
            (tmp_path / "speaches" / name).write_text(f"# {name}\n")
        (tmp_path / "secrets.json").write_text('{"API_KEY": "the key"}')
        self.write(tmp_path)
        return tmp_path

    def write(self, home: Path, **packages: str) -> None:
        """What the factory was written for: this source as git names it, and these packages."""
        git = ["git", "-c", "core.autocrlf=false", f"--git-dir={home / '.git'}", f"--work-tree={home}"]
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "add", "speaches"], check=True, cwd=home)
        tree = subprocess.run(
            [*git, "write-tree", "--prefix=speaches/"], check=True, capture_output=True, text=True, cwd=home
        )
        wanted = {
            "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
            "packages": packages,
            "tree": tree.stdout.strip(),
        }
        (home / "versions.json").write_text(json.dumps(wanted))

    def run(self, home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "anklume_container", *arguments]
        environment |= {"PYTHONPATH": f"{home / 'factory'}:{home}"}
        return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)

    def test_it_starts_speaches_with_its_keys(self, home: Path) -> None:
        for _ in range(2):  # Python leaves its own files beside the source
            assert self.run(home).stdout == "the key\n"

    def test_it_can_be_asked_without_starting_anything(self, home: Path) -> None:
        done = self.run(home, "check")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        (home / "speaches/main.py").write_text("# changed\n")
        assert "the source of Speaches is another one" in self.run(home, "check").stderr

    def test_another_package_is_refused_in_one_line(self, home: Path) -> None:
        self.write(home, pytest="0.1", nothing_like_it="2")
        done = self.run(home)
        assert done.returncode == 1
        assert done.stderr == (
            f"this image is not the one that the factory mends: pytest is {pytest.__version__} and not 0.1;"
            " nothing_like_it 2 is not there: run `docker compose run --rm packages`,"
            " or take the image that compose.yaml had\n"
        )

    def test_another_source_is_refused(self, home: Path) -> None:
        (home / "speaches/routers/stt.py").write_text("# changed\n")
        assert "the source of Speaches is another one" in self.run(home).stderr

    def test_no_speaches_at_all_is_refused(self, home: Path) -> None:
        shutil.rmtree(home / "speaches")
        assert "Speaches is not there" in self.run(home).stderr

    def test_a_service_that_does_not_answer_is_ill(self, home: Path) -> None:
        (home / "model_aliases.json").write_text('{"whisper-1": "a/model"}')
        done = self.run(home, "health", UVICORN_PORT="1")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert done.stderr.startswith("it does not list its models: ")


def test_the_expected_files_are_yaml() -> None:
    for path in GOLDEN.iterdir():
        first, second = yaml.safe_load_all(path.read_text())
        assert set(first) == {"name", "services", "volumes"} and set(second) == {"speaches.env", "secrets.json"}
