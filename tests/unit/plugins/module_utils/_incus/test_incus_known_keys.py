# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that our list does not have are asked of the server, and refused at their place before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import IncusNotFoundError
from ansible_collections.anklume.stt.plugins.module_utils._incus.known_keys import settled
from ansible_collections.anklume.stt.plugins.module_utils._infra.diagnostic import Diagnostic
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import judge_project
from infra_cases import domain, machine


class Server:
    """Answers like an Incus with a few keys of its own; of devices it describes disk and two kinds of nic."""

    GROUPS: ClassVar[Mapping[str, Any]] = {
        "instance": {"new": {"keys": [{"limits.newer": {}}, {"limits.memory": {}}, {"free.*": {}}]}},
        "devices": {
            "disk": {"keys": [{"source": {}}, {"newer": {}}, {"initial.*": {}}]},
            "nic_bridged": {"keys": [{"name": {}}]},
            "nic_ovn": {"keys": [{"nested": {}}, {"attached": {}}]},
            "unix-char-block": {"keys": [{"major": {}}, {"limits.read": {}}]},
        },
    }

    def __init__(self, version: str = "6.0.4", groups: Any = None) -> None:
        self.version = version
        self.groups = self.GROUPS if groups is None else groups
        self.asked: list[str] = []

    def get(self, path: str) -> Any:
        self.asked.append(path)
        if path == "/1.0":
            return {"environment": {"server_version": self.version}}
        if not self.groups:
            raise IncusNotFoundError("not found")
        return {"configs": self.groups}


def said(text: str, folder: Any) -> tuple[Diagnostic, ...]:
    (folder / "infra.yml").write_text(text, encoding="utf-8")
    model, found = judge_project(str(folder))
    assert model is not None
    return found


def left(text: str, folder: Any, server: Server) -> list[str]:
    return [one.message for one in settled(cast(Any, server), said(text, folder))]


def test_the_server_is_asked_about_keys_that_our_list_does_not_have_and_no_others(tmp_path):
    server = Server()
    known = "config: {limits.cpu: 2, user.mine: x}\ndevices: {g: {type: gpu, gputype: physical, id: 0}}"
    assert left(machine(known), tmp_path, server) == []
    assert server.asked == []
    newer = (
        "config: {limits.newer: 2, free.x: 1}\n"
        "devices: {d: {type: disk, newer: 1}, n: {type: nic, attached: false}, c: {type: unix-char, limits.read: 1}}"
    )
    assert left(machine(newer), tmp_path, server) == []
    assert server.asked == ["/1.0/metadata/configuration"]


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        (machine("config: {memory: 8GiB}"), "6:18", "has no config key memory", "did you mean limits.memory?"),
        (
            machine("devices:\n  d: {type: disk, sorce: /x, path: /y}"),
            "7:27",
            "has no key sorce of a device of type disk",
            "did you mean source?",
        ),
        (
            machine("devices: {eth1: {type: nic, nestd: x}}"),
            "6:37",
            "has no key nestd of a device of type nic",
            "did you mean nested?",
        ),
        # a type that this server does not describe, and whose keys its release has in our list
        (
            machine("devices: {g: {type: gpu, gputyp: physical}}"),
            "6:34",
            "has no key gputyp of a device of type gpu",
            "did you mean gputype?",
        ),
        (
            domain("subnet_id: 3\nprofiles: {p: {devices: {p: {type: proxy, listn: x}}}}"),
            "4:47",
            "has no key listn of a device of type proxy",
            "did you mean listen?",
        ),
    ],
)
def test_a_key_that_the_server_does_not_know_is_refused_at_its_place(text, place, message, hint, tmp_path):
    with pytest.raises(IncusError) as caught:
        left(text, tmp_path, Server())
    first, where, *_source, last = str(caught.value).splitlines()
    assert first == "nothing was changed:"
    assert f"infra.yml:{place}: " in where
    assert where.endswith(f"the Incus of this host {message}")
    assert last.strip() == hint


@pytest.mark.parametrize("server", [Server("7.3"), Server("7.3", {})])
def test_where_the_server_cannot_tell_the_warning_stays(server, tmp_path):
    text = machine("devices: {g: {type: gpu, gputyp: physical}}")
    assert left(text, tmp_path, server) == ["Incus 6.0.4 has no key gputyp of a device of type gpu"]


def test_an_older_server_without_a_description_is_judged_by_our_list(tmp_path):
    with pytest.raises(IncusError, match="has no config key memory"):
        left(machine("config: {memory: 8GiB}"), tmp_path, Server("6.0.1", {}))
