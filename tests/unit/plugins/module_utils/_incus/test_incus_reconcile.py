# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks that an interrupted run left half made or half deleted; keys that the server does not know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus import reconcile as module
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import PROJECT_MARK, Key
from ansible_collections.anklume.stt.plugins.module_utils._incus.observe import Observed
from ansible_collections.anklume.stt.plugins.module_utils._incus.plan import Options
from ansible_collections.anklume.stt.plugins.module_utils._incus.servers import Server
from incus_models import HOST, applied, model

NETWORK = Key("network", "default", "net-lab")


class World:
    """What each look finds of our network, the last again and again; takes deletions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *looks: tuple[str, bool], **fields: Any) -> None:
        self.looks = list(looks)
        self.deleted: list[str] = []
        self.refusal = ""
        self._fields = fields
        monkeypatch.setattr(module, "observe", lambda _client, _reader: (self.observed(), HOST))
        monkeypatch.setattr(module, "PAUSE", 0)

    def observed(self) -> Observed:
        status, self.bridge = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        found = applied(model()).found
        one = found[NETWORK]
        one = replace(one, status=status, fields={**one.fields, **self._fields})
        return Observed({key: some for key, some in {**found, NETWORK: one}.items() if some.status != "gone"})

    def has_interface(self, _name: str) -> bool:
        return self.bridge

    def existing_folders(self, _paths: object) -> frozenset[Key]:
        return frozenset()

    def send(self, method: str, path: str, *_body: object, **_query: str) -> None:
        if self.refusal:
            raise IncusError(self.refusal)
        self.deleted.append(f"{method} {path}")
        self.looks = [("gone", False)]

    def steps(self, **options: Any) -> list[str]:
        answer = module.reconcile([Server("", self, self)], model(), Options(), **options)
        return [line for line in answer["summary"] if "network" in line]


def test_a_name_without_a_bridge_goes_once_nobody_works_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "apply", lambda *_arguments, **_more: [])
    world = World(monkeypatch, ("Pending", True), ("Pending", True), ("Pending", False))
    assert world.steps() == ["+ create network net-lab"]
    assert world.deleted == ["DELETE /1.0/networks/net-lab"]
    # in check mode it is shown, and left
    world = World(monkeypatch, ("Created", False))
    assert world.steps(check=True) == ["+ create network net-lab"]
    assert world.deleted == []


def test_what_another_run_is_about_to_finish_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, ("Pending", False), ("Pending", False), ("Pending", True), ("Created", True))
    assert world.steps() == []
    assert world.deleted == []


def test_a_network_that_is_made_for_ever_or_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(IncusError, match="network net-lab has been in the making for"):
        World(monkeypatch, ("Pending", True)).steps()
    world = World(monkeypatch, ("Created", False))
    world.refusal = "the network is currently in use"
    with pytest.raises(IncusError, match=r"net-lab has lost its bridge and is in use; restart Incus \(the network is"):
        world.steps()


def test_a_network_of_somebody_else_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, ("Created", False), **{PROJECT_MARK: "theirs"})
    with pytest.raises(IncusError, match="belongs to project_name theirs"):
        world.steps()
    assert world.deleted == []
