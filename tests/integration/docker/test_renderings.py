# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon takes every rendering of compose.yaml, and makes of it what was meant."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Docker

sys.path.insert(0, str(ROOT / "tests/unit/roles"))

from ansible_collections.anklume.stt.plugins.module_utils._infra.render import to_yaml
from ansible_collections.anklume.stt.plugins.module_utils._services.compose import SECRETS
from test_stt_compose_role import SETS, made

pytestmark = pytest.mark.skipif(not os.environ.get("ANKLUME_TEST_LONG"), reason="a minute long: make test-long")
GPUS = {
    "cuda-cdi": "BY_CDI=all",
    "one-gpu-by-cdi": "BY_CDI=1",
    "cuda-nvidia": "NVIDIA_VISIBLE_DEVICES=all",
    "two-gpus-by-the-runtime": "NVIDIA_VISIBLE_DEVICES=0,GPU-3a",
}
"""What the service is given, by the stand-in of NVIDIA's Container Toolkit."""


@pytest.mark.parametrize("name", SETS)
def test_the_daemon_takes_it(name: str, docker: Docker, new: str, tmp_path: Path) -> None:
    """With the stand-in's image in the place of the published one, which cannot be pulled."""
    files = made(name)
    for service in files.document["services"].values():
        service["image"] = new
    texts = files.texts | {"compose.yaml": to_yaml(files.document), "secrets.json": files.secrets}
    for file, text in texts.items():
        (tmp_path / file).write_text(text)
    compose = ("compose", "-f", tmp_path / "compose.yaml", "--profile", "packages")
    try:
        docker(*compose, "create")
        found = docker(*compose, "ps", "-aq", "speaches")
        if name == "turned-off":
            assert found == ""
            return
        # Docker before 25 takes cdi for a driver that it does not have
        starts = docker.knows_cdi or "CDI" not in GPUS.get(name, "")
        if starts:
            docker(*compose, "start", "speaches")
        (seen,) = json.loads(docker("inspect", found))
        host, wanted = seen["HostConfig"], files.document["services"]["speaches"]
        assert seen["State"]["Status"] == ("running" if starts else "created")
        assert (host["ReadonlyRootfs"], host["CapDrop"], host["PidsLimit"]) == (True, ["ALL"], 512)
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert host["RestartPolicy"]["Name"] == "unless-stopped" and seen["Config"]["User"] == wanted["user"]
        assert host["Memory"] == (6 * 1024**3 if name == "limits" else 0)
        (port,) = wanted["ports"]
        bound = [{"HostIp": port["host_ip"], "HostPort": port["published"]}]
        assert host["PortBindings"] == {f"{port['target']}/tcp": bound}
        folders = [bind for bind in host["Binds"] if bind.startswith(str(tmp_path))]
        assert len(folders) == 7 and all("z" in bind.split(":")[2].split(",") for bind in folders)
        if name in GPUS and starts:
            given = Path(f"/proc/{seen['State']['Pid']}/environ").read_text().split("\0")
            assert GPUS[name] in given
        told = {line.partition("=")[0] for line in seen["Config"]["Env"]}
        assert "UVICORN_PORT" in told and not told & set(SECRETS)
    finally:
        docker(*compose, "down", "--volumes", "--timeout", "0")
