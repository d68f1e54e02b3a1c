# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every step of every example and what it writes to Incus, word for word: from nothing, over drift, and away with it.

`ANKLUME_GOLDEN=write` writes the files anew; what changes in them is what a change of the code does to people's Incus.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._incus.apply import Journal, apply
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import IncusNotFoundError
from ansible_collections.anklume.stt.plugins.module_utils._incus.desired import Desired, desired
from ansible_collections.anklume.stt.plugins.module_utils._incus.host import Host
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import KEYS_MARK, PROJECT_MARK, unflatten, url
from ansible_collections.anklume.stt.plugins.module_utils._incus.observe import Found, Observed
from ansible_collections.anklume.stt.plugins.module_utils._incus.plan import Options, Plan, plan
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Model
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import read_project
from incus_models import after_apply, clustered, nothing, targets

ROOT = Path(__file__).resolve().parents[5]
EXAMPLES = ROOT / "docs" / "examples"
GOLDEN = ROOT / "tests" / "unit" / "golden" / "writes"
HOST = Host(
    links=(("eth0", IPv4Network("192.168.1.0/24")),),
    addresses=(IPv4Address("192.168.1.5"),),
    lan=(IPv4Interface("192.168.1.5/24"),),
    mtu=1400,
    gpus=1,
    nvidia_tools=True,
    cpus=8,
    memory=32 << 30,
    default_config={"limits.processes": "5000"},
    root={"type": "disk", "path": "/", "pool": "fast"},
)
EVERYTHING = Options(prune=True, confirm_all=True)


class Recorder:
    """An Incus in memory that holds `observed` and keeps each write as a line."""

    def __init__(self, observed: Observed) -> None:
        self.lines: list[str] = []
        self._bodies = {_place(*url(key)): _body(one) for key, one in observed.found.items() if key.kind != "folder"}

    def get(self, path: str, **query: str) -> Any:
        if path.endswith("/snapshots"):
            return [{"name": f"anklume-20260101-00000{number}-000"} for number in range(4)]
        try:
            return self._bodies[_place(path, query)]
        except KeyError:
            raise IncusNotFoundError(path) from None

    def get_tagged(self, path: str, **query: str) -> tuple[Any, str]:
        return self.get(path, **query), "tag"

    def send(self, method: str, path: str, body: Any = None, *, etag: str = "", **query: str) -> None:
        said = f" {json.dumps(body, sort_keys=True)}" if body else ""
        self.lines.append(f"    {method} {_place(path, query)}{' if unchanged' if etag else ''}{said}")
        if method == "POST" and path == "/1.0/projects":
            default = {"name": "default", "config": {}, "devices": {}, "description": ""}
            self._bodies[f"/1.0/profiles/default project={body['name']}"] = default

    def download(self, path: str, target: Path, **query: str) -> None:
        self.lines.append(f"    download {_place(path, query)} to {target.name}")


def _place(path: str, query: Mapping[str, str]) -> str:
    return " ".join((path, *(f"{name}={value}" for name, value in sorted(query.items()))))


def _body(found: Found) -> dict[str, Any]:
    body = {"name": found.key.name, "config": {}, "devices": {}, "description": "", **unflatten(found.fields)}
    more = {"architecture": "x86_64", "ephemeral": False, "status": found.status, "type": found.type}
    return {**body, **(more if found.key.kind == "instance" else {})}


def drifted(observed: Observed) -> Observed:
    """Each object with a key of an earlier infra.yml, and with one of its fields changed by hand."""
    found = {}
    for key, one in observed.found.items():
        fields = {**one.fields, "config/user.old": "1"}
        fields[KEYS_MARK] = json.dumps(sorted({*one.set_by_us, "config/user.old"}))
        plain = [p for p in sorted(one.set_by_us) if p.startswith("config/") and p not in (KEYS_MARK, PROJECT_MARK)]
        for path in [path for path in plain if path != "config/ipv4.address"][-1:]:
            fields[path] = "by hand"
        found[key] = replace(one, fields=fields)
    return replace(observed, found=found)


def told(title: str, todo: Plan, observed: Observed, folder: Path) -> Iterator[str]:
    """Each step, what it needs and what it writes."""
    yield f"## {title}"
    yield from (f"note: {note}" for note in todo.notes)
    recorder = Recorder(observed)
    lines = dict(zip((step.what for step in todo.steps), todo.lines(), strict=True))
    for step in todo.steps:
        yield lines[step.what]
        yield from (f"    after {need}" for need in step.needs)
        if step.what.key.kind != "folder":
            images = {(step.resource.image, step.resource.create["type"])} if _makes_instance(step) else ()
            sources = {image: {"type": "image", "alias": image[0]} for image in images}
            apply(recorder, Plan((step,), members=todo.members), sources, Journal(None), workers=1, backup_dir=folder)
        yield from (re.sub(r"\d{8}-\d{6}-\d{3}|\d{4}-\d\d-\d\dT[0-9:.+]+", "TIME", line) for line in recorder.lines)
        recorder.lines.clear()
    yield from (f"wait for {key}: {address}" for key, address in todo.waits.items())


def _makes_instance(step: Any) -> bool:
    return bool(step.what.action == "create" and step.what.key.kind == "instance")


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()))
def test_what_is_written_for_an_example(example: str, tmp_path: Path) -> None:
    model, _diagnostics = read_project(str(EXAMPLES / example))
    text = "\n".join(
        line for name in ("", *(one.name for one in model.remotes)) for line in on_server(model, name, tmp_path)
    )
    golden = GOLDEN / f"{example}.txt"
    if os.environ.get("ANKLUME_GOLDEN") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(f"{text}\n", encoding="utf-8")
    assert f"{text}\n" == golden.read_text(encoding="utf-8")


def on_server(model: Model, name: str, folder: Path) -> Iterator[str]:
    """All that is written to one server."""
    model = model.on(name)
    host = clustered(model, HOST)
    wanted = desired(model, host, targets(model))
    folders = frozenset(key for key in wanted.resources if key.kind == "folder")
    there = after_apply(wanted)
    assert not plan(wanted, there, host, Options(), folders).steps
    by_hand = drifted(there)
    if name:
        yield f"# {name}"
    yield from told("from nothing", plan(wanted, nothing(wanted), host, Options()), Observed(), folder)
    yield from told("over drift", plan(wanted, by_hand, host, Options(), folders), by_hand, folder)
    yield from told("away with it", plan(Desired(model.project_name), there, host, EVERYTHING), there, folder)


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
